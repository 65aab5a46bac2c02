"""How far the readers of a project agree, on the items that at least two of them answered.

"Cannot tell" counts as no answer. The items of a queue are those a model stumbled over, harder than
most, and agreement on them is lower than it would be on all; the audit's items are nearer to all.
Corrected answers count as corrected: `first` looks at what was said first instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from radloop.labelling.draw import AUDITED
from radloop.labelling.state import Answer, State
from radloop.measures.interval import Interval
from radloop.measures.kappa import (
    Weights,
    cohen_kappa,
    fleiss_kappa,
    percent_agreement,
    specific_agreement,
)


def agreement(
    state: State,
    *,
    weights: Weights | None = None,
    audited: bool = False,
    first: bool = False,
) -> dict[str, Any]:
    """Kappa, plain and specific agreement of the readers (not of the adjudicator).

    weights: of Cohen's kappa, for classes in order. audited: only the items of the random audits.
    Returns `{"items", "answers": {reader: n}, "unsure": {reader: n}, "pairs": [{"readers",
    "kappa", "agreement"}], "all": {"kappa", "agreement"}, "specific": {value: interval}}`, every
    interval with the keys of `Interval`; "all" holds Fleiss' kappa of three and more.
    """
    answers = first_answers(state) if first else state.answers
    readers = state.settings.readers
    names = [
        task.item
        for queue in state.queues
        if queue.role == "review"
        for task in queue.tasks
        if not audited or task.reason == AUDITED
    ]
    table = {reader: _column(answers, names, reader) for reader in readers}
    both = np.sum([~np.isnan(column) for column in table.values()], axis=0) >= 2
    question = state.settings.question
    classes = list(question.values)
    columns = list(table.values())
    several = len(readers) > 1
    return {
        "items": int(both.sum()) if several else 0,
        "answers": {r: sum((name, r) in answers for name in names) for r in readers},
        "unsure": {
            r: sum((a := answers.get((name, r))) is not None and a.value is None for name in names)
            for r in readers
        },
        "pairs": [
            {
                "readers": [a, b],
                "kappa": asdict(cohen_kappa(table[a], table[b], weights=weights, classes=classes)),
                "agreement": asdict(percent_agreement([table[a], table[b]])),
            }
            for a, b in itertools.combinations(readers, 2)
        ],
        "all": _all(columns) if len(readers) > 2 else None,
        "specific": {
            question.text(value): asdict(specific_agreement(columns, value)) for value in classes
        }
        if several
        else {},
    }


def first_answers(state: State) -> Mapping[tuple[str, str], Answer]:
    """What each reader said of each item before any correction."""
    found: dict[tuple[str, str], Answer] = {}
    for answer in state.said:
        found.setdefault((answer.item, answer.reader), answer)
    return found


def interval_of(content: Mapping[str, Any]) -> Interval:
    """An interval from the keys that `agreement` returns it under."""
    return Interval(**content)


def _all(columns: Sequence[np.ndarray]) -> dict[str, Any]:
    return {
        "kappa": asdict(fleiss_kappa(columns)),
        "agreement": asdict(percent_agreement(columns)),
    }


def _column(
    answers: Mapping[tuple[str, str], Answer], names: Sequence[str], reader: str
) -> np.ndarray:
    given = [answers.get((name, reader)) for name in names]
    values = [None if answer is None else answer.value for answer in given]
    return np.array([math.nan if value is None else value for value in values], np.float64)
