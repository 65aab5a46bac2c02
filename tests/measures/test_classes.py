"""Measures of one of several answers, against scikit-learn; similarity of maps, by definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics

from radloop.measures.calibration import fit_temperature, softmax_at
from radloop.measures.classes import (
    auc_of,
    balanced_accuracy,
    confusion_matrix,
    precision_of,
    recall_of,
    share_right,
)
from radloop.measures.similarity import rank_correlation, structural_similarity

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(pairs)
def test_as_scikit_learn_counts(rows):
    called, truth = (np.array(column) for column in zip(*rows, strict=True))
    table = confusion_matrix(called, truth, 4)
    np.testing.assert_array_equal(
        table, metrics.confusion_matrix(truth, called, labels=range(4))
    )  # fmt: skip
    assert share_right(called, truth) == pytest.approx(metrics.accuracy_score(truth, called))
    recalls = metrics.recall_score(
        truth, called, labels=range(4), average=None, zero_division=np.nan
    )  # fmt: skip
    precisions = metrics.precision_score(
        truth, called, labels=range(4), average=None, zero_division=np.nan
    )  # fmt: skip
    for k in range(4):
        np.testing.assert_allclose(recall_of(k)(called, truth), recalls[k])
        np.testing.assert_allclose(precision_of(k)(called, truth), precisions[k])
    assert balanced_accuracy(called, truth) == pytest.approx(np.nanmean(recalls))


def test_what_cannot_be_measured_is_not_a_number():
    nothing = np.zeros(0)
    assert math.isnan(share_right(nothing, nothing))
    assert math.isnan(balanced_accuracy(nothing, nothing))
    assert math.isnan(auc_of(0)(np.array([0.2, 0.4]), np.array([1, 2])))
    with pytest.raises(ValueError, match="whole numbers"):
        confusion_matrix(np.array([0.5]), np.array([0]), 2)
    with pytest.raises(ValueError, match="whole numbers"):
        confusion_matrix(np.array([2]), np.array([0]), 2)
    with pytest.raises(ValueError, match="one length"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)


def test_auc_of_a_class_is_it_against_all_others():
    rng = np.random.default_rng(0)
    truth, probability = rng.integers(0, 3, 50), rng.random(50)
    expected = metrics.roc_auc_score(truth == 2, probability)
    assert auc_of(2)(probability, truth) == pytest.approx(expected)


def test_temperature_undoes_a_known_sharpening():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (4000, 4))
    stated = softmax_at(logits)
    truth = (stated.cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert fit_temperature(3.0 * logits, truth) == pytest.approx(3.0, rel=0.08)
    temperatures = np.linspace(2, 4, 401)
    costs = [metrics.log_loss(truth, softmax_at(3 * logits, t)) for t in temperatures]
    best = temperatures[int(np.argmin(costs))]
    assert fit_temperature(3.0 * logits, truth, weight=0) == pytest.approx(best, abs=0.01)


def test_temperature_of_few_cases_stays_near_one():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0)) == 1.0
    assert 0.4 < fit_temperature(np.array([[3.0, 0.0]]), np.array([0])) < 1.5
    with pytest.raises(ValueError, match="shape"):
        fit_temperature(np.zeros((3, 2)), np.zeros(2))


maps = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).random((2, 12, 10)))


@given(maps)
def test_rank_correlation_is_spearmans(both):
    first, second = np.round(both, 1)  # with ties
    expected = spearmanr(first.ravel(), second.ravel()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-9)
    assert rank_correlation(first, first) == pytest.approx(1)
    assert rank_correlation(first, np.ones_like(first)) == 0


@given(maps)
def test_structural_similarity_is_that_of_its_windows(both):
    """By the formula of Wang et al. 2004 in every window of 7 by 7, one by one."""
    first, second = both
    values = []
    for y in range(12 - 6):
        for x in range(10 - 6):
            a, b = (one[y : y + 7, x : x + 7].ravel() for one in both)
            (var_a, cov), (_, var_b) = np.cov(a, b, bias=True)
            light = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
            values.append(light * (2 * cov + 9e-4) / (var_a + var_b + 9e-4))
    assert structural_similarity(first, second) == pytest.approx(np.mean(values), abs=1e-9)
    assert structural_similarity(first, first) == pytest.approx(1)


def test_maps_must_have_one_shape():
    with pytest.raises(ValueError, match="one shape"):
        rank_correlation(np.zeros((8, 8)), np.zeros((8, 9)))
    with pytest.raises(ValueError, match="window"):
        structural_similarity(np.zeros((5, 8)), np.zeros((5, 8)))
