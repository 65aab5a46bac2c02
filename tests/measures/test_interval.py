"""Intervals of a share, against the table of Newcombe (1998, Stat Med 17:857, table I)."""

import math

import pytest

from radloop.measures.interval import clopper_pearson, wilson

NEWCOMBE_WILSON = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]
NEWCOMBE_EXACT = [
    (81, 263, 0.2527, 0.3676),
    (15, 148, 0.0578, 0.1617),
    (0, 20, 0.0, 0.1684),
    (1, 29, 0.0009, 0.1776),
]


@pytest.mark.parametrize(
    ("interval", "table"), [(wilson, NEWCOMBE_WILSON), (clopper_pearson, NEWCOMBE_EXACT)]
)
def test_newcombe(interval, table):
    for successes, n, low, high in table:
        found = interval(successes, n)
        assert found.value == successes / n
        assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
        mirrored = interval(n - successes, n)
        assert (mirrored.low, mirrored.high) == pytest.approx((1 - high, 1 - low), abs=6e-5)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_bounds_cases(interval):
    assert interval(7, 7).high == 1.0
    assert math.isnan(interval(0, 0).low)
    with pytest.raises(ValueError, match="of 3"):
        interval(4, 3)
