"""Patient bootstrap: against theory, against scipy, and the degenerate cases."""

import math

import numpy as np
import pytest
from scipy import stats

from radloop.errors import InputError
from radloop.measures.agreement import mean_absolute_error
from radloop.measures.bootstrap import paired_bootstrap, patient_bootstrap
from radloop.measures.classification import auc
from radloop.measures.spec import MeasureSpec

MEAN = MeasureSpec("mean", ("x",), lambda x: float(np.mean(x)))


def each_its_own(n):
    return [f"p{i}" for i in range(n)]


def test_like_scipy_when_every_case_is_a_patient():
    x = np.random.default_rng(3).normal(5, 2, 60)
    found = patient_bootstrap({"x": x}, MEAN, each_its_own(60), n=5000)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.value == x.mean()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)
    assert found.n == 60


def test_cases_of_a_patient_stay_together():
    # Ten patients with five identical cases each know no more than ten cases do.
    values = np.random.default_rng(0).normal(size=10)
    single = patient_bootstrap({"x": values}, MEAN, each_its_own(10))
    repeated = {"x": np.repeat(values, 5)}
    grouped = patient_bootstrap(repeated, MEAN, [p for p in each_its_own(10) for _ in range(5)])
    naive = patient_bootstrap(repeated, MEAN, each_its_own(50))
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.01)
    assert naive.high - naive.low < 0.6 * (grouped.high - grouped.low)


def test_patients_of_different_size_and_mixed_order():
    # Two patients: the resamples can only be (a, a), (a, b), (b, a), (b, b).
    x, patients = np.array([0.0, 4.0, 1.0, 1.0]), ["a", "b", "a", "a"]
    seen = set()
    spec = MeasureSpec("rows", ("x",), lambda x: seen.add(tuple(sorted(x))) or float(x.mean()))
    found = patient_bootstrap({"x": x}, spec, patients, n=100)
    assert seen == {(0, 0, 1, 1, 1, 1), (0, 1, 1, 4), (4, 4)}
    assert (found.low, found.high) == (pytest.approx(2 / 3), 4.0)


def test_the_interval_covers_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        found = patient_bootstrap(
            {"x": generator.normal(size=40)}, MEAN, each_its_own(40), n=200, level=0.9
        )
        covered += found.low <= 0.0 <= found.high
    assert 0.82 <= covered / 200 <= 0.96


def test_deterministic_and_seeded():
    rows = {"x": np.random.default_rng(0).normal(size=30)}
    first = patient_bootstrap(rows, MEAN, each_its_own(30), n=50, seed=1)
    assert first == patient_bootstrap(rows, MEAN, each_its_own(30), n=50, seed=1)
    assert first != patient_bootstrap(rows, MEAN, each_its_own(30), n=50, seed=2)


def test_unknown_rows_are_left_out():
    rows = {"x": np.array([1.0, math.nan, 3.0]), "y": np.array([math.nan, 1.0, 4.0])}
    both = MeasureSpec("mae", ("x", "y"), mean_absolute_error)
    assert patient_bootstrap(rows, MEAN, each_its_own(3)).n == 2
    assert patient_bootstrap(rows, both, each_its_own(3)).value == 1.0


def test_undefined_resamples_are_counted():
    rows = {"score": np.array([0.1, 0.2, 0.9]), "truth": np.array([0.0, 0.0, 1.0])}
    spec = MeasureSpec("auc", ("score", "truth"), auc)
    found = patient_bootstrap(rows, spec, each_its_own(3), n=3000)
    # No positive in (2/3)^3, no negative in (1/3)^3 of the resamples: one third together.
    assert found.skipped / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert (found.low, found.high) == (1.0, 1.0)


def test_degenerate_cases():
    one = patient_bootstrap({"x": np.array([1.0, 2.0])}, MEAN, ["p", "p"])
    assert one.value == 1.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    same = patient_bootstrap({"x": np.full(9, 0.3)}, MEAN, each_its_own(9))
    assert same.low == pytest.approx(0.3)
    assert same.high == pytest.approx(0.3)
    none = patient_bootstrap({"x": np.full(3, math.nan)}, MEAN, each_its_own(3))
    assert none.n == 0
    assert math.isnan(none.value)
    infinite = patient_bootstrap({"x": np.array([math.inf, 1, 2, 3])}, MEAN, each_its_own(4))
    assert infinite.high == math.inf
    assert math.isfinite(infinite.low)


def test_a_missing_column_is_a_clear_error():
    with pytest.raises(InputError, match="'mean' needs the column 'x'"):
        patient_bootstrap({"z": np.zeros(2)}, MEAN, each_its_own(2))


def test_paired_sees_what_unpaired_cannot():
    # The cases vary by 1, the models differ by .1 throughout with noise of .05.
    generator = np.random.default_rng(2)
    a = generator.normal(size=50)
    b = a + 0.1 + generator.normal(0, 0.05, 50)
    found = paired_bootstrap({"x": a}, {"x": b}, MEAN, each_its_own(50))
    assert found.difference == pytest.approx(np.mean(b - a))
    assert 0.05 < found.low < found.difference < found.high < 0.15
    assert found.p == pytest.approx(2 / 2001)
    turned = paired_bootstrap({"x": b}, {"x": a}, MEAN, each_its_own(50))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_paired_p_without_a_difference():
    x = np.random.default_rng(0).normal(size=20)
    same = paired_bootstrap({"x": x}, {"x": x}, MEAN, each_its_own(20))
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def test_paired_p_is_about_uniform_under_no_difference():
    generator = np.random.default_rng(9)
    small = 0
    for _ in range(200):
        a, b = generator.normal(size=(2, 40))
        found = paired_bootstrap({"x": a}, {"x": b}, MEAN, each_its_own(40), n=200)
        small += found.p < 0.2
    assert 0.12 <= small / 200 <= 0.31


def test_paired_leaves_out_rows_unknown_to_either():
    a, b = {"x": np.array([1.0, math.nan, 3.0])}, {"x": np.array([2.0, 5.0, math.nan])}
    found = paired_bootstrap(a, b, MEAN, each_its_own(3))
    assert (found.a, found.b, found.n) == (1.0, 2.0, 1)
    assert math.isnan(found.p)
    nothing = paired_bootstrap(a, {"x": np.full(3, math.nan)}, MEAN, each_its_own(3))
    assert nothing.n == 0
    assert math.isnan(nothing.difference)
