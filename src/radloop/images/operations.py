"""Geometric operations on films, each with its way back.

Every operation returns a new `Image`, records one `Step`, and leaves the acquisition facts as the
file states them. `to_original` carries a mask or map, `points_to_original` carries points, from
the grid they were found on back to the grid of the file, through all recorded steps at once.

All operations take films, arrays `(y, x)`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images.image import Image, Step

AnyArray = npt.NDArray[Any]


def resize(image: Image, shape: tuple[int, int]) -> Image:
    """The same extent on `shape` = (rows, columns) samples.

    An axis that shrinks is averaged over areas, one that grows is interpolated linearly. The
    edges of the image stay where they are, so that the centres move:
    `old = (new + 1/2) * old_size / new_size - 1/2`.
    """
    old = _film_shape(image)
    if min(shape) < 1:
        raise InputError(f"A film cannot be resized to {shape[0]} x {shape[1]} samples.")
    array = image.array
    if array.dtype not in (np.uint8, np.uint16, np.int16, np.float32):
        array = array.astype(np.float32)
    smaller = (min(old[0], shape[0]), min(old[1], shape[1]))
    if smaller != old:
        array = cv2.resize(array, smaller[::-1], interpolation=cv2.INTER_AREA)
    if smaller != tuple(shape):
        array = cv2.resize(array, shape[::-1], interpolation=cv2.INTER_LINEAR)
    scale = (old[0] / shape[0], old[1] / shape[1])
    return _stepped(image, "resize", array, scale, ((scale[0] - 1) / 2, (scale[1] - 1) / 2))


def crop(image: Image, box: tuple[int, int, int, int]) -> Image:
    """The part inside `box` = (x0, y0, x1, y1), in px, the last row and column excluded.

    Raises InputError when the box is empty or leaves the image.
    """
    rows, columns = _film_shape(image)
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows):
        raise InputError(
            f"The box {box} is empty or leaves the image of {columns} x {rows} px.",
            "Give x0, y0, x1, y1 with x0 < x1 and y0 < y1 inside the image.",
        )
    return _stepped(image, "crop", image.array[y0:y1, x0:x1], (1.0, 1.0), (y0, x0))


def pad(image: Image, margins: tuple[int, int, int, int], value: float = 0) -> Image:
    """`margins` = (top, bottom, left, right) samples of `value` added around the image."""
    _film_shape(image)
    if min(margins) < 0:
        raise InputError(f"Margins cannot be negative: {margins}.", "Use crop to take away.")
    top, bottom, left, right = margins
    array = np.pad(image.array, ((top, bottom), (left, right)), constant_values=value)
    return _stepped(image, "pad", array, (1.0, 1.0), (-top, -left))


def rotate90(image: Image, k: int = 1) -> Image:
    """Turned by `k` quarter turns counter-clockwise, as it is seen on a screen."""
    rows, columns = _film_shape(image)
    k %= 4
    array = np.rot90(image.array, k)
    scale, offset, axes = {
        0: ((1.0, 1.0), (0, 0), (0, 1)),
        1: ((-1.0, 1.0), (columns - 1, 0), (1, 0)),
        2: ((-1.0, -1.0), (rows - 1, columns - 1), (0, 1)),
        3: ((1.0, -1.0), (0, rows - 1), (1, 0)),
    }[k]
    return _stepped(image, "rotate90", array, scale, offset, axes)


def mirror(image: Image) -> Image:
    """Left and right exchanged. Whoever calls this must exchange sided labels as well."""
    _, columns = _film_shape(image)
    return _stepped(image, "mirror", image.array[:, ::-1], (1.0, -1.0), (0, columns - 1))


def points_to_original(points_yx: npt.ArrayLike, image: Image) -> npt.NDArray[np.float64]:
    """Points `(n, 2)`, rows of (y, x) in samples of `image`, on the grid of its file.

    Whole numbers are the centres of samples. Points beyond a crop or in a margin keep their
    place: they may lie outside the file's image.
    """
    points = np.asarray(points_yx, np.float64).reshape(-1, 2)
    way = _way_back(image)
    return (points * way.scale + way.offset)[:, np.argsort(way.axes)]


def to_original(
    array: AnyArray, image: Image, *, order: Literal["nearest", "linear"] = "nearest"
) -> AnyArray:
    """`array` on the grid of `image`, carried back to the grid of its file.

    array: `(..., y, x)` with `image`'s shape as its last two axes: a mask, a label map, or maps
        of several classes. "nearest" keeps the dtype; "linear" returns float32.

    What the file shows and `image` does not (cropped away) becomes 0.
    """
    shape = tuple(image.geometry.shape)
    if array.shape[-2:] != shape:
        raise ValueError(f"array of shape {array.shape} on an image of {shape}")
    way = _way_back(image)
    if order == "linear" and _same_extent(way):
        return _enlarged(array, way.shape_before)
    if way.axes == (1, 0):
        array = np.swapaxes(array, -1, -2)
    back = array if order == "nearest" else array.astype(np.float32, copy=False)
    for old_axis in (0, 1):
        new_axis = way.axes.index(old_axis)
        index = np.arange(way.shape_before[old_axis], dtype=np.float64)
        place = (index - way.offset[new_axis]) / way.scale[new_axis]
        back = _sample(back, place, old_axis - 2, order)
    return np.ascontiguousarray(back)


def _same_extent(way: Step) -> bool:
    """Whether the two grids differ only in how finely they sample the same upright extent."""
    full = [before / after for before, after in zip(way.shape_before, way.shape_after, strict=True)]
    ends = [(scale - 1) / 2 for scale in full]
    return way.axes == (0, 1) and np.allclose((way.scale, way.offset), (full, ends), 0, 1e-9)


def _enlarged(array: AnyArray, shape: tuple[int, ...]) -> AnyArray:
    """What `_sample` along both axes would give, eight times faster."""
    maps = array.astype(np.float32, copy=False).reshape(-1, *array.shape[-2:])
    back = np.empty((len(maps), *shape), np.float32)
    for source, target in zip(maps, back, strict=True):
        cv2.resize(source, shape[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return back.reshape(*array.shape[:-2], *shape)


def _sample(array: AnyArray, place: npt.NDArray[np.float64], axis: int, order: str) -> AnyArray:
    """`array` along `axis` (-2 or -1) at the fractional indices `place`; 0 beyond its ends."""
    size = array.shape[axis]
    # A sample reaches half a spacing to either side; rounding must not lose its very edge.
    outside = (place < -0.5 - 1e-9) | (place > size - 0.5 + 1e-9)
    inside = np.clip(place, 0, size - 1)
    column = (slice(None), None) if axis == -2 else (None, slice(None))
    if order == "nearest":
        sampled = array.take(_half_down(inside), axis)
    else:
        first = np.floor(inside).astype(np.intp)
        weight = (inside - first).astype(np.float32)[column]
        second = np.minimum(first + 1, size - 1)
        sampled = array.take(first, axis)
        sampled += (array.take(second, axis) - sampled) * weight
    if outside.any():
        sampled[(..., outside, slice(None)) if axis == -2 else (..., outside)] = 0
    return sampled


def _half_down(place: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The nearest whole numbers; a tie goes to the lower one, rounding errors or not."""
    return np.ceil(place - 0.5 - 1e-9).astype(np.intp)


def _film_shape(image: Image) -> tuple[int, int]:
    if image.array.ndim != 2:
        raise ValueError(f"a film has the axes (y, x), not the shape {image.array.shape}")
    rows, columns = image.array.shape
    return rows, columns


def _stepped(
    image: Image,
    name: str,
    array: AnyArray,
    scale: tuple[float, float],
    offset: tuple[float, float],
    axes: tuple[int, int] = (0, 1),
) -> Image:
    """`image` with `array` and its geometry in place of its own, and the step recorded."""
    before = image.geometry
    spacing = before.spacing
    if spacing is not None:
        spacing = tuple(
            spacing[axis] * abs(factor) for axis, factor in zip(axes, scale, strict=True)
        )
    step = Step(name, before.shape, array.shape, scale, (float(offset[0]), float(offset[1])), axes)
    return replace(
        image,
        array=np.ascontiguousarray(array),
        geometry=replace(before, shape=array.shape, spacing=spacing),
        history=(*image.history, step),
    )


def _way_back(image: Image) -> Step:
    """All recorded steps as one: from the present grid to the grid of the file."""
    shape = tuple(image.geometry.shape)
    way = Step("", shape, shape, (1.0, 1.0), (0.0, 0.0), (0, 1))
    for step in reversed(image.history):
        # `way` leads to the grid that `step` made; `step` leads one grid further back.
        way = Step(
            "",
            step.shape_before,
            shape,
            tuple(way.scale[i] * step.scale[way.axes[i]] for i in (0, 1)),
            tuple(
                way.offset[i] * step.scale[way.axes[i]] + step.offset[way.axes[i]] for i in (0, 1)
            ),
            tuple(step.axes[way.axes[i]] for i in (0, 1)),
        )
    return way
