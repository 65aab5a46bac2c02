"""Intervals of shares: of cases that come in patients, and of the difference of two shares.

All are built on Wilson's score interval (`interval.wilson`) and equal it, or Newcombe's, where
every case is a patient of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.measures.interval import Interval, wilson

Floats = npt.NDArray[np.float64]


def clustered_wilson(hits: npt.ArrayLike, counts: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Wilson's interval of a share of cases when patients have several.

    hits, counts: of every patient, `(patients,)`: cases with the property, and cases. The number of
    cases is divided by the design effect, by how much more the share varies between patients than
    it would between single cases (Rao and Scott 1992, Biometrics 48:577), but not below 1, and by a
    further factor for the few patients it was estimated from (Korn and Graubard 1998, Surv Methodol
    24:193). At shares of 0 and 1 nothing is seen of it: each patient then counts as one case, as if
    its cases were all alike. NaN for a single patient with several cases, and without cases.
    """
    hit, count = _whole(hits), _whole(counts)
    if hit.shape != count.shape or np.any(hit > count):
        raise ValueError("expected hits and counts of the same patients, hits no more than counts")
    asked = count > 0
    hit, count = hit[asked], count[asked]
    cases, successes, patients = int(count.sum()), int(hit.sum()), int(count.size)
    if patients == cases:
        return wilson(successes, cases, level)
    method = f"Wilson, clustered by patient, {level:.0%}"
    if patients < 2:
        return Interval(successes / cases, math.nan, math.nan, cases, method)
    share = successes / cases
    effective = _effective(hit, count, level) if 0 < successes < cases else float(patients)
    low, high = _score_ends(share, effective, level)
    return Interval(share, low, high, cases, method)


def newcombe_difference(a: int, n_a: int, b: int, n_b: int, level: float = 0.95) -> Interval:
    """The difference b / n_b - a / n_a of shares of different cases, by Wilson's intervals of both
    (Newcombe 1998, Stat Med 17:873, method 10). NaN where a group is empty."""
    first, second = wilson(a, n_a, level), wilson(b, n_b, level)
    difference = second.value - first.value
    low = difference - math.hypot(second.value - second.low, first.high - first.value)
    high = difference + math.hypot(second.high - second.value, first.value - first.low)
    return Interval(difference, low, high, n_a + n_b, f"Newcombe, unpaired, {level:.0%}")


def newcombe_paired_difference(
    both: int, only_a: int, only_b: int, neither: int, level: float = 0.95
) -> Interval:
    """The difference b - a of two shares of the same cases, from how many have the property in both
    readings, in one, in neither (Newcombe 1998, Stat Med 17:2635, method 10). NaN without cases."""
    cells = (both, only_a, only_b, neither)
    if min(cells) < 0:
        raise ValueError(f"counts below zero: {cells}")
    n, method = sum(cells), f"Newcombe, paired, {level:.0%}"
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, method)
    first, second = wilson(both + only_a, n, level), wilson(both + only_b, n, level)
    product = both * neither - only_a * only_b
    if product > 0:  # continuity corrected, as the paper has it
        product = max(product - n / 2, 0.0)  # type: ignore[assignment]
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    phi = product / math.sqrt(margins) if margins else 0.0
    low, high = _square_and_add(first, second, phi)
    return Interval(second.value - first.value, low, high, n, method)


def clustered_paired_difference(
    hits_a: npt.ArrayLike, hits_b: npt.ArrayLike, counts: npt.ArrayLike, level: float = 0.95
) -> Interval:
    """The difference b - a of two shares of the same cases, patients having several.

    hits_a, hits_b, counts: of every patient, `(patients,)`. Both `clustered_wilson` intervals are
    put together as Newcombe does, with the correlation of the two shares between patients (Zou and
    Donner 2008, Stat Med 27:1693). NaN where an interval is.
    """
    hit_a, hit_b, count = _whole(hits_a), _whole(hits_b), _whole(counts)
    first, second = clustered_wilson(hit_a, count, level), clustered_wilson(hit_b, count, level)
    residual_a, residual_b = hit_a - first.value * count, hit_b - second.value * count
    spread = math.sqrt(float((residual_a**2).sum() * (residual_b**2).sum()))
    correlation = float((residual_a * residual_b).sum()) / spread if spread > 0 else 0.0
    low, high = _square_and_add(first, second, correlation)
    method = f"Newcombe, paired, clustered by patient, {level:.0%}"
    return Interval(second.value - first.value, low, high, int(count.sum()), method)


def _square_and_add(a: Interval, b: Interval, correlation: float) -> tuple[float, float]:
    """The ends of b - a from the ends of both."""

    def distance(of_b: float, of_a: float) -> float:
        return math.sqrt(max(0.0, of_b**2 - 2 * correlation * of_a * of_b + of_a**2))

    difference = b.value - a.value
    if math.isnan(a.low + b.low):  # max() below would take NaN for 0
        return math.nan, math.nan
    low = difference - distance(b.value - b.low, a.high - a.value)
    return low, difference + distance(b.high - b.value, a.value - a.low)


def _effective(hit: Floats, count: Floats, level: float) -> float:
    """How many independent cases tell as much as these of fewer patients."""
    cases, patients = float(count.sum()), count.size
    share = float(hit.sum()) / cases
    between = float(((hit - share * count) ** 2).sum()) * patients / (patients - 1)
    alone = cases * share * (1 - share) * cases / (cases - 1)
    tail = (1 + level) / 2
    few = float(stats.t.ppf(tail, cases - 1) / stats.t.ppf(tail, patients - 1)) ** 2
    return cases / max(1.0, between / alone) * few


def _score_ends(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share of `n` cases, which need not be whole."""
    z = float(stats.norm.ppf((1 + level) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if share == 0 else centre - half), (1.0 if share == 1 else centre + half)


def _whole(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """The numbers as float64; ValueError for any that is not whole and at least 0."""
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not np.all(numbers >= 0) or np.any(numbers % 1):
        raise ValueError("expected a list of whole numbers from 0")
    return numbers
