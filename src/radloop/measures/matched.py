"""A model's sensitivity where it raises no more false alarms than a reader did.

The model's threshold is moved to the lowest at which its specificity is not below the reader's;
there its sensitivity is compared with the reader's. In the interval the threshold is chosen anew in
every bootstrap resample of patients, since it depends on the cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Matched:
    """At the reader's `specificity`: the sensitivity of the reader and of the model, and the
    difference model - reader with its interval. threshold: the model's, infinite where it must not
    call anything. n: the cases both judged. skipped: resamples without both classes."""

    specificity: float
    reader: float
    model: float
    threshold: float
    difference: float
    low: float
    high: float
    n: int
    skipped: int


def matched_sensitivity(
    score: npt.ArrayLike,
    answers: npt.ArrayLike,
    truth: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Matched:
    """Compare a score `(case,)` with the 0/1 answers of a reader, on the cases that have both.

    NaN: unknown. Everything is NaN without both classes; the interval is with a single patient.
    """
    scores, said = np.asarray(score, np.float64), np.asarray(answers, np.float64)
    known = ~(np.isnan(scores) | np.isnan(said))
    order = np.flatnonzero(known)[np.argsort(-scores[known], kind="stable")]
    true = np.asarray(truth, np.bool_)[order]
    falling, called = scores[order], said[order] > 0.5
    if not true.any() or true.all():
        return Matched(*(math.nan,) * 7, n=int(known.sum()), skipped=0)
    ends = np.append(np.nonzero(np.diff(falling))[0], falling.size - 1)
    sums = _Sums(true, called, ends)
    alone = np.ones((1, order.size))
    model, reader, specificity, place = (values[0] for values in sums.at(alone))
    threshold = float(falling[ends[int(place) - 1]]) if place else math.inf
    names = np.asarray(range(scores.size) if patients is None else patients)
    patient = np.unique(names[order], return_inverse=True)[1].reshape(order.shape)
    count = int(patient.max()) + 1
    differences = np.empty(0)
    if count > 1:
        generator = np.random.default_rng(seed)
        step = max(1, _CHUNK // order.size)
        parts = []
        for start in range(0, n, step):
            drawn = generator.integers(count, size=(min(step, n - start), count))
            weights = np.stack([np.bincount(row, minlength=count) for row in drawn])
            ours, theirs, _, _ = sums.at(weights[:, patient].astype(np.float64))
            parts.append(ours - theirs)
        differences = np.concatenate(parts)
    defined = differences[~np.isnan(differences)]
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(defined, tails) if defined.size else (math.nan, math.nan)
    return Matched(
        float(specificity), float(reader), float(model), threshold, float(model - reader),
        float(low), float(high), order.size, int(differences.size - defined.size),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sums:
    """true, called: of the cases by falling score; ends: the last case of every distinct score."""

    true: npt.NDArray[np.bool_]
    called: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.intp]

    def at(self, weights: Floats) -> tuple[Floats, Floats, Floats, npt.NDArray[np.intp]]:
        """At weights `(r, case)`: the model's and the reader's sensitivity, the reader's
        specificity, and how many distinct scores the model calls; NaN without a class."""
        found = np.cumsum(weights * self.true, axis=1)[:, self.ends]
        alarms = np.cumsum(weights * ~self.true, axis=1)[:, self.ends]
        positives, negatives = found[:, -1], alarms[:, -1]
        allowed = weights @ (self.called & ~self.true)
        place = (alarms <= allowed[:, None]).sum(axis=1)
        hits = np.where(place > 0, found[np.arange(len(found)), np.maximum(place - 1, 0)], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            model = hits / positives
            reader = weights @ (self.called & self.true) / positives
            specificity = 1 - allowed / negatives
        empty = negatives == 0
        model[empty] = math.nan
        return model, reader, specificity, place
