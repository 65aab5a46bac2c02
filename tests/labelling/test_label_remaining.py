"""The interval of what is still wrong: exact by enumeration, textbook limits, and its errors."""

import math
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from radloop.labelling.remaining import (
    Audit,
    audit_size,
    hours_saved,
    may_stop,
    remaining_error,
    without_audit,
)


def chance(population: int, wrong: int, read: int, x: int) -> float:
    """Hypergeometric, by counting."""
    return comb(wrong, x) * comb(population - wrong, read - x) / comb(population, read)


def by_enumeration(population: int, read: int, x: int, level: float) -> tuple[int, int]:
    """Every number of wrong items that neither exact one-sided test rejects, less what is read."""
    kept = []
    for wrong in range(x, population - read + x + 1):
        as_few = sum(chance(population, wrong, read, k) for k in range(x + 1))
        as_many = sum(chance(population, wrong, read, k) for k in range(x, read + 1))
        if min(as_few, as_many) > (1 - level) / 2:
            kept.append(wrong - x)
    return min(kept), max(kept)


@given(st.integers(1, 25), st.data(), st.sampled_from([0.8, 0.95]))
@settings(max_examples=60, deadline=None)
def test_one_audit_is_exact(population, data, level):
    read = data.draw(st.integers(1, population))
    x = data.draw(st.integers(0, read))
    found = remaining_error([Audit(population, read, x)], population - read, population, level)
    assert (found.low, found.high) == by_enumeration(population, read, x, level)
    expected = min(population * x / read - x, population - read)
    assert found.wrong == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [0, 1, 4, 11, 24, 30])
def test_one_audit_covers_whatever_the_truth(wrong):
    """All samples of 8 out of 30, each weighted with its chance."""
    covered = 0.0
    for x in range(max(0, 8 - (30 - wrong)), min(8, wrong) + 1):
        found = remaining_error([Audit(30, 8, x)], 22, 30)
        covered += chance(30, wrong, 8, x) * (found.low <= wrong - x <= found.high)
    assert covered >= 0.95


@pytest.mark.parametrize(("read", "x"), [(50, 0), (100, 3), (200, 40)])
def test_a_huge_population_has_clopper_and_pearsons_bounds(read, x):
    n = 2_000_000
    found = remaining_error([Audit(n, read, x)], n - read, n)
    theirs = binomtest(x, read).proportion_ci(0.95, "exact")
    assert found.share_low == pytest.approx(theirs.low, abs=1e-4)
    assert found.share_high == pytest.approx(theirs.high, abs=1e-4)


def test_several_audits_cover_together():
    """Three rounds over a shrinking population of 120, of which later rounds also find some."""
    rng = np.random.default_rng(0)
    held, width, alone = 0, [], []
    for _ in range(300):
        state = np.zeros(120, bool)
        state[rng.choice(120, 18, replace=False)] = True
        unread, found, drawn = np.ones(120, bool), np.zeros(120, bool), []
        for _ in range(3):
            population = unread.copy()
            sample = rng.choice(np.flatnonzero(unread), 12, replace=False)
            drawn.append((population, sample, int(state[sample].sum())))
            rest = np.setdiff1d(np.flatnonzero(unread), sample)
            # the review finds wrong ones more easily
            seen = rng.choice(rest, 8, replace=False, p=(s := 1 + 4 * state[rest]) / s.sum())
            for at in (sample, seen):
                found[at] |= state[at]
                unread[at] = False
        audits = [Audit(int(p.sum()), len(s), x, int((found & p).sum()) - x) for p, s, x in drawn]
        left = int((state & unread).sum())
        both = remaining_error(audits, int(unread.sum()), 120)
        held += both.low <= left <= both.high
        width.append(both.high - both.low)
        first = remaining_error(audits[:1], int(unread.sum()), 120)
        alone.append(first.high - first.low)
    assert held >= 274  # 95 % of 300 less three standard deviations is 273.7
    assert np.mean(width) < np.mean(alone)


def test_what_lies_outside_of_the_audit_widens_only_the_upper_bound():
    inside = remaining_error([Audit(100, 20, 2)], 80, 100)
    outside = remaining_error([Audit(100, 20, 2, outside=30)], 110, 130)
    assert outside.low == inside.low
    assert outside.high == inside.high + 30


def test_what_was_found_since_is_subtracted():
    before = remaining_error([Audit(100, 20, 2)], 80, 100)
    after = remaining_error([Audit(100, 20, 2, found=5)], 70, 100)
    assert after.wrong == before.wrong - 5
    assert after.high == before.high - 5


def test_without_an_audit_nothing_is_known():
    found = remaining_error([Audit(50, 0, 0)], 40, 50)
    assert math.isnan(found.wrong)
    assert (found.low, found.high) == (0, 40)
    assert found.sentence().startswith("Nothing is known of the 40 unread labels")
    assert not may_stop(found, 0.5)


def test_the_sentence_and_the_shares():
    found = remaining_error([Audit(100, 100, 3)], 0, 100)
    assert found.sentence() == (
        "About 0 of 100 labels are still wrong (0 to 0, 95%): 0.0% (0.0% to 0.0%)."
    )
    empty = remaining_error([], 0, 0)
    assert math.isnan(empty.share) and math.isnan(empty.share_low) and math.isnan(empty.share_high)


def test_how_many_an_audit_must_read():
    size = audit_size(1000, 0.02)
    assert may_stop(remaining_error([Audit(1000, size, 0)], 1000 - size, 1000), 0.02)
    assert not may_stop(remaining_error([Audit(1000, size - 1, 0)], 1001 - size, 1000), 0.02)
    # 20 wrong of 1000 that all escape with a chance above 2.5 %: by counting
    assert chance(1000, 20, size - 1, 0) > 0.025 >= chance(1000, 20, size, 0)
    assert audit_size(10, 0.01) == 10


def test_hours_and_what_review_alone_believes():
    assert hours_saved(1000, 100, 20, readers=2) == pytest.approx(10.0)
    assert without_audit(0.4, 50) == pytest.approx(20.0)
    assert without_audit(0.4, 0) == 0.0


@pytest.mark.parametrize(
    "numbers",
    [(10, 11, 0), (10, 5, 6), (10, 5, -1), (10, 5, 0, -1), (10, 5, 0, 6), (10, 5, 0, 0, -1)],
)
def test_audits_that_cannot_be(numbers):
    with pytest.raises(ValueError, match=r"cannot be|more found"):
        Audit(*numbers)


def test_numbers_that_contradict_each_other():
    audit = Audit(10, 5, 1, outside=4)
    with pytest.raises(ValueError, match="outside of an audit"):
        remaining_error([audit], 3, 10)
    for unread, items, level in ((5, 4, 0.95), (-1, 4, 0.95), (1, 4, 1.0)):
        with pytest.raises(ValueError, match="unread of"):
            remaining_error([], unread, items, level)
    with pytest.raises(ValueError, match="a target"):
        may_stop(remaining_error([], 1, 4), 0.0)
    for given_ in ((10, 11, 1.0), (10, 5, -1.0), (10, 5, 1.0, 0)):
        with pytest.raises(ValueError, match="readers"):
            hours_saved(*given_)
