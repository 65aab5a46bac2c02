"""The model against each reader on the same cases: paired differences, tests, a margin, and the
model's sensitivity at the reader's specificity.

A difference is the model minus the reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from radloop.measures.interval import Interval
from radloop.measures.margin import Verdict, non_inferiority
from radloop.measures.multiplicity import holm
from radloop.measures.paired_tests import clustered_mcnemar, mcnemar
from radloop.measures.proportions import clustered_paired_difference, newcombe_paired_difference

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
ENDPOINTS = ("sensitivity", "specificity")


@dataclass(frozen=True)
class Paired:
    """Two readings of the same cases, b minus a.

    endpoint: the share that is compared. a, b: its values. only_a, only_b: cases that only one got
    right. p: McNemar's mid-p (clustered: Obuchowski's), two-sided. p_holm: corrected for all pairs
    that were tested together. verdict: of b against the margin, from the 95 % interval. p_within:
    one-sided, for "b is worse than a by the margin"; p_within_holm: corrected.
    """

    a_name: str
    b_name: str
    endpoint: str
    a: float
    b: float
    difference: Interval
    only_a: int
    only_b: int
    p: float
    p_holm: float = math.nan
    verdict: Verdict | None = None
    p_within: float = math.nan
    p_within_holm: float = math.nan


def compare_pair(
    names: tuple[str, str],
    a: Floats,
    b: Floats,
    truth: Flags,
    patients: Sequence[str],
    *,
    margin: float | None = None,
    endpoints: Sequence[str] = ENDPOINTS,
) -> list[Paired]:
    """Compare answers `(case,)` of 0, 1, NaN, on the cases that both answered."""
    both = ~(np.isnan(a) | np.isnan(b))
    return [
        _compare(names, endpoint, a, b, truth, both & of, patients, margin)
        for endpoint, of in (
            ("sensitivity", truth),
            ("specificity", ~truth),
            ("accuracy", np.ones_like(truth)),
        )
        if endpoint in endpoints
    ]


def corrected(pairs: Sequence[Paired]) -> list[Paired]:
    """The pairs with p-values corrected by Holm for all of them together, each kind apart."""
    differ = holm([pair.p for pair in pairs])
    within = holm([pair.p_within for pair in pairs])
    return [
        replace(pair, p_holm=float(p), p_within_holm=float(q))
        for pair, p, q in zip(pairs, differ, within, strict=True)
    ]


def _compare(
    names: tuple[str, str],
    endpoint: str,
    a: Floats,
    b: Floats,
    truth: Flags,
    cases: Flags,
    patients: Sequence[str],
    margin: float | None,
) -> Paired:
    right_a, right_b = (((said > 0.5) == truth)[cases] for said in (a, b))
    patient = np.unique(np.asarray(patients)[cases], return_inverse=True)[1]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    clustered = patient.size and np.bincount(patient).max() > 1
    if clustered:
        hits = [np.bincount(patient, weights=right) for right in (right_a, right_b)]
        counts = np.bincount(patient)
        p = clustered_mcnemar(right_a, right_b, patient).p

        def interval(level: float) -> Interval:
            return clustered_paired_difference(hits[0], hits[1], counts, level)

    else:
        alike = int((right_a & right_b).sum()), int((~right_a & ~right_b).sum())
        p = mcnemar(only_a, only_b).p if patient.size else math.nan

        def interval(level: float) -> Interval:
            return newcombe_paired_difference(alike[0], only_a, only_b, alike[1], level)

    difference = interval(0.95)
    verdict, p_within = None, math.nan
    if margin is not None:
        verdict = non_inferiority(difference.value, difference.low, difference.high, margin).verdict
        p_within = p_above(interval, -margin)
    count = max(patient.size, 1)
    unknown = not patient.size
    return Paired(
        *names,
        endpoint,
        math.nan if unknown else float(right_a.sum() / count),
        math.nan if unknown else float(right_b.sum() / count),
        difference,
        only_a,
        only_b,
        p,
        verdict=verdict,
        p_within=p_within,
    )


def p_above(interval: Callable[[float], Interval], bound: float) -> float:
    """One-sided p for "not above `bound`": the smallest tail whose interval lies above it."""
    middle = interval(0.5)
    if math.isnan(middle.low):
        return math.nan

    def excess(logit: float) -> float:
        tail = 1 / (1 + math.exp(-logit))
        level = abs(1 - 2 * tail)
        found = interval(max(level, 1e-12))
        # Beyond the middle the upper end of the interval takes over.
        return (found.low if tail < 0.5 else found.high) - bound

    least, most = -36.0, 36.0
    if excess(least) > 0:
        return 0.0
    if excess(most) < 0:
        return 1.0
    logit = optimize.brentq(excess, least, most, xtol=1e-6)
    return float(1 / (1 + math.exp(-logit)))
