"""From logits to probabilities that mean what they say, and thresholds, on cases held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.measures.calibration import (
    Scaling,
    best_threshold,
    fit_scaling,
    fit_temperature,
    softmax_at,
)
from radloop.systems.films.questions import Question, Questions, places_of

Logits = npt.NDArray[np.float64]

LEAST = 10
"""Cases of either kind below which no threshold is measured: it stays at one half."""


def fit_settings(logits: Logits, truth: Logits, questions: Questions) -> dict[str, Any]:
    """Of every question its scaling (yes or no) or temperature (classes), its threshold (the
    greatest Youden index), and on how many cases they were measured.

    logits, truth: `(n, outputs)`, NaN = unknown.
    """
    settings: dict[str, Any] = {}
    for question, place in zip(questions, places_of(questions).values(), strict=True):
        known = ~np.isnan(truth[:, place]).any(1)
        said, true = logits[known, place], truth[known, place]
        measured: dict[str, Any] = {"cases": int(known.sum())}
        if question.classes:
            measured["temperature"] = round(fit_temperature(said, true.argmax(1)), 5)
        else:
            scaling = fit_scaling(said[:, 0], true[:, 0])
            measured["scaling"] = {k: round(v, 5) for k, v in vars(scaling).items()}
            positive = true[:, 0] > 0
            if min(positive.sum(), (~positive).sum()) >= LEAST:
                probability = np.array([_yes(row[0], scaling) for row in said])
                measured["threshold"] = best_threshold(probability, positive)
        settings[question.name] = measured
    return settings


def probabilities(
    logits: npt.NDArray[Any], question: Question, settings: Mapping[str, Any]
) -> npt.NDArray[np.float64]:
    """The calibrated probability of each output of a question, from its logits `(outputs,)`.

    settings: what `fit_settings` measured of all questions; without it the logits are believed.
    """
    measured = settings.get(question.name, {})
    if question.classes:
        return np.asarray(softmax_at(logits[None], float(measured.get("temperature", 1.0)))[0])
    return np.array([_yes(logits[0], Scaling(**measured.get("scaling", {})))])


def threshold_of(question: Question, settings: Mapping[str, Any]) -> float:
    """From which probability a yes-or-no question is answered with yes."""
    return float(settings.get(question.name, {}).get("threshold", 0.5))


def _yes(logit: float, scaling: Scaling) -> float:
    return round(float(scaling(logit)), 6)
