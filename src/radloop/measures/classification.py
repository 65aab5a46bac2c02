"""Measures of a yes/no question: at a threshold, over all thresholds, and of the probabilities.

`truth` and `predicted` are one-dimensional, 0/1 or boolean; `score` is larger for "more likely
positive"; `probability` lies in [0, 1]. A case is called positive when `score >= threshold`.
A measure whose denominator is empty (no positive case for the sensitivity) is NaN.
Raises ValueError for arrays of different lengths, for a truth other than 0 and 1 and for NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Binary = npt.NDArray[Any]
Scores = npt.NDArray[np.float64]


class Confusion(NamedTuple):
    """Cases by what was said and what is true."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


def confusion(predicted: Binary, truth: Binary) -> Confusion:
    """Count the four kinds of case."""
    said, true = check_binary(predicted), check_binary(truth)
    _same_length(said, true)
    hits = int(np.count_nonzero(said & true))
    false_alarms = int(np.count_nonzero(said)) - hits
    misses = int(np.count_nonzero(true)) - hits
    return Confusion(hits, false_alarms, true.size - hits - false_alarms - misses, misses)


def sensitivity(predicted: Binary, truth: Binary) -> float:
    """TP / (TP + FN): the share of the positive cases that were found (also: recall)."""
    counts = confusion(predicted, truth)
    return _share(counts.true_positive, counts.true_positive + counts.false_negative)


def specificity(predicted: Binary, truth: Binary) -> float:
    """TN / (TN + FP): the share of the negative cases that were left alone."""
    counts = confusion(predicted, truth)
    return _share(counts.true_negative, counts.true_negative + counts.false_positive)


def youden(predicted: Binary, truth: Binary) -> float:
    """Sensitivity + specificity - 1, in [-1, 1] (Youden 1950)."""
    return sensitivity(predicted, truth) + specificity(predicted, truth) - 1.0


def accuracy(predicted: Binary, truth: Binary) -> float:
    """The share of cases that were called right."""
    counts = confusion(predicted, truth)
    return _share(counts.true_positive + counts.true_negative, sum(counts))


def positive_predictive_value(predicted: Binary, truth: Binary) -> float:
    """TP / (TP + FP) at the prevalence of these cases (also: precision)."""
    counts = confusion(predicted, truth)
    return _share(counts.true_positive, counts.true_positive + counts.false_positive)


def negative_predictive_value(predicted: Binary, truth: Binary) -> float:
    """TN / (TN + FN) at the prevalence of these cases."""
    counts = confusion(predicted, truth)
    return _share(counts.true_negative, counts.true_negative + counts.false_negative)


@dataclass(frozen=True)
class AtThreshold:
    """A measure of the cases with `score >= threshold`."""

    measure: Callable[[Binary, Binary], float]
    threshold: float

    def __call__(self, score: Scores, truth: Binary) -> float:
        """The measure of a score against the truth. Raises ValueError for NaN in the score."""
        _all_known(score)
        return self.measure(score >= self.threshold, truth)


def at_threshold(measure: Callable[[Binary, Binary], float], threshold: float) -> AtThreshold:
    """`measure` of the cases with `score >= threshold`: `at_threshold(sensitivity, 0.5)`."""
    return AtThreshold(measure, threshold)


def auc(score: Scores, truth: Binary) -> float:
    """The chance that a positive case scores above a negative one, ties counting half.

    The area under the empirical ROC curve, as the Mann-Whitney statistic; NaN with one class.
    """
    true = check_binary(truth)
    _same_length(score, true)
    _all_known(score)
    positives, negatives = score[true], np.sort(score[~true])
    if not positives.size or not negatives.size:
        return math.nan
    below = np.searchsorted(negatives, positives, side="left").sum()
    not_above = np.searchsorted(negatives, positives, side="right").sum()
    return float((below + not_above) / (2.0 * positives.size * negatives.size))


@dataclass(frozen=True)
class RocCurve:
    """The corners of a ROC curve, from (0, 0) at threshold infinity to (1, 1)."""

    false_positive_rate: Scores
    true_positive_rate: Scores
    thresholds: Scores


def roc_curve(score: Scores, truth: Binary) -> RocCurve:
    """One point for every distinct score, thresholds falling. ValueError with one class only."""
    true = check_binary(truth)
    _same_length(score, true)
    _all_known(score)
    if true.all() or not true.any():
        raise ValueError("a ROC curve needs positive and negative cases")
    order = np.argsort(-score, kind="stable")
    falling, hits = score[order], np.cumsum(true[order])
    last_of_tie = np.append(np.nonzero(np.diff(falling))[0], falling.size - 1)
    found = hits[last_of_tie]
    false_alarms = last_of_tie + 1 - found
    return RocCurve(
        np.append(0.0, false_alarms / false_alarms[-1]),
        np.append(0.0, found / found[-1]),
        np.append(math.inf, falling[last_of_tie]),
    )


def brier_score(probability: Scores, truth: Binary) -> float:
    """The mean squared distance between probability and truth, in [0, 1]; lower is better."""
    true = check_binary(truth)
    _same_length(probability, true)
    _all_known(probability)
    return float(np.mean((probability - true) ** 2)) if true.size else math.nan


def expected_calibration_error(probability: Scores, truth: Binary, bins: int = 10) -> float:
    """The mean distance between stated and observed share of positives (Naeini et al. 2015).

    Cases fall into `bins` equal widths of [0, 1]; each bin weighs as many cases as it holds.
    """
    true = check_binary(truth)
    _same_length(probability, true)
    _all_known(probability)
    if not true.size:
        return math.nan
    if probability.min() < 0.0 or probability.max() > 1.0:
        raise ValueError("probabilities must lie in [0, 1]")
    bin_of = np.minimum((probability * bins).astype(np.intp), bins - 1)
    stated = np.bincount(bin_of, weights=probability, minlength=bins)
    observed = np.bincount(bin_of, weights=true, minlength=bins)
    return float(np.abs(stated - observed).sum() / true.size)


def check_binary(values: Binary) -> npt.NDArray[np.bool_]:
    """The values as booleans; ValueError for any but 0 and 1."""
    flags: npt.NDArray[np.bool_] = values.astype(np.bool_)
    if values.dtype != np.bool_ and not np.array_equal(values, flags):
        raise ValueError("expected 0 and 1 only; leave unknown cases (NaN) out first")
    return flags


def _all_known(score: npt.NDArray[Any]) -> None:
    if np.isnan(score).any():
        raise ValueError("a score is NaN; leave unknown cases out first")


def _same_length(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two lists of one length, got {first.shape}, {second.shape}")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
