"""Thresholds with a promise: against closed forms, brute force, and their own promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radloop.measures.conformal import (
    lower_bound,
    lowest_of_patients,
    positives_needed,
    threshold_in_expectation,
    threshold_with_confidence,
)

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=120)
SHARES = st.floats(0.05, 0.99)


@given(SCORES, SHARES)
def test_the_risk_bound_holds_and_the_next_higher_score_breaks_it(scores, aim):
    # Angelopoulos et al. 2022, equation (4), with B = 1: n/(n+1) risk + 1/(n+1) <= alpha.
    found = threshold_in_expectation(scores, aim)
    n, values = len(scores), np.array(scores)

    def bound(threshold):
        return (np.sum(values < threshold) + 1) / (n + 1)

    if not found.is_possible:
        assert 1 / (n + 1) > 1 - aim - 1e-8
        return
    assert bound(found.threshold) <= 1 - aim + 1e-8
    higher = values[values > found.threshold]
    if higher.size:
        assert bound(higher.min()) > 1 - aim - 1e-8


@given(SCORES, SHARES, SHARES)
def test_with_confidence_it_is_the_largest_that_an_exact_test_allows(scores, aim, confidence):
    found = threshold_with_confidence(scores, aim, confidence)
    n, values = len(scores), np.array(scores)

    def p_value(threshold):  # of "the sensitivity is below the aim"
        return stats.binom.cdf(np.sum(values < threshold), n, 1 - aim)

    if not found.is_possible:
        assert aim**n > (1 - confidence) * (1 - 1e-9)
        return
    assert p_value(found.threshold) <= (1 - confidence) * (1 + 1e-9)
    higher = values[values > found.threshold]
    if higher.size:
        assert p_value(higher.min()) > (1 - confidence) * (1 - 1e-9)


def test_the_exact_bound_of_the_chosen_count_reaches_the_aim():
    scores = np.random.default_rng(0).random(200)
    found = threshold_with_confidence(scores, 0.9, 0.95)
    assert lower_bound(200 - found.missed, 200, 0.95) >= 0.9
    assert lower_bound(200 - found.missed - 1, 200, 0.95) < 0.9


def test_known_sizes_of_tolerance_bounds():
    # Wilks 1941: 59 observations for the 95 %/95 % bound, 93 with one left out, 29 for 90 %/95 %.
    assert positives_needed(0.95, 0.95) == 59
    assert positives_needed(0.9, 0.95) == 29
    assert threshold_with_confidence(np.arange(59.0), 0.95, 0.95).threshold == 0.0
    assert not threshold_with_confidence(np.arange(58.0), 0.95, 0.95).is_possible
    assert threshold_with_confidence(np.arange(92.0), 0.95, 0.95).missed == 0
    assert threshold_with_confidence(np.arange(93.0), 0.95, 0.95).missed == 1
    # In expectation nineteen are enough for 95 %.
    assert positives_needed(0.95) == 19
    assert threshold_in_expectation(np.arange(19.0), 0.95).threshold == 0.0
    assert not threshold_in_expectation(np.arange(18.0), 0.95).is_possible


def test_the_promise_holds_by_simulation():
    # Uniform scores: the sensitivity of threshold t is 1 - t. benchmarks/conformal_guarantee.py
    # has more distributions and ties.
    rng = np.random.default_rng(1)
    kept, sensitivities = 0, []
    for _ in range(1000):
        scores = rng.random(100)
        kept += 1 - threshold_with_confidence(scores, 0.9, 0.9).threshold >= 0.9
        sensitivities.append(1 - threshold_in_expectation(scores, 0.9).threshold)
    assert kept / 1000 >= 0.9 - 3 * math.sqrt(0.09 / 1000)
    # (n + 1 - floor(alpha (n + 1))) / (n + 1) exactly: 91/101.
    assert np.mean(sensitivities) == pytest.approx(91 / 101, abs=0.003)


def test_ties_are_found_too():
    found = threshold_in_expectation([0.5] * 50 + [0.9] * 50, 0.9)
    assert (found.threshold, found.missed) == (0.5, 0)
    assert threshold_in_expectation([0.3] * 40, 0.9).threshold == 0.3


def test_patients_are_found_by_their_lowest_case():
    lowest = lowest_of_patients([0.9, 0.2, 0.6, 0.7], ["b", "a", "b", "c"])
    assert lowest.tolist() == [0.2, 0.6, 0.7]


def test_too_few_promise_nothing_and_say_so():
    found = threshold_with_confidence([0.9] * 10, 0.95, 0.95)
    assert found.threshold == -math.inf
    assert found.positives == 10
    assert threshold_in_expectation([], 0.9).threshold == -math.inf


def test_the_promise_in_words():
    text = threshold_with_confidence(np.arange(100.0), 0.95, 0.9).sentence("patients")
    assert "at least 95.0% score" in text
    assert "90% confidence" in text
    assert "on average" in threshold_in_expectation(np.arange(100.0), 0.95).sentence()


@pytest.mark.parametrize(
    ("scores", "aim", "confidence"),
    [([math.nan, 1.0], 0.9, 0.9), ([1.0], 1.0, 0.9), ([1.0], 0.0, 0.9), ([1.0], 0.9, 1.0)],
)
def test_what_cannot_be_is_refused(scores, aim, confidence):
    with pytest.raises(ValueError, match=r"NaN|aim|confidence"):
        threshold_with_confidence(scores, aim, confidence)
