"""Volumes at fractional indices: along the axes apart where that suffices, else point by point."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Order = Literal["linear", "nearest", "cubic"]
AnyArray = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_EDGE = 1e-9  # rounding must not lose the very edge of a sample
_SLAB = 8  # planes that a thread makes at a time


Taps = tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], npt.NDArray[np.bool_]]


def taps(place: Floats, size: int) -> Taps:
    """For each place along an axis of `size` samples: the sample before it, the weight of the one
    after, and whether it lies outside, more than half a spacing from the outermost centre."""
    outside = (place < -0.5 - _EDGE) | (place > size - 0.5 + _EDGE)
    inside = np.clip(place, 0, size - 1)
    first = np.floor(inside).astype(np.intp)
    return first, (inside - first).astype(np.float32), outside


def sample_axes(array: AnyArray, places: Sequence[Floats], order: Order, fill: float) -> AnyArray:
    """`array` `(z, y, x)` at the product of the `places` along its axes; `fill` outside.

    "nearest" keeps the dtype, "linear" returns float32. Planes are made in threads, each from
    the two planes beside it: nothing of the volume's size is held but the result.
    """
    if order == "nearest":
        return _nearest_axes(array, places, fill)
    (z, weight_z, outside_z), *rest = (
        taps(place, n) for place, n in zip(places, array.shape, strict=True)
    )
    after_z = np.minimum(z + 1, array.shape[0] - 1)
    result = np.empty([len(place) for place in places], np.float32)

    def slab(start: int) -> None:
        flat: dict[int, npt.NDArray[np.float32]] = {}
        for k in range(start, min(start + _SLAB, len(result))):
            if outside_z[k]:
                result[k] = fill
                continue
            pair = (int(z[k]), int(after_z[k]))
            flat = {i: flat[i] if i in flat else sample_plane(array[i], *rest) for i in pair}
            np.subtract(flat[pair[1]], flat[pair[0]], out=result[k])
            result[k] *= weight_z[k]
            result[k] += flat[pair[0]]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(slab, range(0, len(result), _SLAB)))
    for axis, (_, _, outside) in enumerate(rest, start=1):
        if outside.any():
            result[(slice(None),) * axis + (outside,)] = fill
    return result


def sample_plane(plane: AnyArray, down: Taps, across: Taps) -> npt.NDArray[np.float32]:
    """A plane `(y, x)` at the product of the places along its rows and columns, linearly; beyond
    its edges the outermost samples go on."""
    (y, weight_y, _), (x, weight_x, _) = down, across
    rows = plane[y].astype(np.float32)
    rows += (plane[np.minimum(y + 1, plane.shape[0] - 1)] - rows) * weight_y[:, None]
    left: npt.NDArray[np.float32] = rows.take(x, 1)
    right = rows.take(np.minimum(x + 1, plane.shape[1] - 1), 1)
    right -= left
    right *= weight_x
    left += right
    return left


def _nearest_axes(array: AnyArray, places: Sequence[Floats], fill: float) -> AnyArray:
    result = array
    for axis, place in enumerate(places):
        size = array.shape[axis]
        index, outside = _nearest(place, size)
        result = result.take(index, axis)
        if outside.any():
            result[(slice(None),) * axis + (outside,)] = fill
    return result


def _nearest(place: Floats, size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """The nearest samples; a tie goes to the higher one, as in ITK."""
    outside = (place < -0.5 - _EDGE) | (place > size - 0.5 + _EDGE)
    return np.clip(np.floor(place + 0.5 + _EDGE), 0, size - 1).astype(np.intp), outside


def sample_affine(
    array: AnyArray, matrix: Floats, shape: tuple[int, ...], order: Order, fill: float
) -> AnyArray:
    """`array` at `matrix` (4 by 4, new index to old) of the indices of `shape`; `fill` outside.

    "nearest" keeps the dtype, the others return float32.
    """
    dtype = array.dtype if order == "nearest" else np.dtype(np.float32)
    result = np.empty(shape, dtype)
    source = array if order == "nearest" else array.astype(np.float32, copy=False)
    if order == "cubic":
        source = ndimage.spline_filter(source, 3, output=np.float64, mode="mirror")
    size = np.asarray(array.shape, np.float64)[:, None, None]
    y, x = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")

    def plane(k: int) -> None:
        index = np.stack([np.full(y.shape, k), y, x]).astype(np.float64)
        place = np.einsum("ij,jyx->iyx", matrix[:3, :3], index) + matrix[:3, 3, None, None]
        outside = ((place < -0.5 - _EDGE) | (place > size - 0.5 + _EDGE)).any(0)
        if order == "nearest":
            near = np.clip(np.floor(place + 0.5 + _EDGE), 0, size - 1).astype(np.intp)
            values = source[tuple(near)]
        else:
            if order == "linear":
                place = np.clip(place, 0, size - 1)
            degree = 3 if order == "cubic" else 1
            values = ndimage.map_coordinates(
                source, place, order=degree, prefilter=False, mode="mirror"
            )
        result[k] = np.where(outside, np.asarray(fill, dtype), values)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(plane, range(shape[0])))
    return result
