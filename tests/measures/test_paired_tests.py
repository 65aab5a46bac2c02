"""McNemar, permutation and Holm, against published examples, R, scipy and full enumeration."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radloop.measures.classification import at_threshold, auc, sensitivity
from radloop.measures.multiplicity import holm
from radloop.measures.paired_tests import clustered_mcnemar, mcnemar, permutation_p
from radloop.measures.spec import MeasureSpec
from radloop.measures.sums import mean

MEAN = MeasureSpec("mean", ("x",), mean)


def each_its_own(n):
    return [f"p{i}" for i in range(n)]


def test_airway_reactivity():
    # Bentur et al. 2009 as in Fagerland et al. 2013 (BMC Med Res Methodol 13:91): 1 and 7 of 21
    # children; asymptotic p .034, exact .070, mid-p .039. R 4.2.2 has the first two in full.
    found = mcnemar(1, 7)
    assert found.asymptotic == pytest.approx(0.0338948535246893, abs=1e-14)
    assert found.exact == pytest.approx(0.0703125, abs=1e-15)
    assert found.p == pytest.approx(0.039, abs=5e-4)
    assert found.statistic == 4.5


@given(st.integers(0, 60), st.integers(0, 60))
def test_against_scipy(only_a, only_b):
    found = mcnemar(only_a, only_b)
    if only_a + only_b == 0:
        assert (found.p, found.exact, found.asymptotic, found.statistic) == (1.0, 1.0, 1.0, 0.0)
        return
    n = only_a + only_b
    assert found.exact == pytest.approx(stats.binomtest(only_a, n).pvalue, abs=1e-12)
    # Mid-p by summing what is at least as far out, the observed split counting half.
    share = [stats.binom.pmf(k, n, 0.5) for k in range(n + 1)]
    less = sum(share[: min(only_a, only_b)]) + share[min(only_a, only_b)] / 2
    expected = 2 * less if only_a != only_b else 1 - share[only_a] / 2
    assert found.p == pytest.approx(expected, abs=1e-12)
    assert found.p == mcnemar(only_b, only_a).p


def clustered(more_b, more_a, patients):
    """Cases and patients of whom some have discordant cases, the rest a concordant one."""
    a, b, names = [], [], []
    for patient in range(patients):
        for only_b in [True] * more_b.get(patient, 0) + [False] * more_a.get(patient, 0):
            a.append(not only_b)
            b.append(only_b)
            names.append(patient)
        a.append(True)
        b.append(True)
        names.append(patient)
    return np.array(a), np.array(b), names


def test_parathyroid_glands():
    # Obuchowski 1998: PET and SPECT of 21 patients, 7 discordant glands against 1. Durkalski et
    # al. 2003 report chi-squared 4.5 for McNemar's test and 2.86 for this one.
    a, b, names = clustered({0: 2, 1: 1, 4: 1, 7: 2, 9: 1}, {12: 1}, 21)
    found = clustered_mcnemar(a, b, names)
    assert (found.only_a, found.only_b) == (1, 7)
    assert mcnemar(1, 7).statistic == 4.5
    assert round(found.statistic, 2) == 2.86
    assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 1))


def test_copies_of_a_patient_tell_nothing_new():
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 2, (2, 60))
    once = clustered_mcnemar(a, b, np.arange(60))
    often = clustered_mcnemar(a.repeat(5), b.repeat(5), np.arange(60).repeat(5))
    assert often.p == pytest.approx(once.p, abs=1e-12)
    assert (often.only_a, often.only_b) == (5 * once.only_a, 5 * once.only_b)
    plain = mcnemar(once.only_a, once.only_b)
    assert once.statistic == pytest.approx(plain.statistic * 59 / 60, abs=1e-12)


def test_degenerate_clusters():
    assert clustered_mcnemar([1, 0], [1, 0], ["p", "q"]).p == 1.0
    assert clustered_mcnemar([], [], []).p == 1.0
    one_patient = clustered_mcnemar([1, 1, 1], [0, 0, 0], ["p", "p", "p"])
    assert (one_patient.statistic, one_patient.p) == (0.0, 1.0)  # nothing can be told
    with pytest.raises(ValueError, match="0 and 1"):
        clustered_mcnemar([math.nan, 1], [1, 1], ["p", "q"])
    with pytest.raises(ValueError, match="lengths"):
        clustered_mcnemar([1], [1, 1], ["p", "q"])
    with pytest.raises(ValueError, match="below zero"):
        mcnemar(-1, 2)


def enumerated(a, b, measure, patients):
    """p over all ways to swap patients."""
    names = sorted(set(patients))
    observed = abs(measure(b) - measure(a))
    beyond = 0
    for swaps in product((False, True), repeat=len(names)):
        swap = np.array([swaps[names.index(one)] for one in patients])
        first, second = np.where(swap, b, a), np.where(swap, a, b)
        beyond += abs(measure(second) - measure(first)) >= observed - 1e-12
    return beyond / 2 ** len(names)


def test_permutations_against_all_of_them():
    generator = np.random.default_rng(3)
    patients = [f"p{i // 2}" for i in range(20)]
    a, b = generator.normal(size=(2, 20))
    b = b + 0.5
    found = permutation_p({"x": a}, {"x": b}, MEAN, patients, n=20000)
    assert found == pytest.approx(enumerated(a, b, np.mean, patients), abs=0.01)


def test_permutations_of_areas_swap_ranks():
    generator = np.random.default_rng(5)
    truth = np.repeat([0.0, 1.0], 6)
    a, b = generator.normal(truth, 1.0), generator.normal(2.5 * truth, 1.0)
    spec = MeasureSpec("auc", ("s", "t"), auc)
    rows_a = {"s": 1000 + 7 * a, "t": truth}  # on another scale than b
    found = permutation_p(rows_a, {"s": b, "t": truth}, spec, each_its_own(12), n=20000)
    ranks = stats.rankdata(a), stats.rankdata(b)
    expected = enumerated(*ranks, lambda score: auc(score, truth), each_its_own(12))
    assert found == pytest.approx(expected, abs=0.01)


def test_a_permutation_by_formula_equals_that_of_rows():
    generator = np.random.default_rng(8)
    truth = generator.integers(0, 2, 60).astype(float)
    patients = [f"p{i}" for i in generator.integers(0, 25, 60)]
    rows = [{"s": generator.random(60), "t": truth} for _ in range(2)]
    quick = MeasureSpec("sensitivity", ("s", "t"), at_threshold(sensitivity, 0.5))
    slow = MeasureSpec("same", ("s", "t"), lambda s, t: sensitivity(s >= 0.5, t))
    p = [permutation_p(*rows, spec, patients, n=300) for spec in (quick, slow)]
    assert p[0] == pytest.approx(p[1], abs=1e-12)


def test_permutation_conventions():
    x = {"x": np.arange(5.0)}
    assert permutation_p(x, x, MEAN, each_its_own(5), n=50) == 1.0
    assert math.isnan(permutation_p({"x": np.full(5, math.nan)}, x, MEAN, each_its_own(5)))
    one_class = {"s": np.arange(4.0), "t": np.ones(4)}
    spec = MeasureSpec("auc", ("s", "t"), auc)
    assert math.isnan(permutation_p(one_class, one_class, spec, each_its_own(4)))
    # With one patient there is one swap, which changes nothing of the distance.
    assert permutation_p({"x": np.zeros(3)}, {"x": np.ones(3)}, MEAN, ["p"] * 3, n=50) == 1.0


def test_holm_as_r_has_it():
    # R 4.2.2: p.adjust(c(.01, .04, .03, .005, .2, .04), "holm")
    found = holm([0.01, 0.04, 0.03, 0.005, 0.2, 0.04])
    assert found == pytest.approx([0.05, 0.12, 0.12, 0.03, 0.2, 0.12], abs=1e-15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_steps_reject(p):
    # Step down: reject the smallest while it is below alpha / (how many are left).
    corrected = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected, left = set(), sorted(range(len(p)), key=lambda k: p[k])
        while left and p[left[0]] * len(left) <= alpha:
            rejected.add(left.pop(0))
        assert {k for k in range(len(p)) if corrected[k] <= alpha} == rejected


def test_holm_conventions():
    found = holm([0.02, math.nan, 0.5])
    assert found[[0, 2]] == pytest.approx([0.04, 0.5])
    assert math.isnan(found[1])
    assert holm([]).size == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, 1.5])
