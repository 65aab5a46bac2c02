"""Which image a path or name means, when tables and mask folders spell it in their own way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

# A suffix starts with a letter: ".9342" at the end of a DICOM identifier is none.
_SUFFIX = re.compile(r"(\.nii)?\.[A-Za-z][A-Za-z0-9]{0,4}$", re.IGNORECASE)


def bare(name: str) -> str:
    """A file's name without its suffix (`.png`, `.nii.gz`)."""
    return _SUFFIX.sub("", name)


class ImageNames:
    """The images below one folder, by name.

    Two spellings mean the same file when, suffixes aside, one is the end of the other, folder by
    folder: `train/a`, `a.png` and `/data/train/a.jpg` all mean `train/a.png`.
    """

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self.paths = {file: file.relative_to(folder).as_posix() for file in files}
        self._by_name: dict[str, list[Path]] = {}
        for file in files:
            self._by_name.setdefault(bare(file.name), []).append(file)

    def find(self, spelling: str) -> Path | None:
        """The one image that is meant; None when there is none, or more than one."""
        text = spelling.strip().replace("\\", "/")
        name = PurePosixPath(text).name
        meant = [file for file in self._by_name.get(bare(name), ()) if self._agree(file, text)]
        if len(meant) > 1:  # the same name with two suffixes
            meant = [file for file in meant if self.paths[file] == text]
        return meant[0] if len(meant) == 1 else None

    def _agree(self, file: Path, text: str) -> bool:
        ours = PurePosixPath(bare(self.paths[file])).parts
        theirs = PurePosixPath(bare(text)).parts
        common = min(len(ours), len(theirs))
        return ours[-common:] == theirs[-common:]

    def case_ids(self) -> dict[Path, str]:
        """An identifier an image: its bare name; with its folders, then its suffix, if need be."""
        forms = (
            lambda path: bare(PurePosixPath(path).name),
            lambda path: bare(path).replace("/", "_"),
            lambda path: path.replace("/", "_"),
        )
        for form in forms:
            ids = {file: form(path) for file, path in self.paths.items()}
            if max(Counter(ids.values()).values(), default=0) <= 1:
                return ids
        return dict(self.paths)
