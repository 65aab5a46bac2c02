"""The simulated loop: nothing read twice, audits that are told as they were, curves by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.labelling.pool import Pool
from radloop.labelling.remaining import remaining_error
from radloop.labelling.simulation import (
    Learned,
    SimulatedExpert,
    area_under_curve,
    flipped,
    labelling_loop,
    labels_needed,
    review_loop,
)
from radloop.labelling.strategies import STRATEGIES


def neighbours(points: np.ndarray):
    """A learner: the mean label of the 15 nearest others, whatever is known of them."""
    order = np.argsort(np.abs(points[:, None] - points), axis=1)[:, 1:16]

    def learn(labels: np.ndarray, seed: int) -> Learned:
        near = labels[order]
        known = ~np.isnan(near)
        total = np.where(known, near, 0).sum(1)
        return Learned(np.where(known.any(1), total / np.maximum(known.sum(1), 1), 0.5))

    return learn


def line(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Points, and a truth that changes at zero, blurred a little."""
    points = np.random.default_rng(seed).normal(size=n)
    return points, (points + 0.2 * np.random.default_rng(seed + 1).normal(size=n) > 0).astype(int)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_exactly_so_many_are_flipped(seed, share):
    truth = np.random.default_rng(seed).integers(0, 2, 37)
    assert (flipped(truth, share, seed) != truth).sum() == round(share * 37)


def test_what_is_likelier_to_be_wrong():
    truth = np.zeros(100, np.int64)
    weights = np.where(np.arange(100) < 20, 1.0, 1e-9)
    assert (flipped(truth, 0.2, 0, weights) == (np.arange(100) < 20)).all()


@pytest.mark.parametrize("name", ["errors", "noise"])
def test_review_finds_wrong_labels_faster_than_chance(name):
    points, truth = line(0)
    given_ = flipped(truth, 0.2, 1)
    setting = {"batch": 10, "budget": 40, "seed": 2}
    expert, learn = SimulatedExpert(truth), neighbours(points)
    rounds = review_loop(given_, expert, learn, STRATEGIES[name], **setting)
    chance = review_loop(given_, expert, learn, STRATEGIES["random"], **setting)
    assert [r.read for r in chance] == [0, 10, 20, 30, 40]
    assert rounds[-1].read <= 40  # `noise` names no more than it takes for wrong
    assert rounds[-1].wrong <= 12 < 25 <= chance[-1].wrong
    # each label that was put right is one that was looked at
    last = rounds[-1]
    assert last.precision == pytest.approx((40 - last.wrong) / last.read)


@given(st.integers(0, 200), st.sampled_from([0.0, 0.3, 1.0]), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_nothing_is_read_twice_and_audits_tell_the_truth(seed, share, batch):
    points, truth = line(seed, 80)
    asked: list[int] = []

    class Expert(SimulatedExpert):
        def answer(self, places):
            asked.extend(int(p) for p in places)
            return super().answer(places)

    rounds = review_loop(
        flipped(truth, 0.2, seed), Expert(truth), neighbours(points), STRATEGIES["errors"],
        batch=batch, budget=60, audit=share, seed=seed,
    )  # fmt: skip
    assert len(asked) == len(set(asked)) == rounds[-1].read <= 60
    last = rounds[-1]
    assert (last.labels != truth).sum() == last.wrong
    assert (last.labels[asked] == truth[asked]).all()
    assert all(a.wrong >= b.wrong for a, b in itertools.pairwise(rounds))
    assert bool(last.audits) == (share > 0 and round(share * batch) > 0 and last.read > 0)
    for audit in last.audits:
        assert audit.read <= round(share * batch)
        assert audit.outside <= 80 - last.read
    # as many as are wrong must be possible by the audits
    remaining_error(last.audits, 80 - last.read, 80)


def test_it_ends_when_nothing_is_disputed():
    _points, truth = line(3)
    rounds = review_loop(
        truth.astype(float), SimulatedExpert(truth), lambda labels, seed: Learned(labels),
        STRATEGIES["errors"], batch=5, budget=100,
    )  # fmt: skip
    assert len(rounds) == 1 and rounds[0].read == 0


def test_the_audits_interval_covers_and_review_alone_is_biased():
    """Wrong labels that the model believes: those of a whole stretch of the line."""
    held, believed, so = 0, [], []
    for seed in range(60):
        points, truth = line(seed)
        hidden = (points > 0.6) & (points < 1.0)
        given_ = np.where(hidden, 1 - truth, flipped(truth, 0.1, seed)).astype(float)
        expert, learn = SimulatedExpert(truth), neighbours(points)
        setting = {"batch": 10, "budget": 200, "seed": seed}
        blind = review_loop(given_, expert, learn, STRATEGIES["errors"], **setting)[-1]
        believed.append(blind.disputed_left)
        so.append(blind.wrong)
        audited = review_loop(given_, expert, learn, STRATEGIES["errors"], audit=0.3, **setting)[-1]
        left = remaining_error(audited.audits, 200 - audited.read, 200)
        held += left.low <= audited.wrong <= left.high
    assert max(believed) == 0 < np.mean(so)
    assert np.mean(so) > 5
    assert held >= 52  # 95 % of 60 less three standard deviations is 51.9


def test_an_expert_who_errs_says_the_same_again():
    truth = np.repeat([1, 0], 2000)
    expert = SimulatedExpert(truth, sensitivity=0.9, specificity=0.7, seed=4)
    everyone = np.arange(4000)
    said = expert.answer(everyone)
    assert said[:2000].mean() == pytest.approx(0.9, abs=0.03)
    assert 1 - said[2000:].mean() == pytest.approx(0.7, abs=0.04)
    assert (expert.answer(everyone[::-1]) == said[::-1]).all()
    assert (SimulatedExpert(truth).answer(everyone) == truth).all()


@pytest.mark.parametrize("name", ["random", "uncertainty", "coreset", "badge", "representative"])
def test_labels_grow_as_asked_and_stay(name):
    points, truth = line(5, 90)
    steps = labelling_loop(
        np.arange(8), SimulatedExpert(truth), neighbours(points), STRATEGIES[name], [8, 20, 55, 90],
        seed=1, features=np.stack([points, points**2], axis=1),
    )  # fmt: skip
    assert [int((~np.isnan(s)).sum()) for s in steps] == [8, 20, 55, 90]
    assert (steps[-1] == truth).all()
    for before, after in itertools.pairwise(steps):
        known = ~np.isnan(before)
        assert (before[known] == after[known]).all()


def test_a_learner_sees_only_what_is_known():
    _points, truth = line(6, 40)
    seen: list[int] = []

    def learn(labels: np.ndarray, seed: int) -> Learned:
        seen.append(int((~np.isnan(labels)).sum()))
        return Learned(np.full(40, 0.5))

    def rank(pool: Pool, k: int, seed: int):
        assert np.isnan(pool.labels).sum() == 40 - seen[-1]
        return STRATEGIES["random"](pool, k, seed)

    labelling_loop(np.arange(5), SimulatedExpert(truth), learn, rank, [5, 10, 30])
    assert seen == [5, 10]


def test_area_and_labels_needed():
    assert area_under_curve([10, 20, 40], [0.5, 0.7, 0.9]) == pytest.approx(0.7)
    assert area_under_curve([10, 1000], [0.8, 0.8]) == pytest.approx(0.8)
    # one doubling of three at .6 to .6, two from .6 to 1
    assert area_under_curve([10, 20, 80], [0.6, 0.6, 1.0]) == pytest.approx((0.6 + 2 * 0.8) / 3)
    assert labels_needed([10, 20, 40], [0.5, 0.7, 0.9], 0.8) == pytest.approx(30)
    assert labels_needed([10, 20, 40], [0.5, 0.7, 0.9], 0.4) == 10
    # it rose above before, and fell again
    assert labels_needed([10, 20, 40], [0.9, 0.7, 0.9], 0.8) == pytest.approx(30)
    assert labels_needed([10, 20], [0.9, 0.7], 0.8) == float("inf")
