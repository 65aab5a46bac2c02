"""Measures that are functions of sums over the cases, so that many resamples are quickly taken.

The share of positive cases found, for instance, is a sum of hits over a sum of positives. What a
case adds to each sum is computed once; a weighted sum then says what any resample would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.measures import agreement, classification
from radloop.measures.classification import AtThreshold, check_binary

Floats = npt.NDArray[np.float64]
Column = npt.NDArray[Any]


@dataclass(frozen=True)
class SumMeasure:
    """A measure as a function of sums; itself a measure, to be used as `MeasureSpec.compute`.

    terms: what each case adds to each of the `t` sums: columns `(n,)` -> `(t, n)`. of_sums: sums
    `(t, ...)` -> measures `(...)`, NaN where undefined. share: the measure is the share of cases
    with a property among those that are asked: sums[0] / sums[1], both of terms 0 and 1.
    """

    terms: Callable[..., Floats]
    of_sums: Callable[[Floats], Floats]
    share: bool = False

    def __call__(self, *columns: Column) -> float:
        """The measure of the cases."""
        return float(self.of_sums(self.terms(*columns).sum(axis=1)))


def sum_form(compute: Callable[..., float]) -> SumMeasure | None:
    """`compute` as a function of sums, None when no such form of it is known."""
    if isinstance(compute, SumMeasure):
        return compute
    if isinstance(compute, AtThreshold):
        inner, threshold = sum_form(compute.measure), compute.threshold
        if inner is None:
            return None
        of_called = inner.terms
        return SumMeasure(
            lambda score, truth: of_called(score >= threshold, truth), inner.of_sums, inner.share
        )
    return _FORMS.get(compute)


def quotient(sums: Floats) -> Floats:
    """sums[0] / sums[1], NaN where nothing is below."""
    part, whole = sums[0], sums[1]
    nothing = np.full(np.shape(part), np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole != 0))


def _stack(*terms: Column) -> Floats:
    return np.stack([np.asarray(term, np.float64) for term in terms])


def _sensitivity(predicted: Column, truth: Column) -> Floats:
    said, true = check_binary(predicted), check_binary(truth)
    return _stack(said & true, true)


def _specificity(predicted: Column, truth: Column) -> Floats:
    said, true = check_binary(predicted), check_binary(truth)
    return _stack(~said & ~true, ~true)


def _accuracy(predicted: Column, truth: Column) -> Floats:
    said, true = check_binary(predicted), check_binary(truth)
    return _stack(said == true, np.ones(true.size))


def _positive_value(predicted: Column, truth: Column) -> Floats:
    said, true = check_binary(predicted), check_binary(truth)
    return _stack(said & true, said)


def _negative_value(predicted: Column, truth: Column) -> Floats:
    said, true = check_binary(predicted), check_binary(truth)
    return _stack(~said & ~true, ~said)


def _youden(predicted: Column, truth: Column) -> Floats:
    return np.concatenate([_sensitivity(predicted, truth), _specificity(predicted, truth)])


def _brier(probability: Column, truth: Column) -> Floats:
    true = check_binary(truth)
    return _stack((probability - true) ** 2, np.ones(true.size))


def _calibration(probability: Column, truth: Column, bins: int = 10) -> Floats:
    """The number of cases, and of each bin stated minus observed positives."""
    classification.expected_calibration_error(probability, truth, bins)  # refuses what is wrong
    of_bin = np.minimum((probability * bins).astype(np.intp), bins - 1)
    terms = np.zeros((1 + bins, probability.size))
    terms[0] = 1.0
    terms[1 + of_bin, np.arange(probability.size)] = probability - check_binary(truth)
    return terms


def _calibration_error(sums: Floats) -> Floats:
    return quotient(np.stack([np.abs(sums[1:]).sum(axis=0), sums[0]]))


def _inside(reference: Column, low: Column, high: Column) -> Floats:
    return _stack((low <= reference) & (reference <= high), np.ones(reference.size))


mean = SumMeasure(lambda values: _stack(values, np.ones(values.size)), quotient)
"""The mean of one column; NaN of nothing."""

share = SumMeasure(mean.terms, quotient, share=True)
"""The share of ones in a column of 0 and 1, with the interval of a share; NaN of nothing."""

ratio = SumMeasure(_stack, quotient)
"""The sum of one column over the sum of another; NaN of nothing."""

_FORMS: dict[Callable[..., float], SumMeasure] = {
    classification.sensitivity: SumMeasure(_sensitivity, quotient, share=True),
    classification.specificity: SumMeasure(_specificity, quotient, share=True),
    classification.accuracy: SumMeasure(_accuracy, quotient, share=True),
    classification.positive_predictive_value: SumMeasure(_positive_value, quotient, share=True),
    classification.negative_predictive_value: SumMeasure(_negative_value, quotient, share=True),
    classification.youden: SumMeasure(_youden, lambda s: quotient(s[:2]) + quotient(s[2:]) - 1.0),
    classification.brier_score: SumMeasure(_brier, quotient),
    classification.expected_calibration_error: SumMeasure(_calibration, _calibration_error),
    agreement.coverage: SumMeasure(_inside, quotient, share=True),
    agreement.bias: SumMeasure(lambda m, r: _stack(m - r, np.ones(m.size)), quotient),
    agreement.mean_absolute_error: SumMeasure(
        lambda m, r: _stack(np.abs(m - r), np.ones(m.size)), quotient
    ),
}
