"""Overlap of masks: hand-counted squares, and properties on random masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radloop.measures.overlap import dice, jaccard, precision, recall

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6)
PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)
ALL = [dice, jaccard, precision, recall]


def square(x: int) -> np.ndarray:
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:6, x : x + 8] = True
    return mask


def test_squares_shifted_by_two():
    # 4 x 8 = 32 px each, 4 x 6 = 24 px shared, 40 px in either.
    prediction, reference = square(3), square(5)
    assert dice(prediction, reference) == 48 / 64
    assert jaccard(prediction, reference) == 24 / 40
    assert precision(prediction, reference) == recall(prediction, reference) == 24 / 32


def test_precision_and_recall_tell_too_much_from_too_little():
    small, large = square(3), square(3) | square(5)  # 32 px within 40 px
    assert precision(large, small) == 32 / 40
    assert recall(large, small) == 1.0
    assert precision(small, large) == 1.0
    assert recall(small, large) == 32 / 40


@pytest.mark.parametrize("measure", ALL)
def test_empty_masks(measure):
    empty, full = np.zeros((3, 3), dtype=bool), np.ones((3, 3), dtype=bool)
    assert math.isnan(measure(empty, empty))
    assert measure(empty, empty, both_empty=1.0) == 1.0
    assert measure(empty, full, both_empty=1.0) == 0.0
    assert measure(full, empty, both_empty=1.0) == 0.0


@given(PAIRS)
def test_properties(pair):
    a, b = pair
    d, j = dice(a, b, both_empty=1.0), jaccard(a, b, both_empty=1.0)
    assert 0.0 <= j <= d <= 1.0
    assert j == pytest.approx(d / (2 - d))
    assert d == dice(b, a, both_empty=1.0)
    assert precision(a, b, both_empty=1.0) == recall(b, a, both_empty=1.0)
    assert (d == 1.0) == np.array_equal(a, b)


@pytest.mark.parametrize("measure", ALL)
def test_refuses_label_maps_and_other_shapes(measure):
    mask = np.ones((2, 2), dtype=bool)
    with pytest.raises(ValueError, match="boolean"):
        measure(mask.astype(np.uint8), mask)
    with pytest.raises(ValueError, match="shapes"):
        measure(mask, np.ones((2, 3), dtype=bool))
