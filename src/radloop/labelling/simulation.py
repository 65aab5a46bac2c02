"""The loop with a simulated expert: what a strategy is worth, on data whose truth is known.

Pure functions and values: labels in, curves out. A learner is any function from labels `(n,)`
(0, 1, NaN = unknown) and a seed to what models say that did not learn from the item; the loop knows
nothing of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from radloop.labelling.pool import Numbers, Pick, Pool
from radloop.labelling.remaining import Audit

Rank = Callable[[Pool, int, int], tuple[Pick, ...]]


class Learned(NamedTuple):
    """What a learner says of every item, out of fold: probabilities `(n,)`, members `(m, n)` or
    None."""

    probabilities: Numbers
    members: Numbers | None = None


Learner = Callable[[Numbers, int], Learned]


@dataclass(frozen=True)
class SimulatedExpert:
    """Answers 0 or 1 from the truth `(n,)`, wrongly with the chance 1 - sensitivity (of positives)
    or 1 - specificity; the same answer however often an item is asked."""

    truth: npt.NDArray[np.int64]
    sensitivity: float = 1.0
    specificity: float = 1.0
    seed: int = 0

    def answer(self, places: npt.NDArray[np.integer]) -> Numbers:
        """What the expert says of the items at these places."""
        chance = np.random.default_rng(self.seed).random(len(self.truth))[places]
        true = self.truth[places]
        right = chance < np.where(true == 1, self.sensitivity, self.specificity)
        return np.asarray(np.where(right, true, 1 - true), np.float64)


@dataclass(frozen=True)
class Round:
    """After a round of review: items read so far, labels still wrong among all, the audits so far
    (as `remaining_error` takes them), the disputes left unread, the share of read disputes whose
    label was wrong, and the labels."""

    read: int
    wrong: int
    audits: tuple[Audit, ...]
    disputed_left: int
    precision: float
    labels: Numbers = field(repr=False)


def flipped(
    truth: npt.NDArray[np.int64], share: float, seed: int, weights: Numbers | None = None
) -> Numbers:
    """The labels `(n,)` with exactly round(share * n) of them the other way.

    Which ones is drawn at random; weights: `(n,)`, positive, the chances in proportion, for labels
    that are wrong because of what the image shows. None: all alike.
    """
    labels = truth.astype(np.float64)
    count = round(share * len(truth))
    chances = None if weights is None else weights / weights.sum()
    places = np.random.default_rng(seed).choice(len(truth), count, replace=False, p=chances)
    labels[places] = 1.0 - labels[places]
    return labels


def review_loop(
    labels: Numbers,
    expert: SimulatedExpert,
    learn: Learner,
    rank: Rank,
    *,
    batch: int,
    budget: int,
    audit: float = 0.0,
    seed: int = 0,
    features: Numbers | None = None,
) -> list[Round]:
    """Learn, ask about what `rank` picks, take the answers for labels, and again.

    audit: the share of each batch that is a random sample of the unread items that label and model
    agree on, drawn before `rank` picks. No item is read twice. It ends when `budget` items are read
    or `rank` picks none. Returns the state before the first and after every round.
    """
    names = tuple(str(i) for i in range(len(labels)))
    place = {name: i for i, name in enumerate(names)}
    current = labels.copy()
    unread = np.ones(len(labels), np.bool_)
    populations: list[tuple[npt.NDArray[np.bool_], int, int]] = []
    disputes = corrected = 0
    wrong = int((current != expert.truth).sum())
    rounds = [Round(0, wrong, (), 0, float("nan"), current.copy())]
    found = np.zeros(len(labels), np.bool_)
    while (read := int((~unread).sum())) < budget:
        said = learn(current, seed + len(rounds))
        pool = Pool(names, current, said.probabilities, said.members, features)
        room = min(batch, budget - read)
        rng = np.random.default_rng((seed, len(rounds), 1))
        agreed = unread & ~pool.disputed
        sampled = rng.permutation(np.flatnonzero(agreed))[: round(audit * room)]
        rest = unread.copy()
        rest[sampled] = False
        asked = pool.take(np.flatnonzero(rest))
        chosen = [place[p.case_id] for p in rank(asked, room - len(sampled), seed + len(rounds))]
        if not chosen:
            break
        reviewed = np.array(chosen, np.intp)
        looked = np.concatenate([reviewed, sampled]).astype(np.intp)
        answers = expert.answer(looked)
        changed = looked[answers != current[looked]]
        found[changed] = True
        corrected += int(np.isin(changed, reviewed).sum())
        disputes += len(reviewed)
        if len(sampled):
            populations.append((agreed, len(sampled), int(np.isin(changed, sampled).sum())))
        current[looked] = answers
        unread[looked] = False
        rounds.append(
            Round(
                int((~unread).sum()),
                int((current != expert.truth).sum()),
                tuple(_audit(p, a, x, unread, found) for p, a, x in populations),
                int((pool.disputed & unread).sum()),
                corrected / disputes,
                current.copy(),
            )
        )
    return rounds


def _audit(
    population: npt.NDArray[np.bool_],
    read: int,
    wrong: int,
    unread: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
) -> Audit:
    """The audit as it stands now; `found` in its population includes its own finds."""
    since = int((found & population).sum()) - wrong
    return Audit(int(population.sum()), read, wrong, since, int((unread & ~population).sum()))


def labelling_loop(
    start: npt.NDArray[np.integer],
    expert: SimulatedExpert,
    learn: Learner,
    rank: Rank,
    sizes: Sequence[int],
    *,
    seed: int = 0,
    features: Numbers | None = None,
) -> list[Numbers]:
    """Label from nothing: the labels `(n,)` at each of the rising `sizes`, NaN = not asked yet.

    start: the places that are labelled first, `sizes[0]` of them, the same for every strategy.
    """
    n = len(expert.truth)
    names = tuple(str(i) for i in range(n))
    labels = np.full(n, np.nan)
    labels[start] = expert.answer(start)
    steps = [labels.copy()]
    for size in sizes[1:]:
        said = learn(labels, seed)
        pool = Pool(names, labels, said.probabilities, said.members, features)
        ranked = rank(pool, size - int(pool.labelled.sum()), seed + size)
        places = np.array([int(pick.case_id) for pick in ranked], np.intp)
        labels[places] = expert.answer(places)
        steps.append(labels.copy())
    return steps


def area_under_curve(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The mean height of a learning curve over the logarithm of the labels: doubling them counts
    the same everywhere. In the unit of the values."""
    x = np.log(np.asarray(sizes, np.float64))
    return float(np.trapezoid(np.asarray(values), x) / (x[-1] - x[0]))


def labels_needed(sizes: Sequence[int], values: Sequence[float], target: float) -> float:
    """The number of labels from which on the curve stays at `target` or above, between two sizes by
    a straight line; infinite when it ends below."""
    below = np.flatnonzero(np.asarray(values) < target)
    if not below.size:
        return float(sizes[0])
    last = int(below[-1])
    if last == len(sizes) - 1:
        return float("inf")
    share = (target - values[last]) / (values[last + 1] - values[last])
    return float(sizes[last] + share * (sizes[last + 1] - sizes[last]))
