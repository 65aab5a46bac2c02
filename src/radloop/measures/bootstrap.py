"""Intervals by resampling *patients*: cases of one patient are not independent of each other.

Each resample draws as many patients as there are, with replacement, and takes all their cases;
the interval holds the middle `level` of the measure's values (percentile method). Resamples on
which the measure is undefined (NaN: for instance one class only) are skipped and counted. The
same seed gives the same numbers. With a single patient there is nothing to resample: the bounds
are NaN. Fewer than some twenty patients give intervals that are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.measures.interval import Interval
from radloop.measures.spec import Column, MeasureSpec, Rows, unknown

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class PairedDifference:
    """A measure of two models on the same cases.

    difference: b - a, with its interval [low, high]. p: two-sided, for "no difference". n: the
    cases both were measured on. Fields are NaN where they could not be measured.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    n: int
    skipped: int = 0


def patient_bootstrap(
    rows: Rows,
    spec: MeasureSpec,
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The measure over `rows` with its interval; `patients` names the patient of every row.

    Rows in which a column of the measure is NaN are left out first. Raises InputError when a
    column is missing.
    """
    method = f"patient bootstrap, {n} resamples, percentile, {level:.0%}"
    keep = _complete(rows, spec, len(patients))
    if not keep.any():
        return Interval(math.nan, math.nan, math.nan, 0, method)
    columns = [rows[name][keep] for name in spec.columns]
    value = float(spec.compute(*columns))
    values = np.array(
        [
            spec.compute(*(column[index] for column in columns))
            for index in _resamples(np.asarray(patients)[keep], n, seed)
        ],
        dtype=np.float64,
    )
    defined = values[~np.isnan(values)]
    low, high = _percentiles(defined, level)
    return Interval(value, low, high, int(keep.sum()), method, values.size - defined.size)


def paired_bootstrap(
    a: Rows,
    b: Rows,
    spec: MeasureSpec,
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """The measure of model `b` minus that of model `a`, row i of both being the same case.

    Rows unknown to either model are left out of both. p is the smallest 1 - level at which the
    percentile interval reaches zero, the sample itself counted as one resample, so it is never
    exactly 0 (Davison and Hinkley 1997, chapter 4).
    """
    keep = _complete(a, spec, len(patients)) & _complete(b, spec, len(patients))
    if not keep.any():
        return PairedDifference(*(math.nan,) * 6, n=0)
    ours = [a[name][keep] for name in spec.columns]
    theirs = [b[name][keep] for name in spec.columns]
    differences = np.array(
        [
            _subtract(
                spec.compute(*(column[index] for column in theirs)),
                spec.compute(*(column[index] for column in ours)),
            )
            for index in _resamples(np.asarray(patients)[keep], n, seed)
        ],
        dtype=np.float64,
    )
    defined = differences[~np.isnan(differences)]
    low, high = _percentiles(defined, level)
    value_a, value_b = float(spec.compute(*ours)), float(spec.compute(*theirs))
    return PairedDifference(
        value_a,
        value_b,
        _subtract(value_b, value_a),
        low,
        high,
        _two_sided(defined),
        int(keep.sum()),
        differences.size - defined.size,
    )


def _complete(rows: Rows, spec: MeasureSpec, length: int) -> npt.NDArray[np.bool_]:
    """Which rows know every column of the measure."""
    keep = np.ones(length, dtype=np.bool_)
    # No rows, no columns: nothing is known, and nothing is wrong.
    for name in spec.columns if length else ():
        if name not in rows:
            raise InputError(
                f"The measure '{spec.name}' needs the column '{name}', which the cases lack.",
                "Evaluate the cases again with this version.",
            )
        column: Column = rows[name]
        if column.shape != (length,):
            raise ValueError(f"column '{name}' of shape {column.shape} for {length} cases")
        keep &= ~unknown(column)
    return keep


def _resamples(patients: npt.NDArray[np.str_], n: int, seed: int) -> Iterator[Indices]:
    """Row indices of each resample; none when there is but one patient."""
    _, patient_of_row, counts = np.unique(patients, return_inverse=True, return_counts=True)
    if counts.size < 2:
        return
    by_patient = np.argsort(patient_of_row, kind="stable")
    starts = np.cumsum(counts) - counts
    generator = np.random.default_rng(seed)
    for _ in range(n):
        drawn = generator.integers(counts.size, size=counts.size)
        sizes = counts[drawn]
        ends = np.cumsum(sizes)
        # Position within the resample, moved to where its patient's rows begin.
        yield by_patient[np.arange(ends[-1]) + np.repeat(starts[drawn] - (ends - sizes), sizes)]


def _percentiles(values: Column, level: float) -> tuple[float, float]:
    """The middle `level` of the values, rounded outwards; this way infinities do no harm."""
    if not values.size:
        return math.nan, math.nan
    low = np.quantile(values, (1 - level) / 2, method="lower")
    high = np.quantile(values, (1 + level) / 2, method="higher")
    return float(low), float(high)


def _two_sided(differences: Column) -> float:
    if not differences.size:
        return math.nan
    tail = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return min(1.0, float(2 * (tail + 1) / (differences.size + 1)))


def _subtract(b: float, a: float) -> float:
    """b - a, without a warning (and NaN) where both are infinite."""
    return math.nan if math.isinf(a) and math.isinf(b) else float(b - a)
