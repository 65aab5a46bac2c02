"""Whether B is as good as A within a margin, or better: judged from the interval of a difference.

The two-sided interval at 95 % holds a one-sided test at 2.5 % at each end, as regulators ask for
non-inferiority (ICH E9, 1998; FDA guidance on non-inferiority, 2016). The margin must be chosen
before the numbers are seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["superior", "non-inferior", "inferior", "inconclusive"]


@dataclass(frozen=True)
class NonInferiority:
    """What the interval of B - A says against a margin.

    verdict: "superior" (the whole interval is on the better side of zero), else "non-inferior"
    (it stays within the margin), else "inferior" (the whole interval is beyond the margin), else
    "inconclusive". margin: how much worse B may be, in the unit of the measure. difference, low,
    high: B - A as it was given. worse: B is worse than A beyond chance, which it can be within
    the margin, too.
    """

    verdict: Verdict
    margin: float
    difference: float
    low: float
    high: float
    worse: bool


def non_inferiority(
    difference: float,
    low: float,
    high: float,
    margin: float,
    better: Literal["higher", "lower"] = "higher",
) -> NonInferiority:
    """Judge the interval [low, high] of `difference` = B - A.

    Unknown ends (NaN) are inconclusive. Raises ValueError for a margin that is not positive and
    finite, and for ends in the wrong order.
    """
    if not (0 < margin < math.inf):
        raise ValueError(f"a margin is a positive number, not {margin}")
    if low > high:
        raise ValueError(f"an interval from {low} to {high}")
    # Turned so that up is better.
    least, most = (low, high) if better == "higher" else (-high, -low)
    verdict: Verdict = "inconclusive"
    if least > 0:
        verdict = "superior"
    elif least > -margin and not math.isnan(most):
        verdict = "non-inferior"
    elif most < -margin:
        verdict = "inferior"
    return NonInferiority(verdict, margin, difference, low, high, most < 0)
