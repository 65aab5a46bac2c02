"""The yes/no questions that a report answers, taken from the figures a system declares.

A ROC figure names a score and its truth; a reliability figure of the same truth names the score
that is a probability; the threshold is the figure's, or that of a column `<name>_called` or
`called`, which says what was called at the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.measures.spec import Column, Figure, Reliability, Roc, Rows

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """title: of the figure. score, truth, probability, called: columns; the last two may be ""."""

    title: str
    score: str
    truth: str
    probability: str = ""
    called: str = ""
    threshold: float | None = None

    @property
    def decides(self) -> str:
        """The column that thresholds are of: the probability, unless the question's own threshold
        is of the score. (A ROC curve may be of logits.)"""
        return self.score if self.threshold is not None else self.probability or self.score

    @property
    def at(self) -> str:
        """The threshold in words."""
        if self.threshold is not None:
            return f"{self.score.replace('_', ' ')} ≥ {self.threshold:g}"
        return "the model's own threshold" if self.called else ""


@dataclass(frozen=True)
class Answers:
    """The cases whose score and truth are known. decides: see `Question.decides`. called: at the
    operating point, None without one. probability: None where the score is none. patients: of every
    case. rows: their numbers."""

    score: npt.NDArray[np.float64]
    decides: npt.NDArray[np.float64]
    truth: Flags
    patients: list[str]
    called: Flags | None
    probability: npt.NDArray[np.float64] | None
    rows: npt.NDArray[np.intp]

    @property
    def clustered(self) -> bool:
        """Whether a patient has several cases."""
        return len(set(self.patients)) < len(self.patients)

    def both_classes(self) -> bool:
        """Whether there are positive and negative cases."""
        return bool(self.truth.any()) and not bool(self.truth.all())


def questions_of(figures: Sequence[Figure], columns: Rows) -> list[Question]:
    """The questions of these figures whose columns hold values, in order."""
    stated = {f.truth: f.score for f in figures if isinstance(f, Reliability)}
    found = []
    for figure in figures:
        if not isinstance(figure, Roc) or not {figure.score, figure.truth} <= set(columns):
            continue
        names = (f"{figure.truth.removesuffix('_truth')}_called", "called")
        called = next((name for name in names if name in columns), "")
        probability = stated.get(figure.truth, "")
        found.append(
            Question(
                figure.title.removesuffix(": ROC"),
                figure.score,
                figure.truth,
                probability if probability in columns else "",
                called if figure.threshold is None else "",
                figure.threshold,
            )
        )
    return found


def answers(question: Question, columns: Rows, patients: Sequence[str]) -> Answers:
    """The judged cases of a question."""
    score, truth = (np.asarray(columns[n], np.float64) for n in (question.score, question.truth))
    known = np.isfinite(score) & np.isfinite(truth)
    decides = np.asarray(columns[question.decides], np.float64)
    known &= np.isfinite(decides)
    called: Flags | None = None
    if question.threshold is not None:
        called = score[known] >= question.threshold
    elif question.called:
        column: Column = columns[question.called]
        known &= np.isfinite(column)
        called = column[known] >= 0.5
    probability = None
    if question.probability:
        stated = np.asarray(columns[question.probability], np.float64)
        both = known & np.isfinite(stated)
        if both.sum() == known.sum():
            probability = stated[known]
    rows = np.flatnonzero(known)
    return Answers(
        score[known], decides[known], truth[known] > 0.5, [patients[int(k)] for k in rows], called,
        probability, rows,
    )  # fmt: skip
