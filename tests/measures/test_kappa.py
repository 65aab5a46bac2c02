"""Kappas against published worked examples, other programs' printouts, and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from radloop.measures.kappa import (
    cohen_kappa,
    fleiss_kappa,
    fleiss_null_error,
    percent_agreement,
    specific_agreement,
)

# 30 patients, 6 psychiatrists, 5 diagnoses (Fleiss 1971, Psychol Bull 76:378, table 1), as in the
# data set `diagnoses` of R's package irr.
SORTED = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555
144444 124444 222333 144444 224445 333335 111455 111112 224444 133555
555555 244444 224555 114444 144445 222224 111155 224444 133333 555555
"""
DIAGNOSES = np.array([[int(c) for c in row] for row in SORTED.split()])
# The example of SAS PROC FREQ that statsmodels' tests quote, classes in order.
SAS = ((0, 4, 1), (0, 8, 0), (0, 1, 5))
# Three raters of anxiety on 20 people (R's package irr), raters 2 and 3.
ANXIETY_2 = [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4]
ANXIETY_3 = [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2]


def spread(table):
    """Two readers' answers of a table of counts."""
    pairs = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return tuple(np.array(column, float) for column in zip(*pairs, strict=True))


def test_sas_example():
    first, second = spread(SAS)
    found = cohen_kappa(first, second)
    assert (found.value, found.low, found.high) == pytest.approx((0.4842, 0.2137, 0.7547), abs=5e-5)
    assert found.n == 19
    found = cohen_kappa(first, second, weights="linear")
    assert (found.value, found.low, found.high) == pytest.approx((0.4701, 0.1845, 0.7558), abs=5e-5)


@pytest.mark.parametrize(
    ("weights", "kappa"),
    [(None, -0.006289308), ("linear", 0.1459075), ("quadratic", 0.2520325)],
)
def test_irr_anxiety(weights, kappa):
    """Printed by R's `kappa2(anxiety[, 2:3])`; like irr, we drop class 5, which nobody gave."""
    found = cohen_kappa(np.array(ANXIETY_2), np.array(ANXIETY_3), weights=weights)
    assert found.value == pytest.approx(kappa, abs=5e-8)


def test_fleiss_1971():
    readers = list(DIAGNOSES.T)
    kappa = fleiss_kappa(readers)
    assert kappa.value == pytest.approx(0.4302445, abs=1e-7)
    assert kappa.value / fleiss_null_error(readers) == pytest.approx(17.65183, abs=1e-5)
    assert kappa.n == 30


@pytest.mark.parametrize(
    ("diagnosis", "kappa", "z"),
    [
        (1, 0.245, 5.192),
        (2, 0.245, 5.192),
        (3, 0.520, 11.031),
        (4, 0.471, 9.994),
        (5, 0.566, 12.009),
    ],
)
def test_one_diagnosis_against_all_others(diagnosis, kappa, z):
    """Printed by R's `kappam.fleiss(diagnoses, detail=TRUE)`."""
    readers = [(reader == diagnosis).astype(float) for reader in DIAGNOSES.T]
    found = fleiss_kappa(readers)
    assert found.value == pytest.approx(kappa, abs=5e-4)
    assert found.value / fleiss_null_error(readers) == pytest.approx(z, abs=5e-4)


answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda pairs: len({c for pair in pairs for c in pair}) > 1
)


@given(answers, st.sampled_from([None, "linear", "quadratic"]))
def test_cohen_equals_scikit_learn(pairs, weights):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    theirs = cohen_kappa_score(first, second, labels=[0, 1, 2, 3], weights=weights)
    ours = cohen_kappa(first, second, weights=weights, classes=[0, 1, 2, 3]).value
    assert ours == pytest.approx(theirs, nan_ok=True, abs=1e-12)


@given(answers, st.sampled_from([None, "linear", "quadratic"]))
def test_cohen_error_is_that_of_the_delta_method(pairs, weights):
    """The published formula against numerical derivatives of kappa by the cells of the table."""
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    classes = [0, 1, 2, 3]
    found = cohen_kappa(first, second, weights=weights, classes=classes)
    p = np.zeros((4, 4))
    np.add.at(p, (first, second), 1 / len(first))
    distance = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) / 3
    credit = {None: np.eye(4), "linear": 1 - distance, "quadratic": 1 - distance**2}[weights]

    def kappa(cells):
        chance = cells.sum(1) @ credit @ cells.sum(0)
        return ((credit * cells).sum() - chance) / (1 - chance)

    def moved(i, j, by):
        cells = p.copy()
        cells[i, j] += by
        return kappa(cells)

    step = 1e-6
    slope = np.array(
        [
            [(moved(i, j, step) - moved(i, j, -step)) / (2 * step) for j in range(4)]
            for i in range(4)
        ]
    )
    variance = ((p * slope**2).sum() - (p * slope).sum() ** 2) / len(first)
    if variance < 1e-9:
        assert math.isnan(found.low) or found.high - found.low < 1e-3
        return
    half = 1.959964 * math.sqrt(variance)
    assert found.low == pytest.approx(max(-1, kappa(p) - half), abs=1e-5)
    assert found.high == pytest.approx(min(1, kappa(p) + half), abs=1e-5)


@given(answers)
def test_readers_may_change_places(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    assert cohen_kappa(first, second).value == pytest.approx(cohen_kappa(second, first).value)
    assert fleiss_kappa([first, second]).value == fleiss_kappa([second, first]).value


def test_intervals_cover():
    """Three readers of 150 items with a known kappa: 95 % intervals hold it about as often."""
    random = np.random.default_rng(3)
    right, prevalence = 0.9, 0.3
    agree = right**2 + (1 - right) ** 2
    use = prevalence * right + (1 - prevalence) * (1 - right)
    true = (agree - use**2 - (1 - use) ** 2) / (1 - use**2 - (1 - use) ** 2)
    held = {"cohen": 0, "fleiss": 0, "percent": 0, "positive": 0}
    positive = (prevalence * right**2 + (1 - prevalence) * (1 - right) ** 2) / use
    for _ in range(400):
        truth = random.random(150) < prevalence
        readers = [np.where(random.random(150) < right, truth, ~truth) for _ in range(3)]
        for name, found, value in (
            ("cohen", cohen_kappa(*readers[:2]), true),
            ("fleiss", fleiss_kappa(readers), true),
            ("percent", percent_agreement(readers), agree),
            ("positive", specific_agreement(readers, 1), positive),
        ):
            held[name] += found.low <= value <= found.high
    assert all(0.91 <= count / 400 <= 0.98 for count in held.values()), held


def test_specific_agreement_of_two():
    # a = 40 both positive, b + c = 15, d = 45 both negative
    first, second = spread(((45, 5), (10, 40)))
    assert specific_agreement([first, second], 1).value == pytest.approx(80 / 95)
    assert specific_agreement([first, second], 0).value == pytest.approx(90 / 105)
    found = percent_agreement([first, second])
    assert (found.value, found.n) == (0.85, 100)
    # Newcombe's Wilson interval of 85 of 100
    assert (found.low, found.high) == pytest.approx((0.7672, 0.9069), abs=5e-5)


def test_missing_answers_are_left_out():
    nan = math.nan
    first = np.array([1, 0, 1, 0, nan, 1])
    second = np.array([1, 0, 0, 0, 1, nan])
    found = cohen_kappa(first, second)
    assert (found.n, found.value) == (4, cohen_kappa(first[:4], second[:4]).value)
    third = np.array([1, 0, 1, nan, 1, nan])
    assert fleiss_kappa([first, second, third]).n == 5
    assert fleiss_kappa([first, second, third], complete=True).n == 3


def test_what_is_undefined_is_nan():
    ones, empty = np.ones(5), np.array([])
    for found in (cohen_kappa(ones, ones), fleiss_kappa([ones, ones]), cohen_kappa(empty, empty)):
        assert math.isnan(found.value)
        assert math.isnan(found.low)
    assert math.isnan(fleiss_null_error([ones, ones]))
    assert math.isnan(specific_agreement([ones, ones], 0).value)
    mixed = np.array([0, 1, 1, 0])
    perfect = cohen_kappa(mixed, mixed)
    assert perfect.value == 1.0
    assert math.isnan(perfect.low)
    assert percent_agreement([ones, ones]).value == 1.0


def test_calls_that_are_wrong():
    with pytest.raises(ValueError, match="one length"):
        cohen_kappa(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="none of the classes"):
        cohen_kappa(np.array([0, 2]), np.array([0, 1]), classes=[0, 1])
    with pytest.raises(ValueError, match="two readers"):
        fleiss_kappa([np.ones(3)])
