"""Each strategy against its definition: by hand, by brute force, by scikit-learn."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipys_entropy
from sklearn.cluster import KMeans

from radloop.errors import InputError
from radloop.labelling.pool import Pool
from radloop.labelling.strategies import INFORMATIVE, REVIEW, STRATEGIES, get_strategy
from radloop.labelling.strategies.batches import spread
from radloop.labelling.strategies.covering import weighted_k_means


def made(seed: int, n: int = 30, labelled: float = 0.4, classes: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(n) < labelled, rng.integers(0, max(classes, 2), n), np.nan)
    shape = (n, classes) if classes else (n,)
    members = rng.random((3, *shape))
    if classes:
        members /= members.sum(axis=-1, keepdims=True)
    return Pool(
        tuple(f"c{k}" for k in range(n)), labels, members.mean(axis=0), members,
        rng.normal(size=(n, 5)),
    )  # fmt: skip


def names_of(n: int) -> tuple[str, ...]:
    return tuple(f"c{k}" for k in range(n))


def places(picks: object) -> list[int]:
    return [int(pick.case_id[1:]) for pick in picks]  # type: ignore[attr-defined]


@given(
    st.sampled_from(sorted(STRATEGIES)), st.integers(0, 500), st.integers(1, 35),
    st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from([0, 3]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_what_all_keep(name, seed, k, labelled, classes):
    pool = made(seed, 30, labelled, classes)
    rank = get_strategy(name)
    picks = rank(pool, k, seed)
    chosen = places(picks)
    assert len(chosen) == len(set(chosen)) <= k
    assert picks == rank(pool, k, seed)
    assert all(math.isfinite(pick.score) for pick in picks)
    if name == "errors":
        assert all(pool.disputed[i] for i in chosen)
        assert len(chosen) == min(k, pool.disputed.sum())
    elif name == "noise":
        assert all(pool.labelled[i] for i in chosen)
    else:
        unknown = int((~pool.labelled).sum())
        assert len(chosen) == min(k, unknown or len(pool))
        assert not unknown or not any(pool.labelled[i] for i in chosen)


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_empty_pool(name):
    none = np.zeros(0)
    pool = Pool((), none, none, np.zeros((2, 0)), np.zeros((0, 3)))
    assert get_strategy(name)(pool, 5, 0) == ()


def test_an_unknown_strategy_and_missing_parts():
    with pytest.raises(InputError, match="no strategy 'entropy'"):
        get_strategy("entropy")
    bare = Pool(("a", "b"), np.full(2, np.nan), np.array([0.2, 0.6]))
    with pytest.raises(InputError, match="members of an ensemble"):
        INFORMATIVE["disagreement"](bare, 1, 0)
    for name in ("coreset", "badge", "representative"):
        with pytest.raises(InputError, match=f"'{name}' compares items by features"):
            INFORMATIVE[name](bare, 1, 0)


def test_errors_are_named_and_the_surest_come_first():
    pool = Pool(
        ("c0", "c1", "c2", "c3", "c4"), np.array([1, 0, 0, np.nan, 1.0]),
        np.array([0.15, 0.9, 0.4, 0.99, 0.8]), threshold=0.3,
    )  # fmt: skip
    picks = REVIEW["errors"](pool, 5, 0)
    assert [(p.case_id, p.reason) for p in picks] == [
        ("c1", "false positive"), ("c0", "false negative"), ("c2", "false positive"),
    ]  # fmt: skip
    # (.9 - .3) / .7, (.3 - .15) / .3, (.4 - .3) / .7
    assert [p.score for p in picks] == pytest.approx([6 / 7, 0.5, 1 / 7])


def test_errors_among_classes():
    pool = Pool(
        ("c0", "c1", "c2"), np.array([0, 1, np.nan]),
        np.array([[0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.9, 0.1, 0.0]]),
    )  # fmt: skip
    (only,) = REVIEW["errors"](pool, 3, 0)
    assert (only.case_id, only.reason) == ("c0", "error")
    assert only.score == pytest.approx(0.5)


@given(st.integers(0, 300), st.sampled_from([0, 4]))
def test_uncertainty_is_scipys_entropy(seed, classes):
    pool = made(seed, 12, 0.0, classes)
    expected = scipys_entropy(pool.distribution, axis=1)
    picks = INFORMATIVE["uncertainty"](pool, 12, 0)
    assert [p.score for p in picks] == pytest.approx(sorted(expected, reverse=True))


def test_the_threshold_is_the_least_certain():
    pool = Pool(("c0", "c1", "c2"), np.full(3, np.nan), np.array([0.1, 0.5, 0.9]), threshold=0.1)
    picks = INFORMATIVE["uncertainty"](pool, 3, 0)
    assert places(picks) == [0, 1, 2]
    assert picks[0].score == pytest.approx(math.log(2))


def test_disagreement_is_mutual_information():
    """c0: all unsure; c1: sure of opposite things; c2: sure of the same."""
    members = np.array([[0.5, 1.0, 0.9], [0.5, 0.0, 0.9]])
    pool = Pool(("c0", "c1", "c2"), np.full(3, np.nan), members.mean(axis=0), members)
    picks = INFORMATIVE["disagreement"](pool, 3, 0)
    assert picks[0].case_id == "c1"
    assert [p.score for p in picks] == pytest.approx([math.log(2), 0, 0], abs=1e-12)


def test_random_gives_everyone_the_same_chance():
    pool = made(0, 10, 0.0)
    counts = np.bincount(
        [i for seed in range(2000) for i in places(INFORMATIVE["random"](pool, 3, seed))]
    )
    assert np.abs(counts - 600).max() < 100  # five standard deviations of a binomial


def cover(points: np.ndarray, centres: list[int]) -> float:
    """The distance of the item that is farthest from its centre."""
    away = np.linalg.norm(points[:, None] - points[centres], axis=2)
    return float(away.min(axis=1).max())


@given(st.integers(0, 200), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_coreset_is_within_twice_the_best_cover(seed, k):
    pool = made(seed, 11, 0.0)
    points = pool.features
    chosen = places(INFORMATIVE["coreset"](pool, k, 0))
    best = min(cover(points, list(some)) for some in combinations(range(11), k))
    assert cover(points, chosen) <= 2 * best + 1e-9


def test_coreset_goes_where_no_label_is():
    features = np.array([[0.0], [1.0], [2.0], [10.0], [4.0]])
    labels = np.array([0, np.nan, np.nan, np.nan, np.nan])
    pool = Pool(tuple(f"c{k}" for k in range(5)), labels, np.full(5, 0.5), None, features)
    picks = INFORMATIVE["coreset"](pool, 3, 0)
    assert places(picks) == [3, 4, 2]
    assert [p.score for p in picks] == pytest.approx([10, 4, 2])


@given(st.integers(0, 100), st.sampled_from([0, 3]))
@settings(max_examples=20, deadline=None)
def test_badges_scores_are_those_of_the_written_out_gradients(seed, classes):
    pool = made(seed, 15, 0.3, classes)
    likeliest = np.eye(pool.distribution.shape[1])[pool.distribution.argmax(axis=1)]
    gradient = (pool.distribution - likeliest)[:, :, None] * pool.features[:, None, :]
    flat = gradient.reshape(15, -1)
    picks = INFORMATIVE["badge"](pool, 5, seed)
    chosen = places(picks)
    unknown = np.flatnonzero(~pool.labelled)
    assert chosen[0] == unknown[np.argmax((flat[unknown] ** 2).sum(axis=1))]
    for k, pick in enumerate(picks[1:], start=1):
        away = ((flat[chosen[k]] - flat[chosen[:k]]) ** 2).sum(axis=1).min()
        assert pick.score == pytest.approx(away)


def test_badge_draws_in_proportion_to_the_squared_distance():
    """Three items; the longest first, then distances 4 and 1 apart: four of five go to the far."""
    features = np.array([[3.0], [1.0], [2.0]])
    pool = Pool(("c0", "c1", "c2"), np.full(3, np.nan), np.full(3, 0.5), None, features)
    second = [places(INFORMATIVE["badge"](pool, 2, seed))[1] for seed in range(2000)]
    assert np.mean(np.array(second) == 1) == pytest.approx(0.8, abs=0.045)


def test_badge_fills_up_with_what_repeats():
    pool = Pool(
        tuple(f"c{k}" for k in range(4)), np.full(4, np.nan), np.full(4, 0.5), None, np.ones((4, 2))
    )
    assert sorted(places(INFORMATIVE["badge"](pool, 4, 0))) == [0, 1, 2, 3]


def test_representatives_are_one_a_group():
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0], [20, 0], [0, 20], [20, 20]], float)
    features = np.concatenate([m + rng.normal(size=(12, 2)) for m in middles])
    pool = Pool(
        tuple(f"c{k}" for k in range(48)), np.full(48, np.nan), np.full(48, 0.5), None, features
    )
    for seed in range(5):
        chosen = places(INFORMATIVE["representative"](pool, 8, seed))
        assert len(chosen) == 8
        assert {k // 12 for k in chosen} == {0, 1, 2, 3}


def test_weighted_k_means_agrees_with_scikit_learn():
    rng = np.random.default_rng(1)
    points = np.concatenate([m + rng.normal(size=(20, 2)) for m in ([0, 0], [15, 0], [0, 15])])
    weights = rng.random(60) + 0.1
    cluster, centres = weighted_k_means(points, weights, 3, 0)
    theirs = KMeans(3, n_init=5, random_state=0).fit(points, sample_weight=weights)
    order = np.lexsort(np.round(centres, 3).T)
    expected = theirs.cluster_centers_[np.lexsort(np.round(theirs.cluster_centers_, 3).T)]
    assert centres[order] == pytest.approx(expected, abs=1e-6)
    same = cluster[:, None] == cluster
    assert (same == (theirs.labels_[:, None] == theirs.labels_)).all()


def test_near_duplicates_wait():
    features = np.array([[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1.0], [-1, -1, -1]])
    pool = Pool(
        tuple(f"c{k}" for k in range(5)), np.full(5, np.nan), np.full(5, 0.5), None, features
    )
    assert spread(pool, [0, 1, 2, 3], 3) == [0, 2, 3]
    assert spread(pool, [0, 1], 2) == [0, 1]
    bare = Pool(pool.case_ids, pool.labels, pool.probabilities)
    assert spread(bare, [0, 1, 2, 3], 3) == [0, 1, 2]
    twins = Pool(pool.case_ids[:3], np.full(3, np.nan), np.full(3, 0.5), None, features[[0, 0, 4]])
    assert spread(twins, [0, 1, 2], 2) == [0, 2]
