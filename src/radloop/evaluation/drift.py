"""Are the cases of B like those of A: what goes into a model, and what comes out of it.

A set is a case table (its images are read, and its columns), a folder of `predict` or a report. One
row a patient is compared: the mean of a number, the first of a word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from radloop.cases.table import number_of, read_cases
from radloop.errors import InputError
from radloop.evaluation.about import about_cases, about_columns
from radloop.evaluation.image_facts import image_facts
from radloop.evaluation.report import CASES, REPORT, plain
from radloop.evaluation.rows import patients_of, read_rows
from radloop.findings.forms import FILE_NAME, read_predictions
from radloop.measures.drift import Separation, Shift, category_shift, number_shift, separation
from radloop.measures.multiplicity import holm

_MANY = 12
"""Different words in a column of which no category test is made: names, dates."""


@dataclass(frozen=True)
class Column:
    """One property of the cases, a cell a patient, None for unknown. kind: "input" or "output"."""

    name: str
    kind: str
    cells: tuple[str | float | None, ...]


@dataclass(frozen=True)
class CaseSet:
    """The columns of one set. cases, patients: in it."""

    name: str
    cases: int
    patients: int
    columns: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True)
class Tested:
    """One column of both sets: numbers or words, with the test between them."""

    name: str
    kind: str
    numeric: bool
    a: tuple[str | float, ...]
    b: tuple[str | float, ...]
    shift: Shift
    corrected: float = math.nan


@dataclass(frozen=True)
class Drift:
    """Two sets compared. tests: by rising p. together: the classifier's by kind, with its corrected
    p. only: columns that one set lacks."""

    a: CaseSet
    b: CaseSet
    tests: tuple[Tested, ...]
    together: Mapping[str, tuple[Separation, float]]
    only: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        data: dict[str, Any] = plain(
            {
                **{
                    side: {"name": one.name, "cases": one.cases, "patients": one.patients}
                    for side, one in (("a", self.a), ("b", self.b))
                },
                "tests": [
                    {"column": t.name, "kind": t.kind, **_named(t.shift), "p_holm": t.corrected}
                    for t in self.tests
                ],
                "together": {
                    kind: {**_named(found), "p_holm": p}
                    for kind, (found, p) in self.together.items()
                },
                "only_in_one": list(self.only),
            }
        )
        return data


def _named(one: Shift | Separation) -> dict[str, Any]:
    data = asdict(one)
    data["n_a"], data["n_b"] = data.pop("a"), data.pop("b")
    return data


def drift(a: CaseSet, b: CaseSet, seed: int = 0) -> Drift:
    """Test every column that both sets have, and all columns of a kind together; all p corrected
    together (Holm). Raises InputError when the sets have no column in common."""
    names = [name for name in a.columns if name in b.columns]
    tests = [
        t for name in names if (t := _test(a.columns[name], b.columns[name], seed)) is not None
    ]
    if not tests:
        raise InputError(
            "The two sets have nothing in common that could be compared.",
            "Give two case tables, two folders of `radloop predict` or two reports.",
        )
    # Enough that the least p, 1 / (permutations + 1), still counts after the correction.
    permutations = max(999, 40 * (len(tests) + 2))
    together = {
        kind: _together(
            [t for t in tests if t.kind == kind and t.numeric], a, b, permutations, seed
        )
        for kind in ("input", "output")
    }
    together = {kind: found for kind, found in together.items() if not math.isnan(found.auc)}
    corrected = holm([t.shift.p for t in tests] + [found.p for found in together.values()])
    tests = [
        Tested(**{**vars(t), "corrected": float(p)}) for t, p in zip(tests, corrected, strict=False)
    ]
    tests.sort(key=lambda t: (math.isnan(t.shift.p), t.shift.p))
    lacking = sorted(set(a.columns) ^ set(b.columns))
    return Drift(
        a, b, tuple(tests),
        {kind: (found, float(p)) for (kind, found), p in
         zip(together.items(), corrected[len(tests):], strict=True)},
        tuple(lacking),
    )  # fmt: skip


def _test(a: Column, b: Column, seed: int) -> Tested | None:
    known = [[cell for cell in side.cells if cell is not None] for side in (a, b)]
    numeric = all(isinstance(cell, float) for side in known for cell in side) and any(known)
    if numeric:
        shift = number_shift(*(np.array(side, np.float64) for side in known))
        return Tested(a.name, a.kind, True, tuple(known[0]), tuple(known[1]), shift)
    words = [[str(cell) for cell in side] for side in known]
    if len({*words[0], *words[1]}) > _MANY:
        return None
    shift = category_shift(words[0], words[1], seed)
    return Tested(a.name, a.kind, False, tuple(words[0]), tuple(words[1]), shift)


def _together(
    tests: Sequence[Tested], a: CaseSet, b: CaseSet, permutations: int, seed: int
) -> Separation:
    tables = [
        np.array(
            [[math.nan if cell is None else float(cell) for cell in side.columns[t.name].cells]
             for t in tests]
        ).T.reshape(side.patients, len(tests))
        for side in (a, b)
    ]  # fmt: skip
    return separation(*tables, permutations=permutations, seed=seed)


# --- reading a set -------------------------------------------------------------------------------


def read_set(
    source: Path, limit: int = 0, progress: Callable[[int, int], None] | None = None
) -> CaseSet:
    """The set at `source`: a case table, a folder of `predict`, or a report.

    limit: read at most so many images of a table, spread over it; 0 for all. Raises InputError for
    anything else, and for fewer than two patients.
    """
    if source.suffix.lower() == ".csv":
        rows, patients = _table_rows(source, limit, progress)
    elif (source / FILE_NAME).is_file():
        rows, patients = _prediction_rows(source)
    elif (source / REPORT).is_file():
        rows, patients = _report_rows(source)
    else:
        raise InputError(
            f"'{source.name}' is no case table, no folder of predictions and no report.",
            "Give a cases.csv, or a folder that `radloop predict` or `radloop evaluate` wrote.",
        )
    names = list(dict.fromkeys(patients))
    if len(names) < 2:
        raise InputError(f"'{source.name}' has fewer than two patients: nothing to compare.")
    return CaseSet(source.name, len(rows), len(names), _columns(rows, patients, names))


Cells = dict[tuple[str, str], str | float]
"""(kind, name) -> the cell of one case."""


def _table_rows(
    source: Path, limit: int, progress: Callable[[int, int], None] | None
) -> tuple[list[Cells], list[str]]:
    table = read_cases(source)
    chosen = range(len(table.cases))
    if limit and limit < len(chosen):
        chosen = np.linspace(0, len(table.cases) - 1, limit).astype(int).tolist()
    told = about_cases(table)
    rows = []
    for done, k in enumerate(chosen, start=1):
        case = table.cases[k]
        row: Cells = {
            ("input", name.split(":", 1)[1]): cell
            for name, cell in told[case.case_id].items()
            if cell
        }
        row |= {("input", f"label {n}"): str(int(v)) for n, v in case.reference.labels.items()}
        for channel, path in case.images.items():
            prefix = "" if channel == "image" else f"{channel} "
            row |= {("input", f"{prefix}{name}"): v for name, v in image_facts(path).items()}
        rows.append(row)
        if progress is not None:
            progress(done, len(chosen))
    return rows, [table.cases[k].patient_id for k in chosen]


def _prediction_rows(source: Path) -> tuple[list[Cells], list[str]]:
    rows, patients = [], []
    for one in read_predictions(source):
        row: Cells = {("input", "verdict"): one.verdict.code}
        for finding in reversed(one.findings):  # the first of a name counts
            row["output", f"{finding.name} probability"] = float(finding.probability)
            row["output", f"{finding.name} called"] = str(int(finding.positive))
            if finding.measurement is not None:
                row["output", finding.measurement.name] = float(finding.measurement.value)
        rows.append(row)
        patients.append(one.patient_id or f"case {one.case_id}")
    return rows, patients


def _report_rows(source: Path) -> tuple[list[Cells], list[str]]:
    rows = read_rows(source / CASES)
    about = about_columns(rows)
    try:
        asked = json.loads((source / REPORT).read_text(encoding="utf-8")).get("questions", [])
    except (OSError, ValueError) as error:
        raise InputError(f"'{source.name}' holds no readable {REPORT}.") from error
    found = []
    for k, row in enumerate(rows):
        cells: Cells = {("input", name): column[k] for name, column in about.items() if column[k]}
        cells["input", "verdict"] = str(row.get("code") or "ok")
        for question in asked:
            number = number_of(str(row.get(question["score"]) or ""))
            if number is not None:
                cells["output", question["score"]] = number
            truth = str(row.get(question["truth"]) or "")
            if truth:
                cells["input", f"truth {question['truth']}"] = truth
        found.append(cells)
    return found, patients_of(rows)


def _columns(
    rows: Sequence[Cells], patients: Sequence[str], names: Sequence[str]
) -> dict[str, Column]:
    """A cell a patient: the mean of numbers, the first of words. A text column whose known cells
    are all numbers, more than six different, is one of numbers."""
    columns = {}
    for kind, name in dict.fromkeys(key for row in rows for key in row):
        by_patient: dict[str, list[str | float]] = {patient: [] for patient in names}
        for row, patient in zip(rows, patients, strict=True):
            if (kind, name) in row:
                by_patient[patient].append(row[kind, name])
        known = [cell for cells in by_patient.values() for cell in cells]
        numbers = [cell if isinstance(cell, float) else number_of(str(cell)) for cell in known]
        numeric = None not in numbers and (
            any(isinstance(cell, float) for cell in known) or len(set(numbers)) > 6
        )
        columns[name] = Column(name, kind, tuple(
            None if not cells
            else float(np.mean([float(cell) for cell in cells])) if numeric
            else str(cells[0])
            for cells in by_patient.values()
        ))  # fmt: skip
    return columns
