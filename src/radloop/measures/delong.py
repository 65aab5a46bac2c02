"""The areas under ROC curves of the same cases, with their covariance (DeLong et al. 1988).

A case's *placement* is the share of the cases of the other class that it is ordered rightly
against, ties counting half; the area is the mean placement of either class, and its covariance
follows from theirs. Computed from mid-ranks in O(n log n) (Sun and Xu 2014, IEEE Signal Process
Lett 21:1389). Where a patient has several cases, the placements of a patient are summed first
(Obuchowski 1997, Biometrics 53:567).

Conventions. With one class only there is no area: everything is NaN. With a single positive or
negative case (with clusters: patient) there is an area but no covariance: NaN. A constant score has
the area 0.5 in every sample, and its interval is that point. Where the classes are parted without
an overlap (area 0 or 1) the placements do not vary although the area is not known exactly: the
interval is then Newcombe's, which assumes a shape instead (2006, Stat Med 25:559, method 5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from radloop.measures.interval import Interval

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

_NOTHING = 1e-24
"""A variance below this is rounding: that of a million cases is above it."""


@dataclass(frozen=True)
class DeLong:
    """The areas of `k` scores of the same cases and how they vary together.

    areas: `(k,)`. covariance: `(k, k)`. positive, negative: the placements, `(k, m)` and `(k, n)`,
    in the order of the cases. patient_of_positive, patient_of_negative: patient numbers from 0,
    `(m,)` and `(n,)`, None without clusters.
    """

    areas: Floats
    covariance: Floats
    positive: Floats
    negative: Floats
    patient_of_positive: Numbers | None = None
    patient_of_negative: Numbers | None = None


@dataclass(frozen=True)
class AreaDifference:
    """The area of score b minus that of score a, with interval, and two-sided p for "the same".

    se: standard error. z: difference / se.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    se: float
    z: float
    p: float


def delong(
    scores: npt.ArrayLike, truth: npt.ArrayLike, patients: npt.ArrayLike | None = None
) -> DeLong:
    """The areas under the ROC curves of `scores` `(k, n)` or `(n,)`, larger = more likely positive.

    truth: `(n,)`, 0/1 or boolean. patients: `(n,)`, the patient of every case, where the cases of a
    patient are not independent. Raises ValueError for NaN, for shapes that do not fit, and for a
    truth other than 0 and 1.
    """
    table = np.atleast_2d(np.asarray(scores, np.float64))
    true = _checked(table, np.asarray(truth))
    positive, negative = _placements(table, true)
    of_positive = of_negative = None
    if patients is not None:
        names = np.asarray(patients)
        if names.shape != true.shape:
            raise ValueError(f"patients of shape {names.shape} for {true.size} cases")
        number = np.unique(names, return_inverse=True)[1].reshape(true.shape)
        of_positive, of_negative = number[true], number[~true]
    with_both = bool(true.any()) and not bool(true.all())
    areas = positive.mean(axis=1) if with_both else np.full(len(table), math.nan)
    covariance = _covariance(positive, negative, of_positive, of_negative)
    return DeLong(areas, covariance, positive, negative, of_positive, of_negative)


def auc_interval(
    found: DeLong,
    curve: int = 0,
    *,
    level: float = 0.95,
    scale: Literal["logit", "plain"] = "logit",
) -> Interval:
    """The area of one of the curves with its interval.

    scale: "logit" is symmetric in log(area / (1 - area)), so that it stays within [0, 1] and covers
    better near 1 (Pepe 2003, section 5.2.5), with the quantile of a t distribution whose degrees of
    freedom (Satterthwaite) tell how few cases of one class the variance may rest on. "plain" is
    area +- z se, cut to [0, 1], as other programs have it.
    """
    area, variance = float(found.areas[curve]), float(found.covariance[curve, curve])
    n = found.positive.shape[1] + found.negative.shape[1]
    clustered = ", clustered by patient" if found.patient_of_positive is not None else ""
    method = f"DeLong, {scale}{clustered}, {level:.0%}"
    if math.isnan(area) or math.isnan(variance):
        return Interval(area, math.nan, math.nan, n, method)
    own = slice(curve, curve + 1)
    parts = _parts(
        found.positive[own],
        found.negative[own],
        found.patient_of_positive,
        found.patient_of_negative,
    )
    if area in (0.0, 1.0):
        low, high = newcombe_auc(area, parts.positives, parts.negatives, level)
        return Interval(area, low, high, n, f"Newcombe (classes parted){clustered}, {level:.0%}")
    se, tail = math.sqrt(variance), (1 + level) / 2
    if scale == "plain":
        half = float(stats.norm.ppf(tail)) * se
        return Interval(area, max(0.0, area - half), min(1.0, area + half), n, method)
    if not se:
        return Interval(area, area, area, n, method)
    of_positive, of_negative = float(parts.positive[0, 0]), float(parts.negative[0, 0])
    freedom = (of_positive + of_negative) ** 2 / (
        of_positive**2 / (parts.positives - 1) + of_negative**2 / (parts.negatives - 1)
    )
    half = float(stats.t.ppf(tail, freedom)) * se / (area * (1 - area))
    centre = math.log(area / (1 - area))
    low, high = special.expit([centre - half, centre + half]).tolist()
    return Interval(area, low, high, n, method)


def auc_difference(found: DeLong, a: int = 0, b: int = 1, *, level: float = 0.95) -> AreaDifference:
    """The paired comparison of two of the curves.

    Where the difference does not vary at all (a score against itself, both parting the classes
    without an overlap) it has no interval (NaN), and p is 1 when it is zero, otherwise NaN.
    """
    area_a, area_b = float(found.areas[a]), float(found.areas[b])
    variance = _covariance(
        (found.positive[b] - found.positive[a])[None],
        (found.negative[b] - found.negative[a])[None],
        found.patient_of_positive,
        found.patient_of_negative,
    )[0, 0]
    difference = area_b - area_a
    if math.isnan(variance) or variance == 0.0:
        p = 1.0 if difference == 0.0 and variance == 0.0 else math.nan
        se = float(variance)
        return AreaDifference(area_a, area_b, difference, math.nan, math.nan, se, math.nan, p)
    se = math.sqrt(variance)
    half = float(stats.norm.ppf((1 + level) / 2)) * se
    z = difference / se
    p = float(2 * stats.norm.sf(abs(z)))
    return AreaDifference(
        area_a, area_b, difference, difference - half, difference + half, se, z, p
    )


def newcombe_auc(
    area: float, positives: int, negatives: int, level: float = 0.95
) -> tuple[float, float]:
    """The areas that a score test does not exclude, from the area and the counts alone.

    The variance is that of two exponential distributions (Hanley and McNeil 1982), with the mean
    of both counts in place of each (Newcombe 2006, method 5). NaN without both classes.
    """
    if not positives or not negatives or math.isnan(area):
        return math.nan, math.nan
    z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
    others = (positives + negatives) / 2 - 1

    def excess(x: float) -> float:
        spread = 1 + others * ((1 - x) / (2 - x) + x / (1 + x))
        return (area - x) ** 2 - z2 * x * (1 - x) * spread / (positives * negatives)

    low = 0.0 if area <= 0.0 else float(optimize.brentq(excess, 0.0, area, xtol=1e-12))
    high = 1.0 if area >= 1.0 else float(optimize.brentq(excess, area, 1.0, xtol=1e-12))
    # At area 1 the equation holds at x = 1, too; the bound is the other root.
    if area >= 1.0:
        low = float(optimize.brentq(excess, 0.0, 1.0 - 1e-9, xtol=1e-12))
    if area <= 0.0:
        high = float(optimize.brentq(excess, 1e-9, 1.0, xtol=1e-12))
    return low, high


def _placements(table: Floats, true: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of the positive `(k, m)` and of the negative cases `(k, n)`."""
    m, n = int(true.sum()), int((~true).sum())
    if not m or not n:
        return np.full((len(table), m), math.nan), np.full((len(table), n), math.nan)
    together = stats.rankdata(table, axis=1)
    positive = (together[:, true] - stats.rankdata(table[:, true], axis=1)) / n
    negative = 1.0 - (together[:, ~true] - stats.rankdata(table[:, ~true], axis=1)) / m
    return positive, negative


def _covariance(
    positive: Floats, negative: Floats, of_positive: Numbers | None, of_negative: Numbers | None
) -> Floats:
    """Of the mean placements, `(k, k)`; see the module's text."""
    parts = _parts(positive, negative, of_positive, of_negative)
    covariance = np.asarray(parts.positive + parts.negative + parts.between)
    covariance[np.abs(covariance) < _NOTHING] = 0.0
    return covariance


@dataclass(frozen=True)
class _Parts:
    """What the covariance is the sum of, `(k, k)` each, and how many units the first two came from.

    Fewer than two units of either: NaN.
    """

    positive: Floats
    negative: Floats
    between: Floats
    positives: int
    negatives: int


def _parts(
    positive: Floats, negative: Floats, of_positive: Numbers | None, of_negative: Numbers | None
) -> _Parts:
    k, m, n = len(positive), positive.shape[1], negative.shape[1]
    if of_positive is None or of_negative is None:
        positives, negatives = m, n
    else:
        positives, negatives = np.unique(of_positive).size, np.unique(of_negative).size
    if positives < 2 or negatives < 2:
        unknown = np.full((k, k), math.nan)
        return _Parts(unknown, unknown, unknown, positives, negatives)
    over = positive - positive.mean(axis=1, keepdims=True)
    under = negative - negative.mean(axis=1, keepdims=True)
    between = np.zeros((k, k))
    if of_positive is not None and of_negative is not None:
        count = 1 + int(max(of_positive.max(), of_negative.max()))
        over, under = _summed(over, of_positive, count), _summed(under, of_negative, count)
        patients = np.unique(np.concatenate([of_positive, of_negative])).size
        cross = over @ under.T * patients / (patients - 1)
        between = (cross + cross.T) / (m * n)
    return _Parts(
        over @ over.T * positives / ((positives - 1) * m * m),
        under @ under.T * negatives / ((negatives - 1) * n * n),
        between,
        positives,
        negatives,
    )


def _summed(values: Floats, group: Numbers, count: int) -> Floats:
    """The sums of `(k, n)` over the groups, `(k, count)`."""
    return np.stack([np.bincount(group, weights=row, minlength=count) for row in values])


def _checked(table: Floats, truth: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if table.ndim != 2 or truth.ndim != 1 or table.shape[1] != truth.size:
        raise ValueError(f"scores of shape {table.shape} for a truth of shape {truth.shape}")
    if np.isnan(table).any():
        raise ValueError("a score is NaN; leave unknown cases out first")
    flags: npt.NDArray[np.bool_] = truth.astype(np.bool_)
    if truth.dtype != np.bool_ and not np.array_equal(truth, flags):
        raise ValueError("expected 0 and 1 only; leave unknown cases (NaN) out first")
    return flags
