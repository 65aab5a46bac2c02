"""Scans published as folders of numbered slices, with one row of labels a slice: their importer,
and the table of one scan's slices.

A scan's table is a CSV: `slice` (its number), `file` (its picture, by name) and one column a label
(0, 1, or empty = unknown).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case, Reference
from radloop.cases.csv_text import Row, csv_text, read_rows
from radloop.cases.importing import ImportNote, ImportReport
from radloop.cases.table import LABEL_CELLS, table_of, write_cases
from radloop.errors import CaseTableError, InputError
from radloop.images.slice_folder import is_slice_folder, slice_number
from radloop.images.write import write_text

ANY = "any"
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def import_slices(
    images: Path,
    table: Path,
    case_column: str,
    slice_column: str,
    labels: Mapping[str, str],
    *,
    out: Path,
    any_label: str | None = None,
) -> ImportReport:
    """Write the case table of a folder of scans, and beside it a folder with a table a scan.

    images: a folder with one folder of slices a scan. case_column: which scan a row is of; a cell
    matches a folder by name, or by number (49 is "049"). slice_column: which slice, by the number
    in its name. labels: name -> column of 0, 1 or empty. any_label: also write a label that is 1
    where any of the others is.

    A scan's own label is 1 when one of its slices has it, 0 when all are known not to. Every folder
    of slices becomes a case, with or without rows; each is a patient of its own.

    Raises InputError (no scans, no such column) and CaseTableError (a bad cell, a slice twice).
    """
    if not labels:
        raise InputError("No labels were named.", "Give at least one as NAME=COLUMN.")
    columns, rows = read_rows(table)
    for column in (case_column, slice_column, *labels.values()):
        if column not in columns:
            raise InputError(
                f"{table.name} has no column '{column}'.", f"Its columns: {', '.join(columns)}."
            )
    folders = _folders(images)
    notes: list[ImportNote] = []
    by_folder = _rows_by_folder(folders, rows, case_column, table, notes)
    names = [*([any_label] if any_label else []), *labels]
    cases = []
    for folder, own in by_folder.items():
        known = _known(folder, own, slice_column, labels, table, notes)
        if any_label:
            known = {n: {any_label: _any(cells.values()), **cells} for n, cells in known.items()}
        reference = Reference(labels=_whole(known, names))
        if known:
            path = out.parent / f"{out.stem}-slices" / f"{folder.name}.csv"
            _write(path, folder, known, names)
            reference = Reference(labels=reference.labels, slices=path)
        cases.append(Case(folder.name, folder.name, {"image": folder}, reference=reference))
    if not any(case.reference.slices for case in cases):
        raise InputError(
            f"No row of {table.name} belongs to a slice in {images.name}.",
            "Check --case-column and --slice-column.",
        )
    written = table_of(cases, out)
    write_cases(written, out)
    return ImportReport(written, tuple(notes))


def read_slice_labels(
    path: Path, files: Sequence[str], names: Sequence[str]
) -> npt.NDArray[np.float32]:
    """The labels of a scan's slices, `(len(files), len(names))`: 0, 1, NaN = unknown.

    files: the scan's slices in order, by name; without names (a DICOM series) the table's rows are
    taken in the order of their numbers, and must be as many as `files`.

    Raises CaseTableError for a table without `slice`, or with another number of rows.
    """
    columns, rows = read_rows(path)
    if "slice" not in columns:
        raise CaseTableError(f"{path.name} has no column 'slice'.", "Number the slices.")
    by_name = {name: row for row in rows if (name := row.cells.get("file", "").strip())}
    ordered: list[Row | None]
    if any(name in by_name for name in files):
        ordered = [by_name.get(name) for name in files]
    elif len(rows) == len(files):
        ordered = [*sorted(rows, key=_number)]
    else:
        raise CaseTableError(
            f"{path.name} has {len(rows)} rows for {len(files)} slices.",
            "Give one row a slice, or the slices' file names in a column 'file'.",
        )
    table = np.full((len(files), len(names)), np.nan, np.float32)
    for k, row in enumerate(ordered):
        for j, name in enumerate(names):
            cell = row.cells.get(name, "").strip() if row else ""
            if cell:
                table[k, j] = float(_truth(path, row, name, cell))  # type: ignore[arg-type]
    return table


def _number(row: Row) -> float:
    return float(row.cells["slice"])


def _folders(images: Path) -> list[Path]:
    if not images.is_dir():
        raise InputError(f"There is no folder {images.name}.", "Give the folder of the scans.")
    found = [path for path in sorted(images.iterdir()) if is_slice_folder(path)]
    if not found:
        raise InputError(
            f"{images.name} holds no folders of slices.", "Each scan is a folder of pictures."
        )
    return found


def _rows_by_folder(
    folders: Sequence[Path],
    rows: Sequence[Row],
    column: str,
    table: Path,
    notes: list[ImportNote],
) -> dict[Path, list[Row]]:
    by_key = {_key(folder.name): folder for folder in folders}
    if len(by_key) < len(folders):
        raise InputError("Two folders have the same number.", "Rename one.")
    matched: dict[Path, list[Row]] = {folder: [] for folder in folders}
    alone = []
    for row in rows:
        folder = by_key.get(_key(row.cells[column]))
        if folder is None:
            alone.append(row.cells[column])
        else:
            matched[folder].append(row)
    strangers = tuple(dict.fromkeys(alone))
    if strangers:
        notes.append(
            ImportNote(
                "rows_without_scan",
                f"Rows of {table.name} of scans that are not there: {len(alone)}.",
                strangers,
            )
        )
    without = tuple(folder.name for folder, own in matched.items() if not own)
    if without:
        notes.append(
            ImportNote("scans_without_rows", f"Scans without a row: {len(without)}.", without)
        )
    return matched


def _key(name: str) -> str:
    """What a cell and a folder's name have in common: the number, or the name in small letters."""
    text = re.sub(r"\.0+$", "", name.strip())  # "49.0" is what pandas makes of 49
    return str(int(text)) if text.isdigit() else text.lower()


def _known(
    folder: Path,
    rows: Sequence[Row],
    column: str,
    labels: Mapping[str, str],
    table: Path,
    notes: list[ImportNote],
) -> dict[int, dict[str, bool | None]]:
    """Slice number -> its labels, for the slices that are there."""
    there = set(_numbered(folder))
    known: dict[int, dict[str, bool | None]] = {}
    alone = []
    for row in rows:
        cell = _key(row.cells[column])
        if not cell.isdigit() or int(cell) not in there:
            alone.append(f"{folder.name}/{row.cells[column]}")
            continue
        if int(cell) in known:
            raise CaseTableError(
                f"{table.name}, row {row.number}: slice {cell} of '{folder.name}' is there twice.",
                "Keep one row a slice.",
            )
        known[int(cell)] = {
            name: _truth(table, row, source, row.cells[source].strip())
            for name, source in labels.items()
        }
    if alone:
        notes.append(
            ImportNote("rows_without_slice", f"Rows without a picture: {len(alone)}.", tuple(alone))
        )
    silent = [f"{folder.name}/{n}" for n in sorted(there - set(known))] if rows else []
    if silent:
        notes.append(
            ImportNote("slices_without_row", f"Slices without a row: {len(silent)}.", tuple(silent))
        )
    return known


def _numbered(folder: Path) -> dict[int, str]:
    """Slice number -> file name."""
    pictures = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in _PICTURES]
    numbers = ((slice_number(path), path.name) for path in pictures)
    return {number: name for number, name in numbers if number is not None}


def _truth(table: Path, row: Row, column: str, cell: str) -> bool | None:
    if cell and cell not in LABEL_CELLS:
        raise CaseTableError(
            f"{table.name}, row {row.number}: '{column}' is '{cell}', not 0, 1 or empty.",
            "A label is 1 (present), 0 (absent) or empty (unknown).",
        )
    return LABEL_CELLS.get(cell)


def _any(cells: object) -> bool | None:
    """True when one is, False when all are known not to be."""
    values = list(cells)  # type: ignore[call-overload]
    return True if True in values else (None if None in values else False)


def _whole(known: Mapping[int, Mapping[str, bool | None]], names: Sequence[str]) -> dict[str, bool]:
    """The scan's labels from its slices'."""
    whole = {}
    for name in names if known else ():
        label = _any(cells[name] for cells in known.values())
        if label is not None:
            whole[name] = label
    return whole


def _write(
    path: Path,
    folder: Path,
    known: Mapping[int, Mapping[str, bool | None]],
    names: Sequence[str],
) -> None:
    files = _numbered(folder)
    text = {True: "1", False: "0", None: ""}
    rows = [
        {"slice": str(n), "file": files[n]} | {name: text[known[n][name]] for name in names}
        for n in sorted(known)
    ]
    write_text(path, csv_text(("slice", "file", *names), rows))
