"""Strategies that look for wrong labels: where label and model contradict, and label noise."""

from __future__ import annotations

import numpy as np

from radloop.labelling.confident import label_issues, margins
from radloop.labelling.pool import Numbers, Pick, Pool
from radloop.labelling.strategies.batches import by_score, picks, spread


def errors(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """False positives and false negatives, the most confident first; nothing else.

    The review of Gale et al. 2017 (arXiv 1711.06504): experts see only the cases on which the model
    contradicts the label. score in [0, 1]: how far the probability lies beyond the threshold, as a
    share of the way to certainty; with classes how much likelier the called one is than the label.
    """
    scores = confidence(pool)
    order = by_score(np.flatnonzero(pool.disputed), scores, seed)
    kinds = np.where(pool.called == 1, "false positive", "false negative")
    named = spread(pool, order, k)
    if pool.probabilities.ndim == 2:
        return picks(pool, named, "error", scores)
    return tuple(Pick(pool.case_ids[i], str(kinds[i]), float(scores[i])) for i in named)


def noise(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
    """The labels that confident learning takes for wrong (Northcutt et al. 2021), and no others.

    The largest margin first. Unlike `errors` it asks how sure the model usually is of each class,
    so a model that leans to one class does not fill the queue with the other. score in [-1, 1]: the
    probability of the other class minus that of the label.
    """
    labelled = np.flatnonzero(pool.labelled)
    scores = np.zeros(len(pool))
    if not labelled.size:
        return ()
    labels, distribution = pool.labels[labelled].astype(np.int64), pool.distribution[labelled]
    scores[labelled] = margins(labels, distribution)
    wrong = labelled[label_issues(labels, distribution)]
    return picks(pool, spread(pool, by_score(wrong, scores, seed), k), "noise", scores)


def confidence(pool: Pool) -> Numbers:
    """How sure the model is of what it calls, `(n,)` in [0, 1]; see `errors`."""
    if pool.probabilities.ndim == 2:
        known = pool.labelled
        label = np.where(known, pool.labels, 0).astype(np.int64)
        rows = np.arange(len(pool))
        given = pool.distribution[rows, label]
        return np.where(known, pool.distribution.max(axis=1) - given, 0.0)
    above = pool.probabilities - pool.threshold
    way = np.where(above >= 0, 1.0 - pool.threshold, pool.threshold)
    return np.asarray(np.divide(np.abs(above), way, out=np.zeros_like(above), where=way > 0))
