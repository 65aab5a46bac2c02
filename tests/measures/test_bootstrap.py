"""Patient bootstrap: against theory, against scipy, and the degenerate cases."""

import math

import numpy as np
import pytest
from scipy import stats

from radloop.errors import InputError
from radloop.measures.agreement import mean_absolute_error
from radloop.measures.bootstrap import (
    contracted,
    expanded,
    paired_bootstrap,
    patient_bootstrap,
    patient_bootstraps,
)
from radloop.measures.classification import at_threshold, auc, brier_score, sensitivity
from radloop.measures.spec import MeasureSpec
from radloop.measures.sums import mean

MEAN = MeasureSpec("mean", ("x",), lambda x: float(np.mean(x)))


def each_its_own(n):
    return [f"p{i}" for i in range(n)]


def test_like_scipy_when_every_case_is_a_patient():
    x = np.random.default_rng(3).normal(5, 2, 60)
    found = patient_bootstrap({"x": x}, MEAN, each_its_own(60), n=5000, method="percentile")
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
    found = patient_bootstrap({"x": x}, spec, patients, n=100, method="percentile")
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
    # No resample is below zero; expanded as Student's t of 50 patients.
    t = stats.norm.isf(1 / 2001) * math.sqrt(49 / 50)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 49))
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


def skewed(n=80):
    return np.random.default_rng(7).lognormal(0, 1, n)


def test_bca_like_scipy():
    # Not the same resamples, but ten thousand of them.
    x = skewed()
    found = patient_bootstrap({"x": x}, MEAN, each_its_own(80), n=10000)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=10000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=0.02)
    plain = patient_bootstrap({"x": x}, MEAN, each_its_own(80), n=10000, method="percentile")
    assert found.low > plain.low and found.high > plain.high + 0.05  # moved to the long tail
    assert "BCa" in found.method and "percentile" in plain.method


def test_groups_left_out_give_nearly_the_same_interval():
    # The median has no quick form: with 400 patients, 200 pairs are left out for the acceleration.
    x = skewed(400)
    slow = MeasureSpec("mean", ("x",), lambda x: float(np.mean(x)))
    quick = MeasureSpec("mean", ("x",), mean)
    grouped, each = (patient_bootstrap({"x": x}, s, each_its_own(400)) for s in (slow, quick))
    assert (grouped.low, grouped.high) == pytest.approx((each.low, each.high), abs=0.015)
    assert grouped.method == each.method


def test_several_measures_share_their_resamples():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 50).astype(float)
    rows = {"s": generator.random(50), "t": truth, "x": generator.normal(size=50)}
    rows["x"][3] = math.nan
    specs = [
        MeasureSpec("auc", ("s", "t"), auc),
        MEAN,
        MeasureSpec("se", ("s", "t"), at_threshold(sensitivity, 0.5)),
        MeasureSpec("brier", ("s", "t"), brier_score),
    ]
    patients = [f"p{i // 2}" for i in range(50)]
    together = patient_bootstraps(rows, specs, patients, n=300)
    assert together == [patient_bootstrap(rows, spec, patients, n=300) for spec in specs]
    assert [found.n for found in together] == [50, 49, 50, 50]
    assert patient_bootstraps(rows, [], patients) == []


def test_where_every_patient_is_needed_there_is_no_acceleration():
    rows = {"score": np.linspace(0, 1, 30), "truth": np.arange(30) == 15.0}
    spec = MeasureSpec("auc", ("score", "truth"), auc)
    found = patient_bootstrap({k: v * 1.0 for k, v in rows.items()}, spec, each_its_own(30))
    assert "percentile" in found.method
    assert found.low <= found.value <= found.high


def test_the_bca_p_agrees_with_the_bca_interval():
    generator = np.random.default_rng(11)
    decided = 0
    for _ in range(40):
        a = generator.lognormal(0, 1, 40)
        b = a + generator.lognormal(0, 1, 40) - 1.2
        found = paired_bootstrap(
            {"x": a}, {"x": b}, MEAN, each_its_own(40), n=999, method="bca"
        )  # fmt: skip
        out = found.low > 0 or found.high < 0
        if abs(found.p - 0.05) > 0.01:  # the ends are rounded outwards to resamples
            assert out == (found.p < 0.05)
            decided += out
    assert decided > 5


def test_the_mean_of_few_has_about_students_interval():
    # By the percentile method alone it would be 2 x 1.96 sd / sqrt(n), 8 % narrower.
    x = np.random.default_rng(6).normal(size=16)
    found = patient_bootstrap({"x": x}, MEAN, each_its_own(16), n=20000, method="percentile")
    low, high = stats.t.interval(0.95, 15, x.mean(), stats.sem(x))
    assert found.high - found.low == pytest.approx(high - low, rel=0.05)
    assert found.high - found.low > 1.05 * 2 * 1.96 * x.std() / 4


def test_expansion_there_and_back():
    # Student's quantile of 39 degrees of freedom, 2.0227, times sqrt(40 / 39), is 2.0485.
    assert expanded(0.95, 40) == pytest.approx(1 - 2 * stats.norm.sf(2.04846), abs=1e-5)
    assert contracted(1 - expanded(0.9, 7), 7) == pytest.approx(0.1, abs=1e-9)
    assert expanded(0.95, 10**6) == pytest.approx(0.95, abs=1e-6)
    assert (expanded(0.95, 1), contracted(0.2, 1)) == (0.95, 0.2)
