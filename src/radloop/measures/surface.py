"""How far the surfaces of two masks lie apart: Hausdorff distance and average surface distance.

The surface of a mask is the mask minus its erosion by the face neighbours (4 in 2D, 6 in 3D);
what lies beyond the array counts as background, so a mask that touches the border has surface
there. A *directed* distance runs from a surface sample of one mask to the nearest surface sample
of the other, between the samples' centres.

- `hausdorff95`: the larger of the two directed 95th percentiles (linear interpolation), as MONAI
  computes it; medpy takes one percentile over the pooled distances, which is never larger.
- `average_symmetric_surface_distance`: the mean over the pooled directed distances of both
  directions (Heimann et al. 2009, IEEE TMI 28:1251), so the longer surface weighs more.

Distances are in mm when `spacing` (mm per array axis) is given, in samples otherwise. Both masks
empty: NaN, nothing to measure. Exactly one empty: infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.measures.overlap import Mask, check_masks


@dataclass(frozen=True)
class SurfaceDistances:
    """The directed distances, one for each surface sample; compute once, read several measures."""

    to_reference: npt.NDArray[np.float64]
    to_prediction: npt.NDArray[np.float64]

    def hausdorff(self, percentile: float = 100.0) -> float:
        """The larger of the two directed `percentile`s; 100 is the Hausdorff distance itself."""
        if not self.to_reference.size or not self.to_prediction.size:
            return self._without_surface()
        return float(
            max(
                np.percentile(self.to_reference, percentile),
                np.percentile(self.to_prediction, percentile),
            )
        )

    def average(self) -> float:
        """The mean over the distances of both directions."""
        if not self.to_reference.size or not self.to_prediction.size:
            return self._without_surface()
        pooled = self.to_reference.sum() + self.to_prediction.sum()
        return float(pooled / (self.to_reference.size + self.to_prediction.size))

    def _without_surface(self) -> float:
        """NaN when both masks were empty, infinity when one was."""
        return math.inf if self.to_reference.size or self.to_prediction.size else math.nan


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Sequence[float] | None = None
) -> SurfaceDistances:
    """Directed distances between the surfaces of two boolean masks of one shape, any axes.

    An empty mask has no surface: its own directed distances are an empty array, those towards it
    are infinite. Raises ValueError for masks that differ in shape or are not boolean, and for a
    spacing that does not fit.
    """
    check_masks(prediction, reference)
    step = (1.0,) * prediction.ndim if spacing is None else tuple(float(mm) for mm in spacing)
    if len(step) != prediction.ndim or min(step) <= 0:
        raise ValueError(f"spacing {step} for masks of {prediction.ndim} axes")
    box = _bounding_box(prediction | reference)
    ours, theirs = _surface(prediction[box]), _surface(reference[box])
    return SurfaceDistances(_directed(ours, theirs, step), _directed(theirs, ours, step))


def hausdorff95(prediction: Mask, reference: Mask, spacing: Sequence[float] | None = None) -> float:
    """The larger of the two directed 95th percentiles of the surface distance."""
    return surface_distances(prediction, reference, spacing).hausdorff(95.0)


def average_symmetric_surface_distance(
    prediction: Mask, reference: Mask, spacing: Sequence[float] | None = None
) -> float:
    """The mean surface distance over both directions."""
    return surface_distances(prediction, reference, spacing).average()


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box around the true samples; an empty box for an empty mask."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (inside,) = np.nonzero(mask.any(axis=others))
        box.append(slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0))
    return tuple(box)


def _surface(mask: Mask) -> Mask:
    # Cropping keeps this right: beyond the box both masks are background, as the border value is.
    surface: Mask = mask & ~ndimage.binary_erosion(mask) if mask.size else mask
    return surface


def _directed(origin: Mask, target: Mask, spacing: tuple[float, ...]) -> npt.NDArray[np.float64]:
    if not target.any():
        return np.full(int(np.count_nonzero(origin)), math.inf)
    distance = ndimage.distance_transform_edt(~target, sampling=spacing)
    return np.asarray(distance[origin], dtype=np.float64)
