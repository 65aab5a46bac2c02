"""Scaling, thresholds and the weighted log loss, against values worked out otherwise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.measures.calibration import (
    Scaling,
    fit_scaling,
    threshold_for_sensitivity,
    weighted_log_loss,
)


def test_scaling_finds_the_temperature_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    fitted = fit_scaling(logits, truth)
    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.offset == pytest.approx(-1, abs=0.08)


@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), max_size=30))
def test_scaling_keeps_the_order_and_never_claims_certainty(cases):
    logits, truth = np.array([c[0] for c in cases]), np.array([float(c[1]) for c in cases])
    fitted = fit_scaling(logits, truth)
    assert fitted.slope >= 0.05
    ordered = fitted(np.sort(logits))
    assert (np.diff(ordered) >= 0).all()


def test_with_one_class_the_scaling_stays_finite():
    fitted = fit_scaling(np.zeros(5), np.zeros(5))
    assert 0 < float(fitted(0.0)) < 0.5


def test_a_logit_and_its_probability():
    scaling = Scaling(2.0, -1.0)
    assert float(scaling(scaling.logit_of(0.3))) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="shape"):
        fit_scaling(np.zeros(3), np.zeros(4))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40),
    st.floats(0.05, 1.0),
)
def test_the_threshold_finds_its_share_and_none_higher_does(cases, aim):
    probability = np.array([c[0] for c in cases])
    truth = np.array([c[1] for c in cases])
    threshold = threshold_for_sensitivity(probability, truth, aim)
    if not truth.any():
        assert math.isnan(threshold)
        return
    assert np.mean(probability[truth] >= threshold) >= aim - 1e-9
    higher = probability[truth][probability[truth] > threshold]
    assert higher.size / truth.sum() < aim


def test_the_weighted_log_loss_by_hand():
    probability, truth = np.array([[0.8, 0.1], [0.4, np.nan]]), np.array([[1, 0], [1, np.nan]])
    by_hand = (2 * -math.log(0.8) + -math.log(0.9) + 2 * -math.log(0.4)) / 5
    assert weighted_log_loss(probability, truth, (2, 1)) == pytest.approx(by_hand)
    assert weighted_log_loss([[1.0]], [[0.0]], (1,)) == pytest.approx(-math.log(1e-7))
    assert math.isnan(weighted_log_loss([[0.5]], [[np.nan]], (1,)))
