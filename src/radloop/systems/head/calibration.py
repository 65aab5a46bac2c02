"""From logits to calibrated probabilities and thresholds, measured on cases held out of training.

An answer is a row of logits and its truth, both `(labels,)`, NaN = unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from radloop.measures.calibration import Scaling, fit_scaling, threshold_for_sensitivity
from radloop.systems.base import Array
from radloop.systems.head.labels import ANY, KINDS, LABELS

Answers = Sequence[tuple[Array, Array]]

SENSITIVITY = 0.9
"""The share of positive calibration cases that the threshold finds."""


def fit_settings(scans: Answers, slices: Answers) -> dict[str, Any]:
    """Scaling of every label's logits, by level, and thresholds for `SENSITIVITY`."""
    settings: dict[str, Any] = {"scaling": {}}
    for level, rows in (("scan", scans), ("slice", slices)):
        if not rows:
            continue
        logits, truth = (np.stack([row[k] for row in rows]) for k in (0, 1))
        settings["scaling"][level] = {
            label: vars(_fitted(logits[:, k], truth[:, k])) for k, label in enumerate(LABELS)
        }
    thresholds = thresholds_of(settings, scans, slices)
    return settings | ({"thresholds": thresholds} if thresholds else {})


def _fitted(logits: Array, truth: Array) -> Scaling:
    known = ~np.isnan(truth)
    return fit_scaling(logits[known], truth[known])


def probabilities(row: Array, settings: Mapping[str, Any], level: str) -> dict[str, float]:
    """The calibrated probability of every label from a row of logits `(labels,)`, four digits.

    level: "scan" or "slice". Without settings the logits are taken as they are.
    """
    scaling = settings.get("scaling", {}).get(level, {})
    return {
        label: round(float(Scaling(**scaling.get(label, {}))(row[k])), 4)
        for k, label in enumerate(LABELS)
    }


def thresholds_of(settings: Mapping[str, Any], scans: Answers, slices: Answers) -> dict[str, Any]:
    """For "scan", "slice", and the "kinds" of a scan; without positives there is none."""
    found: dict[str, Any] = {}
    for level, rows in (("scan", scans), ("slice", slices)):
        probability = np.array([probabilities(o, settings, level)[ANY] for o, _ in rows])
        truth = np.array([t[0] for _, t in rows])
        value = threshold_for_sensitivity(probability, truth == 1, SENSITIVITY)
        if not np.isnan(value):
            found[level] = value
    kinds = {}
    for k, kind in enumerate(KINDS, start=1):
        probability = np.array([probabilities(o, settings, "scan")[kind] for o, _ in scans])
        truth = np.array([t[k] for _, t in scans])
        value = threshold_for_sensitivity(probability, truth == 1, SENSITIVITY)
        if not np.isnan(value):
            kinds[kind] = value
    return found | ({"kinds": kinds} if kinds else {})
