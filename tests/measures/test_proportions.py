"""Shares of clustered cases and differences of shares, against published examples and limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radloop.measures.interval import wilson
from radloop.measures.proportions import (
    clustered_paired_difference,
    clustered_wilson,
    newcombe_difference,
    newcombe_paired_difference,
)


def test_newcombes_unpaired_examples():
    # Newcombe 1998, Stat Med 17:873, table II, method 10: 56/70 against 48/80, and 9/10 against
    # 3/10, 10/10 against 0/20.
    for (b, n_b, a, n_a), ends in {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (10, 10, 0, 20): (0.6791, 1.0),
    }.items():
        found = newcombe_difference(a, n_a, b, n_b)
        assert found.value == pytest.approx(b / n_b - a / n_a)
        assert (found.low, found.high) == pytest.approx(ends, abs=6e-5)


def test_airway_reactivity():
    # Bentur et al. 2009 in Fagerland et al. 2014 (Stat Med 33:2850): 8/21 against 2/21.
    found = newcombe_paired_difference(1, 1, 7, 12)
    assert found.value == pytest.approx(6 / 21)
    assert (found.low, found.high) == pytest.approx((0.026, 0.507), abs=5e-4)
    turned = newcombe_paired_difference(1, 7, 1, 12)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


@given(*[st.integers(0, 40)] * 4)
def test_paired_differences_stay_in_bounds(both, only_a, only_b, neither):
    found = newcombe_paired_difference(both, only_a, only_b, neither)
    if not both + only_a + only_b + neither:
        assert math.isnan(found.value)
        return
    assert -1 - 1e-12 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1 + 1e-12


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_case_a_patient_is_wilson(hits):
    found, plain = clustered_wilson(hits, np.ones(len(hits))), wilson(sum(hits), len(hits))
    assert found == plain


def test_copies_tell_nothing_new():
    hits = np.array([1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1])
    once, often = clustered_wilson(hits, np.ones(12)), clustered_wilson(4 * hits, np.full(12, 4))
    # A little wider, as the spread between patients had to be measured.
    assert once.low - 0.05 < often.low < once.low < once.high < often.high < once.high + 0.05
    # Thought independent, they would tell too much.
    naive = wilson(36, 48)
    assert often.low < naive.low and naive.high < often.high


def test_the_design_effect_by_hand():
    # Patients of 3, 3 and 2 cases with 3, 1 and 0 hits: share 1/2; residuals 1.5, -.5, -1.
    found = clustered_wilson([3, 1, 0], [3, 3, 2])
    between, alone = (1.5**2 + 0.5**2 + 1) * 3 / 2, 8 * 0.25 * 8 / 7
    few = (stats.t.ppf(0.975, 7) / stats.t.ppf(0.975, 2)) ** 2
    n, z = 8 / (between / alone) * few, stats.norm.ppf(0.975)
    half = z / (1 + z * z / n) * math.sqrt(0.25 / n + z * z / (4 * n * n))
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-12)


def test_cases_that_are_more_alike_between_patients_are_not_believed():
    # Every patient has one hit of two: less spread than chance, but not a narrower interval.
    found, plain = clustered_wilson(np.ones(10), np.full(10, 2)), wilson(10, 20)
    assert found.low <= plain.low and plain.high <= found.high


def test_degenerate_shares():
    every = clustered_wilson([3, 2, 4], [3, 2, 4])
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(wilson(3, 3).low)  # a patient counts once
    none = clustered_wilson([0, 0], [5, 5])
    assert (none.low, none.high) == (0.0, pytest.approx(wilson(0, 2).high))
    single = clustered_wilson([2], [5])
    assert single.value == 0.4 and math.isnan(single.low) and math.isnan(single.high)
    assert math.isnan(clustered_wilson([], []).value)
    assert clustered_wilson([1, 0, 0], [1, 1, 0]) == wilson(1, 2)  # one was not asked
    assert math.isnan(newcombe_difference(0, 0, 3, 5).low)


def test_clear_refusals():
    for hits, counts in (([2], [1]), ([0.5], [1]), ([math.nan], [1]), ([-1], [1])):
        with pytest.raises(ValueError):
            clustered_wilson(hits, counts)
    with pytest.raises(ValueError, match="below zero"):
        newcombe_paired_difference(1, -1, 2, 3)


def test_clustered_differences():
    generator = np.random.default_rng(2)
    a, b = generator.integers(0, 2, (2, 50))
    once = clustered_paired_difference(a, b, np.ones(50))
    often = clustered_paired_difference(3 * a, 3 * b, np.full(50, 3))
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=0.01)
    # Without the paper's continuity correction of the correlation this is Newcombe's interval.
    cells = [int((x & y).sum()) for x in (a, 1 - a) for y in (b, 1 - b)]
    plain = newcombe_paired_difference(cells[0], cells[1], cells[2], cells[3])
    assert (once.low, once.high) == pytest.approx((plain.low, plain.high), abs=0.01)
    same = clustered_paired_difference(a, a, np.ones(50))
    assert same.value == 0.0 and same.low <= 0.0 <= same.high
    assert math.isnan(clustered_paired_difference([2], [3], [5]).low)
