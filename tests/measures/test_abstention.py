"""Grey zones and risk over coverage, by hand and by their promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.measures.abstention import area_under_risk, decided, grey_zone, risk_coverage

CASES = st.lists(st.tuples(st.integers(0, 9).map(float), st.booleans()), min_size=1, max_size=40)


@given(CASES, st.floats(0.5, 0.95), st.floats(0.5, 0.95))
def test_the_zone_keeps_its_promises_on_its_own_cases(cases, sensitivity, specificity):
    score, truth = np.array([c[0] for c in cases]), np.array([c[1] for c in cases])
    zone = grey_zone(score, truth, sensitivity, specificity)
    assert zone.low <= zone.high
    if truth.any():
        assert np.mean(score[truth] < zone.low) <= 1 - sensitivity + 1e-9
    if not truth.all():
        assert np.mean(score[~truth] >= zone.high) <= 1 - specificity + 1e-9


def test_the_zone_keeps_its_promises_on_new_cases():
    rng = np.random.default_rng(0)
    missed, alarms = [], []
    for _ in range(400):
        truth = rng.random(400) < 0.4
        score = rng.normal(truth * 1.5, 1)
        zone = grey_zone(score[:200], truth[:200], 0.95, 0.9)
        new = decided(score[200:], truth[200:], zone.low, zone.high)
        missed.append(new.missed)
        alarms.append(new.alarms)
    assert np.mean(missed) <= 0.05 + 0.003
    assert np.mean(alarms) <= 0.1 + 0.004
    assert np.mean(missed) > 0.03  # and it is not wastefully wide


def test_decided_by_hand():
    score, truth = [0.1, 0.2, 0.5, 0.8, 0.9, 0.95], [0, 1, 1, 0, 1, 1]
    found = decided(score, truth, 0.3, 0.7)
    assert found.coverage == pytest.approx(5 / 6)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.specificity == pytest.approx(1 / 2)
    assert found.missed == pytest.approx(1 / 4)
    assert found.alarms == pytest.approx(1 / 2)
    assert decided(score, truth, 0.5, 0.5).coverage == 1.0
    with pytest.raises(ValueError, match="grey zone"):
        decided(score, truth, 0.6, 0.5)


def test_too_few_cases_leave_everything_to_the_reader():
    zone = grey_zone([0.2, 0.8], [0, 1], 0.95, 0.95)
    assert (zone.low, zone.high) == (-math.inf, math.inf)
    nothing = decided([0.2, 0.8], [0, 1], zone.low, zone.high)
    assert nothing.coverage == 0.0
    assert math.isnan(nothing.sensitivity)


def test_parted_classes_have_no_zone():
    score = np.r_[np.linspace(0, 0.3, 60), np.linspace(0.7, 1, 60)]
    zone = grey_zone(score, score > 0.5, 0.95, 0.95, 0.9)
    assert zone.low == zone.high
    assert decided(score, score > 0.5, zone.low, zone.high).coverage == 1.0


def test_risk_over_coverage_by_hand():
    coverage, risk = risk_coverage([0.9, 0.8, 0.8, 0.1], [0, 1, 0, 1])
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 3, 0.5])
    # The tie enters one by one with its mean of 1/2.
    assert area_under_risk([0.9, 0.8, 0.8, 0.1], [0, 1, 0, 1]) == pytest.approx(
        (0 + 0.5 / 2 + 1 / 3 + 2 / 4) / 4
    )
    assert math.isnan(area_under_risk([], []))
    assert risk_coverage([], [])[0].size == 0


@given(CASES)
def test_the_area_is_the_mean_over_orders_of_ties(cases):
    certainty, wrong = np.array([c[0] for c in cases]), np.array([float(c[1]) for c in cases])
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(300):
        order = np.lexsort((rng.random(len(cases)), -certainty))
        areas.append(np.mean(np.cumsum(wrong[order]) / np.arange(1, len(cases) + 1)))
    assert area_under_risk(certainty, wrong) == pytest.approx(np.mean(areas), abs=0.06)


@pytest.mark.parametrize(("score", "truth"), [([math.nan], [1]), ([0.5], [2]), ([0.5], [1, 0])])
def test_what_cannot_be_is_refused(score, truth):
    with pytest.raises(ValueError, match=r"NaN|length"):
        decided(score, truth, 0.0, 1.0)
