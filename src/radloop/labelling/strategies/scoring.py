"""Strategies that give each item a score of its own: random, uncertainty, disagreement."""

from __future__ import annotations

import numpy as np

from radloop.errors import InputError
from radloop.labelling.pool import Numbers, Pick, Pool
from radloop.labelling.strategies.batches import by_score, entropy, open_places, picks, spread


def random(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """A simple random sample, which every other strategy has to beat; it is left as it fell."""
    places = np.random.default_rng(seed).permutation(open_places(pool))[:k]
    return picks(pool, places, "random", np.zeros(len(pool)))


def uncertainty(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """The largest entropy of the predicted distribution first (Settles 2009, TR 1648, section 3.1).

    With a threshold other than one half a yes/no probability is first moved so that the threshold
    is the least certain: logit(p) - logit(threshold).
    """
    scores = entropy(_moved(pool))
    order = by_score(open_places(pool), scores, seed)
    return picks(pool, spread(pool, order, k), "uncertainty", scores)


def disagreement(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """What the ensemble's members know differently: the entropy of their mean less the mean of
    their entropies, in nats (BALD: Houlsby et al. 2011, arXiv 1112.5745). An item of which all are
    equally unsure has none. Raises InputError without members."""
    if pool.members is None:
        raise InputError(
            "The strategy 'disagreement' asks the members of an ensemble, and there are none.",
            "Give predictions with columns member:<k>, or choose `uncertainty`.",
        )
    members = pool.members
    if members.ndim == 2:
        members = np.stack([1.0 - members, members], axis=-1)
    scores = np.maximum(entropy(members.mean(axis=0)) - entropy(members).mean(axis=0), 0.0)
    order = by_score(open_places(pool), scores, seed)
    return picks(pool, spread(pool, order, k), "disagreement", scores)


def _moved(pool: Pool) -> Numbers:
    """The distribution `(n, classes)`; of a yes/no question with the threshold moved to 1/2."""
    if pool.probabilities.ndim == 2 or pool.threshold == 0.5 or not 0 < pool.threshold < 1:
        return pool.distribution
    positive = pool.probabilities * (1 - pool.threshold)
    negative = (1 - pool.probabilities) * pool.threshold
    return np.stack([negative, positive], axis=1) / (negative + positive)[:, None]
