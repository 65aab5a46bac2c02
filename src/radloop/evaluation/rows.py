"""The per-case table of a report: rows in memory, `cases.csv` on disk, columns of numbers.

A row maps column names to values: `case_id` and `patient_id` (text), numbers (None or NaN =
unknown), lists of rows of numbers (nested columns, JSON in the file) and any further text.
`cases.csv` keeps numbers to the last bit, so that a measure computed from the file equals the one
in the report.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.measures.spec import Rows

Row = Mapping[str, object]
IDENTIFIERS = ("case_id", "patient_id")


def format_rows(rows: Sequence[Row]) -> str:
    """The rows as CSV: every column that any row has, unknown values empty, booleans 0 and 1."""
    names = list(dict.fromkeys((*IDENTIFIERS, *(name for row in rows for name in row))))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of a `cases.csv`, every value as text.

    Raises InputError for a file that is missing, is not such a table, or holds a case twice.
    """
    again = "Run `radloop evaluate` again."
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows: list[dict[str, object]] = [dict(row) for row in reader]
            names = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The case table {path.name} cannot be read: {error}.", again) from error
    missing = [name for name in IDENTIFIERS if name not in names]
    if missing:
        raise InputError(f"The case table {path.name} has no column '{missing[0]}'.", again)
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"The case table {path.name} has rows of different lengths.", again)
    if len({row["case_id"] for row in rows}) < len(rows):
        raise InputError(f"The case table {path.name} holds a case more than once.", again)
    return rows


def numeric_columns(rows: Sequence[Row]) -> Rows:
    """The columns that hold only numbers and unknowns, `(row,)` float64 with NaN for unknown, and
    the nested ones, object arrays with None for unknown."""
    names = dict.fromkeys(name for row in rows for name in row if name not in IDENTIFIERS)
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        cells = [row.get(name) for row in rows]
        if any(is_nested(cell) for cell in cells):
            columns[name] = _nested(cells)
            continue
        values = [_number(cell) for cell in cells]
        if None not in values:
            columns[name] = np.array(values, dtype=np.float64)
    return columns


def patients_of(rows: Sequence[Row]) -> list[str]:
    """The patient of every row; a case without one counts as a patient of its own."""
    return [str(row.get("patient_id") or f"case {row['case_id']}") for row in rows]


def is_nested(value: object) -> bool:
    """Whether a cell holds rows of numbers: a list, or the JSON of one."""
    return isinstance(value, list) or (isinstance(value, str) and value.startswith("["))


def _nested(cells: Sequence[object]) -> npt.NDArray[np.object_]:
    column = np.empty(len(cells), dtype=object)
    for k, cell in enumerate(cells):
        if is_nested(cell):
            column[k] = np.array(json.loads(cell) if isinstance(cell, str) else cell, np.float64)
    return column


def _cell(value: object) -> str:
    if isinstance(value, list):
        return json.dumps(value)
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def _number(value: object) -> float | None:
    """The number in a cell, NaN for an unknown one, None when it holds something else."""
    if value is None or value == "":
        return math.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
