"""Sums over pairs of readings, from which U-statistics make moments (Gallas 2006; Gallas & Brown
2008).

The *success* of cell c on a positive case i and a negative case j is 1 where i scored higher, 1/2
in a tie, 0 otherwise; its mean is the area under the ROC curve. Of two cells, products of successes
are summed over

    0  the same positive and the same negative case
    1  the same positive case, any two negative ones
    2  the same negative case, any two positive ones
    3  any two of both

and over the pairs that were read (the denominator). A sensitivity has no negative cases: it is as
if there were a single one, always the same; a specificity the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radloop.measures.mrmc.study import Accuracy, Floats, ReaderStudy

_MOST = 20_000_000
"""Numbers held at once: 80 MB."""
_EXACT = 4_000_000
"""Products of halves that float32 adds without rounding."""
_APART = np.array([[1, 0, 0, 0], [-1, 1, 0, 0], [-1, 0, 1, 0], [1, -1, -1, 1]], np.float64)
"""From sums over any two cases to sums over two different ones."""


@dataclass(frozen=True)
class PairSums:
    """numerator, denominator: `(4, cell, cell)`, see the module's text. total, pairs: `(cell,)`, of
    each cell alone: their quotient is its accuracy. with_positive, with_negative: whether cases of
    that class vary.
    """

    numerator: Floats
    denominator: Floats
    total: Floats
    pairs: Floats
    with_positive: bool
    with_negative: bool

    @property
    def last(self) -> int:
        """Which of the four is over two different cases of every class that varies."""
        return 2 * self.with_positive + self.with_negative

    def unbiased(self) -> PairSums:
        """The same over two *different* cases wherever it says "any two"."""
        return PairSums(
            np.einsum("ij,jkl->ikl", _APART, self.numerator),
            np.einsum("ij,jkl->ikl", _APART, self.denominator),
            self.total,
            self.pairs,
            self.with_positive,
            self.with_negative,
        )


def pair_sums(study: ReaderStudy, measure: Accuracy) -> PairSums:
    """The sums of a study; exact, as all of them are multiples of 1/4."""
    cells, truth = study.cells, study.truth
    positive, negative = cells[:, truth], cells[:, ~truth]
    if measure == "auc":
        return _of_areas(positive, negative)
    if measure == "sensitivity":
        return _of_answers(positive, with_positive=True)
    return _of_answers(1.0 - negative, with_positive=False)


def sums_of_values(values: Floats) -> PairSums:
    """Of any quantity that readers have of cases, `(reader, case)`, NaN unknown."""
    return _of_answers(np.asarray(values, np.float64), with_positive=True)


def _of_answers(values: Floats, *, with_positive: bool) -> PairSums:
    read = ~np.isnan(values)
    known = np.where(read, values, 0.0)
    total, pairs = known.sum(axis=1), read.sum(axis=1).astype(np.float64)
    same, shared = known @ known.T, read.astype(np.float64) @ read.T.astype(np.float64)
    both, all_pairs = np.outer(total, total), np.outer(pairs, pairs)
    order = (same, same, both, both) if with_positive else (same, both, same, both)
    weights = (
        (shared, shared, all_pairs, all_pairs)
        if with_positive
        else (shared, all_pairs, shared, all_pairs)
    )
    return PairSums(
        np.stack(order), np.stack(weights), total, pairs, with_positive, not with_positive
    )


def _of_areas(positive: Floats, negative: Floats) -> PairSums:
    k, m = positive.shape
    n = negative.shape[1]
    same = np.zeros((k, k))
    of_positive, of_negative = np.zeros((k, m)), np.zeros((k, n))
    step = max(1, min(_MOST // max(k, 1), _EXACT) // max(n, 1))
    for start in range(0, m, step):
        part = positive[:, start : start + step, None]
        success = (part > negative[:, None, :]).astype(np.float32)
        success += part >= negative[:, None, :]  # a comparison with NaN is false: not read
        success *= 0.5
        flat = success.reshape(k, -1)
        same += flat @ flat.T
        of_positive[:, start : start + step] = success.sum(axis=2, dtype=np.float64)
        of_negative += success.sum(axis=1, dtype=np.float64)
    read_positive = (~np.isnan(positive)).astype(np.float64)
    read_negative = (~np.isnan(negative)).astype(np.float64)
    shared_positive, shared_negative = (
        read_positive @ read_positive.T,
        read_negative @ read_negative.T,
    )
    m_of, n_of = read_positive.sum(axis=1), read_negative.sum(axis=1)
    total, pairs = of_positive.sum(axis=1), m_of * n_of
    return PairSums(
        np.stack(
            [
                same,
                of_positive @ of_positive.T,
                of_negative @ of_negative.T,
                np.outer(total, total),
            ]
        ),
        np.stack(
            [
                shared_positive * shared_negative,
                shared_positive * np.outer(n_of, n_of),
                shared_negative * np.outer(m_of, m_of),
                np.outer(pairs, pairs),
            ]
        ),
        total,
        pairs,
        True,
        True,
    )
