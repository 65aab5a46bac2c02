"""Calibration: against scikit-learn, by hand, and in the limit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from radloop.measures.calibration import fit_temperature
from radloop.measures.isotonic import fit_isotonic
from radloop.measures.reliability import (
    brier_parts,
    calibration_line,
    debiased_error,
    equal_mass_error,
)

CASES = st.lists(
    st.tuples(st.integers(0, 20).map(lambda k: k / 20), st.booleans()), min_size=1, max_size=60
)


def made(n, slope=1.0, offset=0.0, seed=0):
    """Probabilities whose true log odds are slope * logit + offset, and the truth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1, 1.5, n)
    return expit(x), (rng.random(n) < expit(slope * x + offset)).astype(float)


@given(CASES)
def test_isotonic_is_scikit_learns(cases):
    x, y = np.array([c[0] for c in cases]), np.array([float(c[1]) for c in cases])
    theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    at = np.linspace(-0.2, 1.2, 57)
    np.testing.assert_allclose(fit_isotonic(x, y)(at), theirs.predict(at), atol=1e-9)


def test_the_temperature_of_two_classes_is_logistic_regressions_slope():
    p, y = made(3000, slope=0.6)
    x = logit(p)
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(x[:, None], y)
    found = fit_temperature(np.stack([0 * x, x], axis=1), y, weight=0.0)
    assert 1 / found == pytest.approx(theirs.coef_[0, 0], abs=1e-4)


def test_line_is_logistic_regression():
    p, y = made(800, slope=0.7, offset=0.4)
    line = calibration_line(p, y)
    theirs = LogisticRegression(C=np.inf, tol=1e-12).fit(logit(p)[:, None], y)
    assert line.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-5)
    x = logit(p)
    whole = minimize(lambda a: np.logaddexp(0, x + a).sum() - (y * (x + a)).sum(), [0.0], tol=1e-12)
    assert line.intercept == pytest.approx(whole.x[0], abs=1e-5)
    assert line.slope_low < 0.7 < line.slope_high


def test_the_intervals_of_the_line_cover():
    inside = np.zeros(2)
    for seed in range(400):
        line = calibration_line(*made(400, seed=seed))
        inside += [
            line.slope_low < 1 < line.slope_high,
            line.intercept_low < 0 < line.intercept_high,
        ]
    assert (inside / 400 > 0.92).all()
    assert (inside / 400 < 0.98).all()


def test_a_patient_twice_is_one_patient():
    p, y = made(300)
    twice = calibration_line(
        np.repeat(p, 2), np.repeat(y, 2), [str(k) for k in np.repeat(range(300), 2)]
    )
    once = calibration_line(p, y)
    assert twice.slope_low == pytest.approx(once.slope_low, abs=1e-6)
    assert twice.intercept_high == pytest.approx(once.intercept_high, abs=1e-6)


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_has_no_line(truth):
    line = calibration_line([0.2, 0.5, 0.7][: len(truth)], truth)
    assert math.isnan(line.slope)
    assert math.isnan(line.intercept)


def test_a_constant_probability_has_an_intercept_only():
    line = calibration_line([0.5] * 4, [1, 1, 1, 0])
    assert math.isnan(line.slope)
    assert line.intercept == pytest.approx(math.log(3))
    parted = calibration_line([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert math.isnan(parted.slope)


def test_errors_by_hand():
    p, y = [0.1, 0.1, 0.8, 0.8, 0.8, 0.8], [0, 1, 1, 1, 1, 0]
    # Two bins: 0.1 against 1/2, 0.8 against 3/4.
    assert equal_mass_error(p, y) == pytest.approx((2 * 0.4 + 4 * 0.05) / 6)
    squared = (2 * (0.4**2 - 0.25 / 1) + 4 * (0.05**2 - 0.1875 / 3)) / 6
    assert debiased_error(p, y) == math.sqrt(max(0.0, squared))
    assert equal_mass_error([0.3] * 10, [0] * 7 + [1] * 3) == pytest.approx(0.0)
    assert math.isnan(debiased_error([0.5], [1]))
    assert math.isnan(equal_mass_error([], []))


def test_the_debiased_error_is_right_where_the_plain_one_is_not():
    # Stated 0.3 for everybody, true 0.2: the error is 0.1 whatever the number of cases.
    errors = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y = rng.random(200) < 0.2
        p = 0.3 + rng.uniform(-1e-6, 1e-6, 200)
        errors.append(debiased_error(p, y.astype(float)) ** 2)
    assert np.mean(errors) == pytest.approx(0.01, abs=0.0015)


@given(CASES)
def test_brier_is_the_sum_of_its_parts(cases):
    p, y = np.array([c[0] for c in cases]), np.array([float(c[1]) for c in cases])
    parts = brier_parts(p, y)
    assert parts.brier == pytest.approx(np.mean((p - y) ** 2))
    total = parts.miscalibration - parts.discrimination + parts.uncertainty
    assert total == pytest.approx(parts.brier, abs=1e-12)
    assert parts.miscalibration >= -1e-12
    assert parts.discrimination >= -1e-12
    # The prevalence for everybody is calibrated and tells nobody apart.
    flat = brier_parts(np.full(y.size, y.mean()), y)
    assert flat.miscalibration == pytest.approx(0.0, abs=1e-12)
    assert flat.discrimination == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("p", "y"), [([1.2], [1]), ([math.nan], [0]), ([0.5], [2]), ([0.5, 0.5], [1])]
)
def test_what_is_no_probability_or_truth_is_refused(p, y):
    for measure in (calibration_line, equal_mass_error, debiased_error, brier_parts):
        with pytest.raises(ValueError, match=r"lie in|0 and 1|one length"):
            measure(p, y)
