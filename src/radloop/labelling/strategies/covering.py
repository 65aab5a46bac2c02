"""Strategies that choose a batch as a whole: coreset, BADGE, uncertain representatives."""

from __future__ import annotations

import numpy as np

from radloop.labelling.pool import Numbers, Pick, Pool
from radloop.labelling.strategies.batches import (
    Places,
    by_score,
    entropy,
    features_of,
    open_places,
    picks,
    spread,
)

PREFILTER = 10
"""`representative` clusters the `PREFILTER` * k most uncertain items."""
_ROUNDS = 100


def coreset(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """k-centre greedy (Sener and Savarese 2018, ICLR): again and again the item that is farthest
    from all that are labelled or picked, so that none is left far from what is known.

    The labelled items of the pool are the first centres; without any the first pick is the item
    nearest to the mean. At most twice the radius of the best cover (Gonzalez 1985). score: the
    distance at which the item was picked, of the features as they are; 0 for what repeats.
    """
    features = features_of(pool, "coreset")
    places = open_places(pool)
    known = np.setdiff1d(np.flatnonzero(pool.labelled), places)
    if not places.size:
        return ()
    if known.size:
        away = np.min([_squared(features[places], features[c]) for c in known], axis=0)
        chosen: list[int] = []
    else:
        first = int(np.argmin(_squared(features[places], features[places].mean(axis=0))))
        away = _squared(features[places], features[places[first]])
        chosen = [first]
    scores = np.zeros(len(pool))
    while len(chosen) < min(k, places.size):
        open_now = away.copy()
        open_now[chosen] = -1.0
        farthest = int(np.argmax(open_now))
        scores[places[farthest]] = np.sqrt(max(float(away[farthest]), 0.0))
        chosen.append(farthest)
        away = np.minimum(away, _squared(features[places], features[places[farthest]]))
    return picks(pool, places[chosen[:k]], "coreset", scores)


def badge(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """Batches by k-means++ over gradient embeddings (Ash et al. 2020, ICLR, arXiv 1906.03671).

    The embedding of an item is the gradient of the cross-entropy by the weights of the last layer,
    if the likeliest class were its label: (probabilities - one-hot) x features. Long where the
    model is unsure, and pointing elsewhere for other items; k-means++ picks with a chance in
    proportion to the squared distance from what is picked, beginning with the longest, as the
    authors' code does. score: that squared distance.
    """
    features = features_of(pool, "badge")
    places = open_places(pool)
    if not places.size:
        return ()
    kernel = _GradientKernel(pool.distribution[places], features[places])
    rng = np.random.default_rng(seed)
    scores = np.zeros(len(pool))
    chosen = [int(np.argmax(kernel.lengths))]
    scores[places[chosen[0]]] = kernel.lengths[chosen[0]]
    away = kernel.squared_to(chosen[0])
    while len(chosen) < min(k, places.size):
        weights = away.copy()
        weights[chosen] = 0.0
        if weights.sum() <= 0:  # what is left repeats what is picked
            rest = np.setdiff1d(np.arange(places.size), chosen)
            chosen += [int(i) for i in rng.permutation(rest)[: min(k, places.size) - len(chosen)]]
            break
        drawn = int(rng.choice(places.size, p=weights / weights.sum()))
        scores[places[drawn]] = away[drawn]
        chosen.append(drawn)
        away = np.minimum(away, kernel.squared_to(drawn))
    return picks(pool, places[chosen[:k]], "badge", scores)


def representative(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """Uncertain items that stand for many: of the `PREFILTER` * k most uncertain, k clusters by
    k-means weighted with the entropy; of each the item nearest to its centre (Zhdanov 2019,
    arXiv 1901.05954). Largest weight of a cluster first; score: that weight, in nats."""
    features = features_of(pool, "representative")
    uncertain = entropy(pool.distribution)
    order = by_score(open_places(pool), uncertain, seed)[: PREFILTER * k]
    if order.size <= k:
        return picks(pool, order, "representative", uncertain)
    points, weights = features[order], uncertain[order] + 1e-12
    cluster, centres = weighted_k_means(points, weights, k, seed)
    scores = np.zeros(len(pool))
    chosen = []
    for number in range(len(centres)):
        own = np.flatnonzero(cluster == number)
        if own.size:
            nearest = own[np.argmin(_squared(points[own], centres[number]))]
            scores[order[nearest]] = weights[own].sum()
            chosen.append(int(order[nearest]))
    chosen.sort(key=lambda place: -scores[place])
    rest = [int(place) for place in order if int(place) not in set(chosen)]
    return picks(pool, spread(pool, [*chosen, *rest], k), "representative", scores)


def weighted_k_means(
    points: Numbers, weights: Numbers, k: int, seed: int
) -> tuple[Places, Numbers]:
    """Lloyd's algorithm from k-means++ centres; the cluster of each point `(n,)`, and the centres.

    weights: `(n,)`, positive; a centre is the weighted mean of its points. A cluster that runs
    empty keeps its centre.
    """
    rng = np.random.default_rng(seed)
    centres = [points[rng.choice(len(points), p=weights / weights.sum())]]
    away = _squared(points, centres[0]) * weights
    while len(centres) < k and away.sum() > 0:
        centres.append(points[rng.choice(len(points), p=away / away.sum())])
        away = np.minimum(away, _squared(points, centres[-1]) * weights)
    middle = np.stack(centres)
    cluster = _nearest(points, middle)
    for _ in range(_ROUNDS):
        totals = np.bincount(cluster, weights, minlength=len(middle))
        sums = np.zeros_like(middle)
        np.add.at(sums, cluster, points * weights[:, None])
        middle = np.where(totals[:, None] > 0, sums / np.maximum(totals, 1e-300)[:, None], middle)
        moved = _nearest(points, middle)
        if np.array_equal(moved, cluster):
            break
        cluster = moved
    return cluster, middle


class _GradientKernel:
    """Squared distances of gradient embeddings without writing them out.

    The embedding a x h has the products (a . a')(h . h'); so n * classes * d numbers are never
    needed.
    """

    def __init__(self, distribution: Numbers, features: Numbers) -> None:
        self.residual = distribution - np.eye(distribution.shape[1])[distribution.argmax(axis=1)]
        self.features = features
        self.lengths = (self.residual**2).sum(axis=1) * (features**2).sum(axis=1)

    def squared_to(self, place: int) -> Numbers:
        product = (self.residual @ self.residual[place]) * (self.features @ self.features[place])
        return np.asarray(np.maximum(self.lengths + self.lengths[place] - 2 * product, 0.0))


def _nearest(points: Numbers, centres: Numbers) -> Places:
    return np.asarray(np.argmin([_squared(points, centre) for centre in centres], axis=0), np.intp)


def _squared(points: Numbers, to: Numbers) -> Numbers:
    return np.asarray(((points - to) ** 2).sum(axis=1))
