"""Which films the ratio may be measured on: nothing missing, nothing cut off, shaped like a chest.

Heart and lungs that a network draws on a hand or a jaw do not lie as they do in a chest. Their
sizes and places, relative to the box around both lungs, are compared with those of the training
films by a Mahalanobis distance, whose limit is stored with the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.images.verdict import ACCEPTED, Verdict, refused
from radloop.systems.chest.ratio import Ratio

Maps = npt.NDArray[np.uint8]

FLOOR = 0.002
"""Added to every spread of a CTR: no film is measured more exactly than a third of a pixel."""
LATERAL_VIEWS = ("LL", "RL", "LLD", "RLD", "LATERAL", "LAT")
MAY_BE_TURNED = ("not_a_chest", "heart_missing", "lung_missing")
_NAMES = ("heart", "left lung", "right lung")
_SMALLEST = (0.01, 0.006, 0.006)  # share of the film
_CUT_SIDE = 0.25  # share of a lung's height that may run along the film's side
_CUT_HEART = 0.08
_SLACK = 1.6


def examine(cleaned: Maps, ratio: Ratio, settings: Mapping[str, Any]) -> Verdict:
    """Refused with the reason, or accepted."""
    size = cleaned.shape[-1]
    areas = [(m >= 128).sum() / size**2 for m in cleaned]
    absent = [k for k in range(3) if areas[k] < _SMALLEST[k]]
    if len(absent) > 1:
        return refused(
            "not_a_chest",
            "No heart between two lungs was found: this does not look like a frontal chest film."
            " Check what was sent.",
        )
    if absent:
        which = _NAMES[absent[0]]
        return refused(
            "heart_missing" if absent[0] == 0 else "lung_missing",
            f"The {which} was not found, so the ratio cannot be measured. A reader should look.",
        )
    shape = shape_features(cleaned, ratio)
    if shape is None or (
        settings.get("shape_limit") and _distance(shape, settings) > settings["shape_limit"]
    ):
        return refused(
            "not_a_chest",
            "Heart and lungs do not lie as in a frontal chest film: another body part, a lateral,"
            " turned or badly distorted film. Check what was sent.",
        )  # fmt: skip
    cut = _cut_off(cleaned)
    if cut:
        return refused(
            "cut_off",
            f"The {cut} is cut off by the edge of the film: its width cannot be measured. Send a"
            " film that shows the whole chest.",
        )
    return ACCEPTED


def _cut_off(cleaned: Maps) -> str:
    for k, limit in ((0, _CUT_HEART), (1, _CUT_SIDE), (2, _CUT_SIDE)):
        mask = cleaned[k] >= 128
        height = mask.any(1).sum()
        touching = max(mask[:, 0].sum(), mask[:, -1].sum())
        if k == 0:
            touching = max(touching, mask[0].sum())
        if touching > limit * height:
            return _NAMES[k]
    return ""


def shape_features(cleaned: Maps, ratio: Ratio) -> npt.NDArray[np.float64] | None:
    """Sizes and places relative to the box around both lungs; None where one is missing."""
    masks = (cleaned >= 128).astype(np.uint8)
    if not masks.any((1, 2)).all() or not np.isfinite(ratio.ctr):
        return None
    boxes = [cv2.boundingRect(m) for m in masks]
    moments = [cv2.moments(m, binaryImage=True) for m in masks]
    left = min(boxes[1][0], boxes[2][0])
    right = max(boxes[k][0] + boxes[k][2] for k in (1, 2))
    top = min(boxes[1][1], boxes[2][1])
    bottom = max(boxes[k][1] + boxes[k][3] for k in (1, 2))
    width, height = right - left, bottom - top
    places = [
        value
        for m in moments
        for value in ((m["m10"] / m["m00"] - left) / width, (m["m01"] / m["m00"] - top) / height)
    ]
    sizes = [np.log(m["m00"] / (width * height)) for m in moments]
    soft = ((cleaned > 32) & (cleaned < 223)).sum() / np.sqrt(masks.sum())
    return np.array(
        [
            *places,
            *sizes,
            np.log(boxes[1][3] / boxes[2][3]),
            np.log(width / height),
            np.log(width / cleaned.shape[-1]),
            np.log(soft + 0.1),
            np.log(ratio.blur + FLOOR),
        ]
    )


def fit_shapes(shapes: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Mean, inverse covariance (shrunk) and limit of the shapes of accepted films.

    The limit is the largest distance among them times a slack, so that none would be refused.
    """
    if len(shapes) < 20:
        return {}
    data = np.stack(shapes)
    mean = np.median(data, axis=0)
    covariance = np.cov(data.T)
    # Few films say little of how the features vary together: shrink towards their variances.
    trust = len(data) / (len(data) + 2 * len(mean))
    covariance = trust * covariance + (1 - trust) * np.diag(np.diag(covariance))
    covariance += 1e-4 * np.eye(len(mean))
    fitted = {
        "shape_mean": mean.round(5).tolist(),
        "shape_precision": np.linalg.inv(covariance).round(4).tolist(),
    }
    distances = sorted(_distance(shape, fitted) for shape in shapes)
    return {**fitted, "shape_limit": round(_SLACK * float(np.quantile(distances, 0.99)), 3)}


def _distance(shape: npt.NDArray[np.float64], settings: Mapping[str, Any]) -> float:
    off = shape - np.asarray(settings["shape_mean"])
    return float(np.sqrt(max(0.0, off @ np.asarray(settings["shape_precision"]) @ off)))
