"""Calibration: what turns a network's logits into probabilities that mean what they say.

`truth` is 0/1 and `logits` any real number, both `(n,)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logsumexp, softmax

from radloop.measures.classification import roc_curve

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """probability = expit(slope * logit + offset); the slope is 1 / temperature."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, logits: npt.ArrayLike) -> Floats:
        return np.asarray(expit(self.slope * np.asarray(logits, np.float64) + self.offset))

    def logit_of(self, probability: float) -> float:
        """The logit that gets this probability, in (0, 1)."""
        return (math.log(probability / (1 - probability)) - self.offset) / self.slope


def fit_scaling(logits: npt.ArrayLike, truth: npt.ArrayLike, weight: float = 1.0) -> Scaling:
    """Platt's scaling (1999) by maximum likelihood, with his smoothed targets and a prior.

    weight: of the prior that slope and offset stay near 1 and 0, in observations: with few cases
    the network is believed. The slope is never below 0.05, so that the order of cases stays. With
    one class only, the targets' smoothing alone keeps probabilities off 0 and 1.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(truth, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"logits of shape {x.shape} for a truth of {y.shape}")
    if not x.size:
        return Scaling()
    positive = y.sum()
    smooth = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (y.size - positive + 2))

    def cost(p: Any) -> float:
        z = math.exp(p[0]) * x + p[1]
        likelihood = np.logaddexp(0, z).sum() - (smooth * z).sum()
        return float(likelihood + weight * (p[0] ** 2 + 0.1 * p[1] ** 2))

    found = minimize(cost, np.zeros(2), method="Nelder-Mead", options={"maxiter": 2000})
    return Scaling(max(0.05, math.exp(float(found.x[0]))), float(found.x[1]))


def softmax_at(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities `(n, classes)` of logits `(n, classes)` at a temperature."""
    return np.asarray(softmax(np.asarray(logits, np.float64) / temperature, axis=1))


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike, weight: float = 1.0) -> float:
    """The temperature of a softmax by maximum likelihood (Guo et al. 2017), within 0.05 and 20.

    logits `(n, classes)`; truth `(n,)`, the number of the class. weight: of the prior that it is
    near 1, in observations: with few cases the network is believed.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(truth, np.intp)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"logits of shape {x.shape} for a truth of {y.shape}")
    if not y.size:
        return 1.0

    def cost(log_slope: float) -> float:
        z = math.exp(log_slope) * x
        likelihood = (z[np.arange(y.size), y] - logsumexp(z, axis=1)).sum()
        return float(weight * log_slope**2 - likelihood)

    found = minimize_scalar(cost, bounds=(-math.log(20), math.log(20)), method="bounded")
    return math.exp(-float(found.x))


def best_threshold(scores: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """The middle between the two neighbouring scores, in [0, 1], at which sensitivity +
    specificity peak (Youden 1950). ValueError with one class only."""
    curve = roc_curve(scores, truth)
    peak = int(np.argmax(curve.true_positive_rate - curve.false_positive_rate))
    below = curve.thresholds[peak + 1] if peak + 1 < len(curve.thresholds) else 0.0
    above = min(float(curve.thresholds[peak]), 1.0)
    return round((above + float(below)) / 2, 5)


def threshold_for_sensitivity(
    probability: npt.ArrayLike, truth: npt.ArrayLike, aim: float
) -> float:
    """The largest threshold at which at least the share `aim` of the positives is found.

    A case is positive when `probability >= threshold`. NaN without positives. It holds on these
    cases; on others the sensitivity has the interval of a share of as many positives. A threshold
    with a guarantee is in `conformal.py`.
    """
    positives = np.sort(np.asarray(probability)[np.asarray(truth, bool)])[::-1]
    if not positives.size:
        return math.nan
    return float(positives[math.ceil(aim * positives.size - 1e-9) - 1])


def weighted_log_loss(
    probability: npt.ArrayLike, truth: npt.ArrayLike, weights: npt.ArrayLike
) -> float:
    """Mean cross-entropy of several labels with weights, as in the RSNA 2019 challenge.

    probability, truth: `(n, labels)`; weights: `(labels,)`, made to sum to one. Probabilities are
    kept 1e-7 away from 0 and 1. Unknown truths (NaN) are left out.
    """
    p = np.clip(np.asarray(probability, np.float64), 1e-7, 1 - 1e-7)
    y = np.asarray(truth, np.float64)
    w = np.broadcast_to(np.asarray(weights, np.float64), y.shape)
    known = ~np.isnan(y)
    if not known.any():
        return math.nan
    loss = -np.where(y > 0.5, np.log(p), np.log(1 - p))
    return float((loss * w)[known].sum() / w[known].sum())
