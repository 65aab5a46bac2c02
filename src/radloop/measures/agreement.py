"""Do two ways of measuring agree? Errors, limits of agreement, variation, interval coverage.

`measured` and `reference` are one-dimensional and of one length, in the same unit, without NaN.
Differences are `measured - reference`. Too few cases for a measure: NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]


def mean_absolute_error(measured: Values, reference: Values) -> float:
    """The mean of |measured - reference|, in their unit."""
    difference = _difference(measured, reference)
    return float(np.abs(difference).mean()) if difference.size else math.nan


def bias(measured: Values, reference: Values) -> float:
    """The mean of measured - reference, in their unit: positive when too much is measured."""
    difference = _difference(measured, reference)
    return float(difference.mean()) if difference.size else math.nan


@dataclass(frozen=True)
class BlandAltman:
    """Bias and limits of agreement, each with its confidence interval `(low, high)`.

    sd: standard deviation of the differences (n - 1). lower, upper: bias -/+ z sd.
    """

    n: int
    bias: float
    sd: float
    lower: float
    upper: float
    bias_interval: tuple[float, float]
    lower_interval: tuple[float, float]
    upper_interval: tuple[float, float]


def bland_altman(
    measured: Values, reference: Values, *, share: float = 0.95, level: float = 0.95
) -> BlandAltman:
    """The limits between which `share` of the differences are expected (Bland and Altman 1986).

    The differences are taken as normal. The bias has Student's t interval, the limits the exact
    one from the non-central t distribution (Carkeet 2015, Optom Vis Sci 92:e71), at `level`.
    """
    difference = _difference(measured, reference)
    n = difference.size
    if n < 2:
        unknown = (math.nan, math.nan)
        mean = bias(measured, reference)
        return BlandAltman(n, mean, math.nan, *unknown, unknown, unknown, unknown)
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    z = float(stats.norm.ppf((1 + share) / 2))
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    t = stats.t.ppf(tails, n - 1) * sd / math.sqrt(n)
    k = stats.nct.ppf(tails, n - 1, z * math.sqrt(n)) * sd / math.sqrt(n)
    return BlandAltman(
        n,
        mean,
        sd,
        mean - z * sd,
        mean + z * sd,
        (mean + float(t[0]), mean + float(t[1])),
        (mean - float(k[1]), mean - float(k[0])),
        (mean + float(k[0]), mean + float(k[1])),
    )


def coefficient_of_variation(measured: Values, reference: Values) -> float:
    """Within-subject coefficient of variation of two methods: sqrt(mean((d_i / m_i)^2 / 2)).

    d_i is the difference and m_i the mean of the two values of case i (root mean square method,
    Bland and Altman 1996); a share, 0.02 for 2 %. NaN when some m_i is zero.
    """
    difference = _difference(measured, reference)
    middle = (measured + reference) / 2.0
    if not difference.size or np.any(middle == 0.0):
        return math.nan
    return float(np.sqrt(np.mean((difference / middle) ** 2 / 2.0)))


def pearson(measured: Values, reference: Values) -> float:
    """Pearson's correlation, in [-1, 1]: blind to bias, so never quote it alone."""
    _difference(measured, reference)
    if measured.size < 2 or np.ptp(measured) == 0.0 or np.ptp(reference) == 0.0:
        return math.nan
    return float(np.corrcoef(measured, reference)[0, 1])


def intraclass_correlation(*raters: Values) -> float:
    """ICC(2,1): two-way random effects, absolute agreement, single rater (Shrout and Fleiss 1979).

    One array a rater, of the same cases. NaN for fewer than two raters or cases, or when every
    value is the same.
    """
    if len({rater.shape for rater in raters}) > 1:
        raise ValueError("every rater must have measured every case")
    table = np.stack(raters, axis=1) if raters else np.empty((0, 0))
    n, k = table.shape
    if n < 2 or k < 2:
        return math.nan
    centre = table.mean()
    of_case, of_rater = table.mean(axis=1) - centre, table.mean(axis=0) - centre
    residual = table - centre - of_case[:, None] - of_rater[None, :]
    case = k * (of_case**2).sum() / (n - 1)
    rater = n * (of_rater**2).sum() / (k - 1)
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    total = case + (k - 1) * error + k * (rater - error) / n
    return float((case - error) / total) if total else math.nan


def coverage(reference: Values, low: Values, high: Values) -> float:
    """The share of cases whose reference lies within [low, high], the ends included."""
    if not reference.shape == low.shape == high.shape:
        raise ValueError(f"different lengths: {reference.shape}, {low.shape}, {high.shape}")
    return float(np.mean((low <= reference) & (reference <= high))) if reference.size else math.nan


def conformal_quantile(scores: Values, coverage: float) -> float:
    """The half-width that covers a new case with at least this probability (split conformal).

    scores: the non-conformity of `n` calibration cases, exchangeable with the new one, such as
    |measured - reference|. Returns the ceil((n + 1) coverage)-th smallest score, or infinity when
    there are too few cases to promise that much (Vovk et al. 2005; Lei et al. 2018).
    """
    if not 0.0 < coverage < 1.0:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    # The small step back keeps 0.07 * 100 = 7.000000000000001 at rank 7.
    rank = math.ceil((scores.size + 1) * coverage - 1e-9)
    return float(np.sort(scores)[rank - 1]) if rank <= scores.size else math.inf


def _difference(measured: Values, reference: Values) -> Values:
    if measured.shape != reference.shape or measured.ndim != 1:
        raise ValueError(f"expected two lists of one length: {measured.shape}, {reference.shape}")
    return measured - reference
