"""`Interval`: a number and what is known of its uncertainty; intervals of a share of cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A measured value between `low` and `high`.

    n: the cases it was measured on. method: how the interval was made, in words. skipped: the
    bootstrap resamples on which the measure was undefined. NaN stands for "not measurable".
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    skipped: int = 0


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share, without continuity correction (Wilson 1927)."""
    method = f"Wilson, {level:.0%}"
    if _undefined(successes, n, level):
        return Interval(math.nan, math.nan, math.nan, n, method)
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the bound is exact; rounding must not push it past the value.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high, n, method)


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval of a share: never covers less than `level` (Clopper and Pearson 1934)."""
    method = f"Clopper-Pearson, {level:.0%}"
    if _undefined(successes, n, level):
        return Interval(math.nan, math.nan, math.nan, n, method)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, n - successes + 1))
    high = 1.0 if successes == n else float(stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return Interval(successes / n, low, high, n, method)


def _undefined(successes: int, n: int, level: float) -> bool:
    """True without cases; ValueError for counts or a level that cannot be."""
    if not 0 <= successes <= n or not 0 < level < 1:
        raise ValueError(f"{successes} of {n} at level {level}")
    return n == 0
