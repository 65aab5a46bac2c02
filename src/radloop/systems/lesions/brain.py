"""A brain mask of MR without weights: thresholds, erosion, the middle component, filling.

The classical way (Atkins and Mackiewich 1998): scalp, skull and eyes are cut from the brain where
only thin bridges join them. It is coarse by design, a few mm, and keeps lesions at the surface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.images.image import Image
from radloop.images.registration import air_threshold, head_mask
from radloop.images.volume_operations import block_means, resample_onto

Mask = npt.NDArray[np.bool_]

_GRID = 2.5  # mm
_BRIDGES = (2.6, 4.0, 5.5, 7.0, 9.0)  # mm: what is cut away on trial, thin bridges first
_CLOSED = 8.0  # mm: gaps and sulci that are closed
_PLAUSIBLE_ML = (600.0, 2000.0)
_HEIGHT = 165.0  # mm from the top of the head, below which there is no brain
_FULL_HEIGHT = 110.0  # mm: less is a slab, which may hold little brain
_STRIPPED = 0.35  # the share of exact zeros without which no volume was stripped before


@dataclass(frozen=True)
class BrainMask:
    """mask: `(z, y, x)` on the image's grid. plausible: False when no brain was told from the rest,
    and the mask is that of the head."""

    mask: Mask
    plausible: bool


def brain_mask(image: Image) -> BrainMask:
    """The brain on an MR volume of any sequence that is upright (towards S, P, L), or on one that
    was stripped before: then all of it that is not air."""
    small = block_means(image, (_GRID,) * 3)
    spacing = np.asarray(small.geometry.spacing or (1.0, 1.0, 1.0))
    values = np.nan_to_num(np.asarray(small.array, np.float32))
    head = _largest(head_mask(values))
    voxel_ml = float(np.prod(spacing)) / 1000
    least = 0.0 if values.shape[0] * spacing[0] < _FULL_HEIGHT else _PLAUSIBLE_ML[0]
    zeros = float(np.mean(np.asarray(image.array[:: max(1, len(image.array) // 32)]) == 0))
    if zeros > _STRIPPED and least < head.sum() * voxel_ml < _PLAUSIBLE_ML[1]:
        return BrainMask(_back(head, small, image), True)
    for found in _trials(values, head, spacing):
        if least < found.sum() * voxel_ml < _PLAUSIBLE_ML[1]:
            return BrainMask(_back(found, small, image), True)
    return BrainMask(_back(head, small, image), False)


def _trials(values: npt.NDArray[np.float32], head: Mask, spacing: Any) -> Iterator[Mask]:
    """Brains by thinner and thicker cuts: the largest part of the bright tissue that is left when
    bridges up to so many mm are cut away, grown back and filled."""
    top = np.flatnonzero(head.any((1, 2)))
    lowest = int(top[-1] - _HEIGHT / spacing[0]) if len(top) else 0
    upper = head.copy()
    upper[: max(0, lowest)] = False
    bright = upper & (values > air_threshold(values[upper]))
    depth = ndimage.distance_transform_edt(bright, sampling=spacing)
    for bridge in _BRIDGES:
        core = _largest(np.asarray(depth > bridge))
        if core.any():
            yield _filled(_dilated(core, bridge + 1.0, spacing), spacing) & upper


def _filled(mask: Mask, spacing: Any) -> Mask:
    pad = [int(np.ceil(_CLOSED / s)) + 1 for s in spacing]
    padded = np.pad(mask, [(p, p) for p in pad])
    closed = _eroded(_dilated(padded, _CLOSED, spacing), _CLOSED, spacing)
    inner = closed[tuple(slice(p, -p) for p in pad)]
    return np.asarray(ndimage.binary_fill_holes(inner), np.bool_)


def _eroded(mask: Mask, mm: float, spacing: Any) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing) > mm, np.bool_)


def _dilated(mask: Mask, mm: float, spacing: Any) -> Mask:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing) <= mm, np.bool_)


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()), np.bool_)


def _back(mask: Mask, small: Image, image: Image) -> Mask:
    on_small = small.with_array(mask.astype(np.float32))
    return np.asarray(resample_onto(on_small, image.geometry).array >= 0.5, np.bool_)
