"""Decision curves: against the values that the R package dcurves publishes, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.measures.net_benefit import decision_curve, net_benefit

# The results of dcurves::dca(cancer ~ cancerpredmarker) on its data set df_binary (750 patients,
# 105 with cancer; Sjoberg 2022, MIT licence): threshold, true and false positives, net benefit.
PUBLISHED = (
    (0.05, 96, 320, 0.1055438596491228),
    (0.10, 87, 193, 0.08740740740740742),
    (0.15, 82, 128, 0.07921568627450981),
    (0.20, 75, 98, 0.06733333333333334),
    (0.25, 72, 72, 0.06400000000000002),
    (0.30, 62, 49, 0.05466666666666668),
    (0.35, 57, 36, 0.050153846153846146),
    (0.40, 47, 27, 0.038666666666666676),
)
TREAT_ALL = ((0.05, 0.09473684210526317), (0.10, 0.04444444444444445), (0.40, -0.43333333333333335))


def as_cases():
    """Cases with these counts: each lies just above the last threshold that calls it."""
    places = [0.0, *(t for t, *_ in PUBLISHED)]
    p, y = [], []
    for sign, total, column in ((1, 105, 1), (0, 645, 2)):
        called = [total, *(row[column] for row in PUBLISHED), 0]
        for place, here, later in zip(places, called, called[1:], strict=False):
            p += [place + 0.01] * (here - later)
            y += [sign] * (here - later)
    return np.array(p), np.array(y)


def test_net_benefit_is_that_of_dcurves():
    p, y = as_cases()
    thresholds = np.array([row[0] for row in PUBLISHED])
    curve = decision_curve(p, y, thresholds=thresholds, n=20)
    for k, (t, _, _, published) in enumerate(PUBLISHED):
        assert net_benefit(p, y, t) == pytest.approx(published, abs=1e-12)
        assert curve.model[k] == pytest.approx(published, abs=1e-12)
    for t, published in TREAT_ALL:
        k = list(thresholds).index(t)
        assert curve.all[k] == pytest.approx(published, abs=1e-12)
        assert net_benefit(np.ones(750), y, t) == pytest.approx(published, abs=1e-12)
        assert curve.gain[k] == pytest.approx(curve.model[k] - max(0.0, published), abs=1e-12)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.booleans(), st.sampled_from("abcd")), min_size=1, max_size=30
    )
)
def test_the_curve_is_the_benefit_at_every_threshold(cases):
    p, y = np.array([c[0] for c in cases]), np.array([c[1] for c in cases])
    curve = decision_curve(p, y, [c[2] for c in cases], thresholds=np.array([0.0, 0.2, 0.5]), n=10)
    for k, t in enumerate(curve.thresholds):
        assert curve.model[k] == pytest.approx(net_benefit(p, y, t), abs=1e-12)


def test_the_interval_is_that_of_drawing_patients():
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(40), 3)
    p, y = rng.random(120), rng.random(120) < 0.4
    curve = decision_curve(p, y, [str(k) for k in patients], thresholds=np.array([0.3]), n=4000)
    by_hand = []
    for _ in range(4000):
        drawn = np.concatenate([np.flatnonzero(patients == k) for k in rng.integers(40, size=40)])
        by_hand.append(net_benefit(p[drawn], y[drawn], 0.3))
    low, high = np.quantile(by_hand, [0.025, 0.975])
    assert curve.low[0] == pytest.approx(low, abs=0.01)
    assert curve.high[0] == pytest.approx(high, abs=0.01)


def test_useful_is_where_the_gain_is_sure():
    rng = np.random.default_rng(0)
    y = rng.random(2000) < 0.3
    good = decision_curve(np.where(y, 0.9, 0.1), y, n=200).useful()
    assert good is not None
    assert good[0] <= 0.12
    assert good[1] >= 0.85
    assert decision_curve(np.full(2000, 0.3), y, n=200).useful() is None


def test_one_class_one_patient_and_no_case():
    healthy = decision_curve([0.2, 0.6], [0, 0], thresholds=np.array([0.5]), n=50)
    assert healthy.model[0] == -0.5
    single = decision_curve([0.2, 0.6], [0, 1], ["a", "a"], thresholds=np.array([0.5]))
    assert single.model[0] == 0.5
    assert math.isnan(single.low[0])
    assert single.useful() is None
    empty = decision_curve([], [])
    assert np.isnan(empty.model).all()
    assert math.isnan(net_benefit([], [], 0.5))


@pytest.mark.parametrize(
    ("p", "y", "t"), [([1.5], [1], 0.5), ([math.nan], [1], 0.5), ([0.5], [3], 0.5), ([0.5], [1], 1)]
)
def test_what_cannot_be_is_refused(p, y, t):
    with pytest.raises(ValueError, match=r"lie in|0 and 1|threshold"):
        net_benefit(p, y, t)
    with pytest.raises(ValueError, match=r"lie in|0 and 1|thresholds"):
        decision_curve(p, y, thresholds=np.array([t], float))
