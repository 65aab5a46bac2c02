"""`Readings`: what human readers said of which case, read from a table.

The long form has a row for each reading: `case_id`, `reader`, and `answer` (0, 1) or `score` (any
number, larger = more likely positive) or both; optional are `modality` ("alone" when it is
missing), `group` (such as senior) and `seconds`. An empty answer is an unknown one. The wide form
is the case table with its columns `reader:<who>:<name>`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from radloop.cases.csv_text import Row, read_rows
from radloop.cases.table import LABEL_CELLS, number_of
from radloop.errors import CaseTableError, InputError

Floats = npt.NDArray[np.float64]
ALONE = "alone"


@dataclass(frozen=True)
class Readings:
    """readers, modalities, cases: names in the order of the table. groups: reader -> group, of
    those that have one. answers (0/1), scores, seconds: `(modality, reader, case)`, NaN = unknown.
    """

    readers: tuple[str, ...]
    modalities: tuple[str, ...]
    cases: tuple[str, ...]
    groups: Mapping[str, str]
    answers: Floats
    scores: Floats
    seconds: Floats

    @property
    def with_scores(self) -> bool:
        """Whether any reader gave scores."""
        return not bool(np.isnan(self.scores).all())

    def aligned(self, cases: Iterable[str]) -> Readings:
        """The same with these cases in this order; a case that is not in the table is unknown."""
        names = tuple(cases)
        place = {name: k for k, name in enumerate(self.cases)}
        index = np.array([place.get(name, -1) for name in names], np.intp)

        def taken(table: Floats) -> Floats:
            return np.where(index >= 0, table[..., index], math.nan)

        return Readings(
            self.readers, self.modalities, names, self.groups,
            taken(self.answers), taken(self.scores), taken(self.seconds),
        )  # fmt: skip


class _Reading(NamedTuple):
    case: str
    reader: str
    modality: str
    answer: float
    score: float
    seconds: float


def read_readings(
    path: Path, *, positive_from: float | None = None, finding: str | None = None
) -> Readings:
    """Read a table of either form.

    positive_from: readers who gave no answer but a score called the case positive from here.
    finding: the <name> of the columns of the wide form. Raises CaseTableError, naming the row:
    missing columns, an answer that is not 0 or 1, a doubled reading, a reader in two groups.
    """
    columns, rows = read_rows(Path(path))
    groups: dict[str, str] = {}
    if "reader" in columns:
        readings = _long(path, columns, rows, groups)
    elif any(name.startswith("reader:") for name in columns):
        readings = _wide(path, columns, rows, finding)
    else:
        raise CaseTableError(
            f"{path.name} has neither a column 'reader' nor 'reader:<who>:<name>'.",
            "Give a row for each reading: case_id, reader, answer (0 or 1) or score.",
        )
    if not readings:
        raise CaseTableError(f"{path.name} holds no answer.", "Fill in 'answer' or 'score'.")
    return _tabled(readings, groups, positive_from)


def _long(
    path: Path, columns: tuple[str, ...], rows: tuple[Row, ...], groups: dict[str, str]
) -> list[_Reading]:
    if "case_id" not in columns or not {"answer", "score"} & set(columns):
        missing = "case_id" if "case_id" not in columns else "answer"
        raise CaseTableError(
            f"{path.name} has no column '{missing}'.",
            "Give a row for each reading: case_id, reader, answer (0 or 1) or score.",
        )
    readings, seen = [], set()
    for row in rows:
        cells = {name: cell.strip() for name, cell in row.cells.items()}
        case, reader = cells["case_id"], cells["reader"]
        modality = cells.get("modality") or ALONE
        if not case or not reader:
            raise _wrong(path, row, "case_id or reader is empty.", "Fill it in, or remove the row.")
        if (case, reader, modality) in seen:
            raise _wrong(
                path, row, f"{reader} read this case ({modality}) before.", "Keep one of the rows."
            )
        seen.add((case, reader, modality))
        group = cells.get("group", "")
        if group and groups.setdefault(reader, group) != group:
            raise _wrong(path, row, f"{reader} is in two groups.", "Give each reader one group.")
        readings.append(
            _Reading(
                case, reader, modality, _answer(path, row, cells.get("answer", "")),
                _number(path, row, cells, "score"), _seconds(path, row, cells),
            )
        )  # fmt: skip
    return readings


def _wide(
    path: Path, columns: tuple[str, ...], rows: tuple[Row, ...], finding: str | None
) -> list[_Reading]:
    named = [tuple(c.split(":", 2)[1:]) for c in columns if c.startswith("reader:")]
    if "case_id" not in columns or any(len(pair) < 2 for pair in named):
        raise CaseTableError(
            f"{path.name} is no case table.", "It needs case_id and 'reader:<who>:<name>'."
        )
    names = sorted({name for _, name in named})
    if finding is None and len(names) > 1:
        raise InputError(
            f"{path.name} has readings of several findings: {', '.join(names)}.",
            "Choose one with --finding.",
        )
    chosen = finding or names[0]
    if chosen not in names:
        raise InputError(
            f"{path.name} has no readings of '{chosen}'.", f"It has: {', '.join(names)}."
        )
    readers = [who for who, name in named if name == chosen]
    values: dict[tuple[str, str], float] = {}
    for row in rows:
        for who in readers:
            cells = {name: cell.strip() for name, cell in row.cells.items()}
            values[cells["case_id"], who] = _number(path, row, cells, f"reader:{who}:{chosen}")
    known = [value for value in values.values() if not math.isnan(value)]
    yes_or_no = all(value in (0.0, 1.0) for value in known)
    return [
        _Reading(
            case, who, ALONE, value if yes_or_no else math.nan,
            math.nan if yes_or_no else value, math.nan,
        )
        for (case, who), value in values.items()
    ]  # fmt: skip


def _tabled(
    readings: list[_Reading], groups: Mapping[str, str], positive_from: float | None
) -> Readings:
    readers = tuple(dict.fromkeys(reading.reader for reading in readings))
    found = tuple(dict.fromkeys(reading.modality for reading in readings))
    modalities = tuple(sorted(found, key=lambda name: name != ALONE))  # alone first
    cases = tuple(dict.fromkeys(reading.case for reading in readings))
    places = [{name: k for k, name in enumerate(names)} for names in (modalities, readers, cases)]
    tables = np.full((3, len(modalities), len(readers), len(cases)), math.nan)
    for reading in readings:
        at = (places[0][reading.modality], places[1][reading.reader], places[2][reading.case])
        tables[(slice(None), *at)] = (reading.answer, reading.score, reading.seconds)
    answers, scores, seconds = tables
    if positive_from is not None:
        called = np.where(np.isnan(scores), math.nan, (scores >= positive_from) * 1.0)
        answers = np.where(np.isnan(answers), called, answers)
    return Readings(readers, modalities, cases, groups, answers, scores, seconds)


def _answer(path: Path, row: Row, cell: str) -> float:
    if not cell:
        return math.nan
    if cell not in LABEL_CELLS:
        raise _wrong(
            path, row, f"answer is '{cell}'.",
            "An answer is 1, 0 or empty; put ratings into a column 'score' and say with"
            " --positive-from which of them are positive.",
        )  # fmt: skip
    return float(LABEL_CELLS[cell])


def _number(path: Path, row: Row, cells: Mapping[str, str], column: str) -> float:
    cell = cells.get(column, "")
    if not cell:
        return math.nan
    number = number_of(cell)
    if number is None:
        raise _wrong(
            path, row, f"{column} is '{cell}', which is not a number.", "Correct it or empty it."
        )
    return number


def _seconds(path: Path, row: Row, cells: Mapping[str, str]) -> float:
    seconds = _number(path, row, cells, "seconds")
    if seconds < 0:
        raise _wrong(path, row, "seconds is negative.", "Correct it or empty it.")
    return seconds


def _wrong(path: Path, row: Row, what: str, remedy: str) -> CaseTableError:
    return CaseTableError(f"{path.name}, row {row.number}: {what}", remedy)
