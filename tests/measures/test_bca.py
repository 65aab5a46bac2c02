"""BCa: the shares against scipy's on the very same resamples, and what it cannot do."""

import math

import numpy as np
import pytest
from scipy import stats

from radloop.measures.bca import acceleration, bca_p, bca_shares, bias_correction


@pytest.mark.parametrize("statistic", [np.mean, np.var, np.median])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_exactly_scipys_on_the_same_resamples(statistic, level):
    x = np.random.default_rng(3).lognormal(0, 0.7, 41)
    theirs = stats.bootstrap(
        (x,), statistic, n_resamples=999, method="BCa", confidence_level=level,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    values = theirs.bootstrap_distribution
    without_each = np.array([statistic(np.delete(x, k)) for k in range(x.size)])
    bias = bias_correction(values, float(statistic(x)))
    shares = bca_shares(bias, acceleration(without_each), level)
    low, high = np.percentile(values, 100 * np.array(shares))
    interval = theirs.confidence_interval
    assert (low, high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_without_corrections_it_is_the_percentile_interval():
    assert bca_shares(0.0, 0.0) == pytest.approx((0.025, 0.975), abs=1e-15)


def test_equal_values_have_no_skewness_and_no_bias():
    assert acceleration(np.full(9, 0.1) + np.array([0, 1e-17] * 4 + [0])) == 0.0
    assert bias_correction(np.full(99, 0.1 + 0.2), 0.3) == 0.0


def test_what_cannot_be_corrected():
    assert math.isinf(bias_correction(np.arange(5.0), -1.0))
    assert math.isnan(bias_correction(np.empty(0), 0.0))
    assert math.isnan(acceleration(np.array([0.1, math.nan])))
    assert acceleration(np.empty(0)) == 0.0
    for bias, speed in ((math.inf, 0.0), (0.1, math.nan)):
        assert all(map(math.isnan, bca_shares(bias, speed)))
        assert math.isnan(bca_p(np.arange(5.0), bias, speed))
    assert math.isnan(bca_shares(2.0, 0.5)[0])  # beyond the pole of the correction


def test_p_without_corrections_counts_the_smaller_tail():
    values = np.arange(-3.0, 97.0)  # four of a hundred are not above zero
    assert bca_p(values, 0.0, 0.0) == pytest.approx(2 * 5 / 101, abs=1e-12)
    assert bca_p(-values, 0.0, 0.0) == pytest.approx(2 * 5 / 101, abs=1e-12)
    assert bca_p(np.zeros(50), 0.0, 0.0) == 1.0
    assert bca_p(np.empty(0), 0.0, 0.0) != bca_p(np.zeros(1), 0.0, 0.0)


def test_p_is_where_the_interval_reaches_zero():
    values = np.random.default_rng(0).gamma(4.0, 1.0, 200000) - 1.5
    p = bca_p(values, 0.1, 0.05)
    low, high = bca_shares(0.1, 0.05, 1 - p)
    ends = np.quantile(values, [low, high])
    assert min(abs(ends)) < 0.005
