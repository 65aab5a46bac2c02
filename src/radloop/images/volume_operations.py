"""Geometric operations on volumes `(z, y, x)`, each with its way back through the patient's mm.

Every operation returns a new `Image`, records a `Step`, and keeps in `Image.original` where the
file's own samples lie. `labels_to_original` and `points_to_original_index` go back there, whatever
was done since, from upright, turned and sheared grids alike.

Interpolation follows ITK: a sample reaches half a spacing to either side of its centre; within that
margin the outermost sample counts, beyond it `fill`. Nothing is smoothed before a grid is made
coarser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Floats, Geometry, Image, Planes, Step
from radloop.images.sampling import Order, sample_affine, sample_axes

AnyArray = npt.NDArray[Any]
Triple = tuple[float, float, float]
_SAME_WAY = 1e-6  # direction cosines, and indices, that differ less count as equal


def resample(image: Image, spacing: Triple, order: Order = "linear", fill: float = 0.0) -> Image:
    """The same extent on samples `spacing` = (z, y, x) mm apart.

    The first sample stays where it is and none lies beyond the last:
    `n_new = floor((n - 1) * old / new) + 1`.
    """
    before = _placed(image)
    if not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"The spacing {spacing} is not positive.", "Give three lengths in mm.")
    old = before.spacing or (1.0, 1.0, 1.0)
    shape = tuple(
        int(np.floor((n - 1) * a / b + _SAME_WAY)) + 1
        for n, a, b in zip(before.shape, old, spacing, strict=True)
    )
    return resample_onto(image, replace(before, shape=shape, spacing=spacing), order, fill)


def resample_onto(
    image: Image, geometry: Geometry, order: Order = "linear", fill: float = 0.0
) -> Image:
    """The image on another grid, which may be turned or sheared against its own.

    order: "linear", "nearest" (keeps the dtype: for masks), or "cubic" (B-spline of order 3; like
    ITK's, it mirrors the image at its edges). "linear" and "cubic" return float32.
    """
    before = _placed(image)
    matrix = _from(grid.affine(before), grid.affine(geometry))  # new index to old
    array = _on_matrix(image.array, matrix, geometry.shape, order, fill)
    axes = _axes(matrix)
    step = Step("resample", before.shape, geometry.shape, (), (), ())
    if axes is not None:
        scale = tuple(float(matrix[axis, i]) for i, axis in enumerate(axes))
        offset = tuple(float(matrix[axis, 3]) for axis in axes)
        step = replace(step, scale=scale, offset=offset, axes=axes)
    return _stepped(image, array, geometry, step)


def crop_volume(image: Image, start: Sequence[int], stop: Sequence[int]) -> Image:
    """The samples from index `start` to `stop` = (z, y, x), the last excluded.

    Raises InputError when the box is empty or leaves the image.
    """
    shape = image.array.shape
    if not all(0 <= a < b <= n for a, b, n in zip(start, stop, shape, strict=True)):
        raise InputError(
            f"The box {tuple(start)} to {tuple(stop)} is empty or leaves the volume of {shape}.",
            "Give start < stop inside the volume, in (z, y, x).",
        )
    z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return _moved(image, "crop", image.array[z, y, x], tuple(float(a) for a in start))


def pad_volume(
    image: Image, before: Sequence[int], after: Sequence[int], value: float = 0.0
) -> Image:
    """`before` and `after` = (z, y, x) samples of `value` added at the ends of the axes."""
    if min(*before, *after) < 0:
        raise InputError("Margins cannot be negative.", "Use crop_volume to take away.")
    margins = list(zip(before, after, strict=True))
    array = np.pad(image.array, margins, constant_values=value)
    return _moved(image, "pad", array, tuple(-float(a) for a in before))


def reorient(image: Image, letters: str) -> Image:
    """Axes exchanged and turned so that they run towards `letters`, such as "SPL" (an axial CT)
    or "SAR"; no sample is interpolated, none moves in the patient.

    Raises InputError for letters that do not name each of the three axes once.
    """
    before = _placed(image)
    sides = {letter: k for k, pair in enumerate(("LR", "PA", "SI")) for letter in pair}
    if len(letters) != 3 or {sides.get(letter) for letter in letters} != {0, 1, 2}:
        raise InputError(
            f"'{letters}' does not name three axes.",
            "Give one letter each of L or R, P or A, S or I, for the array's z, y, x.",
        )
    now = grid.letters(before)
    axes = tuple(next(i for i in range(3) if sides[now[i]] == sides[w]) for w in letters)
    turned = [now[axis] != wanted for axis, wanted in zip(axes, letters, strict=True)]
    scale = tuple(-1.0 if turn else 1.0 for turn in turned)
    offset = tuple(
        float(before.shape[axis] - 1) if turn else 0.0
        for axis, turn in zip(axes, turned, strict=True)
    )
    array = image.array.transpose(axes)
    array = array[tuple(slice(None, None, -1) if turn else slice(None) for turn in turned)]
    step = Step("reorient", before.shape, array.shape, scale, offset, axes)
    geometry = grid.from_affine(grid.affine(before) @ _matrix(step), array.shape)
    return _stepped(image, array, geometry, step)


def block_means(image: Image, spacing: Sequence[float]) -> Image:
    """The means of blocks of as many whole voxels as fit into `spacing` = (z, y, x) mm: what to do
    before a grid is made coarser, so that nothing is aliased. float32.

    Blocks that the end of an axis cuts off are dropped. The image itself when no block would have
    two voxels.
    """
    before = _placed(image)
    joined = tuple(
        max(1, min(n, int(wanted / have + 1e-3)))
        for wanted, have, n in zip(
            spacing, before.spacing or (1.0, 1.0, 1.0), before.shape, strict=True
        )
    )
    if joined == (1, 1, 1):
        return image
    z, y, x = (n // k for n, k in zip(before.shape, joined, strict=True))
    a, b, c = joined
    array = np.empty((z, y, x), np.float32)
    for k in range(z):  # slab by slab: no copy of the whole in a wider type
        slab = image.array[k * a : (k + 1) * a, : y * b, : x * c].astype(np.float32)
        array[k] = slab.reshape(a, y, b, x, c).mean((0, 2, 4))
    offset = tuple((k - 1) / 2 for k in joined)
    scale = tuple(float(k) for k in joined)
    step = Step("block_means", before.shape, array.shape, scale, offset, (0, 1, 2))
    geometry = grid.from_affine(grid.affine(before) @ _matrix(step), array.shape)
    return _stepped(image, array, geometry, step)


def window(image: Image, center: float, width: float) -> npt.NDArray[np.float32]:
    """0..1 through a linear window (PS3.3 C.11.2.1.3.2, LINEAR_EXACT), in the image's units."""
    if not width > 0:
        raise InputError(f"A window of width {width} shows nothing.", "Give a positive width.")
    shown = (image.array.astype(np.float32) - np.float32(center)) / np.float32(width)
    shown += np.float32(0.5)
    return np.clip(shown, 0, 1, out=shown)


def labels_to_original(labels: AnyArray, image: Image) -> AnyArray:
    """A mask or label map on the grid of `image`, on the grid or the slices of its file.

    labels: integers `(z, y, x)` of `image`'s shape. Each voxel of the file takes the label at its
    place in the patient, 0 where `image` does not reach. Returns the shape of `image.original`.
    """
    if labels.shape != image.array.shape:
        raise ValueError(f"labels of shape {labels.shape} on an image of {image.array.shape}")
    original = image.original
    here = grid.affine(image.geometry)
    if original is None:
        return labels
    if isinstance(original, Geometry):
        matrix = _from(here, grid.affine(original))
        return _on_matrix(labels, matrix, original.shape, "nearest", 0)
    back = np.empty(original.shape, labels.dtype)
    flat = (1, *original.shape[1:])
    for k in range(len(back)):
        matrix = _from(here, original.points_of(k))
        back[k] = _on_matrix(labels, matrix, flat, "nearest", 0)[0]
    return back


def points_to_original_index(points_zyx: npt.ArrayLike, image: Image) -> Floats:
    """Points `(n, 3)` in samples of `image` as fractional (z, y, x) of its file.

    On single slices z counts slices, with the fraction of the way to the next.
    """
    points = grid.to_patient(points_zyx, image.geometry)
    original = image.original or image.geometry
    if isinstance(original, Geometry):
        return grid.to_index(points, original)
    return _to_slices(points, original)


def _to_slices(points: Floats, planes: Planes) -> Floats:
    origins = np.asarray(planes.origins)
    depth = (origins - origins[0]) @ planes.normal
    along = (points - origins[0]) @ planes.normal
    k = np.clip(np.searchsorted(depth, along, side="right") - 1, 0, len(depth) - 2)
    part = (along - depth[k]) / (depth[k + 1] - depth[k])
    start = origins[k] + part[:, None] * (origins[k + 1] - origins[k])
    away = points - start
    rows = away @ np.asarray(planes.row) / planes.spacing[0]
    columns = away @ np.asarray(planes.column) / planes.spacing[1]
    return np.stack([k + part, rows, columns], axis=1)


# --- inner parts ------------------------------------------------------------------------------


def _placed(image: Image) -> Geometry:
    if image.array.ndim != 3 or image.geometry.direction is None:
        raise ValueError("a volume has the axes (z, y, x) and a place in the patient")
    return image.geometry


def _from(old: Floats, new: Floats) -> Floats:
    """The matrix from a new index to the old, of two matrices from index to mm."""
    return np.asarray(np.linalg.solve(old, new), np.float64)


def _axes(matrix: Floats) -> tuple[int, ...] | None:
    """The old axis of each new one, or None when the grids are turned against each other."""
    size = np.abs(matrix[:3, :3])
    order = [int(axis) for axis in size.argmax(0)]
    rest = size.copy()
    rest[order, range(3)] = 0
    if sorted(order) != [0, 1, 2] or rest.max() > _SAME_WAY * size.max():
        return None
    return tuple(order)


def _on_matrix(
    array: AnyArray, matrix: Floats, shape: tuple[int, ...], order: Order, fill: float
) -> AnyArray:
    """`array` at the places of `matrix` (new index to old): along the axes where that suffices."""
    axes = _axes(matrix)
    if axes is None or order == "cubic":
        return sample_affine(array, matrix, shape, order, fill)
    places = [
        matrix[axis, i] * np.arange(shape[i], dtype=np.float64) + matrix[axis, 3]
        for i, axis in enumerate(axes)
    ]
    return sample_axes(array.transpose(axes), places, order, fill)


def _matrix(step: Step) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for i, axis in enumerate(step.axes):
        matrix[axis, i] = step.scale[i]
        matrix[axis, 3] = step.offset[i]
    return matrix


def _moved(
    image: Image, name: Literal["crop", "pad"], array: AnyArray, start: tuple[float, ...]
) -> Image:
    before = _placed(image)
    step = Step(name, before.shape, array.shape, (1.0, 1.0, 1.0), start, (0, 1, 2))
    geometry = grid.from_affine(grid.affine(before) @ _matrix(step), array.shape)
    return _stepped(image, array, geometry, step)


def _stepped(image: Image, array: AnyArray, geometry: Geometry, step: Step) -> Image:
    return replace(
        image,
        array=np.ascontiguousarray(array),
        geometry=geometry,
        history=(*image.history, step),
        original=image.original or image.geometry,
    )
