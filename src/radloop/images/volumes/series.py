"""From the files of a folder to its series, each with a verdict."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from radloop.errors import InputError
from radloop.images.limits import VOLUME_LIMITS, ReadLimits
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, warned
from radloop.images.volumes.headers import FileHeader, read_header
from radloop.images.volumes.layout import Layout, lay_out
from radloop.images.volumes.slices import Slice

# A doubled position may be another volume of the same series. The first of these that tells such
# volumes apart does; the acquisition number comes late, since one volume may have several.
_SEPARATORS = (
    "stack",
    "time point",
    "b-value",
    "echo number",
    "echo time",
    "frame type",
    "image type",
    "trigger time",
    "acquisition number",
)


@dataclass(frozen=True)
class Series:
    """One volume's slices and what is to be said of them.

    uid, study_uid, modality, description: as the files state them. volume: by which attribute and
    value this volume was told from others of the same series, "" for the only one. layout: None
    when refused. verdict: refused, too, for gaps that only resampling can even out, unless
    `read_series` is allowed to.
    """

    uid: str
    study_uid: str
    modality: str
    description: str
    files: tuple[Path, ...]
    verdict: Verdict
    layout: Layout | None = None
    volume: str = ""

    @property
    def name(self) -> str:
        """How a person finds the series: modality, description, size."""
        words = [self.modality, self.description, self.volume]
        count = len(self.layout.slices) if self.layout else len(self.files)
        return " ".join(word for word in words if word) + f" ({count} slices)"


@dataclass(frozen=True)
class Folder:
    """What a folder holds: its series, and the other files, each with the reason why it is none
    of a series (`None` for a file that is not DICOM)."""

    series: tuple[Series, ...]
    others: Mapping[Path, Verdict | None] = field(default_factory=dict)


def find_series(inputs: Sequence[Path], limits: ReadLimits = VOLUME_LIMITS) -> Folder:
    """The series of all DICOM files below `inputs` (folders and files), in a stable order.

    Files of mixed patients, studies and series may lie anywhere; only their headers count, not
    their names. Raises InputError when an input does not exist.
    """
    groups: dict[tuple[str, str], list[FileHeader]] = defaultdict(list)
    others: dict[Path, Verdict | None] = {}
    for path in _files(inputs):
        header = read_header(path, limits)
        if header is None:
            others[path] = None
        elif header.verdict.refused and not (header.series_uid and _belongs(header)):
            others[path] = header.verdict
        else:
            groups[header.study_uid, header.series_uid].append(header)
    found = [series for key in sorted(groups) for series in _series(groups[key])]
    return Folder(tuple(found), others)


def _belongs(header: FileHeader) -> bool:
    """Whether a refused file is a lost slice of its series, and no scout, report or screenshot."""
    return header.verdict.code in {"truncated", "corrupt", "missing_size", "missing_header"}


def _files(inputs: Sequence[Path]) -> Iterable[Path]:
    for given in inputs:
        if not given.exists():
            raise InputError(f"There is no '{given.name}'.", "Check the path.")
        if not given.is_dir():
            yield given
            continue
        for parent, folders, names in os.walk(given):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and name.upper() not in ("DICOMDIR", "DIRFILE"):
                    yield Path(parent, name)


def _series(headers: Sequence[FileHeader]) -> list[Series]:
    first = headers[0]
    files = tuple(header.path for header in headers)
    base = Series(
        first.series_uid, first.study_uid, first.modality, first.description, files, ACCEPTED
    )
    lost = [header for header in headers if header.verdict.refused]
    if lost:
        names = ", ".join(header.path.name for header in lost[:4])
        verdict = Verdict(
            "refused",
            lost[0].verdict.code,
            (
                f"{len(lost)} of {len(headers)} files cannot be read ({names}).",
                *lost[0].verdict.messages,
            ),
        )
        return [replace(base, verdict=verdict)]
    slices = [s for header in headers for s in header.slices]
    try:
        return [_laid_out(base, slices)]
    except Refusal as refusal:
        if refusal.verdict.code == "repeated_positions":
            separated = _separated(base, slices)
            if separated:
                return separated
        return [replace(base, verdict=refusal.verdict)]


def _laid_out(base: Series, slices: Sequence[Slice]) -> Series:
    layout = lay_out(slices)
    verdict = layout.verdict
    if layout.uneven is not None:
        verdict = verdict.merge(layout.uneven)
    return replace(
        base,
        files=tuple(dict.fromkeys(s.path for s in layout.slices)),
        layout=layout,
        verdict=verdict,
    )


def _separated(base: Series, slices: Sequence[Slice]) -> list[Series]:
    """The volumes of one series, by the first attribute that leaves no position doubled."""
    for name in _SEPARATORS:
        groups: dict[str, list[Slice]] = defaultdict(list)
        for one in slices:
            groups[one.stacks.get(name, "")].append(one)
        if len(groups) < 2:
            continue
        note = warned(
            "several_volumes",
            f"The series holds {len(groups)} volumes, which were told apart by their {name}.",
        )
        try:
            found = [
                _laid_out(replace(base, volume=f"{name} {value}"), group)
                for value, group in sorted(groups.items())
            ]
        except Refusal:
            continue
        return [replace(series, verdict=note.merge(series.verdict)) for series in found]
    return []
