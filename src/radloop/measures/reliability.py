"""Do probabilities mean what they say: measures of calibration, each with its convention.

`probability` lies in [0, 1] and `truth` is 0/1 or boolean, both `(n,)`, without NaN. Raises
ValueError for other values, and for arrays of different lengths. What cannot be measured (no cases,
or where it is said: one class only) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit, logit

from radloop.measures.isotonic import fit_isotonic

Floats = npt.NDArray[np.float64]

_NEAREST = 1e-6
"""How near to 0 and 1 a probability is taken before its logit."""


@dataclass(frozen=True)
class CalibrationLine:
    """Weak calibration (Van Calster et al. 2019): 1 and 0 are perfect.

    slope: of the truth's log odds over the stated ones; below 1 the probabilities are too extreme.
    intercept: by how much the stated log odds are too low on the whole ("in the large").
    Each with its interval; NaN with one class only, the slope also for a constant probability.
    """

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    intercept_low: float
    intercept_high: float


def calibration_line(
    probability: npt.ArrayLike,
    truth: npt.ArrayLike,
    patients: Sequence[str] | None = None,
    level: float = 0.95,
) -> CalibrationLine:
    """Logistic recalibration (Cox 1958) with Wald intervals.

    The intercept is fitted with the slope held at 1. Variances are the sandwich's, with the scores
    of one patient summed where `patients` `(n,)` names them. Probabilities are kept 1e-6 away from
    0 and 1.
    """
    p, y = _checked(probability, truth)
    nothing = (math.nan,) * 3
    if not p.size or y.all() or not y.any():
        return CalibrationLine(*nothing, *nothing)
    x = logit(np.clip(p, _NEAREST, 1 - _NEAREST))
    group = _groups(patients, p.size)
    z = float(stats.norm.ppf((1 + level) / 2))
    whole, se_whole = _logistic(np.ones((x.size, 1)), y, x, group)
    large = float(whole[0]), float(whole[0] - z * se_whole[0]), float(whole[0] + z * se_whole[0])
    if np.ptp(x) == 0.0:
        return CalibrationLine(*nothing, *large)
    line, se = _logistic(np.stack([np.ones_like(x), x], axis=1), y, np.zeros_like(x), group)
    slope = float(line[1]), float(line[1] - z * se[1]), float(line[1] + z * se[1])
    return CalibrationLine(*slope, *large)


def equal_mass_error(probability: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 10) -> float:
    """The expected calibration error over bins that hold alike many cases.

    Bins of equal width leave most of a rare finding's cases in the first of them. Cases of one
    probability stay together, so a constant probability is one bin.
    """
    p, y = _checked(probability, truth)
    if not p.size:
        return math.nan
    stated, observed, count = _equal_mass(p, y, bins)
    return float(np.abs(stated - observed).sum() / count.sum())


def debiased_error(probability: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 10) -> float:
    """The root mean squared calibration error without the part that chance alone makes.

    The plain error of well calibrated probabilities is not zero but grows with few cases a bin;
    here each bin's expected share of it is taken off (Kumar, Liang and Ma 2019), and less than
    nothing is 0. Bins as in `equal_mass_error`; those of one case count nothing.
    """
    p, y = _checked(probability, truth)
    if not p.size:
        return math.nan
    stated, observed, count = _equal_mass(p, y, bins)
    several = count > 1
    if not several.any():
        return math.nan
    share, said, n = observed[several] / count[several], stated[several], count[several]
    by_bin = (said / n - share) ** 2 - share * (1 - share) / (n - 1)
    return math.sqrt(max(0.0, float((n * by_bin).sum() / count.sum())))


@dataclass(frozen=True)
class BrierParts:
    """brier = miscalibration - discrimination + uncertainty, exactly.

    miscalibration: what recalibrating would save. discrimination: what the recalibrated
    probabilities save against the prevalence for everybody. uncertainty: of the prevalence itself.
    """

    brier: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def brier_parts(probability: npt.ArrayLike, truth: npt.ArrayLike) -> BrierParts:
    """The Brier score and its parts, by isotonic recalibration instead of bins, whose number and
    edges would change them (Dimitriadis, Gneiting and Jordan 2021, PNAS 118, e2016191118)."""
    p, y = _checked(probability, truth)
    if not p.size:
        return BrierParts(*(math.nan,) * 4)
    brier = float(np.mean((p - y) ** 2))
    recalibrated = float(np.mean((fit_isotonic(p, y)(p) - y) ** 2))
    uncertainty = float(np.mean((y.mean() - y) ** 2))
    return BrierParts(brier, brier - recalibrated, uncertainty - recalibrated, uncertainty)


def _equal_mass(p: Floats, y: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    """The sums of probability and truth, and the number of cases, of every bin with cases."""
    edges = np.unique(np.quantile(p, np.arange(1, bins) / bins, method="inverted_cdf"))
    bin_of = np.searchsorted(edges, p, side="left")
    count = np.bincount(bin_of).astype(np.float64)
    sums = [np.asarray(np.bincount(bin_of, weights=x), np.float64) for x in (p, y)]
    held = count > 0
    return sums[0][held], sums[1][held], count[held]


def _logistic(
    design: Floats, y: Floats, offset: Floats, group: npt.NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Coefficients by Newton's method, and their sandwich standard errors, clustered by group."""
    coefficients = np.zeros(design.shape[1])
    nothing = np.full_like(coefficients, math.nan)
    fitted, information = np.empty(0), np.empty(0)
    for _ in range(100):
        fitted = expit(design @ coefficients + offset)
        weight = fitted * (1 - fitted)
        information = design.T @ (design * weight[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (y - fitted))
        except np.linalg.LinAlgError:
            return nothing, nothing
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            break
    else:
        return nothing, nothing
    if np.abs(y - fitted).max() < 1e-5:  # the classes are parted: the slope is infinite
        return nothing, nothing
    scores = design * (y - fitted)[:, None]
    summed = np.stack([np.bincount(group, weights=column) for column in scores.T], axis=1)
    count = summed.shape[0]
    inverse = np.linalg.inv(information)
    meat = summed.T @ summed * (count / (count - 1) if count > 1 else math.nan)
    return coefficients, np.sqrt(np.diag(inverse @ meat @ inverse))


def _groups(patients: Sequence[str] | None, n: int) -> npt.NDArray[np.intp]:
    if patients is None:
        return np.arange(n)
    if len(patients) != n:
        raise ValueError(f"{len(patients)} patients for {n} cases")
    return np.unique(np.asarray(patients), return_inverse=True)[1].reshape(n)


def _checked(probability: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    p, y = np.asarray(probability, np.float64), np.asarray(truth, np.float64)
    if p.shape != y.shape or p.ndim != 1:
        raise ValueError(f"expected two lists of one length, got {p.shape}, {y.shape}")
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):
        raise ValueError("probabilities must lie in [0, 1]; leave unknown cases (NaN) out first")
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("expected 0 and 1 only; leave unknown cases (NaN) out first")
    return p, y
