"""Where a probability map becomes lesions: threshold and smallest size, chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

THRESHOLDS = tuple(round(0.1 + 0.05 * k, 2) for k in range(17))
SIZES_ML = (0.0, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_ALIKE = 0.002  # mean Dice that no few cases can tell apart
TOUCHING = np.ones((3, 3, 3), np.bool_)
"""Voxels that share a corner belong to one lesion, as in ISLES'22."""


def choose(
    judged: Sequence[tuple[npt.NDArray[Any], npt.NDArray[np.bool_], float]],
) -> Mapping[str, Any]:
    """`threshold` and `smallest_ml` of the best mean Dice over the cases (Clerigues et al. 2020).

    judged: probability `(z, y, x)` in 0..1, truth, and the volume of a voxel in ml, case by case.
    A case without lesions scores 1 when none is found, else 0. Of pairs that are alike the one
    nearest to .5 without a smallest size is taken. The whole table is kept, for the report.
    """
    if not judged:
        return {}
    table = np.zeros((len(THRESHOLDS), len(SIZES_ML)))
    for probability, truth, voxel_ml in judged:
        for k, threshold in enumerate(THRESHOLDS):
            table[k] += _dice_by_size(probability >= threshold, truth, voxel_ml)
    table /= len(judged)
    good = np.argwhere(table >= table.max() - _ALIKE)
    k, j = min(good, key=lambda kj: (kj[1], abs(THRESHOLDS[kj[0]] - 0.5)))
    return {
        "threshold": THRESHOLDS[k],
        "smallest_ml": SIZES_ML[j],
        "calibration_cases": len(judged),
        "calibration_dice": round(float(table[k, j]), 4),
    }


def _dice_by_size(
    found: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_], voxel_ml: float
) -> npt.NDArray[np.float64]:
    """The Dice with each of `SIZES_ML` as the smallest size."""
    labels, count = ndimage.label(found, TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    right = np.bincount(labels[truth], minlength=count + 1)[1:]
    scores = []
    for smallest in SIZES_ML:
        keep = sizes * voxel_ml >= smallest
        total = int(sizes[keep].sum()) + int(truth.sum())
        scores.append(2 * float(right[keep].sum()) / total if total else 1.0)
    return np.asarray(scores)


def without_small(
    found: npt.NDArray[np.bool_], voxel_ml: float, smallest_ml: float
) -> tuple[npt.NDArray[np.int32], int]:
    """The lesions of at least `smallest_ml`, numbered from the largest on, and their count."""
    labels, count = ndimage.label(found, TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    order = [k for k in np.argsort(-sizes[1:], kind="stable") + 1
             if sizes[k] * voxel_ml >= smallest_ml]  # fmt: skip
    renumber = np.zeros(count + 1, np.int32)
    renumber[order] = np.arange(1, len(order) + 1)
    return renumber[labels], len(order)
