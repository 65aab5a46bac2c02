"""Intervals by resampling *patients*: cases of one patient are not independent of each other.

Each resample draws as many patients as there are, with replacement, and takes all their cases. The
interval is read from the measure's values at the resamples: "bca" corrects for their bias and
skewness (`bca.py`), "percentile" takes the middle `level` of them. Either is expanded as Student's
t expands a normal interval, since resamples of P patients vary too little (Hesterberg 2015, Am Stat
69:371); of some hundred patients on that cannot be seen. Resamples on which the measure is
undefined (NaN: for instance one class only) are skipped and counted. The same seed gives the same
numbers. Where the corrections cannot be had (the measure needs every patient) the percentile
interval is given and `Interval.method` says so. With a single patient there is nothing to resample:
the bounds are NaN. Of fewer than some twenty patients no bootstrap is to be trusted, nor of a share
near 0 or 1: `best_interval.py` knows what to use there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.errors import InputError
from radloop.measures.bca import acceleration, bca_p, bca_shares, bias_correction
from radloop.measures.interval import Interval
from radloop.measures.resampling import Floats, Numbers, Resampled, resampled
from radloop.measures.spec import Column, MeasureSpec, Rows, unknown

Method = Literal["bca", "percentile"]
_CHUNK = 4_000_000
"""Weights at a time, 8 bytes each."""


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
    method: Method = "bca",
) -> Interval:
    """The measure over `rows` with its interval; `patients` names the patient of every row.

    Rows in which a column of the measure is NaN are left out first. Raises InputError when a
    column is missing.
    """
    return patient_bootstraps(
        rows, [spec], patients, n=n, seed=seed, level=level, method=method
    )[0]  # fmt: skip


def patient_bootstraps(
    rows: Rows,
    specs: Sequence[MeasureSpec],
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "bca",
) -> list[Interval]:
    """`patient_bootstrap` of several measures; those of the same rows share their resamples."""
    names = np.asarray(patients)
    found: dict[int, Interval] = {}
    for keep, group in _alike(rows, specs, len(names)):
        if not keep.any():
            empty = Interval(math.nan, math.nan, math.nan, 0, _method(n, "percentile", level))
            found |= dict.fromkeys(group, empty)
            continue
        count, patient = numbered(names[keep])
        columns = [[rows[name][keep] for name in specs[k].columns] for k in group]
        ready = [
            resampled(specs[k].compute, own, patient, count)
            for k, own in zip(group, columns, strict=True)
        ]
        values = _at_resamples(ready, count, n, seed)
        for k, own, one, drawn in zip(group, columns, ready, values, strict=True):
            value = float(specs[k].compute(*own))
            defined = drawn[~np.isnan(drawn)]
            low, high, used = _ends(defined, value, one, expanded(level, count), method)
            found[k] = Interval(
                value, low, high, patient.size, _method(n, used, level), drawn.size - defined.size
            )
    return [found[k] for k in range(len(specs))]


def paired_bootstrap(
    a: Rows,
    b: Rows,
    spec: MeasureSpec,
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    method: Method = "percentile",
) -> PairedDifference:
    """The measure of model `b` minus that of model `a`, row i of both being the same case.

    Rows unknown to either model are left out of both. p is the smallest 1 - level at which the
    interval reaches zero, the sample itself counted as one resample, so it is never exactly 0
    (Davison and Hinkley 1997, chapter 4).
    """
    names = np.asarray(patients)
    keep = complete(a, spec, names.size) & complete(b, spec, names.size)
    if not keep.any():
        return PairedDifference(*(math.nan,) * 6, n=0)
    ours = [a[name][keep] for name in spec.columns]
    theirs = [b[name][keep] for name in spec.columns]
    count, patient = numbered(names[keep])
    both = Difference(*(resampled(spec.compute, own, patient, count) for own in (ours, theirs)))
    drawn = _at_resamples([both], count, n, seed)[0]
    defined = drawn[~np.isnan(drawn)]
    value_a, value_b = float(spec.compute(*ours)), float(spec.compute(*theirs))
    difference = float(subtract(value_b, value_a))
    low, high, used = _ends(defined, difference, both, expanded(level, count), method)
    bias = speed = 0.0
    if used == "bca":
        bias, speed = bias_correction(defined, difference), acceleration(both.without_each())
    return PairedDifference(
        value_a,
        value_b,
        difference,
        low,
        high,
        contracted(bca_p(defined, bias, speed), count),
        patient.size,
        drawn.size - defined.size,
    )


@dataclass(frozen=True)
class Difference:
    """A measure of table b minus that of table a, as `Resampled`."""

    a: Resampled
    b: Resampled

    def at(self, weights: Floats) -> Floats:
        """See `Resampled`."""
        return subtract(self.b.at(weights), self.a.at(weights))

    def without_each(self) -> Floats:
        """See `Resampled`."""
        return subtract(self.b.without_each(), self.a.without_each())


def expanded(level: float, patients: int) -> float:
    """The level at which resamples of so many patients vary as much as `level` is meant to."""
    if patients < 2:
        return level
    t = float(stats.t.ppf((1 + level) / 2, patients - 1)) * math.sqrt(patients / (patients - 1))
    return 1 - 2 * float(stats.norm.sf(t))


def contracted(p: float, patients: int) -> float:
    """The p-value of which `expanded` would make `p`."""
    if patients < 2 or math.isnan(p):
        return p
    z = float(stats.norm.isf(p / 2)) / math.sqrt(patients / (patients - 1))
    return 2 * float(stats.t.sf(z, patients - 1))


def _alike(
    rows: Rows, specs: Sequence[MeasureSpec], length: int
) -> Iterator[tuple[npt.NDArray[np.bool_], list[int]]]:
    """The measures in groups that know the same rows: which rows, and which measures."""
    groups: dict[bytes, tuple[npt.NDArray[np.bool_], list[int]]] = {}
    for k, spec in enumerate(specs):
        keep = complete(rows, spec, length)
        groups.setdefault(keep.tobytes(), (keep, []))[1].append(k)
    yield from groups.values()


def complete(rows: Rows, spec: MeasureSpec, length: int) -> npt.NDArray[np.bool_]:
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


def numbered(names: npt.NDArray[Any]) -> tuple[int, Numbers]:
    """How many patients there are, and the number of each row's patient."""
    of_row = np.unique(names, return_inverse=True)[1].reshape(names.shape)
    return int(of_row.max()) + 1, of_row


def _at_resamples(ready: Sequence[Resampled], patients: int, n: int, seed: int) -> list[Floats]:
    """Each measure at `n` resamples, `(n,)`; at none when there is but one patient."""
    if patients < 2:
        return [np.empty(0) for _ in ready]
    generator = np.random.default_rng(seed)
    values = [np.empty(n) for _ in ready]
    step = max(1, _CHUNK // patients)
    for start in range(0, n, step):
        size = min(step, n - start)
        drawn = generator.integers(patients, size=(size, patients))
        drawn += np.arange(size)[:, None] * patients
        counts = np.bincount(drawn.ravel(), minlength=size * patients)
        weights = counts.reshape(size, patients).astype(np.float64)
        for own, one in zip(values, ready, strict=True):
            own[start : start + size] = one.at(weights)
    return values


def _ends(
    values: Floats, value: float, measure: Resampled, level: float, method: Method
) -> tuple[float, float, Method]:
    """The interval, rounded outwards to resampled values (this way infinities do no harm), and
    the method that gave it."""
    if not values.size:
        return math.nan, math.nan, "percentile"
    shares, used = ((1 - level) / 2, (1 + level) / 2), method
    if method == "bca":
        corrected = math.nan, math.nan
        bias = bias_correction(values, value)
        if math.isfinite(bias) and np.isfinite(values).all():
            corrected = bca_shares(bias, acceleration(measure.without_each()), level)
        if math.isnan(corrected[0]):
            used = "percentile"
        else:
            shares = corrected
    low = float(np.quantile(values, shares[0], method="lower"))
    return low, float(np.quantile(values, shares[1], method="higher")), used


def _method(n: int, used: Method, level: float) -> str:
    name = "BCa" if used == "bca" else "percentile"
    return f"patient bootstrap, {n} resamples, {name}, {level:.0%}"


def subtract(b: npt.ArrayLike, a: npt.ArrayLike) -> Floats:
    """b - a, without a warning (and NaN) where both are infinite."""
    with np.errstate(invalid="ignore"):
        difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    difference = np.where(np.isinf(a) & np.isinf(b), math.nan, difference)
    # What rounding alone makes different is the same.
    size = np.maximum(np.abs(a), np.abs(b))
    return np.where(np.abs(difference) <= 1e-13 * size, 0.0, difference)
