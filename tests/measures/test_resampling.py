"""The quick forms of a measure equal measuring the drawn rows; the jackknife equals leaving out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.measures import agreement, classification
from radloop.measures.classification import at_threshold, auc
from radloop.measures.resampling import Ranked, Repeated, Summed, resampled
from radloop.measures.sums import SumMeasure, mean, ratio, share, sum_form

BINARY = (
    classification.sensitivity,
    classification.specificity,
    classification.accuracy,
    classification.positive_predictive_value,
    classification.negative_predictive_value,
    classification.youden,
)
CASES = (
    *((at_threshold(measure, 0.4), "score truth") for measure in BINARY),
    (auc, "score truth"),
    (auc, "coarse truth"),
    (classification.brier_score, "score truth"),
    (classification.expected_calibration_error, "score truth"),
    (agreement.bias, "score coarse"),
    (agreement.mean_absolute_error, "score coarse"),
    (agreement.coverage, "score low coarse"),
    (mean, "score"),
    (share, "truth"),
    (ratio, "low coarse"),
)


def drawn(seed, rows, patients):
    """Columns, the patient of every row, and weights of some resamples, a few patients absent."""
    generator = np.random.default_rng(seed)
    columns = {
        "score": generator.random(rows),
        "coarse": generator.integers(0, 4, rows) / 3.0,
        "low": generator.random(rows) / 2,
        "truth": generator.integers(0, 2, rows).astype(float),
    }
    patient = generator.integers(0, patients, rows)
    weights = generator.multinomial(patients, np.full(patients, 1 / patients), 7).astype(float)
    return columns, patient, weights


@pytest.mark.parametrize(
    ("compute", "names"), CASES, ids=[f"{k} of {names}" for k, (_, names) in enumerate(CASES)]
)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12))
@settings(max_examples=12, deadline=None)
def test_quick_forms_equal_repeated_rows(compute, names, seed, rows, patients):
    columns, patient, weights = drawn(seed, rows, patients)
    given_columns = [columns[name] for name in names.split()]
    quick = resampled(compute, given_columns, patient, patients)
    assert isinstance(quick, Ranked if compute is auc else Summed)
    slow = Repeated(compute, tuple(given_columns), patient, patients)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = quiet(slow.at, weights)
        left_out = [quiet(slow._of, np.nonzero(patient != k)[0]) for k in range(patients)]
    assert quick.at(weights) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert quick.without_each() == pytest.approx(np.array(left_out), abs=1e-12, nan_ok=True)


def quiet(call, *arguments):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no rows
        return call(*arguments)


def test_a_measure_of_sums_equals_the_measure():
    columns, _, _ = drawn(1, 50, 50)
    for compute, names in CASES:
        form = sum_form(compute)
        if form is not None:
            own = [columns[name] for name in names.split()]
            assert form(*own) == pytest.approx(compute(*own), abs=1e-12)
    assert sum_form(np.median) is None
    assert sum_form(at_threshold(lambda said, true: 1.0, 0.5)) is None


def test_infinite_values_are_measured_row_by_row():
    values = np.array([1.0, np.inf, 2.0])
    ready = resampled(mean, [values], np.arange(3), 3)
    assert isinstance(ready, Repeated)
    assert ready.at(np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 1.0]])).tolist() == [4 / 3, np.inf]


def test_own_measures_of_sums_are_quick():
    spread = SumMeasure(
        lambda x: np.stack([x, x * x, np.ones(x.size)]), lambda s: s[1] / s[2] - (s[0] / s[2]) ** 2
    )
    x = np.random.default_rng(0).normal(size=30)
    ready = resampled(spread, [x], np.arange(30), 30)
    assert isinstance(ready, Summed)
    assert spread(x) == pytest.approx(np.var(x))
    assert ready.without_each()[3] == pytest.approx(np.var(np.delete(x, 3)))


def test_many_patients_are_left_out_in_groups():
    x = np.random.default_rng(0).normal(size=1000)
    ready = Repeated(lambda x: float(np.mean(x)), (x,), np.arange(1000), 1000)
    left = ready.without_each()
    assert left.shape == (200,)
    # Five patients each, everybody once: the means of what is left add up.
    assert (left * 995).sum() == pytest.approx(199 * x.sum())
