"""What it is worth to leave cases to a reader: grey zones, and risk over coverage.

`score` is larger for "more likely positive", `truth` 0/1 or boolean, both `(n,)`, without NaN.
A grey zone is a range of scores, [low, high): below it a case is called negative, from its upper
end on positive, within it a reader decides. It comes from two promises (`conformal.py`): that few
positives lie below it, and few negatives above. The case's label set is then a class-conditional
conformal prediction set: {negative}, {positive}, or both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.measures.conformal import (
    Guarantee,
    threshold_in_expectation,
    threshold_with_confidence,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GreyZone:
    """Scores in [low, high) are left to a reader.

    below: the promise for the positives (a share of at least its aim is not called negative).
    above: the promise for the negatives, of negated scores. Where the classes are so far apart that
    the two thresholds cross, there is no zone: low = high is the lower one's threshold, which keeps
    both promises.
    """

    low: float
    high: float
    below: Guarantee
    above: Guarantee


def grey_zone(
    score: npt.ArrayLike,
    truth: npt.ArrayLike,
    sensitivity: float,
    specificity: float,
    confidence: float | None = None,
) -> GreyZone:
    """The smallest zone with both promises, each in expectation or with `confidence`.

    A class with too few cases for its promise gives an infinite end: nothing is then called
    negative (or positive) by the model alone.
    """
    values, true = _checked(score, truth)

    def chosen(scores: Floats, aim: float) -> Guarantee:
        if confidence is None:
            return threshold_in_expectation(scores, aim)
        return threshold_with_confidence(scores, aim, confidence)

    below = chosen(values[true], sensitivity)
    above = chosen(-values[~true], specificity)
    low, high = below.threshold, -above.threshold
    if math.isfinite(high):
        high = float(np.nextafter(high, np.inf))  # negatives at the threshold are not alarms
    if high < low:
        high = low
    return GreyZone(low, high, below, above)


@dataclass(frozen=True)
class Decided:
    """What a model does with a grey zone.

    coverage: the share of cases that it decides. sensitivity, specificity: among the decided;
    missed: positives called negative among *all* positives; alarms: negatives called positive among
    all negatives. NaN where there is no such case.
    """

    coverage: float
    sensitivity: float
    specificity: float
    missed: float
    alarms: float
    n: int


def decided(score: npt.ArrayLike, truth: npt.ArrayLike, low: float, high: float) -> Decided:
    """Judge the zone [low, high) on cases. ValueError for low > high."""
    if low > high:
        raise ValueError(f"a grey zone from {low} to {high}")
    values, true = _checked(score, truth)
    called, left = values >= high, values < low
    both = called | left
    missed, found = int((left & true).sum()), int((called & true).sum())
    alarms, spared = int((called & ~true).sum()), int((left & ~true).sum())
    return Decided(
        _share(int(both.sum()), values.size),
        _share(found, found + missed),
        _share(spared, spared + alarms),
        _share(missed, int(true.sum())),
        _share(alarms, int((~true).sum())),
        values.size,
    )


def risk_coverage(certainty: npt.ArrayLike, wrong: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The share of wrong decisions among the most certain cases, over the share of cases decided.

    certainty: larger for more certain. Returns (coverage, risk), one point for every distinct
    certainty, coverage rising; cases alike certain enter together. Empty without cases.
    """
    values, errors = _checked(certainty, wrong)
    if not values.size:
        return np.empty(0), np.empty(0)
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.append(np.nonzero(np.diff(values[order]))[0], values.size - 1)
    decided_cases = last_of_tie + 1
    return decided_cases / values.size, np.cumsum(errors[order])[last_of_tie] / decided_cases


def area_under_risk(certainty: npt.ArrayLike, wrong: npt.ArrayLike) -> float:
    """The mean risk over all coverages (AURC, Geifman and El-Yaniv 2017); lower is better.

    Cases alike certain enter in random order, so each of them adds the tie's mean. NaN without
    cases.
    """
    values, errors = _checked(certainty, wrong)
    if not values.size:
        return math.nan
    _, tie = np.unique(-values, return_inverse=True)
    mean_of_tie = (np.bincount(tie, weights=errors) / np.bincount(tie))[tie]
    order = np.argsort(tie, kind="stable")
    return float(np.mean(np.cumsum(mean_of_tie[order]) / np.arange(1, values.size + 1)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _checked(score: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    values, true = np.asarray(score, np.float64), np.asarray(truth)
    flags = true.astype(np.bool_)
    if values.shape != flags.shape or values.ndim != 1:
        raise ValueError(f"expected two lists of one length, got {values.shape}, {flags.shape}")
    if np.isnan(values).any() or not np.array_equal(true, flags):
        raise ValueError("expected scores without NaN and a truth of 0 and 1")
    return values, flags
