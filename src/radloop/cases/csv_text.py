"""CSV text as people's programs write it: byte-order marks, CRLF, quotes; and its clear errors."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radloop.errors import CaseTableError


@dataclass(frozen=True)
class Row:
    """One row: `number` as a spreadsheet counts it (the header is row 1), cells by column name."""

    number: int
    cells: Mapping[str, str]


def read_rows(path: Path) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """The column names (spaces around them removed) and the rows, blank ones left out.

    Raises CaseTableError: no such file, not a CSV, not UTF-8, not separated by commas, doubled
    columns, a row with more or fewer cells than the header, no rows.
    """
    text = _text(path)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise CaseTableError(
            f"{path.name} is not a readable CSV: {error}.", "Check its quotes and save it again."
        ) from None
    header = tuple(name.strip() for name in records[0]) if records else ()
    _check_header(path, header)
    rows = []
    for number, record in enumerate(records[1:], start=2):
        if not any(cell.strip() for cell in record):
            continue
        if len(record) != len(header):
            raise CaseTableError(
                f"{path.name}, row {number}: {len(record)} cells under {len(header)} columns.",
                "Give each row one cell per column; put cells that contain a comma in quotes.",
            )
        rows.append(Row(number, dict(zip(header, record, strict=True))))
    if not rows:
        raise CaseTableError(f"{path.name} has no rows.", "Add at least one row below the header.")
    return header, tuple(rows)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """CSV with `\\n` line ends; a missing cell is empty."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return buffer.getvalue()


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CaseTableError(f"There is no file {path.name}.", "Check the path.") from None
    except OSError as error:
        raise CaseTableError(
            f"{path.name} could not be read: {error.strerror}.", "Give the path of a CSV file."
        ) from None
    # UTF-16 text and spreadsheets (zip) both hold zero bytes, which no UTF-8 table does.
    if b"\0" in content:
        raise CaseTableError(
            f"{path.name} is not a CSV text file.",
            "In the spreadsheet program, save it as 'CSV UTF-8 (comma delimited)'.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CaseTableError(
            f"{path.name}, line {line}: not UTF-8 text.",
            "Save it in the encoding UTF-8 ('CSV UTF-8' in spreadsheet programs).",
        ) from None


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    if not any(header):
        raise CaseTableError(f"{path.name} is empty.", "Its first row names the columns.")
    if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
        raise CaseTableError(
            f"{path.name} is not separated by commas.", "Save it again with commas as separators."
        )
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise CaseTableError(
            f"{path.name} has the column '{doubled[0]}' more than once.", "Rename or remove one."
        )
