"""Measures of a question with one of several answers.

`called` and `truth` are numbers of classes, `(n,)`; probabilities a column a class, `(n,)`. A
measure whose denominator is empty (no case of a class) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.measures.classification import auc

Numbers = npt.NDArray[Any]


def confusion_matrix(called: Numbers, truth: Numbers, classes: int) -> npt.NDArray[np.int64]:
    """Cases by what is true (rows) and what was said (columns), `(classes, classes)`."""
    said, true = _classes(called, classes), _classes(truth, classes)
    if said.shape != true.shape:
        raise ValueError(f"expected two lists of one length, got {said.shape}, {true.shape}")
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (true, said), 1)
    return table


def share_right(called: Numbers, truth: Numbers) -> float:
    """Accuracy: the share of cases that were called right."""
    return float(np.mean(called == truth)) if len(truth) else math.nan


def balanced_accuracy(called: Numbers, truth: Numbers) -> float:
    """The mean, over the classes that occur, of the share of their cases that were called right."""
    if not len(truth):
        return math.nan
    return float(np.mean([np.mean(called[truth == k] == k) for k in np.unique(truth)]))


def recall_of(number: int) -> Callable[[Numbers, Numbers], float]:
    """Of the cases of class `number` the share that was called so."""

    def recall(called: Numbers, truth: Numbers) -> float:
        own = truth == number
        return float(np.mean(called[own] == number)) if own.any() else math.nan

    return recall


def precision_of(number: int) -> Callable[[Numbers, Numbers], float]:
    """Of the cases called class `number` the share that is it."""

    def precision(called: Numbers, truth: Numbers) -> float:
        said = called == number
        return float(np.mean(truth[said] == number)) if said.any() else math.nan

    return precision


def auc_of(number: int) -> Callable[[Numbers, Numbers], float]:
    """AUC of the probability of class `number`, it against all others."""

    def one_against_others(probability: Numbers, truth: Numbers) -> float:
        return auc(probability, truth == number)

    return one_against_others


def _classes(numbers: Numbers, classes: int) -> npt.NDArray[np.intp]:
    whole = numbers.astype(np.intp)
    if not np.array_equal(whole, numbers) or ((whole < 0) | (whole >= classes)).any():
        raise ValueError(f"expected whole numbers from 0 to {classes - 1}")
    return whole
