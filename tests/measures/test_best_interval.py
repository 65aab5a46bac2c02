"""Which interval a measure is given, and that degenerate input never has a wrong one."""

import math

import numpy as np
import pytest

from radloop.errors import InputError
from radloop.measures.best_interval import best_intervals, known_difference
from radloop.measures.bootstrap import patient_bootstrap
from radloop.measures.classification import (
    accuracy,
    at_threshold,
    auc,
    positive_predictive_value,
    sensitivity,
    specificity,
    youden,
)
from radloop.measures.delong import auc_interval, delong
from radloop.measures.interval import wilson
from radloop.measures.paired_tests import clustered_mcnemar, mcnemar
from radloop.measures.proportions import clustered_wilson, newcombe_paired_difference
from radloop.measures.spec import MeasureSpec
from radloop.measures.sums import mean

SPECS = (
    MeasureSpec("auc", ("s", "t"), auc),
    MeasureSpec("sensitivity", ("s", "t"), at_threshold(sensitivity, 0.5)),
    MeasureSpec("specificity", ("s", "t"), at_threshold(specificity, 0.5)),
    MeasureSpec("ppv", ("s", "t"), at_threshold(positive_predictive_value, 0.5)),
    MeasureSpec("youden", ("s", "t"), at_threshold(youden, 0.5)),
    MeasureSpec("mean", ("s",), mean),
)


def cases(n=60, seed=0):
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < 0.4).astype(float)
    return {"s": np.clip(generator.normal(0.35 + 0.3 * truth, 0.2), 0, 1), "t": truth}


def each_its_own(n):
    return [f"p{i}" for i in range(n)]


def test_single_cases():
    rows = cases()
    names = ("a", "se", "sp", "ppv", "y", "m")
    found = dict(zip(names, best_intervals(rows, SPECS, each_its_own(60)), strict=True))
    score, truth = rows["s"], rows["t"] == 1
    assert found["a"] == auc_interval(delong(score, truth))
    hits = int((score[truth] >= 0.5).sum())
    assert ends(found["se"]) == ends(wilson(hits, int(truth.sum())))
    assert found["se"].n == 60  # the cases measured on, of whom only the positive are asked
    called = score >= 0.5
    assert ends(found["ppv"]) == ends(wilson(int((called & truth).sum()), int(called.sum())))
    assert "BCa" in found["y"].method and "BCa" in found["m"].method
    assert found["m"] == patient_bootstrap(rows, SPECS[5], each_its_own(60))


def ends(interval):
    return interval.low, interval.high


def test_several_cases_a_patient():
    rows, patients = cases(), [f"p{i // 3}" for i in range(60)]
    found = best_intervals(rows, SPECS, patients)
    assert found[0] == auc_interval(delong(rows["s"], rows["t"], patients))
    hits, asked = (
        [int(sum(one[3 * k : 3 * k + 3])) for k in range(20)]
        for one in ((rows["s"] >= 0.5) * rows["t"], rows["t"])
    )
    assert ends(found[1]) == pytest.approx(ends(clustered_wilson(hits, asked)))
    assert all("patient" in interval.method for interval in found)


def test_every_hit_leaves_doubt():
    rows = {"s": np.repeat([0.9, 0.1], 10), "t": np.repeat([1.0, 0.0], 10)}
    area, *shares = best_intervals(rows, SPECS[:4], each_its_own(20))
    assert area.value == 1.0 and 0.5 < area.low < 1.0
    for share in shares:
        assert (share.value, share.high) == (1.0, 1.0)
        assert share.low == pytest.approx(wilson(10, 10).low)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_one_class_only(truth):
    rows = {"s": np.linspace(0, 1, 12), "t": np.full(12, truth)}
    area, se, sp, ppv, both, average = best_intervals(rows, SPECS, each_its_own(12))
    assert math.isnan(area.value) and math.isnan(area.low)
    missing, there = (sp, se) if truth else (se, sp)
    assert math.isnan(missing.value) and math.isnan(missing.high)
    assert there.low < there.value < there.high
    assert ppv.value == truth and ppv.low < ppv.high
    assert math.isnan(both.value) and math.isnan(both.low)
    assert average.low < average.value < average.high


def test_a_constant_score_and_ties_everywhere():
    rows = {"s": np.full(12, 0.7), "t": np.arange(12) % 2 * 1.0}
    area, se, sp, *_ = best_intervals(rows, SPECS, each_its_own(12))
    assert (area.value, area.low, area.high) == (0.5, 0.5, 0.5)
    assert (se.value, se.high) == (1.0, 1.0) and se.low == pytest.approx(wilson(6, 6).low)
    assert (sp.value, sp.low) == (0.0, 0.0) and sp.high == pytest.approx(wilson(0, 6).high)


def test_one_patient_and_none():
    rows = cases(8, seed=3)
    for interval in best_intervals(rows, SPECS, ["p"] * 8):
        assert math.isnan(interval.low) and math.isnan(interval.high)
        assert interval.n == 8
    nothing = {"s": np.full(3, math.nan), "t": np.ones(3)}
    for interval in best_intervals(nothing, SPECS, each_its_own(3)):
        assert interval.n == 0 and math.isnan(interval.value)
    for interval in best_intervals({}, SPECS, []):
        assert interval.n == 0 and math.isnan(interval.value)


def test_unknown_rows_are_left_out():
    rows = cases()
    holed = {"s": np.append(rows["s"], math.nan), "t": np.append(rows["t"], 1.0)}
    found = best_intervals(holed, SPECS, each_its_own(61))
    assert [ends(one) for one in found] == [
        pytest.approx(ends(one)) for one in best_intervals(rows, SPECS, each_its_own(60))
    ]
    with pytest.raises(InputError, match="'auc' needs the column 't'"):
        best_intervals({"s": rows["s"]}, SPECS[:1], each_its_own(60))


def two(n=60):
    a = cases(n, seed=0)
    noise = np.random.default_rng(9).normal(0, 0.15, n)
    return a, {"s": np.clip(a["s"] + noise, 0, 1), "t": a["t"]}


def test_differences_of_shares():
    a, b = two()
    found = known_difference(a, b, SPECS[1], each_its_own(60))
    true = a["t"] == 1
    first, second = a["s"][true] >= 0.5, b["s"][true] >= 0.5
    counts = [int((x & y).sum()) for x in (first, ~first) for y in (second, ~second)]
    interval = newcombe_paired_difference(*counts)
    assert (found.difference, found.low, found.high) == pytest.approx(
        (interval.value, *ends(interval))
    )
    assert (found.only_a, found.only_b) == (counts[1], counts[2])
    assert (found.p, found.test) == (mcnemar(counts[1], counts[2]).p, "McNemar, mid-p")
    patients = [f"p{i // 3}" for i in range(60)]
    clustered = known_difference(a, b, SPECS[1], patients)
    names = np.asarray(patients)[true]
    assert clustered.p == clustered_mcnemar(first, second, names).p
    assert "clustered by patient" in clustered.method and "clustered" in clustered.test


def test_what_has_no_formula():
    a, b = two()
    ppv, both, average = SPECS[3:]  # the first asks different cases of either model
    for spec in (ppv, both, average):
        assert known_difference(a, b, spec, each_its_own(60)) is None
    # A model whose truth differs cannot be paired by formula either.
    other = {"s": b["s"], "t": 1 - b["t"]}
    assert known_difference(a, other, SPECS[0], each_its_own(60)) is None
    unknown = {"s": np.full(60, math.nan), "t": a["t"]}
    assert known_difference(a, unknown, SPECS[0], each_its_own(60)) is None
    nobody = {"s": a["s"], "t": np.zeros(60)}
    assert known_difference(nobody, nobody, SPECS[1], each_its_own(60)) is None


def test_twenty_equal_answers_are_no_proof():
    # The bootstrap says 0 to 0: two models that agree on twenty cases may still differ.
    rows = {"s": np.repeat([0.9, 0.1], [15, 5]), "t": np.ones(20)}
    accurate = MeasureSpec("accuracy", ("s", "t"), at_threshold(accuracy, 0.5))
    found = known_difference(rows, rows, accurate, each_its_own(20))
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.low < -0.05 and found.high > 0.05
    parted = {"s": np.repeat([0.9, 0.1], 10), "t": np.repeat([1.0, 0.0], 10)}
    area = known_difference(parted, parted, SPECS[0], each_its_own(20))
    assert area.difference == 0.0 and math.isnan(area.low)
