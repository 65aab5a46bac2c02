"""Yes/no measures: counted by hand, and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from radloop.measures import classification as c

# 3 hits, 1 miss, 2 false alarms, 4 rightly negative.
TRUTH = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
SAID = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0])

SCORED = st.lists(
    st.tuples(st.integers(0, 5).map(lambda k: k / 5), st.booleans()), min_size=2, max_size=40
).map(lambda pairs: tuple(np.array(column) for column in zip(*pairs, strict=True)))


def test_by_hand():
    assert c.confusion(SAID, TRUTH) == (3, 2, 4, 1)
    assert c.sensitivity(SAID, TRUTH) == 3 / 4
    assert c.specificity(SAID, TRUTH) == 4 / 6
    assert c.youden(SAID, TRUTH) == pytest.approx(3 / 4 + 4 / 6 - 1)
    assert c.accuracy(SAID, TRUTH) == 7 / 10
    assert c.positive_predictive_value(SAID, TRUTH) == 3 / 5
    assert c.negative_predictive_value(SAID, TRUTH) == 4 / 5


def test_truth_may_be_a_column_of_floats():
    assert c.sensitivity(SAID.astype(bool), TRUTH.astype(float)) == 3 / 4


def test_a_score_at_the_threshold_is_positive():
    score = np.array([0.5, 0.49])
    assert c.at_threshold(c.sensitivity, 0.5)(score, np.array([1.0, 1.0])) == 0.5


def test_without_cases_of_a_kind():
    nobody = np.zeros(3)
    assert math.isnan(c.sensitivity(nobody, nobody))
    assert math.isnan(c.youden(nobody, nobody))
    assert math.isnan(c.positive_predictive_value(nobody, nobody))
    assert c.specificity(nobody, nobody) == 1.0
    assert math.isnan(c.auc(np.arange(3.0), nobody))
    empty = np.empty(0)
    for measure in (c.accuracy, c.brier_score, c.expected_calibration_error, c.auc):
        assert math.isnan(measure(empty, empty))


def test_auc_counts_ties_half():
    # Positives .5 and .8 against negatives .5 and .1: 3 wins and a tie of 4 pairs.
    score, truth = np.array([0.5, 0.8, 0.5, 0.1]), np.array([1, 1, 0, 0])
    assert c.auc(score, truth) == 3.5 / 4


@settings(max_examples=150, deadline=None)
@given(SCORED)
def test_like_scikit_learn(scored):
    score, truth = scored
    if truth.all() or not truth.any():
        assert math.isnan(c.auc(score, truth))
        return
    assert c.auc(score, truth) == pytest.approx(metrics.roc_auc_score(truth, score))
    false_alarms, found, thresholds = metrics.roc_curve(truth, score, drop_intermediate=False)
    curve = c.roc_curve(score, truth)
    np.testing.assert_allclose(curve.false_positive_rate, false_alarms)
    np.testing.assert_allclose(curve.true_positive_rate, found)
    np.testing.assert_allclose(curve.thresholds, thresholds)
    assert c.brier_score(score, truth) == pytest.approx(metrics.brier_score_loss(truth, score))


@given(SCORED)
def test_auc_of_the_opposite_score(scored):
    score, truth = scored
    if 0 < truth.sum() < truth.size:
        assert c.auc(score, truth) + c.auc(-score, truth) == pytest.approx(1.0)


def test_calibration_error_by_hand():
    # Bin [0, .5): stated .2 and .4, none true: 2 cases, gap .3.
    # Bin [.5, 1]: stated .6, 1, 1, two of three true: gap |2.6 / 3 - 2 / 3| = .2.
    probability = np.array([0.2, 0.4, 0.6, 1.0, 1.0])
    truth = np.array([0, 0, 0, 1, 1])
    error = c.expected_calibration_error(probability, truth, bins=2)
    assert error == pytest.approx(2 / 5 * 0.3 + 3 / 5 * 0.2)


def test_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="0 and 1"):
        c.sensitivity(np.array([0, 1]), np.array([0.0, math.nan]))
    with pytest.raises(ValueError, match="length"):
        c.auc(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="positive and negative"):
        c.roc_curve(np.zeros(2), np.ones(2))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        c.expected_calibration_error(np.array([1.2]), np.array([1]))
