"""Verdicts of an interval against a margin, whichever way is better."""

import math

import pytest

from radloop.measures.margin import non_inferiority


@pytest.mark.parametrize(
    ("low", "high", "verdict", "worse"),
    [
        (0.01, 0.05, "superior", False),
        (-0.03, 0.02, "non-inferior", False),
        (-0.04, -0.01, "non-inferior", True),
        (-0.09, -0.06, "inferior", True),
        (-0.09, -0.01, "inconclusive", True),
        (-0.09, 0.03, "inconclusive", False),
        (-0.05, 0.03, "inconclusive", False),  # the margin itself is too much
        (0.0, 0.03, "non-inferior", False),
        (math.nan, math.nan, "inconclusive", False),
    ],
)
def test_verdicts(low, high, verdict, worse):
    middle = (low + high) / 2
    found = non_inferiority(middle, low, high, 0.05)
    assert (found.verdict, found.worse) == (verdict, worse)
    turned = non_inferiority(-middle, -high, -low, 0.05, "lower")
    assert (turned.verdict, turned.worse) == (verdict, worse)
    assert (found.low, found.margin) == (pytest.approx(low, nan_ok=True), 0.05)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_margins_that_cannot_be(margin):
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(0.0, -0.1, 0.1, margin)


def test_ends_in_the_wrong_order():
    with pytest.raises(ValueError, match="interval"):
        non_inferiority(0.0, 0.1, -0.1, 0.05)
