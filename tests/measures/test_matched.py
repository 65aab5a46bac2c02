"""The model's sensitivity at a reader's specificity, held against trying every threshold."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.measures.matched import matched_sensitivity


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_against_every_threshold(seed, levels):
    rng = np.random.default_rng(seed)
    truth = np.r_[True, False, rng.random(28) < 0.4]
    score = rng.integers(0, levels, 30).astype(float)
    said = (rng.random(30) < 0.3 + 0.4 * truth).astype(float)
    said[rng.random(30) < 0.1] = math.nan
    said[:2] = 1, 0
    known = ~np.isnan(said)
    truth, score, said = truth[known], score[known], said[known]
    specificity = np.mean(said[~truth] == 0)
    best = max(
        np.mean(score[truth] >= t)
        for t in (*np.unique(score), math.inf)
        if np.mean(score[~truth] < t) >= specificity
    )
    found = matched_sensitivity(score, said, truth, n=20)
    assert math.isclose(found.model, best) and math.isclose(found.specificity, specificity)
    assert math.isclose(found.reader, np.mean(said[truth]))
    assert np.mean(score[truth] >= found.threshold) == found.model


def test_unknown_cases_are_left_out_and_the_seed_decides():
    rng = np.random.default_rng(1)
    truth = rng.random(200) < 0.5
    score = rng.normal(truth, 1)
    said = (rng.normal(truth, 1) > 0.5).astype(float)
    found = matched_sensitivity(score, said, truth, n=200)
    assert found == matched_sensitivity(score, said, truth, n=200)
    more = matched_sensitivity(
        np.r_[score, 1.0, math.nan], np.r_[said, math.nan, 1.0], np.r_[truth, True, False], n=200
    )
    assert (more.model, more.reader, more.n) == (found.model, found.reader, 200)
    assert found.low < found.difference < found.high


def test_patients_with_several_cases_widen_the_interval():
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.random(60) < 0.5, 5)
    shared = np.repeat(rng.normal(0, 1, 60), 5)
    score = truth + shared
    said = (truth + np.repeat(rng.normal(0, 1, 60), 5) > 0.5).astype(float)
    alone = matched_sensitivity(score, said, truth, n=400)
    grouped = matched_sensitivity(score, said, truth, np.repeat(np.arange(60), 5), n=400)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_what_has_no_answer():
    one_class = matched_sensitivity([0.1, 0.9], [0, 1], [1, 1])
    assert math.isnan(one_class.model) and one_class.n == 2
    single = matched_sensitivity([0.1, 0.9], [0, 1], [0, 1], ["a", "a"])
    assert single.model == 1.0 and math.isnan(single.low)
    assert math.isnan(matched_sensitivity([math.nan], [1], [1]).reader)


def test_a_reader_without_false_alarms_may_leave_the_model_silent():
    found = matched_sensitivity([0.9, 0.8, 0.2], [0, 1, 0], [False, True, False], n=10)
    assert (found.specificity, found.reader, found.model) == (1.0, 1.0, 0.0)
    assert math.isinf(found.threshold)
