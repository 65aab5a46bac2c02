"""From logits of hips to calibrated probabilities and thresholds, measured on validation films."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radloop.measures.calibration import Scaling, best_threshold, fit_scaling
from radloop.systems.pelvis.labels import TrueHip

FEWEST = 5
"""Of either kind: with fewer the threshold stays at .5, and of metal nothing is said."""

Said = tuple[tuple[float, float, float], TrueHip | None, bool | None]
"""Logits (fracture, metal, hip) of what was found, the true hip there, if any, and whether there is
one (None where that is not clear)."""


def fit_answers(said: Sequence[Said], metal: int) -> dict[str, Any]:
    """The settings `fracture`, `metal` and `hip`. metal: how many hips with and without it the
    model could learn from, the smaller number.

    Hips with metal say nothing of the fracture: they are not judged.
    """
    hips = [(logits, hip) for logits, hip, _ in said if hip is not None]
    broken = [(x[0], h.fracture) for x, h in hips if h.fracture is not None and not h.metal]
    settings: dict[str, Any] = {"fracture": fit_answer(broken)}
    if metal >= FEWEST:
        settings["metal"] = fit_answer([(x[1], h.metal) for x, h in hips if h.metal is not None])
    there = [(logits[2], is_one) for logits, _, is_one in said if is_one is not None]
    count = sum(is_one for _, is_one in there)
    if min(count, len(there) - count) >= FEWEST:
        settings["hip"] = fit_answer(there)
    return settings


def fit_answer(rows: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Scaling of an answer's logits, and the threshold with the greatest Youden index, from rows of
    logit and truth."""
    logits, truth = [row[0] for row in rows], np.array([row[1] for row in rows], np.bool_)
    scaling = fit_scaling(logits, truth.astype(np.float64))
    threshold = 0.5
    if min(truth.sum(), (~truth).sum()) >= FEWEST:
        threshold = best_threshold(scaling(logits), truth)
    return {
        "slope": round(scaling.slope, 5), "offset": round(scaling.offset, 5),
        "threshold": threshold, "hips": float(len(truth)),
    }  # fmt: skip


def chance(logit: float, fitted: Mapping[str, float]) -> float:
    """The probability that an answer is yes, four digits. Without a fit the logit is believed."""
    scaling = Scaling(float(fitted.get("slope", 1.0)), float(fitted.get("offset", 0.0)))
    p = float(scaling([logit])[0])
    return round(p, 4) if math.isfinite(p) else 0.0


def film_threshold(scores: Sequence[float], shows_hips: Sequence[bool]) -> dict[str, Any]:
    """The setting `film`: from which score of a film as a whole it may be a pelvis. Empty with
    fewer than `FEWEST` films of either kind."""
    if min(sum(shows_hips), len(shows_hips) - sum(shows_hips)) < FEWEST:
        return {}
    return {"film": best_threshold(np.array(scores), np.array(shows_hips, np.bool_))}
