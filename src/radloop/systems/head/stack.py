"""From a head CT as it was read to the stack a network reads, and back to the file's slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.images.image import Image
from radloop.systems.head.pose import Pose, find_pose, upright_stack
from radloop.systems.head.scale import brain_window, from_brain_window, from_hounsfield

SLAB = 5.0
"""mm of the head in one slice of the stack, as in the scans the models learned from."""


@dataclass(frozen=True)
class HeadStack:
    """greys: slabs `(z, y, x)` on the grey scale of `scale.py`, not turned. groups: for each slab
    the numbers of the file's slices it is the mean of. pose: None when nothing was found.
    """

    greys: npt.NDArray[np.uint8]
    groups: tuple[range, ...]
    pose: Pose | None

    def upright(self, size: int) -> npt.NDArray[np.uint8]:
        """What the network reads, `(z, size, size)`; black without a pose."""
        if self.pose is None:
            return np.zeros((len(self.greys), size, size), np.uint8)
        return upright_stack(self.greys, self.pose, size)

    def shown(self) -> npt.NDArray[np.uint8]:
        """The slabs in the brain window, as they lie in the file."""
        return brain_window(self.greys)

    def onto_slabs(self, heat: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A map `(size, size)` of the upright square, on the grid of the slabs `(y, x)`."""
        if self.pose is None:
            return np.zeros(self.greys.shape[1:], np.float32)
        height, width = self.greys.shape[1:]
        matrix = self.pose.matrix(len(heat))
        return np.asarray(cv2.warpAffine(heat, matrix, (width, height)), np.float32)


def head_stack(image: Image) -> HeadStack:
    """image: `(z, y, x)`, axial; CT in HU, or a windowed collection in bytes (0..80 HU)."""
    groups = groups_of(image)
    array: Any = image.array
    if image.modality == "CT":
        thick = [_mean(array, group) for group in groups]
        greys = np.stack([from_hounsfield(one) for one in thick])
    else:
        greys = np.stack([from_brain_window(_bytes(image, group)) for group in groups])
    return HeadStack(greys, groups, find_pose(brain_window(greys)))


def groups_of(image: Image) -> tuple[range, ...]:
    """The slabs of a scan, by its geometry alone."""
    spacing = image.geometry.spacing
    return slabs(image.array.shape[0], spacing[0] if spacing else 0.0)


def slabs(slices: int, spacing: float) -> tuple[range, ...]:
    """Runs of slices that make up about `SLAB` mm each; single ones when they are that thick.

    spacing: mm between slices, 0 = unknown.
    """
    count = max(1, round(SLAB / spacing)) if spacing > 0 else 1
    return tuple(range(k, min(k + count, slices)) for k in range(0, slices, count))


def _mean(array: Any, group: range) -> Any:
    return array[group[0]] if len(group) == 1 else array[group[0] : group[-1] + 1].mean(0)


def _bytes(image: Image, group: range) -> npt.NDArray[np.uint8]:
    """One slice shown in eight bits; deeper pictures by their display range."""
    one = np.asarray(image.array[group[0]])
    if one.dtype == np.uint8:
        return one
    low, high = image.display_range
    scaled = (one.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)
