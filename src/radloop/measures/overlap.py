"""How much of two masks is the same: Dice, Jaccard, precision, recall.

Masks are boolean arrays of one shape and any number of axes; the values lie in [0, 1].

Empty masks. When *both* are empty every measure is 0/0 and returns `both_empty`: NaN by default,
so that the case is left out of a mean, or 1.0 for "rightly found nothing". When exactly *one* is
empty every measure is 0.0, precision of an empty prediction included: a structure that was missed
altogether must not drop out of the mean.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class Counts(NamedTuple):
    """Pixels in both masks, in the prediction only, in the reference only."""

    both: int
    prediction_only: int
    reference_only: int


def check_masks(prediction: Mask, reference: Mask) -> None:
    """Raise ValueError unless both are boolean and of one shape.

    A label map is refused rather than read as "anything above zero": write `labels == k`.
    """
    for mask in (prediction, reference):
        if mask.dtype != np.bool_:
            raise ValueError(f"a mask must be boolean, not {mask.dtype}: compare the labels first")
    if prediction.shape != reference.shape:
        raise ValueError(f"masks of different shapes: {prediction.shape} and {reference.shape}")


def count(prediction: Mask, reference: Mask) -> Counts:
    """The three counts that all overlap measures are made of."""
    check_masks(prediction, reference)
    both = int(np.count_nonzero(prediction & reference))
    return Counts(
        both, int(np.count_nonzero(prediction)) - both, int(np.count_nonzero(reference)) - both
    )


def dice(prediction: Mask, reference: Mask, *, both_empty: float = math.nan) -> float:
    """2 |P and R| / (|P| + |R|) (Dice 1945)."""
    counts = count(prediction, reference)
    either = counts.both + counts.prediction_only + counts.reference_only
    return 2 * counts.both / (either + counts.both) if either else both_empty


def jaccard(prediction: Mask, reference: Mask, *, both_empty: float = math.nan) -> float:
    """|P and R| / |P or R|, also called intersection over union (Jaccard 1901)."""
    counts = count(prediction, reference)
    either = sum(counts)
    return counts.both / either if either else both_empty


def precision(prediction: Mask, reference: Mask, *, both_empty: float = math.nan) -> float:
    """|P and R| / |P|: how much of what was predicted is right."""
    counts = count(prediction, reference)
    return counts.both / (counts.both + counts.prediction_only or 1) if any(counts) else both_empty


def recall(prediction: Mask, reference: Mask, *, both_empty: float = math.nan) -> float:
    """|P and R| / |R|: how much of what is there was predicted."""
    counts = count(prediction, reference)
    return counts.both / (counts.both + counts.reference_only or 1) if any(counts) else both_empty
