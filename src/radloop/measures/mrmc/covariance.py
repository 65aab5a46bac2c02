"""How the accuracies of readers who read the same cases vary together, were other cases drawn.

Of every pair of cells, over the cases that both read; two cells without a common case have the
covariance 0. A cell with fewer than two cases of a class has none (NaN).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from radloop.measures.mrmc.moments import pair_sums
from radloop.measures.mrmc.study import Accuracy, Flags, Floats, ReaderStudy, placements

Method = Literal["delong", "jackknife", "bootstrap", "unbiased"]


def covariance(
    study: ReaderStudy,
    measure: Accuracy,
    method: Method = "jackknife",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """`(modality, reader, modality, reader)`.

    - "delong": sample covariance of the placements (DeLong et al. 1988); the only one that takes
      several cases of a patient into account (Obuchowski 1997).
    - "jackknife": over the cases of the classes that bear on the measure, as in MRMCaov.
    - "bootstrap": cases are drawn within their class, patients where some have several cases.
    - "unbiased": by U-statistics (Gallas et al. 2007).

    Raises ValueError where a method cannot respect patients with several cases.
    """
    t, r = study.scores.shape[:2]
    clustered = study.patients is not None and len(set(study.patients)) < study.truth.size
    if clustered and method in ("jackknife", "unbiased"):
        raise ValueError(f"{method} takes cases as independent; use delong or bootstrap")
    if method == "bootstrap":
        table = _bootstrap(study, measure, clustered, resamples, seed)
    elif method == "unbiased":
        table = _unbiased(study, measure)
    else:
        table = _of_placements(study, measure, method == "jackknife", clustered)
    return np.asarray(table.reshape(t, r, t, r))


def _of_placements(
    study: ReaderStudy, measure: Accuracy, jackknife: bool, clustered: bool
) -> Floats:
    found = placements(study, measure)
    classes = [
        (table, study.truth == true)
        for table, true in ((found.positive, True), (found.negative, False))
        if table.shape[1] or measure == "auc"
    ]
    cases = sum(table.shape[1] for table, _ in classes)
    total = np.zeros((len(found.values),) * 2)
    summed = []
    for table, of_class in classes:
        read = ~np.isnan(table)
        away = np.where(read, table - found.values[:, None], 0.0)
        count = read.sum(axis=1).astype(np.float64)
        few = count < 2
        n = np.maximum(count, 2.0)
        if clustered and study.patients is not None:
            number = np.unique(study.patients, return_inverse=True)[1]
            away = _by_patient(away, number[of_class], int(number.max()) + 1)
            read = _by_patient(read.astype(np.float64), number[of_class], away.shape[1]) > 0
            few |= read.sum(axis=1) < 2
            summed.append((away / n[:, None], read))
        if jackknife:
            scale = np.outer(n - 1, n - 1) * cases / (cases - 1) if cases > 1 else 1.0
        else:
            both = read.astype(np.float64) @ read.T.astype(np.float64)
            scale = np.outer(n, n) * np.maximum(both - 1, 1) / np.maximum(both, 1)
        part = away @ away.T / scale
        part[few, :] = math.nan
        part[:, few] = math.nan
        total += part
    if len(summed) == 2:  # a patient with cases of both classes ties them together
        (over, with_positive), (under, with_negative) = summed
        either = (with_positive[:, None] | with_negative[None]).sum(axis=2)
        cross = over @ under.T * either / np.maximum(either - 1, 1)
        total += cross + cross.T
    return total


def _by_patient(table: Floats, number: npt.NDArray[np.intp], patients: int) -> Floats:
    return np.stack([np.bincount(number, row, patients) for row in table])


def _unbiased(study: ReaderStudy, measure: Accuracy) -> Floats:
    sums = pair_sums(study, measure)
    same = sums.unbiased()
    with np.errstate(invalid="ignore", divide="ignore"):
        moments = np.where(same.denominator > 0, same.numerator / same.denominator, 0.0)
    weights = same.denominator / sums.denominator[3]
    last = sums.last
    weights[last] -= 1.0
    table = (weights * moments).sum(axis=0)
    table[same.denominator[last] <= 0] = math.nan
    apart = sums.denominator[0] + sums.denominator[1] * sums.with_negative
    apart = apart + sums.denominator[2] * sums.with_positive
    table[apart == 0] = 0.0
    return np.asarray(table)


def _bootstrap(
    study: ReaderStudy, measure: Accuracy, clustered: bool, resamples: int, seed: int
) -> Floats:
    generator = np.random.default_rng(seed)
    names = study.patients if clustered and study.patients else range(study.truth.size)
    number = np.unique(np.asarray(names), return_inverse=True)[1]
    cells = [_Cell(scores, study.truth, measure) for scores in study.cells]
    values = np.empty((resamples, len(cells)))
    for row in values:
        weights = _drawn(generator, number, None if clustered else study.truth)
        row[:] = [cell.value(weights) for cell in cells]
    # A draw without one class knows nothing; the covariance is over the others.
    known = values[~np.isnan(values).any(axis=1)]
    if len(known) < 2:
        return np.full((len(cells),) * 2, math.nan)
    return np.asarray(np.atleast_2d(np.cov(known, rowvar=False)), np.float64)


def _drawn(
    generator: np.random.Generator, number: npt.NDArray[np.intp], truth: Flags | None
) -> Floats:
    """How often each case was drawn."""
    if truth is None:
        units = int(number.max()) + 1
        drawn = np.bincount(generator.integers(units, size=units), minlength=units)
        return np.asarray(drawn[number], np.float64)
    weights = np.zeros(truth.size)
    for of_class in (np.flatnonzero(truth), np.flatnonzero(~truth)):
        if of_class.size:
            drawn = generator.integers(of_class.size, size=of_class.size)
            weights[of_class] = np.bincount(drawn, minlength=of_class.size)
    return weights


class _Cell:
    """One reader's answers in an order that makes weighted accuracies quick."""

    def __init__(self, scores: Floats, truth: Flags, measure: Accuracy) -> None:
        self.cases = np.flatnonzero(~np.isnan(scores))
        self.true = truth[self.cases]
        self.measure = measure
        self.scores = scores[self.cases]
        self.rank = np.unique(self.scores, return_inverse=True)[1]

    def value(self, weights: Floats) -> float:
        weight = weights[self.cases]
        if self.measure == "sensitivity":
            weight, right = weight[self.true], self.scores[self.true]
        elif self.measure == "specificity":
            weight, right = weight[~self.true], 1.0 - self.scores[~self.true]
        else:
            return self._area(weight)
        return float(weight @ right / weight.sum()) if weight.sum() else math.nan

    def _area(self, weight: Floats) -> float:
        levels = int(self.rank.max(initial=0)) + 1
        positive = np.bincount(self.rank, weight * self.true, levels)
        negative = np.bincount(self.rank, weight * ~self.true, levels)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs) if pairs else math.nan
