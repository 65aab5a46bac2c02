"""Tests of "A and B do the same" on the same cases: McNemar's, and the swapping of patients.

McNemar's tests look at the cases that only one of the two called (or called right): if neither is
better, either is as likely to be the one. The permutation test swaps what A and B said of a
patient, which changes nothing but chance if they do the same, and works for any measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.measures.bootstrap import complete, numbered, subtract
from radloop.measures.classification import auc, check_binary
from radloop.measures.resampling import Floats, resampled
from radloop.measures.spec import Column, MeasureSpec, Rows

_CHUNK = 4_000_000


@dataclass(frozen=True)
class McNemar:
    """McNemar's test. only_a, only_b: the cases that only one of the two has.

    p: the mid-p of the exact binomial test, which holds its level in practice without being as
    timid as the exact one (Fagerland et al. 2013, BMC Med Res Methodol 13:91). exact: p of the
    exact test. statistic, asymptotic: chi squared with one degree of freedom, without continuity
    correction, and its p. All p are two-sided; without such a case they are 1 and the statistic 0.
    """

    only_a: int
    only_b: int
    p: float
    exact: float
    statistic: float
    asymptotic: float


@dataclass(frozen=True)
class ClusteredMcNemar:
    """McNemar's test of cases that come in patients. statistic: chi squared, one degree of freedom.

    NaN (and p 1) where no patient has more of one than of the other.
    """

    only_a: int
    only_b: int
    p: float
    statistic: float


def mcnemar(only_a: int, only_b: int) -> McNemar:
    """McNemar's test (1947, Psychometrika 12:153) from the numbers of cases only A, only B has."""
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts below zero: {only_a}, {only_b}")
    n, fewer = only_a + only_b, min(only_a, only_b)
    if not n:
        return McNemar(only_a, only_b, 1.0, 1.0, 0.0, 1.0)
    statistic = (only_a - only_b) ** 2 / n
    tail, at = float(stats.binom.cdf(fewer, n, 0.5)), float(stats.binom.pmf(fewer, n, 0.5))
    # With equal numbers the tails share the middle, of which half is taken off.
    mid = 1.0 - at / 2 if only_a == only_b else 2 * tail - at
    return McNemar(
        only_a,
        only_b,
        mid,
        min(1.0, 2 * tail),
        statistic,
        float(stats.chi2.sf(statistic, 1)),
    )


def clustered_mcnemar(
    a: npt.ArrayLike, b: npt.ArrayLike, patients: npt.ArrayLike
) -> ClusteredMcNemar:
    """McNemar's test for several cases a patient (Obuchowski 1998, Stat Med 17:1495).

    a, b: `(n,)`, 0/1 or boolean: whether each case has the property, to either. The difference of
    the two shares is held against how it varies between patients when there is none:
    (P - 1) / P (sum d)^2 / sum d^2, d being a patient's cases only B has less those only A has.
    """
    first, second = check_binary(np.asarray(a)), check_binary(np.asarray(b))
    names = np.asarray(patients)
    if not first.shape == second.shape == names.shape or first.ndim != 1:
        raise ValueError(f"different lengths: {first.shape}, {second.shape}, {names.shape}")
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    if not names.size:
        return ClusteredMcNemar(0, 0, 1.0, math.nan)
    count, patient = numbered(names)
    more = np.bincount(patient, second.astype(np.float64) - first, minlength=count)
    spread = float((more**2).sum())
    if not spread:
        return ClusteredMcNemar(only_a, only_b, 1.0, math.nan)
    statistic = (count - 1) / count * float(more.sum()) ** 2 / spread
    return ClusteredMcNemar(only_a, only_b, float(stats.chi2.sf(statistic, 1)), statistic)


def permutation_p(
    a: Rows, b: Rows, spec: MeasureSpec, patients: Sequence[str], *, n: int = 2000, seed: int = 0
) -> float:
    """Two-sided p for "A and B do the same" on this measure, by swapping them for random patients.

    Row i of `a` and `b` is the same case; rows unknown to either are left out. The columns that
    both share (the truth) may be swapped without harm. For an area under the ROC curve each model's
    scores are replaced by their ranks first, as the two may use different scales (Bandos et al.
    2005, Stat Med 24:2873). p counts the sample itself as one permutation; NaN when the measure of
    either model is. Permutations at which the measure is undefined are left out.
    """
    names = np.asarray(patients)
    keep = complete(a, spec, names.size) & complete(b, spec, names.size)
    if not keep.any():
        return math.nan
    count, patient = numbered(names[keep])
    ours, theirs = ([one[name][keep] for name in spec.columns] for one in (a, b))
    if spec.compute is auc:
        ours, theirs = _ranked(ours), _ranked(theirs)
    observed = float(subtract(spec.compute(*theirs), spec.compute(*ours)))
    if math.isnan(observed):
        return math.nan
    # Each patient twice, as A has it and as B has it: a swap moves weight from one to the other.
    columns = [np.concatenate(pair) for pair in zip(ours, theirs, strict=True)]
    both = resampled(spec.compute, columns, np.concatenate([patient, patient + count]), 2 * count)
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // (2 * count))
    beyond = defined = 0
    for start in range(0, n, step):
        swap = generator.random((min(step, n - start), count)) < 0.5
        as_a: Floats = np.concatenate([~swap, swap], axis=1).astype(np.float64)
        difference = subtract(both.at(1 - as_a), both.at(as_a))
        known = ~np.isnan(difference)
        defined += int(known.sum())
        beyond += int((np.abs(difference[known]) >= abs(observed) * (1 - 1e-12)).sum())
    return (beyond + 1) / (defined + 1)


def _ranked(columns: Sequence[Column]) -> list[Column]:
    return [stats.rankdata(columns[0]), *columns[1:]]
