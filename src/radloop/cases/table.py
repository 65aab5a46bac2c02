"""The case table `cases.csv`: one row a case, read into `Case` values and written back.

Columns: `case_id`, `patient_id`, `split`; `image`, or `image:<channel>` for several; `label:<name>`
(0, 1 or empty = unknown); `mask:<structure>`; `boxes` (a COCO file); `slices` (a table by slice);
`value:<name>` and `reader:<who>:<name>` (numbers). Paths are relative to the table. Any other
column is kept as it is and ignored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radloop.cases.case import Case, Reference
from radloop.cases.csv_text import Row, csv_text, read_rows
from radloop.errors import CaseTableError, InputError
from radloop.images.volumes.read import series_of
from radloop.images.write import write_text

_PLAIN = ("case_id", "patient_id", "split", "image", "boxes", "slices")
_PREFIXES = ("image:", "label:", "mask:", "value:", "reader:")
# "1.0" and "0.0" are what pandas writes for whole numbers in a column with empty cells.
LABEL_CELLS = {"1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class CaseTable:
    """The cases of one table, in its order.

    path: the file; the paths in its cells are relative to the folder it lies in. columns: all
    columns in their order. extra: the cells of the unknown columns, one mapping a case.
    """

    path: Path
    columns: tuple[str, ...]
    cases: tuple[Case, ...]
    extra: tuple[Mapping[str, str], ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits: train, val, test, then others sorted; empty without any."""
        found = {case.split for case in self.cases if case.split}
        usual = [name for name in ("train", "val", "test") if name in found]
        return (*usual, *sorted(found.difference(usual)))

    def names(self, kind: str) -> tuple[str, ...]:
        """The names after a prefix, in column order: `names("label")`, `names("mask")`, ..."""
        prefix = f"{kind}:"
        return tuple(c.removeprefix(prefix) for c in self.columns if c.startswith(prefix))

    def only(self, split: str) -> CaseTable:
        """The cases of one split. Raises InputError when the table has no such split."""
        keep = [index for index, case in enumerate(self.cases) if case.split == split]
        if not keep:
            known = ", ".join(self.splits) or "none; run `radloop split` first"
            raise InputError(f"{self.path.name} has no split '{split}'.", f"Its splits: {known}.")
        extra = tuple(self.extra[index] for index in keep) if self.extra else ()
        return CaseTable(self.path, self.columns, tuple(self.cases[i] for i in keep), extra)


def table_of(cases: Sequence[Case], path: Path) -> CaseTable:
    """A table of new cases: the columns they need, in the usual order."""
    columns = ["case_id", "patient_id"]
    if any(case.split for case in cases):
        columns.append("split")
    columns += _union(
        ["image" if name == "image" else f"image:{name}" for name in case.images] for case in cases
    )
    references = [case.reference for case in cases]
    columns += _union([f"label:{name}" for name in ref.labels] for ref in references)
    columns += _union([f"mask:{name}" for name in ref.masks] for ref in references)
    columns += [name for name in ("boxes", "slices") if any(getattr(r, name) for r in references)]
    columns += _union([f"value:{name}" for name in ref.values] for ref in references)
    columns += _union([f"reader:{who}:{name}" for who, name in ref.readers] for ref in references)
    return CaseTable(path, tuple(columns), tuple(cases))


def read_cases(path: Path, *, strict: bool = True) -> CaseTable:
    """Read a case table.

    strict: also refuse a table that names a missing file or has a patient in two splits; the
    audit reads with `strict=False` and lists *all* of these instead.

    Raises CaseTableError, naming the row and the remedy: not a CSV, no `case_id`, `patient_id` or
    image column, an empty or doubled identifier, a label or number that is none.
    """
    path = Path(path)
    columns, rows = read_rows(path)
    _check_columns(path, columns)
    cases = tuple(_case(path, row, columns) for row in rows)
    _refuse_doubled(path, rows, cases)
    if strict:
        _refuse_missing_files(path, rows, cases)
        _refuse_shared_patients(path, rows, cases)
    unknown = [column for column in columns if not _is_known(column)]
    extra = tuple({column: row.cells[column] for column in unknown} for row in rows)
    return CaseTable(path, columns, cases, extra)


def write_cases(table: CaseTable, path: Path) -> None:
    """Write a table whole or not at all; its paths become relative to the new place.

    Raises WriteError.
    """
    extras: Sequence[Mapping[str, str]] = table.extra or ({},) * len(table.cases)
    rows = [
        {column: extra.get(column, _cell(case, column, path.parent)) for column in table.columns}
        for case, extra in zip(table.cases, extras, strict=True)
    ]
    write_text(path, csv_text(table.columns, rows))


def case_files(case: Case) -> list[Path]:
    """Every file a case names: images, masks, boxes, slices."""
    reference = case.reference
    files = [*case.images.values(), *reference.masks.values()]
    return files + [file for file in (reference.boxes, reference.slices) if file is not None]


def splits_by_patient(cases: Sequence[Case]) -> dict[str, set[str]]:
    """Patient -> the splits with a case of that patient; cases without a split are left out."""
    splits: dict[str, set[str]] = {}
    for case in cases:
        if case.split:
            splits.setdefault(case.patient_id, set()).add(case.split)
    return splits


def number_of(cell: str) -> float | None:
    """A cell as a finite number, or None when it is none."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# --- reading -------------------------------------------------------------------------------------


def _is_known(column: str) -> bool:
    return column in _PLAIN or column.startswith(_PREFIXES)


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    for needed in ("case_id", "patient_id"):
        if needed not in columns:
            raise CaseTableError(
                f"{path.name} has no column '{needed}'.",
                "Add it, or build the table with `radloop import`.",
            )
    channels = [column for column in columns if column.startswith("image:")]
    if not channels and "image" not in columns:
        raise CaseTableError(
            f"{path.name} has no image column.",
            "Name it 'image', or 'image:<channel>' when a case has several.",
        )
    if channels and "image" in columns:
        raise CaseTableError(
            f"{path.name} has both 'image' and '{channels[0]}'.",
            "Use 'image' for the only image of a case, 'image:<channel>' for several.",
        )
    for column in columns:
        if column in _PREFIXES:
            raise CaseTableError(f"{path.name}: the column '{column}' lacks its name.", "Add it.")
        parts = column.split(":", 2)
        if parts[0] == "reader" and len(parts) > 1 and not (len(parts) == 3 and all(parts)):
            raise CaseTableError(
                f"{path.name}: the column '{column}' is not of the form 'reader:<who>:<name>'.",
                "Rename it.",
            )


def _case(path: Path, row: Row, columns: tuple[str, ...]) -> Case:
    cells = {column: row.cells[column].strip() for column in columns if _is_known(column)}
    for needed in ("case_id", "patient_id"):
        if not cells[needed]:
            raise _row_error(path, row, f"{needed} is empty.", "Give each row its own.")
    images = {
        column.removeprefix("image:"): path.parent / cell
        for column, cell in cells.items()
        if cell and (column == "image" or column.startswith("image:"))
    }
    if not images:
        raise _row_error(path, row, "no image.", "Name the image file or remove the row.")
    readers = {}
    for name, number in _numbers(path, row, cells, "reader:").items():
        who, _, what = name.partition(":")
        readers[who, what] = number
    reference = Reference(
        labels=_labels(path, row, cells),
        masks={name: path.parent / cell for name, cell in _cells(cells, "mask:").items()},
        values=_numbers(path, row, cells, "value:"),
        readers=readers,
        boxes=path.parent / cells["boxes"] if cells.get("boxes") else None,
        slices=path.parent / cells["slices"] if cells.get("slices") else None,
    )
    return Case(cells["case_id"], cells["patient_id"], images, cells.get("split", ""), reference)


def _cells(cells: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The non-empty cells of the columns with this prefix, by the name after it."""
    return {
        column.removeprefix(prefix): cell
        for column, cell in cells.items()
        if cell and column.startswith(prefix)
    }


def _labels(path: Path, row: Row, cells: Mapping[str, str]) -> dict[str, bool]:
    labels = {}
    for name, cell in _cells(cells, "label:").items():
        if cell not in LABEL_CELLS:
            raise _row_error(
                path,
                row,
                f"label:{name} is '{cell}'.",
                "A label is 1 (present), 0 (absent) or empty (unknown).",
            )
        labels[name] = LABEL_CELLS[cell]
    return labels


def _numbers(path: Path, row: Row, cells: Mapping[str, str], prefix: str) -> dict[str, float]:
    numbers = {}
    for name, cell in _cells(cells, prefix).items():
        number = number_of(cell)
        if number is None:
            raise _row_error(
                path,
                row,
                f"{prefix}{name} is '{cell}', which is not a number.",
                "Write it like 0.52, or leave it empty when it is unknown.",
            )
        numbers[name] = number
    return numbers


def _row_error(path: Path, row: Row, what: str, remedy: str) -> CaseTableError:
    return CaseTableError(f"{path.name}, row {row.number}: {what}", remedy)


def _refuse_doubled(path: Path, rows: Sequence[Row], cases: Sequence[Case]) -> None:
    first: dict[str, int] = {}
    for row, case in zip(rows, cases, strict=True):
        if case.case_id in first:
            raise _row_error(
                path,
                row,
                f"the case '{case.case_id}' is already in row {first[case.case_id]}.",
                "Give each case one row and its own case_id.",
            )
        first[case.case_id] = row.number


def _refuse_missing_files(path: Path, rows: Sequence[Row], cases: Sequence[Case]) -> None:
    missing = [
        (row, file)
        for row, case in zip(rows, cases, strict=True)
        for file in case_files(case)
        if not file.exists() and not series_of(file)
    ]
    if missing:
        row, file = missing[0]
        more = f" ({len(missing) - 1} more are missing)" if len(missing) > 1 else ""
        raise _row_error(
            path,
            row,
            f"there is no file {_relative(file, path.parent)}{more}.",
            "Paths are relative to the table; `radloop check` lists all that are missing.",
        )


def _refuse_shared_patients(path: Path, rows: Sequence[Row], cases: Sequence[Case]) -> None:
    splits = splits_by_patient(cases)
    for row, case in zip(rows, cases, strict=True):
        if len(splits.get(case.patient_id, ())) > 1:
            # The patient's identifier stays out of the message: it may be a real one.
            raise _row_error(
                path,
                row,
                f"this patient is in more than one split: "
                f"{', '.join(sorted(splits[case.patient_id]))}.",
                "Split again by patient with `radloop split`.",
            )


# --- writing -------------------------------------------------------------------------------------


def _cell(case: Case, column: str, folder: Path) -> str:
    kind, _, name = column.partition(":")
    reference = case.reference
    if column in ("case_id", "patient_id", "split"):
        return str(getattr(case, column))
    if kind == "image":
        return _path_cell(case.images.get(name or "image"), folder)
    if kind == "mask":
        return _path_cell(reference.masks.get(name), folder)
    if column in ("boxes", "slices"):
        return _path_cell(getattr(reference, column), folder)
    if kind == "label":
        return {True: "1", False: "0", None: ""}[reference.labels.get(name)]
    if kind == "value":
        return _number_cell(reference.values.get(name))
    if kind == "reader":
        who, _, what = name.partition(":")
        return _number_cell(reference.readers.get((who, what)))
    return ""


def _number_cell(number: float | None) -> str:
    if number is None:
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(float(number))


def _path_cell(path: Path | None, folder: Path) -> str:
    return "" if path is None else _relative(path, folder)


def _relative(path: Path, folder: Path) -> str:
    """`path` as seen from `folder`, with forward slashes; absolute when there is no way there."""
    try:
        relative = os.path.relpath(path, folder)
        if relative.startswith(os.pardir):
            # The system follows ".." from where the folder really is, past symbolic links.
            relative = os.path.relpath(path.parent.resolve() / path.name, folder.resolve())
    except ValueError:  # another drive
        relative = str(path.resolve())
    return Path(relative).as_posix()


def _union(names: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(name for group in names for name in group))
