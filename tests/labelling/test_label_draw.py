"""What goes into a queue and in which order: errors, informative items, a fair audit, blinded."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.labelling.draw import AUDITED, blinded, compose, count_kinds, random_picks
from radloop.labelling.pool import Pick, Pool
from radloop.labelling.strategies import INFORMATIVE, REVIEW

ERRORS, UNCERTAINTY = REVIEW["errors"], INFORMATIVE["uncertainty"]


def pool_of(labels: list[int | None], probabilities: list[float]) -> Pool:
    names = tuple(f"c{k:02}" for k in range(len(labels)))
    values = [math.nan if label is None else label for label in labels]
    return Pool(names, np.array(values, float), np.array(probabilities, float))


pools = st.lists(
    st.tuples(st.sampled_from([0, 1, None]), st.floats(0, 1)), min_size=1, max_size=30
).map(lambda rows: pool_of(*map(list, zip(*rows, strict=True))))


@given(pools, st.integers(1, 12), st.floats(0, 1), st.integers(0, 5), st.data())
def test_a_queue_asks_each_once_and_nothing_again(
    pool: Pool, k: int, share: float, seed: int, data: st.DataObject
) -> None:
    asked = data.draw(st.sets(st.sampled_from(pool.case_ids)))
    picks = compose(pool, asked, k, share, ERRORS, UNCERTAINTY, seed)
    names = [pick.case_id for pick in picks]
    assert len(names) == len(set(names)) <= k
    assert not asked & set(names)
    assert picks == compose(pool, asked, k, share, ERRORS, UNCERTAINTY, seed)
    place = {name: i for i, name in enumerate(pool.case_ids)}
    for pick in picks:
        label, called = pool.labels[place[pick.case_id]], pool.called[place[pick.case_id]]
        if pick.reason == AUDITED:
            assert label == called
        elif pick.reason.startswith("false"):
            assert label == 1 - called
        else:
            assert math.isnan(label)
    audits = sum(pick.reason == AUDITED for pick in picks)
    fresh = [i for i, name in enumerate(pool.case_ids) if name not in asked]
    agreed = sum(pool.labels[i] == pool.called[i] for i in fresh)
    assert audits == min(math.ceil(share * k - 1e-9), agreed)


def test_errors_first_then_what_has_no_label() -> None:
    pool = pool_of([1, 0, 1, None, None, 0], [0.1, 0.8, 0.9, 0.52, 0.99, 0.2])
    picks = compose(pool, (), 4, 0.25, ERRORS, UNCERTAINTY, 0)
    assert [pick.reason for pick in picks] == [
        "false negative", "false positive", "uncertainty", "audit",
    ]  # fmt: skip
    assert [pick.case_id for pick in picks][:3] == ["c00", "c01", "c03"]


def test_the_audit_is_a_simple_random_sample() -> None:
    """Every agreed item has the same chance, whatever its probability."""
    pool = pool_of([0] * 10, [0.45] * 2 + [0.01] * 8)
    drawn = Counter(
        pick.case_id
        for seed in range(2000)
        for pick in compose(pool, (), 4, 0.5, ERRORS, UNCERTAINTY, seed)
    )
    assert sum(drawn.values()) == 4000
    # 400 expected; a binomial's standard deviation is 17.9
    assert all(abs(count - 400) < 80 for count in drawn.values())


def test_the_audit_keeps_items_that_the_review_would_have_taken() -> None:
    def suspicious(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
        return tuple(Pick(name, "noise", 1.0) for name in pool.case_ids[:k])

    pool = pool_of([0] * 6, [0.1] * 6)
    picks = compose(pool, (), 4, 0.5, suspicious, UNCERTAINTY, 1)
    assert Counter(pick.reason for pick in picks) == {"noise": 2, "audit": 2}


def test_labelled_items_that_were_asked_are_known_to_the_explorer() -> None:
    seen: list[tuple[str, ...]] = []

    def explore(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
        seen.append(pool.case_ids)
        return UNCERTAINTY(pool, k, seed)

    pool = pool_of([1, None, None, 0], [0.9, 0.5, 0.5, 0.1])
    compose(pool, {"c00", "c01"}, 3, 0.0, ERRORS, explore, 0)
    assert seen == [("c00", "c02", "c03")]  # c01 was asked and is still unknown


@given(st.sets(st.text(min_size=1, max_size=8), max_size=20), st.data())
def test_the_order_is_that_of_the_names_alone(names: set[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(sorted(names)))
    order = blinded(shuffled, "q001-abc", "anna")
    assert order == blinded(names, "q001-abc", "anna")
    assert set(order) == names
    # what is left of a queue keeps its order
    left = data.draw(st.sets(st.sampled_from(sorted(names)))) if names else set()
    assert blinded(left, "q001-abc", "anna") == tuple(n for n in order if n in left)


def test_the_order_tells_nothing_of_kind_and_differs_by_reader() -> None:
    errors = {f"e{k:03}" for k in range(60)}
    names = sorted(errors | {f"a{k:03}" for k in range(60)})
    places = []
    for queue in range(50):
        order = blinded(names, f"q{queue:03}", "anna")
        assert order != blinded(names, f"q{queue:03}", "ben")
        places += [k for k, name in enumerate(order) if name in errors]
    # 3000 places of 0..119: mean 59.5, standard error .63
    assert abs(np.mean(places) - 59.5) < 2.5


def test_random_picks_depend_on_the_set_alone() -> None:
    assert random_picks(["a", "b", "c"], 2, 7) == random_picks(["c", "b", "a"], 2, 7)
    assert len(random_picks(["a"], 5, 0)) == 1


def test_counts_of_kinds() -> None:
    pool = pool_of([1, 0, None, 1], [0.9, 0.9, 0.5, 0.1])
    counts = count_kinds(pool, {"c00", "c01", "c02", "silent"})
    assert counts == {"agreed": 1, "disputed": 1, "unlabelled": 1, "silent": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"case_ids": ("a", "a")}, "twice"),
        ({"labels": np.zeros(3)}, "labels of shape"),
        ({"probabilities": np.array([0.5, 1.5])}, r"\[0, 1\]"),
        ({"probabilities": np.array([0.5, math.nan])}, r"\[0, 1\]"),
        ({"members": np.zeros((4, 3))}, "members"),
        ({"features": np.zeros(2)}, "features"),
    ],
)
def test_a_pool_that_does_not_fit(change: dict[str, object], said: str) -> None:
    fits: dict[str, object] = {
        "case_ids": ("a", "b"), "labels": np.zeros(2), "probabilities": np.zeros(2),
    }  # fmt: skip
    with pytest.raises(ValueError, match=said):
        Pool(**(fits | change))  # type: ignore[arg-type]
