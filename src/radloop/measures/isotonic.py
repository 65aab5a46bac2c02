"""Isotonic regression: the rising function from scores to probabilities that fits truth best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Isotonic:
    """A rising function from scores to probabilities: lines between the ends of its level parts.

    scores, values: its knots `(k,)`, both rising; beyond them it is level.
    """

    scores: Floats
    values: Floats

    def __call__(self, scores: npt.ArrayLike) -> Floats:
        return np.asarray(np.interp(np.asarray(scores, np.float64), self.scores, self.values))


def fit_isotonic(scores: npt.ArrayLike, truth: npt.ArrayLike) -> Isotonic:
    """The rising function nearest to the truth in least squares: pooled adjacent violators
    (Zadrozny and Elkan 2002).

    scores: any real numbers, truth: 0/1, both `(n,)`. Cases of one score count as one, with their
    mean. It can reach 0 and 1, and gives one probability to cases that the scores tell apart.
    Raises ValueError without cases and for NaN.
    """
    x, y = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if x.shape != y.shape or x.ndim != 1 or not x.size or np.isnan(x).any():
        raise ValueError(f"scores of shape {x.shape} for a truth of {y.shape}, or NaN")
    knots, of_case, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(of_case, weights=y) / counts
    level = np.asarray(isotonic_regression(means, weights=counts.astype(np.float64)).x)
    inside = np.zeros(level.size, dtype=np.bool_)
    inside[1:-1] = (level[1:-1] == level[:-2]) & (level[1:-1] == level[2:])
    return Isotonic(knots[~inside], level[~inside])
