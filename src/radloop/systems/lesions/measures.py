"""What judges a model of lesions: overlap, surfaces, volumes, and lesion by lesion (ISLES'22)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.images.image import Geometry
from radloop.measures.lesions import (
    lesion_components,
    lesion_count_difference,
    lesion_f1,
    volume_difference_ml,
    volume_ml,
)
from radloop.measures.overlap import dice, precision, recall
from radloop.measures.spec import Agreement, Distribution, MeasureSpec
from radloop.measures.surface import hausdorff95

Mask = npt.NDArray[np.bool_]


def judge_masks(found: Mask, truth: Mask, geometry: Geometry) -> dict[str, float]:
    """The row of one case, both masks on the grid `geometry`.

    Empty masks, as in ISLES'22: both empty is right (1 for Dice, sensitivity, PPV and F1, 0 for
    differences, and no distance); one empty is wrong (0), its Hausdorff distance the diagonal of
    the volume, so that a case with nothing found cannot drop out of the mean.
    """
    spacing = geometry.spacing or (1.0, 1.0, 1.0)
    distance = hausdorff95(found, truth, spacing)
    if np.isinf(distance):
        distance = float(np.linalg.norm(np.asarray(spacing) * np.asarray(found.shape)))
    return {
        "dice": dice(found, truth, both_empty=1.0),
        "sensitivity": recall(found, truth, both_empty=1.0),
        "ppv": precision(found, truth, both_empty=1.0),
        "hausdorff95_mm": distance,
        "lesion_f1": lesion_f1(found, truth, both_empty=1.0),
        "count_difference": float(lesion_count_difference(found, truth)),
        "volume_difference_ml": volume_difference_ml(found, truth, spacing),
        "true_ml": volume_ml(truth, spacing),
        "true_count": float(lesion_components(truth)[1]),
    }


def _mean(column: npt.NDArray[Any]) -> float:
    return float(np.mean(column)) if len(column) else float("nan")


MEASURES = (
    MeasureSpec("dice", ("dice",), _mean, "Dice"),
    MeasureSpec("sensitivity", ("sensitivity",), _mean, "Sensitivity by voxel"),
    MeasureSpec("ppv", ("ppv",), _mean, "Positive predictive value by voxel"),
    MeasureSpec("lesion_f1", ("lesion_f1",), _mean, "F1 lesion by lesion"),
    MeasureSpec("hausdorff95", ("hausdorff95_mm",), _mean, "Hausdorff distance, 95 %", "mm",
                "lower"),
    MeasureSpec("volume_difference", ("volume_difference_ml",), _mean,
                "Absolute volume difference", "ml", "lower"),
    MeasureSpec("count_difference", ("count_difference",), _mean,
                "Absolute difference of lesion counts", "", "lower"),
)  # fmt: skip
FIGURES = (
    Distribution("Overlap", ("dice", "sensitivity", "ppv", "lesion_f1")),
    Agreement("Lesion volume", "total_ml", "true_ml", "ml"),
)
