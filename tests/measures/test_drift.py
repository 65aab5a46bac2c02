"""Drift: against scipy and by hand; no alarm without a shift, an alarm with one."""

import math

import numpy as np
import pytest
from scipy import stats

from radloop.measures.drift import category_shift, number_shift, separation, stability_index


def test_numbers_and_categories_are_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 80), rng.normal(0.5, 1, 90)
    shift = number_shift(np.r_[a, np.nan], b)
    theirs = stats.ks_2samp(a, b)
    assert (shift.statistic, shift.p) == (theirs.statistic, theirs.pvalue)
    assert (shift.a, shift.b) == (80, 90)
    x, y = ["m"] * 30 + ["f"] * 20 + [""], ["m"] * 10 + ["f"] * 40
    shift = category_shift(x, y)
    theirs = stats.chi2_contingency([[20, 30], [40, 10]], correction=False)
    assert shift.p == pytest.approx(theirs.pvalue)
    assert shift.a == 50


def test_few_cases_are_permuted():
    # Fisher's exact test of the same table.
    shift = category_shift(["a"] * 4 + ["b"], ["b"] * 4)
    assert "permutations" in shift.test
    assert shift.p == pytest.approx(stats.fisher_exact([[4, 1], [0, 4]]).pvalue, abs=0.05)
    assert category_shift(["a"] * 3, ["a"] * 5).p == 1.0


def test_stability_index_by_hand():
    a = np.arange(10.0).repeat(10)
    b = np.full(100, 9.0)
    p, q = 10.5 / 105, np.r_[np.full(9, 0.5), 100.5] / 105
    assert stability_index(a, b) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert stability_index(a, a) == 0.0
    assert math.isnan(stability_index([], a))


def test_nothing_known_is_no_test():
    assert math.isnan(number_shift([math.nan], [1.0]).p)
    assert math.isnan(category_shift([""], ["a"]).p)
    assert math.isnan(separation(np.zeros((3, 2)), np.zeros((30, 2))).p)
    assert math.isnan(separation(np.zeros((9, 0)), np.zeros((9, 0))).auc)
    with pytest.raises(ValueError, match="columns of shape"):
        separation(np.zeros((9, 2)), np.zeros((9, 3)))


def test_the_classifier_finds_shifts_of_place_spread_and_missingness():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, (150, 4))
    place = rng.normal(0, 1, (150, 4)) + 0.5
    spread = rng.normal(0, 2.0, (150, 4))
    unknown = rng.normal(0, 1, (150, 4))
    unknown[rng.random((150, 4)) < 0.3] = np.nan
    for b in (place, spread, unknown):
        found = separation(a, b, permutations=199)
        assert found.auc > 0.65
        assert found.p == 1 / 200
    constant = separation(np.ones((20, 1)), np.ones((20, 1)), permutations=99)
    assert constant.auc == 0.5
    assert constant.p == 1.0


def test_without_a_shift_p_is_uniform():
    rng = np.random.default_rng(2)
    ps = [
        separation(rng.normal(size=(40, 3)), rng.normal(size=(30, 3)), permutations=99, seed=k).p
        for k in range(200)
    ]
    assert 0.01 <= np.mean(np.array(ps) <= 0.05) <= 0.1
    assert stats.kstest(ps, "uniform").pvalue > 0.001
