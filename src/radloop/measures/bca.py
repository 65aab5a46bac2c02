"""The bias-corrected and accelerated bootstrap interval (Efron 1987, J Am Stat Assoc 82:171).

Where the percentile interval takes the middle 95 % of the resampled values, this one takes shares
that are moved by the bias of the resamples (their median against the value itself) and by the
acceleration: how the spread of the measure changes with the measure, from the skewness of the
values with each patient left out.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


def bias_correction(values: Floats, value: float) -> float:
    """The normal quantile of the share of resampled `values` below `value`, ties counting half.

    Infinite when all lie on one side, NaN of nothing.
    """
    if not values.size:
        return math.nan
    near = np.isclose(values, value, rtol=1e-12, atol=1e-15)  # equal but for rounding
    below = np.count_nonzero((values < value) & ~near) + np.count_nonzero(near) / 2
    return float(stats.norm.ppf(below / values.size))


def acceleration(without_each: Floats) -> float:
    """A sixth of the skewness of the jackknife; 0 when leaving out a patient changes nothing.

    NaN when a value is: without that patient there is no measure.
    """
    distance: Floats = without_each - (without_each.mean() if without_each.size else 0.0)
    spread = float((distance**2).sum())
    if math.isnan(spread):
        return math.nan
    # Rounding of equal values has a skewness, too.
    if spread <= 1e-24 * max(1.0, float(np.square(without_each).sum())):
        return 0.0
    cubes = float((distance**3).sum())
    return -cubes / (6 * math.pow(spread, 1.5))


def bca_shares(bias: float, acceleration: float, level: float = 0.95) -> tuple[float, float]:
    """The shares of the resampled values that lie below the ends of the interval, in [0, 1].

    NaN when either correction is not finite. At 0 and 0 these are those of the percentile interval.
    """
    if not (math.isfinite(bias) and math.isfinite(acceleration)):
        return math.nan, math.nan
    z = float(stats.norm.ppf((1 + level) / 2))
    low, high = (
        float(stats.norm.cdf(bias + (bias + end) / (1 - acceleration * (bias + end))))
        for end in (-z, z)
    )
    return (low, high) if low <= high else (math.nan, math.nan)


def bca_p(values: Floats, bias: float, acceleration: float, null: float = 0.0) -> float:
    """Two-sided p for "the true value is `null`": the smallest 1 - level whose interval has it.

    The value itself counts as one of the resamples on either side, so that p is never 0 (Davison
    and Hinkley 1997, chapter 4). NaN when a correction is not finite.
    """
    if not (math.isfinite(bias) and math.isfinite(acceleration)) or not values.size:
        return math.nan
    tails = []
    for beyond, sign in ((values <= null, 1), (values >= null, -1)):
        share = (np.count_nonzero(beyond) + 1) / (values.size + 1)
        if share >= 1.0:
            tails.append(1.0)
            continue
        w = sign * float(stats.norm.ppf(share))
        end = (w - bias) / (1 + acceleration * (w - bias)) - bias
        tails.append(float(stats.norm.cdf(sign * end)))
    return min(1.0, 2 * min(tails))
