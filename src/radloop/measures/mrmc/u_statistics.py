"""The variance of readers' mean accuracy by U-statistics: iMRMC's "one-shot" estimate.

Second moments of the success of two readings (`moments.py`) that share

    M1 reader, positive, negative   M2 reader, positive   M3 reader, negative   M4 reader
    M5 positive, negative           M6 positive           M7 negative           M8 nothing

are estimated without bias, and the variance is their sum with coefficients that count how often
each kind of pair occurs in the study, less M8 (Gallas 2006, Acad Radiol 13:353). As pairs are
counted in what was read, any design will do: fully crossed, split-plot, readers with missing cases,
readers that know only one of the modalities (Gallas and Brown 2008, Neural Netw 21:387).

The mean weighs every reading of a pair of cases equally, so it is the mean of the readers where all
read as many. A modality with one reader is taken as fixed: a model does not vary as readers do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from radloop.measures.mrmc.moments import PairSums, pair_sums, sums_of_values
from radloop.measures.mrmc.study import Accuracy, Contrast, Floats, ReaderStudy, contrast

_LEAST_SHARE = 1e-12


@dataclass(frozen=True)
class Moments:
    """Of two modalities, or of one with itself.

    moments, coefficients: `(8,)`, M1 to M8; a moment of which no pair occurs is NaN with the
    coefficient 0. covariance: of the two mean accuracies. components: the biased variance
    components of readers, positive and negative cases, which the degrees of freedom take; units:
    the effective number of each (infinite where it does not vary).
    """

    moments: Floats
    coefficients: Floats
    covariance: float
    components: Floats
    units: Floats


@dataclass(frozen=True)
class UStatistics:
    """values: `(modality,)`, the mean accuracies. covariance: `(modality, modality)`. between:
    the moments of every pair of modalities, a <= b."""

    values: Floats
    covariance: Floats
    between: dict[tuple[int, int], Moments]

    def mean(self, modality: int = 0, level: float = 0.95) -> Contrast:
        """The mean accuracy of a modality. The degrees of freedom are rounded down."""
        own = self.between[modality, modality]
        df = _degrees(own.covariance, own.components, own.units)
        return contrast(float(self.values[modality]), own.covariance, df, level)

    def difference(self, a: int = 0, b: int = 1, level: float = 0.95) -> Contrast:
        """The mean accuracy of modality b minus that of a."""
        low, high = min(a, b), max(a, b)
        first, second = self.between[a, a], self.between[b, b]
        joint = self.between[low, high]
        variance = first.covariance + second.covariance - 2 * joint.covariance
        parts = first.components + second.components - 2 * joint.components
        df = _degrees(variance, parts, np.minimum(first.units, second.units))
        return contrast(float(self.values[b] - self.values[a]), variance, df, level)


def u_statistics(study: ReaderStudy, measure: Accuracy) -> UStatistics:
    """The mean accuracy of every modality, with variances for readers and cases like these.

    NaN where a modality has no reading or a class has fewer than two cases. Raises ValueError where
    patients have several cases: the moments take cases as independent.
    """
    if study.patients is not None and len(set(study.patients)) < study.truth.size:
        raise ValueError("U-statistics take cases as independent; some patients have several")
    return _of_sums(pair_sums(study, measure), study.scores.shape[0], study.scores.shape[1])


def mean_over_readers(values: Floats, level: float = 0.95) -> Contrast:
    """The mean of a quantity `(reader, case)`, NaN unknown, for readers and cases like these.

    With one reader, for other cases alone. Weighs every known value equally.
    """
    table = np.asarray(values, np.float64)
    return _of_sums(sums_of_values(table), 1, len(table)).mean(level=level)


def _of_sums(sums: PairSums, t: int, r: int) -> UStatistics:
    of_modality = [slice(i * r, (i + 1) * r) for i in range(t)]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array([sums.total[s].sum() / sums.pairs[s].sum() for s in of_modality])
    between = {
        (a, b): _moments(sums, of_modality[a], of_modality[b])
        for a in range(t)
        for b in range(a, t)
    }
    covariance = np.empty((t, t))
    for (a, b), found in between.items():
        covariance[a, b] = covariance[b, a] = found.covariance
    return UStatistics(values, covariance, between)


def _moments(sums: PairSums, first: slice, second: slice) -> Moments:
    """`first`, `second`: the cells of two modalities, the same readers in the same order."""
    alone = first == second and int((sums.pairs[first] > 0).sum()) == 1
    apart = sums.unbiased()
    top, low = (_by_reader(table[:, first, second], alone) for table in _tables(apart))
    biased_top, biased_low = (_by_reader(table[:, first, second], alone) for table in _tables(sums))
    if not alone:  # "any two readers" less "the same reader" is "two different readers"
        top[1] -= top[0]
        low[1] -= low[0]
    moments = _quotient(top.ravel(), low.ravel())
    biased = _quotient(biased_top.ravel(), biased_low.ravel())
    counts = low.ravel().copy()
    if alone:  # the reader is fixed: each pair of readings counts once
        counts[:4] = 0.0
    last = 4 + sums.last
    with np.errstate(invalid="ignore", divide="ignore"):
        coefficients = counts / biased_low[1, 3]
    coefficients[last] -= 1.0
    occurs = counts > 0
    occurs[last] = True
    covariance = float((coefficients[occurs] * moments[occurs]).sum())
    components, units = _components(sums, coefficients, biased, last)
    return Moments(moments, coefficients, covariance, components, units)


def _tables(sums: PairSums) -> tuple[Floats, Floats]:
    return sums.numerator, sums.denominator


def _by_reader(block: Floats, alone: bool) -> Floats:
    """Sums over the same reader and over any two, `(2, 4)`; of one reader, both are the same."""
    same = np.einsum("kii->k", block)
    return np.stack([same, same if alone else block.sum(axis=(1, 2))])


def _components(
    sums: PairSums, coefficients: Floats, biased: Floats, last: int
) -> tuple[Floats, Floats]:
    """Biased variance components and effective numbers, of readers, positives, negatives."""
    kept = coefficients.copy()
    kept[last] += 1.0
    index = np.arange(8)
    axes = (
        (last - 4, index < 4, True),
        (last - 2, index & 2 == 0, sums.with_positive),
        (last - 1, index & 1 == 0, sums.with_negative),
    )
    components, units = np.zeros(3), np.full(3, math.inf)
    for k, (place, shares, varies) in enumerate(axes):
        share = float(kept[shares].sum()) if varies else 0.0
        if share > _LEAST_SHARE:
            units[k] = round(1 / share - 1)
            component = biased[place] - biased[last]
            components[k] = 0.0 if math.isnan(component) else component
    return components, units


def _degrees(variance: float, components: Floats, units: Floats) -> float:
    """Satterthwaite's, as iMRMC has them; at least the smallest number of units, rounded down."""
    varies = np.isfinite(units) & (units > 0)
    if not variance > 0 or not varies.any():
        return math.inf if variance == 0 else math.nan
    spread = float((components[varies] ** 2 / units[varies] ** 3).sum())
    df = variance**2 / spread if spread > 0 else math.inf
    return max(df if math.isinf(df) else math.floor(df), float(units[varies].min()))


def _quotient(top: Floats, low: Floats) -> Floats:
    return np.where(low > 0, top / np.where(low > 0, low, 1.0), math.nan)
