"""A measure made ready to be taken again and again with other weights for the patients.

A resample is a whole number a patient: how often the patient was drawn. Three ways to take the
measure at many resamples, fastest first; all give the same numbers as measuring the drawn rows:

- a measure that is a function of sums over the cases (`sums.py`) needs the sums of each patient
  once; every resample is then one row of a matrix product;
- the area under the ROC curve needs the order of the cases once, and a running sum a resample;
- any other measure is computed anew from the repeated rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from radloop.measures.classification import auc, check_binary
from radloop.measures.spec import Column
from radloop.measures.sums import SumMeasure, sum_form

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

_GROUPS = 200
"""Of so many groups of patients one after the other is left out, where a measure is slow."""


class Resampled(Protocol):
    """A measure of one table, to be taken at many weightings of its patients."""

    def at(self, weights: Floats) -> Floats:
        """The measure `(r,)` at weights `(r, patients)`, whole numbers; NaN = undefined."""

    def without_each(self) -> Floats:
        """The measure with each patient left out, `(patients,)`; see `Repeated`."""


def resampled(
    compute: Callable[..., float], columns: Sequence[Column], patient: Numbers, patients: int
) -> Resampled:
    """`compute` of the rows in `columns`, in the fastest way there is.

    patient: the number of each row's patient, `(n,)`, from 0 to `patients` - 1.
    """
    form = sum_form(compute)
    if form is not None:
        terms = form.terms(*columns)
        # With an infinite term a patient of weight zero would count: 0 * inf is not 0.
        if np.isfinite(terms).all():
            sums = [np.bincount(patient, weights=term, minlength=patients) for term in terms]
            return Summed(form, np.stack(sums))
    if compute is auc and np.isfinite(columns[0]).all():
        return Ranked.of(columns[0], columns[1], patient, patients)
    return Repeated(compute, tuple(columns), patient, patients)


@dataclass(frozen=True)
class Summed:
    """sums: of every patient, `(t, patients)`."""

    form: SumMeasure
    sums: Floats

    def at(self, weights: Floats) -> Floats:
        """See `Resampled`."""
        return self.form.of_sums(self.sums @ weights.T)

    def without_each(self) -> Floats:
        """See `Resampled`."""
        return self.form.of_sums(self.sums.sum(axis=1, keepdims=True) - self.sums)


@dataclass(frozen=True)
class Ranked:
    """The area under the ROC curve.

    positive, negative: the patients of the positive cases, and of the negative ones by rising
    score. below, not_above: for every positive case, how many negative ones lie so.
    """

    positive: Numbers
    negative: Numbers
    below: Numbers
    not_above: Numbers
    within: Floats
    patients: int

    @classmethod
    def of(cls, score: Column, truth: Column, patient: Numbers, patients: int) -> Ranked:
        """See `resampled`."""
        true = check_binary(truth)
        order = np.argsort(score[~true], kind="stable")
        rising = score[~true][order]
        below = np.searchsorted(rising, score[true], side="left")
        not_above = np.searchsorted(rising, score[true], side="right")
        within = _within_patient(score, true, patient, patients)
        return cls(patient[true], patient[~true][order], below, not_above, within, patients)

    def at(self, weights: Floats) -> Floats:
        """See `Resampled`."""
        positive, negative = weights[:, self.positive], weights[:, self.negative]
        passed = np.zeros((len(weights), self.negative.size + 1))
        np.cumsum(negative, axis=1, out=passed[:, 1:])
        right = np.einsum("ij,ij->i", positive, passed[:, self.below])
        if not np.array_equal(self.below, self.not_above):
            right = (right + np.einsum("ij,ij->i", positive, passed[:, self.not_above])) / 2
        return _share(right, positive.sum(axis=1) * passed[:, -1])

    def without_each(self) -> Floats:
        """See `Resampled`."""
        m, n = self.positive.size, self.negative.size
        right = (self.below + self.not_above) / 2
        # How many positive cases lie above each negative one, ties counting half.
        steps = np.zeros(n + 1)
        np.add.at(steps, self.below, 0.5)
        np.add.at(steps, self.not_above, 0.5)
        above = np.cumsum(steps[::-1])[::-1][1:]
        of_positive = np.bincount(self.positive, weights=right, minlength=self.patients)
        of_negative = np.bincount(self.negative, weights=above, minlength=self.patients)
        # The pairs within a patient are in both.
        left = right.sum() - of_positive - of_negative + self.within
        positives = m - np.bincount(self.positive, minlength=self.patients)
        negatives = n - np.bincount(self.negative, minlength=self.patients)
        return _share(left, (positives * negatives).astype(np.float64))


@dataclass(frozen=True)
class Repeated:
    """Any measure, by repeating rows.

    With more than 200 patients `without_each` leaves out 200 groups of patients instead, one after
    the other (the acceleration needs only the third moment of what comes of it, to which the
    patients of a group add up), and is `(200,)`.
    """

    compute: Callable[..., float]
    columns: tuple[Column, ...]
    patient: Numbers
    patients: int

    def at(self, weights: Floats) -> Floats:
        """See `Resampled`."""
        counts = weights.astype(np.intp)
        rows = np.arange(self.patient.size)
        return np.array([self._of(np.repeat(rows, times[self.patient])) for times in counts])

    def without_each(self) -> Floats:
        """See `Resampled`."""
        groups = min(self.patients, _GROUPS)
        group = np.random.default_rng(0).permutation(self.patients) % groups
        of_row = group[self.patient]
        return np.array([self._of(np.nonzero(of_row != k)[0]) for k in range(groups)])

    def _of(self, rows: Numbers) -> float:
        return float(self.compute(*(column[rows] for column in self.columns)))


def _within_patient(
    score: Column, true: npt.NDArray[np.bool_], patient: Numbers, patients: int
) -> Floats:
    """Pairs of a positive and a negative case of one patient in the right order, ties half."""
    if np.bincount(patient, minlength=patients).max(initial=0) < 2:
        return np.zeros(patients)
    # Scores in their places of the whole, moved apart by patient, so that no two patients mix.
    place = np.unique(score, return_inverse=True)[1].reshape(score.shape)
    key = patient * (score.size + 1) + place
    negatives = np.sort(key[~true])
    first = np.searchsorted(negatives, patient[true] * (score.size + 1), side="left")
    low = np.searchsorted(negatives, key[true], side="left") - first
    high = np.searchsorted(negatives, key[true], side="right") - first
    pairs = np.bincount(patient[true], weights=(low + high) / 2, minlength=patients)
    return pairs.astype(np.float64)


def _share(part: Floats, whole: Floats) -> Floats:
    nothing = np.full(part.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole > 0))
