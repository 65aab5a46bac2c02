"""From what both stages say to one probability a film, by weights measured on held-out cases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radloop.measures.calibration import best_threshold

Evidence = Mapping[str, float]
"""Logits by source: "film" (the detector of the film as a whole), "region" (its best box),
"judgement" (the second stage, of the region it finds worst)."""

SOURCES = ("film", "region", "judgement")
_FAR = 8.0
"""Logits beyond this say no more: a probability of .9997."""


def logit(probability: float) -> float:
    """The logit, within the range that counts."""
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return min(max(math.log(p / (1 - p)), -_FAR), _FAR)


def probability(evidence: Evidence, settings: Mapping[str, Any]) -> float:
    """The chance that the film is positive, in 0..1. Without settings the mean of the logits."""
    weights = settings.get("weights")
    if not weights:
        total = sum(evidence.values()) / max(1, len(evidence))
    else:
        total = weights["bias"] + sum(
            weights[name] * evidence.get(name, -_FAR) for name in weights if name != "bias"
        )
    return 1 / (1 + math.exp(-total))


def fit_decision(
    evidence: Sequence[Evidence], truth: Sequence[bool], least: int = 10
) -> dict[str, Any]:
    """Weights by logistic regression, and the threshold of the greatest Youden index.

    Empty with fewer than `least` cases of either kind: too few to measure anything.
    """
    if min(sum(truth), len(truth) - sum(truth)) < least:
        return {}
    from sklearn.linear_model import LogisticRegression

    names = [name for name in SOURCES if any(name in one for one in evidence)]
    rows = np.array([[one.get(name, -_FAR) for name in names] for one in evidence])
    fitted = LogisticRegression(C=1.0).fit(rows, np.array(truth))
    weights = {name: round(float(w), 5) for name, w in zip(names, fitted.coef_[0], strict=True)}
    settings: dict[str, Any] = {
        "weights": {**weights, "bias": round(float(fitted.intercept_[0]), 5)}
    }
    scores = np.array([probability(one, settings) for one in evidence])
    return settings | {"threshold": best_threshold(scores, np.array(truth))}
