"""What to ask next: pure functions of the state and of what a model says.

A queue holds the **disputed** items (label and model contradict each other: false positives and
negatives) and, where no label exists, the most informative ones; and a **random audit** of items on
which label and model agree. Looking only where the model errs finds only the wrong labels that the
model did not learn by heart, and tells nothing of the others; the audit is a simple random sample
of them, from which their share can be estimated.

`AUDIT`, a tenth of each queue, is the default: ten queues of 100 give 100 audited items, and if
none of them was wrong, at most 3 % of the unread labels are (the rule of three), at the price of a
tenth of the readers' time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable

import numpy as np

from radloop.labelling.pool import Pick, Pool
from radloop.labelling.state import Queue, Role, State

AUDIT = 0.1
AUDITED = "audit"
SEED = "random"
Strategy = Callable[[Pool, int, int], tuple[Pick, ...]]


def askable(state: State) -> tuple[str, ...]:
    """The items that no queue has asked about, in order: nothing is ever asked twice."""
    asked = {task.item for queue in state.queues for task in queue.tasks}
    return tuple(name for name in state.items if name not in asked)


def disputes(state: State) -> tuple[str, ...]:
    """What an adjudicator has to settle and was not asked yet: items that every reader answered,
    but not all alike, or that one could not tell."""
    settled = {t.item for q in state.queues if q.role == "adjudication" for t in q.tasks}
    found = []
    for queue in state.queues:
        if queue.role == "adjudication":
            continue
        for task in queue.tasks:
            given = [state.answers.get((task.item, reader)) for reader in queue.readers]
            complete = [answer for answer in given if answer is not None]
            values = {answer.value for answer in complete}
            if len(complete) == len(given) and (len(values) > 1 or None in values):
                found.append(task.item)
    return tuple(name for name in found if name not in settled)


def open_queues(state: State, role: Role) -> tuple[Queue, ...]:
    """The queues of this kind that are not fully answered, oldest first."""
    return tuple(q for q in state.queues if q.role == role and state.is_open(q))


def compose(
    pool: Pool,
    asked: Collection[str],
    k: int,
    share: float,
    review: Strategy,
    explore: Strategy,
    seed: int,
) -> tuple[Pick, ...]:
    """At most `k` items to ask about, each once and none of `asked`.

    share: of `k` for the audit, rounded up. The rest goes to what `review` picks among the labelled
    items, then, as far as there is room, to what `explore` picks among those without a label; to
    it, labelled items that were asked about are a part of what is known.

    The audit is drawn first, from *all* items on which label and model agree, and stays in the
    queue whatever `review` thinks of its items: a sample from which the suspicious ones were taken
    out would tell too good a tale.
    """
    fresh = np.array([name not in asked for name in pool.case_ids], np.bool_)
    to_review = pool.take(np.flatnonzero(fresh & pool.labelled))
    to_explore = pool.take(np.flatnonzero(fresh | pool.labelled))
    audits = _audit(to_review, math.ceil(share * k - 1e-9), seed)
    taken = {pick.case_id for pick in audits}
    room = k - len(audits)
    # Some of what `review` names may be in the audit already.
    found = review(to_review, min(len(to_review), k), seed) if room and len(to_review) else ()
    picks = [pick for pick in found if pick.case_id not in taken][:room]
    room -= len(picks)
    if room and not to_explore.labelled.all():
        picks += explore(to_explore, min(room, int((~to_explore.labelled).sum())), seed)
    return (*picks, *audits)


def random_picks(names: Iterable[str], k: int, seed: int, reason: str = SEED) -> tuple[Pick, ...]:
    """A simple random sample without replacement; it depends on the set of names and the seed."""
    ordered = sorted(names)
    chosen = np.random.default_rng(seed).choice(len(ordered), min(k, len(ordered)), replace=False)
    return tuple(Pick(ordered[i], reason, 0.0) for i in chosen)


def blinded(names: Iterable[str], token: str, reader: str) -> tuple[str, ...]:
    """The order in which a reader gets the items of a queue.

    It follows from the names, the queue and the reader alone, through a hash: neither label nor
    probability nor reason can be told from a place, no two readers have the same order, and what is
    left of a queue keeps its order.
    """
    return tuple(sorted(names, key=lambda name: _hash(f"{token}\0{reader}\0{name}")))


def count_kinds(pool: Pool, names: Collection[str]) -> dict[str, int]:
    """How many of the items `names`, those that could be asked about, are of each kind, as the log
    keeps it; "silent" are those of which the model said nothing."""
    part = pool.take([k for k, name in enumerate(pool.case_ids) if name in names])
    labelled, disputed = int(part.labelled.sum()), int(part.disputed.sum())
    return {
        "agreed": labelled - disputed,
        "disputed": disputed,
        "unlabelled": len(part) - labelled,
        "silent": len(names) - len(part),
    }


def audited_not(pool: Pool, names: Collection[str]) -> tuple[str, ...]:
    """What the audit is not drawn from of the labelled items `names` that could be asked about:
    those that the model contradicts, and those it said nothing of."""
    disputed, labelled = pool.disputed, pool.labelled
    agreed = {n for k, n in enumerate(pool.case_ids) if labelled[k] and not disputed[k]}
    return tuple(name for name in names if name not in agreed)


def _audit(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    agreed = np.flatnonzero(pool.labelled & ~pool.disputed)
    # Another stream than the strategies', which may draw from the same seed.
    return random_picks((pool.case_ids[i] for i in agreed), k, seed ^ 0xA0D17, AUDITED)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
