"""Agreement of two methods: worked examples from the literature and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.measures.agreement import (
    bias,
    bland_altman,
    coefficient_of_variation,
    conformal_quantile,
    coverage,
    intraclass_correlation,
    mean_absolute_error,
    pearson,
)

# Bland and Altman 1986, table 1: peak expiratory flow, first readings of both meters (l/min).
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_bland_and_altman_1986():
    # They report a mean difference of -2.1 and a standard deviation of 38.8 l/min, the 95 %
    # interval of the bias -22.0 to 17.8, and limits with a factor of 2: -79.7 and 75.5.
    found = bland_altman(np.array(WRIGHT, float), np.array(MINI, float))
    assert found.n == 17
    assert found.bias == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert found.bias_interval == pytest.approx((-22.0, 17.8), abs=0.15)
    assert found.lower == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.1)
    assert found.upper == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.1)


@pytest.mark.parametrize(("n", "factor"), [(10, 2.911), (20, 2.396), (30, 2.220)])
def test_exact_limits_are_tolerance_factors(n, factor):
    # One-sided normal tolerance factors for 95 % of a population with 95 % confidence, as printed
    # in textbook tables: the outer bound of a 90 % limit at 90 % two-sided confidence.
    difference = np.arange(n, dtype=float)
    found = bland_altman(difference, np.zeros(n), share=0.90, level=0.90)
    assert found.upper_interval[1] == pytest.approx(found.bias + factor * found.sd, rel=3e-4)
    assert found.lower_interval[0] == pytest.approx(found.bias - factor * found.sd, rel=3e-4)
    assert found.upper_interval[0] < found.upper < found.upper_interval[1]


def test_errors_by_hand():
    measured, reference = np.array([1.0, 3.0, 5.0]), np.array([2.0, 3.0, 3.0])
    assert mean_absolute_error(measured, reference) == 1.0
    assert bias(measured, reference) == pytest.approx(1 / 3)


def test_coefficient_of_variation_by_hand():
    # Pairs (9, 11) and (22, 18): d / m = -.2 and .2, squared and halved .02 each.
    measured, reference = np.array([9.0, 22.0]), np.array([11.0, 18.0])
    assert coefficient_of_variation(measured, reference) == pytest.approx(math.sqrt(0.02))
    assert coefficient_of_variation(10 * measured, 10 * reference) == pytest.approx(math.sqrt(0.02))
    assert math.isnan(coefficient_of_variation(np.array([1.0]), np.array([-1.0])))


def test_shrout_and_fleiss_1979():
    # Their table 2: six targets, four judges; table 4 gives ICC(2,1) = .29.
    judges = np.array(
        [[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]], float
    )
    assert intraclass_correlation(*judges) == pytest.approx(0.29, abs=0.005)


def test_correlations_tell_bias():
    reference = np.array([1.0, 2.0, 3.0, 4.0])
    assert pearson(reference + 10, reference) == pytest.approx(1.0)
    assert intraclass_correlation(reference + 10, reference) < 0.1
    assert intraclass_correlation(reference, reference) == pytest.approx(1.0)
    assert math.isnan(pearson(np.ones(4), reference))


def test_coverage_counts_the_ends():
    reference = np.array([1.0, 2.0, 3.0, 4.0])
    assert coverage(reference, np.array([1.0, 0, 0, 5]), np.array([2.0, 2, 1, 6])) == 0.5


def test_conformal_quantile_by_hand():
    scores = np.array([3.0, 1.0, 2.0, 9.0, 5.0, 4.0, 6.0, 7.0, 8.0])
    assert conformal_quantile(scores, 0.5) == 5.0  # rank (9 + 1) * .5 = 5
    assert conformal_quantile(scores, 0.9) == 9.0  # rank 9, the largest
    assert conformal_quantile(scores, 0.91) == math.inf  # rank 10 of 9
    assert conformal_quantile(np.arange(1.0, 100.0), 0.07) == 7.0  # not rank 8 by rounding
    with pytest.raises(ValueError, match="coverage"):
        conformal_quantile(scores, 1.0)


@given(st.integers(2, 30), st.floats(0.05, 0.95), st.randoms())
def test_conformal_quantile_covers_each_case_left_out(n, wanted, random):
    # Exchangeable scores: taking each in turn as the new one, at least `wanted` are covered.
    scores = np.array(random.sample(range(1000), n), float)
    covered = [conformal_quantile(np.delete(scores, i), wanted) >= scores[i] for i in range(n)]
    assert np.mean(covered) >= wanted - 1e-9


def test_too_few_cases_are_nan():
    none, one = np.empty(0), np.ones(1)
    for measure in (mean_absolute_error, bias, coefficient_of_variation, pearson):
        assert math.isnan(measure(none, none))
    assert math.isnan(bland_altman(one, one).upper)
    assert math.isnan(intraclass_correlation(one, one))
    assert math.isnan(coverage(none, none, none))
    assert conformal_quantile(none, 0.5) == math.inf


def test_different_lengths_are_refused():
    for measure in (mean_absolute_error, bland_altman, pearson, coefficient_of_variation):
        with pytest.raises(ValueError, match="length"):
            measure(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="every rater"):
        intraclass_correlation(np.zeros(3), np.zeros(2))
