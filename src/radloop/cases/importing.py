"""Importers: from folders of images, masks and tables, as people have them, to a case table.

Nothing is dropped in silence: what finds no partner is in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radloop.cases.case import Case, Reference
from radloop.cases.csv_text import Row, read_rows
from radloop.cases.names import ImageNames
from radloop.cases.table import LABEL_CELLS, CaseTable, number_of, table_of, write_cases
from radloop.errors import CaseTableError, InputError
from radloop.images.read import find_images

_LabelRule = Callable[[Row], bool | None]


@dataclass(frozen=True)
class ImportNote:
    """Something the importer found that a person should look at; `names`: files or columns."""

    code: str
    message: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImportReport:
    """The written table, and what found no partner."""

    table: CaseTable
    notes: tuple[ImportNote, ...]

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "cases": len(self.table.cases),
            "patients": len({case.patient_id for case in self.table.cases}),
            "columns": list(self.table.columns),
            "notes": [
                {"code": note.code, "message": note.message, "names": list(note.names)}
                for note in self.notes
            ],
        }


def import_masks(
    images: Path,
    masks: Mapping[str, Path],
    table: Path | None = None,
    patient_from: str | None = None,
    *,
    out: Path,
) -> ImportReport:
    """Write the case table of a folder of images with one folder of masks a structure.

    An image and its mask have the same path below their folders, suffix aside, or the same name.
    Every image becomes a case, with or without masks.

    masks: structure -> folder. table: a CSV with a column of image names, which is found by its
    cells; its columns of numbers become `value:<name>`. patient_from: a regular expression
    searched in the file's name; its first group, or the whole match, is the patient. Without it,
    and for a name it does not match, each image is a patient of its own.

    Raises InputError (no images, a bad expression, no masks that fit) and CaseTableError.
    """
    if not masks:
        raise InputError("No masks were named.", "Give at least one as NAME=FOLDER.")
    names = ImageNames(images, candidate_images(images, besides=masks.values()))
    notes: list[ImportNote] = []
    matched = {
        structure: _match_masks(names, structure, folder, notes)
        for structure, folder in masks.items()
    }
    values = _match_values(names, table, notes) if table else {}
    references = {
        file: Reference(
            masks={structure: found[file] for structure, found in matched.items() if file in found},
            values=values.get(file, {}),
        )
        for file in names.paths
    }
    return finish_import(names, references, patient_from, notes, out)


def import_table(
    images: Path,
    table: Path,
    file_column: str,
    labels: Mapping[str, str],
    values: Mapping[str, str] | None = None,
    patient_from: str | None = None,
    *,
    out: Path,
) -> ImportReport:
    """Write the case table of a folder of images described by a CSV, one row an image.

    file_column: the column with the file names, with or without suffix or folders. labels: name ->
    `COLUMN` (cells 0, 1 or empty) or `COLUMN=VALUE`: the cell is a list separated by `|`, and the
    label is 1 when VALUE is one of its entries (spaces around them aside, upper and lower case
    told apart), 0 when it is not, unknown when the cell is empty. values: name -> column of
    numbers. patient_from: as for `import_masks`. Every image becomes a case; one without a row has
    no labels.

    Raises InputError and CaseTableError, also for a VALUE that no row has: a mistyped one would
    make every label 0.
    """
    values = values or {}
    columns, rows = read_rows(table)
    for column in (file_column, *values.values()):
        _check_column(table, columns, column)
    rules = {name: _label_rule(table, columns, rows, rule) for name, rule in labels.items()}
    names = ImageNames(images, candidate_images(images))
    notes: list[ImportNote] = []
    matched = _match_rows(names, table, rows, file_column, notes)
    references = {
        file: _row_reference(table, matched[file], rules, values)
        if file in matched
        else Reference()
        for file in names.paths
    }
    return finish_import(names, references, patient_from, notes, out)


def candidate_images(folder: Path, besides: Iterable[Path] = ()) -> list[Path]:
    """The candidate image files below a folder, but for those in folders of their own purpose."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name}.", "Give the folder of the images.")
    left_out = [other.resolve() for other in besides]
    if folder.resolve() in left_out:
        raise InputError("The images and a mask have the same folder.", "Give each its own.")
    return [
        file
        for file in find_images([folder])
        if not any(other in file.resolve().parents for other in left_out)
    ]


def _match_masks(
    names: ImageNames, structure: str, folder: Path, notes: list[ImportNote]
) -> dict[Path, Path]:
    """Image -> mask."""
    found: dict[Path, Path] = {}
    alone: list[str] = []
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder.name}.", f"Give that of the {structure}.")
    for mask in find_images([folder]):
        image = names.find(mask.relative_to(folder).as_posix())
        if image is None:
            alone.append(mask.name)
        elif image in found:
            raise InputError(
                f"Two masks of {structure} belong to {image.name}: "
                f"{found[image].name} and {mask.name}.",
                "Keep one.",
            )
        else:
            found[image] = mask
    if not found:
        raise InputError(
            f"No mask of {structure} has the name of an image.",
            "A mask is named like its image, apart from the suffix.",
        )
    note(notes, "masks_without_image", f"Masks of {structure} without an image", alone)
    note(
        notes,
        "images_without_mask",
        f"Images without a mask of {structure}",
        [file.name for file in names.paths if file not in found],
    )
    return found


def _match_values(
    names: ImageNames, table: Path, notes: list[ImportNote]
) -> dict[Path, dict[str, float]]:
    """Image -> the numbers of its row, by column."""
    columns, rows = read_rows(table)
    hits = {
        column: sum(names.find(row.cells[column]) is not None for row in rows) for column in columns
    }
    file_column = max(columns, key=lambda column: hits[column])
    if not hits[file_column]:
        raise CaseTableError(
            f"No column of {table.name} names an image.", "One must hold the images' file names."
        )
    others = [column for column in columns if column and column != file_column]
    numeric = [column for column in others if _is_numeric(rows, column)]
    note(
        notes,
        "columns_left_out",
        f"Columns of {table.name} that are not numbers, left out",
        [column for column in others if column not in numeric],
    )
    matched = _match_rows(names, table, rows, file_column, notes)
    return {
        file: {c: float(row.cells[c]) for c in numeric if row.cells[c].strip()}
        for file, row in matched.items()
    }


def _is_numeric(rows: Sequence[Row], column: str) -> bool:
    cells = [row.cells[column] for row in rows if row.cells[column].strip()]
    return bool(cells) and all(number_of(cell) is not None for cell in cells)


def _match_rows(
    names: ImageNames, table: Path, rows: Sequence[Row], column: str, notes: list[ImportNote]
) -> dict[Path, Row]:
    """Image -> its row."""
    matched: dict[Path, Row] = {}
    alone: list[str] = []
    for row in rows:
        image = names.find(row.cells[column])
        if image is None:
            alone.append(row.cells[column])
        elif image in matched:
            raise CaseTableError(
                f"{table.name}, row {row.number}: {image.name} is already in row "
                f"{matched[image].number}.",
                "Keep one row an image.",
            )
        else:
            matched[image] = row
    if not matched:
        raise CaseTableError(
            f"No cell of the column '{column}' of {table.name} names an image.",
            "Choose the column with the images' file names.",
        )
    note(notes, "rows_without_image", f"Rows of {table.name} without an image", alone)
    note(
        notes,
        "images_without_row",
        f"Images without a row in {table.name}",
        [file.name for file in names.paths if file not in matched],
    )
    return matched


def _check_column(table: Path, columns: Sequence[str], column: str) -> None:
    if column not in columns:
        raise InputError(
            f"{table.name} has no column '{column}'.", f"Its columns: {', '.join(columns)}."
        )


def _label_rule(table: Path, columns: Sequence[str], rows: Sequence[Row], rule: str) -> _LabelRule:
    """What a row says of a label; `rule` is `COLUMN` or `COLUMN=VALUE`."""
    if rule in columns:
        return lambda row: _zero_or_one(table, row, rule)
    column, _, value = rule.partition("=")
    _check_column(table, columns, column)
    known = {entry for row in rows for entry in _entries(row, column)}
    if value not in known:
        shown = ", ".join(sorted(known)[:20])
        raise InputError(
            f"No row of {table.name} has '{value}' in the column '{column}'.",
            f"It holds: {shown}.",
        )
    return lambda row: value in entries if (entries := _entries(row, column)) else None


def _zero_or_one(table: Path, row: Row, column: str) -> bool | None:
    cell = row.cells[column].strip()
    if cell and cell not in LABEL_CELLS:
        raise CaseTableError(
            f"{table.name}, row {row.number}: '{column}' is '{cell}', not 0, 1 or empty.",
            f"For a column of words give the one that means 1: '{column}=WORD'.",
        )
    return LABEL_CELLS.get(cell)


def _entries(row: Row, column: str) -> set[str]:
    return {entry.strip() for entry in row.cells[column].split("|")} - {""}


def _row_reference(
    table: Path, row: Row, rules: Mapping[str, _LabelRule], values: Mapping[str, str]
) -> Reference:
    labels = {name: label for name, rule in rules.items() if (label := rule(row)) is not None}
    numbers: dict[str, float] = {}
    for name, column in values.items():
        cell = row.cells[column].strip()
        number = number_of(cell)
        if cell and number is None:
            raise CaseTableError(
                f"{table.name}, row {row.number}: '{column}' is '{cell}', which is not a number.",
                "Correct it, or leave it empty when it is unknown.",
            )
        if number is not None:
            numbers[name] = number
    return Reference(labels=labels, values=numbers)


def finish_import(
    names: ImageNames,
    references: Mapping[Path, Reference],
    patient_from: str | None,
    notes: list[ImportNote],
    out: Path,
) -> ImportReport:
    """Write the table of the images and what is known of each; see `import_masks`."""
    ids = names.case_ids()
    patients = _patients(ids, patient_from, notes)
    cases = [
        Case(ids[file], patients[file], {"image": file}, reference=reference)
        for file, reference in references.items()
    ]
    table = table_of(cases, out)
    write_cases(table, out)
    return ImportReport(table, tuple(notes))


def _patients(
    ids: Mapping[Path, str], patient_from: str | None, notes: list[ImportNote]
) -> dict[Path, str]:
    if patient_from is None:
        return dict(ids)
    expression = patient_expression(patient_from)
    patients = dict(ids)
    unmatched = []
    for file in ids:
        match = expression.search(file.name)
        patient = (match[1] if expression.groups else match[0]) if match else None
        if patient:
            patients[file] = patient
        else:
            unmatched.append(file.name)
    note(
        notes,
        "names_without_patient",
        "Names without a patient, each taken as a patient of its own",
        unmatched,
    )
    return patients


def patient_expression(text: str) -> re.Pattern[str]:
    """`--patient-from` compiled. Raises InputError."""
    try:
        return re.compile(text)
    except re.error as error:
        raise InputError(
            f"'{text}' is not a regular expression: {error}.",
            "Give one whose first group is the patient, like '^([0-9]+)_'.",
        ) from None


def note(notes: list[ImportNote], code: str, message: str, names: Sequence[str]) -> None:
    """Add a note with its count, if there is anything to tell."""
    if names:
        notes.append(ImportNote(code, f"{message}: {len(names)}.", tuple(names)))
