"""What the strategies share: which items they choose from, and batches without near duplicates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.labelling.pool import Numbers, Pick, Pool

Places = npt.NDArray[np.intp]

ALIKE = 0.95
"""Cosine similarity of two items' centred features from which on they are near duplicates."""


def open_places(pool: Pool) -> Places:
    """The items without a label; all, where every item has one."""
    unknown = np.flatnonzero(~pool.labelled)
    return unknown if unknown.size else np.arange(len(pool))


def features_of(pool: Pool, strategy: str) -> Numbers:
    """The pool's features. Raises InputError when it has none."""
    if pool.features is None:
        raise InputError(
            f"The strategy '{strategy}' compares items by features, and there are none.",
            "Give --features, or choose `uncertainty`.",
        )
    return pool.features


def entropy(distribution: Numbers) -> Numbers:
    """Of probabilities `(..., classes)`, in nats, `(...)`; 0 log 0 is 0."""
    logs = np.log(distribution, out=np.zeros_like(distribution), where=distribution > 0)
    return np.asarray(-(distribution * logs).sum(axis=-1))


def directions(features: Numbers) -> Numbers:
    """Centred features `(n, d)` at length 1, so that products are cosines; all 0 stays."""
    centred = features - features.mean(axis=0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 0))


def spread(pool: Pool, ordered: Iterable[int], k: int, alike: float = ALIKE) -> list[int]:
    """The first `k` of `ordered` places; one that nearly repeats an earlier one waits at the end.

    Whoever answers the first of two near duplicates has all but answered the second: the next
    model knows it, and will bring it up again if it does not. Without features nothing is known of
    likeness, and the order stays.
    """
    places = list(ordered)
    if pool.features is None or k >= len(places):
        return places[:k]
    rows = directions(pool.features)
    chosen = np.zeros((k, rows.shape[1]))
    kept: list[int] = []
    waiting: list[int] = []
    for place in places:
        if len(kept) == k:
            break
        if kept and float((chosen[: len(kept)] @ rows[place]).max()) > alike:
            waiting.append(place)
        else:
            chosen[len(kept)] = rows[place]
            kept.append(place)
    return kept + waiting[: k - len(kept)]


def picks(pool: Pool, places: Iterable[int], reason: str, scores: Numbers) -> tuple[Pick, ...]:
    """Picks of these places, in order; scores: `(n,)`, of all items of the pool."""
    return tuple(Pick(pool.case_ids[i], reason, float(scores[i])) for i in places)


def by_score(places: Places, scores: Numbers, seed: int) -> Places:
    """`places`, the largest of the scores `(n,)` first; ties in random order."""
    shuffled = np.random.default_rng(seed).permutation(places)
    return np.asarray(shuffled[np.argsort(-scores[shuffled], kind="stable")], np.intp)
