"""DeLong: against the R package pROC, the O(mn) kernel, and conventions for degenerate input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from radloop.measures.classification import auc
from radloop.measures.delong import auc_difference, auc_interval, delong, newcombe_auc

# Scores with ties, from whole numbers, so that R and Python agree on them to the last bit.
I = np.arange(80)  # noqa: E741
TRUTH = (I * I % 7 < 3).astype(int)
A, B = I * 37 % 61 + 12 * TRUTH, I * 23 % 47 + 8 * TRUTH
# pROC 1.18.0: auc, var, cov, ci of roc(t, a) and roc(t, b), and roc.test of b against a.
PROC = {
    "areas": (0.706712433257056, 0.641495041952708),
    "var_a": 0.00411687701902344,
    "var_b": 0.00453199004436378,
    "cov": 0.000252796945421141,
    "ci_a": (0.580955471070302, 0.832469395443809),
    "test": (-0.722709762256804, 0.469858216642217),
    "ci_b_a": (-0.242084710382787, 0.111649927774092),
}


def by_kernel(scores, truth):
    """Areas and covariance from every pair of a positive and a negative case."""
    positive, negative = scores[:, truth == 1], scores[:, truth == 0]
    over = positive[:, :, None] > negative[:, None, :]
    kernel = over + 0.5 * (positive[:, :, None] == negative[:, None, :])
    m, n = positive.shape[1], negative.shape[1]
    of_positive, of_negative = kernel.mean(axis=2), kernel.mean(axis=1)
    return kernel.mean(axis=(1, 2)), np.cov(of_positive) / m + np.cov(of_negative) / n


def test_as_proc_has_it():
    found = delong([A, B], TRUTH)
    assert found.areas == pytest.approx(PROC["areas"], abs=1e-14)
    assert found.covariance[0, 0] == pytest.approx(PROC["var_a"], abs=1e-15)
    assert found.covariance[1, 1] == pytest.approx(PROC["var_b"], abs=1e-15)
    assert found.covariance[0, 1] == pytest.approx(PROC["cov"], abs=1e-15)
    plain = auc_interval(found, scale="plain")
    assert (plain.low, plain.high) == pytest.approx(PROC["ci_a"], abs=1e-13)
    pair = auc_difference(found)
    assert (pair.z, pair.p) == pytest.approx(PROC["test"], abs=1e-12)
    assert (pair.low, pair.high) == pytest.approx(PROC["ci_b_a"], abs=1e-13)


def test_the_published_grades_of_subarachnoid_bleeding():
    # WFNS grade against outcome, 113 patients (Turck et al. 2010), as tabled from pROC's aSAH;
    # its documentation has AUC 0.824 with the interval 0.749 to 0.899.
    good, poor = (37, 20, 3, 8, 4), (2, 12, 1, 8, 18)
    grade = np.concatenate([np.repeat(np.arange(1, 6), counts) for counts in (good, poor)])
    truth = np.repeat([0, 1], [sum(good), sum(poor)])
    found = auc_interval(delong(grade, truth), scale="plain")
    assert found.value == pytest.approx(0.823678861788618, abs=1e-14)
    assert (found.low, found.high) == pytest.approx((0.748534887819453, 0.898822835757783), 1e-13)


@given(
    st.integers(2, 30), st.integers(2, 30), st.integers(1, 4), st.integers(0, 2**32 - 1),
    st.integers(1, 12),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_quick_way_equals_all_pairs(m, n, k, seed, levels):
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.repeat([1, 0], [m, n]))
    scores = generator.integers(0, levels, (k, m + n)).astype(float)  # few levels: ties
    found = delong(scores, truth)
    areas, covariance = by_kernel(scores, truth)
    assert found.areas == pytest.approx(areas, abs=1e-12)
    assert found.covariance == pytest.approx(np.atleast_2d(covariance), abs=1e-12)
    assert found.areas[0] == pytest.approx(auc(scores[0], truth), abs=1e-12)
    # Patients with one case each are no clusters; the order of the cases does not matter.
    alone = delong(scores, truth, np.arange(m + n))
    assert alone.covariance == pytest.approx(found.covariance, abs=1e-12)
    turned = delong(-scores, truth)
    assert turned.areas == pytest.approx(1 - areas, abs=1e-12)
    assert turned.covariance == pytest.approx(found.covariance, abs=1e-12)


def test_clusters_by_the_formulas_of_obuchowski():
    # Each sum of the paper written out: S10, S01 and S11 of clusters with both kinds of case.
    generator = np.random.default_rng(4)
    patients = np.repeat(np.arange(25), generator.integers(1, 5, 25))
    truth = generator.integers(0, 2, patients.size)
    score = np.round(generator.normal(truth, 1) + generator.normal(0, 1, 25)[patients], 1)
    found = delong(score, truth, patients)
    positive, negative = score[truth == 1], score[truth == 0]
    kernel = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    m, n, area = positive.size, negative.size, kernel.mean()
    x, y = kernel.mean(axis=1), kernel.mean(axis=0)
    with_x = with_y = 0
    s10 = s01 = s11 = 0.0
    for one in range(25):
        own_x, own_y = x[patients[truth == 1] == one], y[patients[truth == 0] == one]
        over, under = own_x.sum() - own_x.size * area, own_y.sum() - own_y.size * area
        with_x, with_y = with_x + bool(own_x.size), with_y + bool(own_y.size)
        s10, s01, s11 = s10 + over**2, s01 + under**2, s11 + over * under
    variance = (
        with_x / ((with_x - 1) * m) * s10 / m
        + with_y / ((with_y - 1) * n) * s01 / n
        + 2 / (m * n) * 25 / 24 * s11
    )
    assert found.covariance[0, 0] == pytest.approx(variance, abs=1e-15)


def test_cases_of_a_patient_that_are_alike_tell_nothing_new():
    generator = np.random.default_rng(1)
    truth = np.repeat([0, 1], 30)
    score = generator.normal(truth, 1)
    once = auc_interval(delong(score, truth), scale="plain")
    patients = np.repeat(np.arange(60), 4)
    often = auc_interval(delong(score.repeat(4), truth.repeat(4), patients), scale="plain")
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-12)
    assert "clustered by patient" in often.method


def test_the_logit_interval_stays_inside_and_knows_few_cases():
    few = delong([0.1, 0.2, 0.3, 0.9, 0.8, 0.25], [0, 0, 0, 1, 1, 1])
    plain, logit = auc_interval(few, scale="plain"), auc_interval(few)
    assert plain.high == 1.0  # cut
    assert 0 < logit.low < logit.value < logit.high < 1
    # By hand: placements 1, 1, 2/3 and 1, 1, 2/3; t with 4 degrees of freedom.
    se = math.sqrt(2 * np.var([1, 1, 2 / 3], ddof=1) / 3)
    area = 8 / 9
    half = stats.t.ppf(0.975, 4) * se / (area * (1 - area))
    assert logit.low == pytest.approx(1 / (1 + math.exp(half) / 8), abs=1e-12)


def test_parted_classes_have_newcombes_interval():
    found = auc_interval(delong(np.arange(20), np.arange(20) >= 10))
    assert (found.value, found.high) == (1.0, 1.0)
    assert "Newcombe" in found.method
    # The bound solves (1 - x)^2 = z^2 x (1 - x) (1 + (N/2 - 1) (...)) / (m n), put in by hand.
    x, z = found.low, stats.norm.ppf(0.975)
    spread = 1 + 9 * ((1 - x) / (2 - x) + x / (1 + x))
    assert (1 - x) ** 2 == pytest.approx(z * z * x * (1 - x) * spread / 100, rel=1e-9)
    turned = auc_interval(delong(-np.arange(20), np.arange(20) >= 10))
    assert (turned.low, turned.high) == pytest.approx((0.0, 1 - found.low), abs=1e-9)
    assert math.isnan(newcombe_auc(1.0, 0, 5)[0])


def test_degenerate_input():
    one_class = delong([[1.0, 2.0, 3.0]], [1, 1, 1])
    assert np.isnan(one_class.areas).all() and np.isnan(one_class.covariance).all()
    assert math.isnan(auc_interval(one_class).low)
    single = auc_interval(delong([1.0, 2.0, 3.0], [0, 0, 1]))
    assert single.value == 1.0 and math.isnan(single.low) and math.isnan(single.high)
    constant = auc_interval(delong(np.full(10, 0.3), np.arange(10) % 2))
    assert (constant.value, constant.low, constant.high) == (0.5, 0.5, 0.5)
    nothing = auc_interval(delong(np.empty((1, 0)), np.empty(0)))
    assert math.isnan(nothing.value)
    one_patient = auc_interval(delong([0.1, 0.9, 0.4, 0.3], [0, 1, 1, 0], ["p"] * 4))
    assert one_patient.value == 1.0 and math.isnan(one_patient.low)


def test_differences_that_do_not_vary():
    same = auc_difference(delong([A, A], TRUTH))
    assert (same.difference, same.se, same.p) == (0.0, 0.0, 1.0)
    assert math.isnan(same.low) and math.isnan(same.z)
    parted = np.where(TRUTH, 1.0, 0.0)
    known = auc_difference(delong([np.zeros(80), parted], TRUTH))
    assert known.difference == 0.5 and math.isnan(known.p)


def test_clear_refusals():
    with pytest.raises(ValueError, match="NaN"):
        delong([0.1, math.nan], [0, 1])
    with pytest.raises(ValueError, match="0 and 1"):
        delong([0.1, 0.2], [0, 2])
    with pytest.raises(ValueError, match="0 and 1"):
        delong([0.1, 0.2], [0, math.nan])
    with pytest.raises(ValueError, match="shape"):
        delong([0.1, 0.2], [0, 1, 1])
    with pytest.raises(ValueError, match="patients"):
        delong([0.1, 0.2], [0, 1], ["p"])
