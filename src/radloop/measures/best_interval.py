"""Each measure with the interval that covers best, as `benchmarks/coverage.py` found it.

- a share of cases (sensitivity, accuracy, ...): Wilson's, with the design effect of the patients;
- the area under the ROC curve: DeLong's on the logit scale, clustered by patient;
- everything else: the BCa bootstrap of the patients.

The same for the difference of two models on the same cases: Newcombe's paired interval with
McNemar's test, DeLong's, or the paired bootstrap. The reasons and the figures are in
docs/explanation/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from radloop.measures.bootstrap import complete, numbered, patient_bootstraps
from radloop.measures.classification import auc
from radloop.measures.delong import auc_difference, auc_interval, delong
from radloop.measures.interval import Interval
from radloop.measures.paired_tests import clustered_mcnemar, mcnemar
from radloop.measures.proportions import (
    clustered_paired_difference,
    clustered_wilson,
    newcombe_paired_difference,
)
from radloop.measures.resampling import Floats, Numbers
from radloop.measures.spec import Column, MeasureSpec, Rows
from radloop.measures.sums import sum_form


@dataclass(frozen=True)
class KnownDifference:
    """The difference b - a of a measure, by a formula instead of resampling.

    method, test: how the interval and p were made, in words. only_a, only_b: of a share, the cases
    that only one of the two has, None for an area.
    """

    difference: float
    low: float
    high: float
    p: float
    method: str
    test: str
    only_a: int | None = None
    only_b: int | None = None


def best_intervals(
    rows: Rows,
    specs: Sequence[MeasureSpec],
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Interval]:
    """The measures over `rows` with their intervals; `patients` names the patient of every row.

    n, seed: of the bootstrap. Rows in which a column of a measure is NaN are left out of it. Raises
    InputError when a column is missing.
    """
    found = {k: _by_formula(rows, spec, patients, level) for k, spec in enumerate(specs)}
    left = [k for k, interval in found.items() if interval is None]
    drawn = patient_bootstraps(
        rows, [specs[k] for k in left], patients, n=n, seed=seed, level=level
    )
    known = {k: interval for k, interval in found.items() if interval is not None}
    known |= dict(zip(left, drawn, strict=True))
    return [known[k] for k in range(len(specs))]


def known_difference(
    a: Rows, b: Rows, spec: MeasureSpec, patients: Sequence[str], *, level: float = 0.95
) -> KnownDifference | None:
    """The difference of two models on the same cases, None where only resampling can tell.

    Row i of `a` and `b` is the same case; rows unknown to either are left out.
    """
    keep = complete(a, spec, len(patients)) & complete(b, spec, len(patients))
    names = np.asarray(patients)[keep]
    if not keep.any():
        return None
    ours, theirs = ([one[name][keep] for name in spec.columns] for one in (a, b))
    if spec.compute is auc:
        return _of_areas(ours, theirs, names, level)
    form = sum_form(spec.compute)
    if form is None or not form.share:
        return None
    terms_a, terms_b = form.terms(*ours), form.terms(*theirs)
    if not np.array_equal(terms_a[1], terms_b[1]):
        return None  # shares of different cases, as of those called positive
    asked = terms_a[1] > 0
    return _of_shares(terms_a[0][asked], terms_b[0][asked], names[asked], level)


def _by_formula(
    rows: Rows, spec: MeasureSpec, patients: Sequence[str], level: float
) -> Interval | None:
    form = sum_form(spec.compute)
    share = form is not None and form.share
    if spec.compute is not auc and not share:
        return None
    keep = complete(rows, spec, len(patients))
    if not keep.any():
        return None
    columns, names = [rows[name][keep] for name in spec.columns], np.asarray(patients)[keep]
    count, patient = numbered(names)
    n = int(keep.sum())
    if form is None:
        found = delong(columns[0], columns[1], names if count < n else None)
        return replace(auc_interval(found, level=level), n=n)
    hits, asked = (np.bincount(patient, t, minlength=count) for t in form.terms(*columns))
    return replace(clustered_wilson(hits, asked, level), n=n)


def _of_areas(
    ours: Sequence[Column], theirs: Sequence[Column], names: npt.NDArray[np.str_], level: float
) -> KnownDifference | None:
    if not np.array_equal(ours[1], theirs[1]):
        return None  # their truths differ
    several = np.unique(names).size < names.size
    found = delong(np.stack([ours[0], theirs[0]]), ours[1], names if several else None)
    pair = auc_difference(found, level=level)
    return KnownDifference(
        pair.difference,
        pair.low,
        pair.high,
        pair.p,
        f"DeLong{', clustered by patient' if several else ''}, {level:.0%}",
        "DeLong",
    )


def _of_shares(
    hits_a: Floats, hits_b: Floats, names: npt.NDArray[np.str_], level: float
) -> KnownDifference | None:
    if not names.size:
        return None
    first, second = hits_a > 0, hits_b > 0
    count, patient = numbered(names)
    if count == names.size:
        cells = (first & second, first & ~second, second & ~first, ~first & ~second)
        both, only_a, only_b, neither = (int(cell.sum()) for cell in cells)
        interval = newcombe_paired_difference(both, only_a, only_b, neither, level)
        p, test = mcnemar(only_a, only_b).p, "McNemar, mid-p"
    else:
        interval = clustered_paired_difference(
            _per_patient(hits_a, patient, count),
            _per_patient(hits_b, patient, count),
            np.bincount(patient, minlength=count),
            level,
        )
        clustered = clustered_mcnemar(first, second, names)
        only_a, only_b, p = clustered.only_a, clustered.only_b, clustered.p
        test = "McNemar, clustered by patient"
    low, high = interval.low, interval.high
    return KnownDifference(
        interval.value, low, high, p, interval.method, test, only_a, only_b
    )  # fmt: skip


def _per_patient(hits: Floats, patient: Numbers, count: int) -> Floats:
    return np.bincount(patient, weights=hits, minlength=count).astype(np.float64)
