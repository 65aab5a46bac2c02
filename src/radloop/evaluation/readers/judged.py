"""`Judged`: the model's scores, calls and the truth, from the per-case table of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.evaluation.question import Question, answers, questions_of
from radloop.evaluation.report import CASES
from radloop.evaluation.rows import numeric_columns, patients_of, read_rows
from radloop.measures.spec import Figure, Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Where the numbers are, instead of where the system's figures say: the score and the truth
    together; from where the model calls a case positive, of the probability where there is one."""

    score: str | None = None
    truth: str | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class Judged:
    """The cases that have a truth and that the model read.

    title: the question. column: where the score is from. cases, patients: names. truth: `(case,)`.
    score: `(case,)`. called: `(case,)` 0/1, all NaN where the report does not say from when the
    model calls a case positive. unread: cases of the report without a score or a truth, such as
    refused ones.
    """

    title: str
    column: str
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    truth: npt.NDArray[np.bool_]
    score: Floats
    called: Floats
    unread: int

    @property
    def clustered(self) -> bool:
        """Whether a patient has several cases."""
        return len(set(self.patients)) < len(self.patients)


def read_judged(
    report: Path,
    figures: Sequence[Figure] = (),
    *,
    title: str | None = None,
    columns: Columns | None = None,
) -> Judged:
    """Read the model's side from a report folder.

    figures: the system's; the first ROC figure whose columns the report has is the question, or the
    one called `title`. columns: overrides. Raises InputError where there is no question, no case of
    one class, or a truth other than 0 and 1.
    """
    rows = read_rows(report / CASES)
    table = numeric_columns(rows)
    columns = columns or Columns()
    question = _question(report, figures, table, title, columns)
    if columns.threshold is not None:
        question = replace(question, called="")
    found = answers(question, table, patients_of(rows))
    truth = np.asarray(table[question.truth], np.float64)[found.rows]
    if not np.isin(truth, (0.0, 1.0)).all():
        raise InputError(
            f"The column '{question.truth}' of {CASES} holds other values than 0 and 1.",
            "Name the column of the truth with --truth.",
        )
    if not found.rows.size:
        raise InputError(
            f"No case in {CASES} has both '{question.score}' and '{question.truth}'.",
            "It takes cases whose truth is known and that the model did not refuse.",
        )
    called = np.full(found.truth.shape, math.nan)
    if columns.threshold is not None:
        called = (found.decides >= columns.threshold) * 1.0
    elif found.called is not None:
        called = found.called.astype(np.float64)
    return Judged(
        question.title,
        question.score,
        tuple(str(rows[k]["case_id"]) for k in found.rows),
        tuple(found.patients),
        found.truth,
        found.score,
        called,
        len(rows) - found.rows.size,
    )


def _question(
    report: Path, figures: Sequence[Figure], table: Rows, title: str | None, columns: Columns
) -> Question:
    if (columns.score is None) != (columns.truth is None):
        raise InputError("--score and --truth belong together.", "Give both or neither.")
    if columns.score is not None and columns.truth is not None:
        for name in (columns.score, columns.truth):
            if name not in table:
                raise InputError(
                    f"{CASES} of '{report.name}' has no column of numbers '{name}'.",
                    f"It has: {', '.join(sorted(table))}.",
                )
        prefix = columns.truth.removesuffix("_truth")
        called = next((name for name in (f"{prefix}_called", "called") if name in table), "")
        return Question(columns.score, columns.score, columns.truth, called=called)
    return _named(report, questions_of(figures, table), table, title)


def _named(report: Path, questions: Sequence[Question], table: Rows, title: str | None) -> Question:
    if not questions and {"probability", "positive"} <= set(table):
        called = "called" if "called" in table else ""
        questions = [Question("positive", "probability", "positive", called=called)]
    if not questions:
        raise InputError(
            f"The report '{report.name}' answers no yes/no question.",
            "Name the columns of its cases.csv with --score and --truth.",
        )
    if title is None:
        return questions[0]
    for question in questions:
        if question.title.casefold() == title.casefold():
            return question
    known = ", ".join(f"'{question.title}'" for question in questions)
    raise InputError(f"The report has no question '{title}'.", f"It has: {known}.")
