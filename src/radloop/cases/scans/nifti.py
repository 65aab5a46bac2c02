"""`import nifti`: NIfTI files by channel, matched by patterns, to a case table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from radloop.cases.case import Case, Reference
from radloop.cases.importing import ImportNote, ImportReport, note, patient_expression
from radloop.cases.table import table_of, write_cases
from radloop.errors import InputError
from radloop.images.nifti import is_nifti

_SAME_MM = 0.01
_PLACE = "{case}"


def import_nifti(
    images: Path,
    channels: Mapping[str, str],
    masks: Mapping[str, str] | None = None,
    patient_from: str | None = None,
    *,
    out: Path,
) -> ImportReport:
    """Write the case table of NIfTI files of several channels.

    channels: name -> pattern of paths below `images`; masks: structure -> pattern. In a pattern `*`
    stands for any text within a name and `**/` for any folders; what `{case}` stands for names the
    case, or without it the only `*`. A case needs one channel; what it lacks is noted. A mask that
    lies on the grid of none of its channels is noted, too. patient_from: a regular expression
    searched in the path of the first channel's file; its first group, or the whole match, is the
    patient. Without it each case is a patient of its own.

    Raises InputError: no folder, a pattern that no file matches, two files for one channel of a
    case, a bad expression.
    """
    if not images.is_dir():
        raise InputError(f"There is no folder {images.name}.", "Give the folder of the volumes.")
    if not channels:
        raise InputError("No channels were named.", "Give at least one as NAME=GLOB.")
    files = sorted(path for path in images.rglob("*") if is_nifti(path) and path.is_file())
    found = {name: _matches(images, files, name, glob) for name, glob in channels.items()}
    outlined = {name: _matches(images, files, name, glob) for name, glob in (masks or {}).items()}
    notes: list[ImportNote] = []
    ids = sorted({case for some in found.values() for case in some})
    for name, some in found.items():
        note(notes, "cases_without_channel", f"Cases without {name}", _without(ids, some))
    for name, some in outlined.items():
        alone = [path.name for case, path in some.items() if case not in ids]
        note(notes, "masks_without_image", f"Masks of {name} without an image", alone)
        note(notes, "images_without_mask", f"Cases without a mask of {name}", _without(ids, some))
    cases = [_case(case, found, outlined) for case in ids]
    cases = _with_patients(cases, images, patient_from, notes)
    apart = [f"{case.case_id} ({name})" for case in cases for name in _masks_apart(case)]
    note(notes, "mask_on_no_channels_grid", "Masks on the grid of none of their channels", apart)
    table = table_of(cases, out)
    write_cases(table, out)
    return ImportReport(table, tuple(notes))


def _case(
    case: str, found: Mapping[str, Mapping[str, Path]], outlined: Mapping[str, Mapping[str, Path]]
) -> Case:
    images = {name: some[case] for name, some in found.items() if case in some}
    masks = {name: some[case] for name, some in outlined.items() if case in some}
    return Case(case, case, images, reference=Reference(masks=masks))


def _without(ids: Sequence[str], some: Mapping[str, Path]) -> list[str]:
    return [case for case in ids if case not in some]


def _matches(images: Path, files: Sequence[Path], name: str, glob: str) -> dict[str, Path]:
    """Case -> its file."""
    expression = _expression(glob)
    found: dict[str, Path] = {}
    for path in files:
        match = expression.fullmatch(path.relative_to(images).as_posix())
        if match is None:
            continue
        case = match["case"]
        if case in found:
            raise InputError(
                f"Two files are {name} of {case}: {found[case].name} and {path.name}.",
                f"Narrow the pattern '{glob}', or say with {_PLACE} what names the case.",
            )
        found[case] = path
    if not found:
        raise InputError(
            f"No file below {images.name} matches '{glob}' ({name}).",
            "Patterns hold for the whole path below the folder, like 'dwi/*.nii.gz'.",
        )
    return found


def _expression(glob: str) -> re.Pattern[str]:
    """The pattern as a regular expression whose group `case` names the case."""
    named = _PLACE in glob
    if not named and "*" not in glob:
        raise InputError(
            f"The pattern '{glob}' names one file for all cases.",
            f"Put {_PLACE} or * where the name of the case stands.",
        )
    if not named and glob.replace("**/", "").count("*") > 1:
        raise InputError(
            f"The pattern '{glob}' does not say which * names the case.",
            f"Put {_PLACE} there: files of different patients must not meet in one case.",
        )
    text, seen = "", False
    for part in re.split(r"(\{case\}|\*\*/|\*|\?)", glob):
        if part == _PLACE or (part == "*" and not named):
            text += "(?P=case)" if seen else "(?P<case>[^/]+?)"
            seen = True
        else:
            text += {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text)


def _with_patients(
    cases: Sequence[Case], images: Path, patient_from: str | None, notes: list[ImportNote]
) -> list[Case]:
    if patient_from is None:
        return list(cases)
    expression = patient_expression(patient_from)
    named, unmatched = [], []
    for case in cases:
        match = expression.search(case.image.relative_to(images).as_posix())
        patient = (match[1] if expression.groups else match[0]) if match else None
        if not patient:
            unmatched.append(case.case_id)
        named.append(Case(case.case_id, patient or case.case_id, case.images, "", case.reference))
    note(
        notes, "names_without_patient",
        "Names without a patient, each taken as a patient of its own", unmatched,
    )  # fmt: skip
    return named


def _masks_apart(case: Case) -> list[str]:
    """The structures whose mask lies on no channel's grid; by the headers alone."""
    grids = [_grid(path) for path in case.images.values()]
    return [
        name
        for name, path in case.reference.masks.items()
        if (own := _grid(path)) is not None and not any(_same(own, one) for one in grids)
    ]


def _grid(path: Path) -> tuple[tuple[int, ...], Any] | None:
    """Shape and affine with the axes to the right, the front and the head: in whatever order a file
    stores its voxels, they are the same places."""
    try:
        file: Any = nib.load(path)
        orientations: Any = nib.orientations
        axes = orientations.io_orientation(file.affine)
        shape = [0, 0, 0]
        for size, axis in zip(file.shape, axes[:, 0], strict=False):
            shape[int(axis)] = size
        stored = orientations.inv_ornt_aff(axes, file.shape[:3])
        return tuple(shape), np.asarray(file.affine @ stored, np.float64)
    except Exception:  # a damaged file has its verdict when it is read
        return None


def _same(a: tuple[tuple[int, ...], Any], b: tuple[tuple[int, ...], Any] | None) -> bool:
    if b is None or a[0] != b[0]:
        return False
    last = [n - 1 for n in a[0]]
    # The first corner and its three neighbours: two opposite ones alone could be turned about.
    ends = np.diag([*last, 1.0])
    ends[3] = 1
    return bool(np.abs(a[1] @ ends - b[1] @ ends).max() <= _SAME_MM)
