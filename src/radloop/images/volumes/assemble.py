"""The volume of a series: slices decoded in parallel and laid onto one even, upright grid.

A series that lies evenly and upright is stacked as it is. A tilted one is sheared, an uneven or a
differently spaced one is interpolated linearly, slice by slice while they are decoded: beside the
volume itself only a few slices are in memory at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images.image import Floats, Geometry, Image, Reading
from radloop.images.limits import VOLUME_LIMITS, ReadLimits
from radloop.images.sampling import sample_plane, taps
from radloop.images.verdict import Refusal, Verdict, warned
from radloop.images.volumes.decode import Pixels, rescaled, stays_whole
from radloop.images.volumes.layout import Layout
from radloop.images.volumes.series import Series
from radloop.images.volumes.slices import Slice

T = TypeVar("T")
AnyArray = npt.NDArray[Any]
_AIR = -1024.0  # HU, where a sheared CT slice does not reach
_COMMON = 0.1  # a gap that occurs this often is one that the scan was planned with


@dataclass(frozen=True)
class _Grid:
    """An even, upright grid over the slices: `along` the normal, in mm from the first slice;
    `rows`, `columns` in mm from the first slice's first pixel."""

    geometry: Geometry
    along: Floats
    rows: Floats
    columns: Floats


def read_series(
    series: Series,
    *,
    spacing: tuple[float, float, float] | None = None,
    even_out: bool = False,
    limits: ReadLimits = VOLUME_LIMITS,
) -> Reading:
    """The volume `(z, y, x)` of a series, in the modality's units (HU for CT).

    spacing: mm between samples, (z, y, x), of the grid that is wanted; None keeps the slices'
    own. even_out: whether uneven or missing slices may be interpolated.

    A stacked volume keeps whole numbers (int16 or int32); a sheared or resampled one is float32.
    The first sample is the first slice's first pixel (or, in a sheared volume, the corner of the
    smallest upright grid around all slices), and no sample lies beyond the last slice. Where a
    sheared slice does not reach, CT is -1024 and all else 0. Values that the file marks as padding
    are kept.

    Refusals are the series' own, and "too_many_voxels", "undecodable", "truncated", "corrupt",
    "missing_decoder", "unknown_transfer_syntax". Raises InputError for a spacing that is not
    positive.
    """
    if spacing is not None and not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"The spacing {spacing} is not positive.", "Give three lengths in mm.")
    layout = series.layout
    if layout is None or (layout.uneven is not None and not even_out):
        return Reading(None, series.verdict)
    try:
        return _read(series, layout, spacing, limits)
    except Refusal as refusal:
        return Reading(None, series.verdict.merge(refusal.verdict))


def _read(
    series: Series, layout: Layout, spacing: tuple[float, float, float] | None, limits: ReadLimits
) -> Reading:
    verdict = layout.verdict
    upright = layout.tilt == 0 and layout.uneven is None
    grid = _grid(layout, spacing)
    if int(np.prod([float(n) for n in grid.geometry.shape])) > limits.max_voxels:
        raise Refusal(
            "too_many_voxels",
            f"The volume would have {' x '.join(map(str, grid.geometry.shape))} voxels, more than "
            f"the limit of {limits.max_voxels / 1e6:g} million. Ask for a coarser spacing.",
        )
    if layout.uneven is not None:
        z = grid.geometry.spacing[0] if grid.geometry.spacing else 0.0
        verdict = verdict.merge(_evened(layout.uneven, z))
    if upright and spacing is None:
        array = _stacked(layout)
    else:
        fill = _AIR if series.modality == "CT" else 0.0
        array = _sampled(layout, grid, fill)
    image = Image(
        array,
        grid.geometry,
        modality=series.modality or "unknown",
        display_range=_shown(layout.slices[0], array),
        acquisition=_facts(layout) | {"series_uid": series.uid},
        source=str(layout.slices[0].path.parent),
        original=layout.planes,
    )
    return Reading(image, verdict)


def _evened(uneven: Verdict, z: float) -> Verdict:
    return warned(
        uneven.code, f"{uneven.messages[0]} The volume was resampled to {z:.2f} mm, as allowed."
    )


def _facts(layout: Layout) -> dict[str, object]:
    facts = dict(layout.slices[0].facts)
    return facts | {"format": "DICOM", "gaps": layout.gaps, "tilt": layout.tilt}


def _shown(first: Slice, array: AnyArray) -> tuple[float, float]:
    window = first.facts.get("window")
    if isinstance(window, tuple) and window[1] > 0:
        return float(window[0] - window[1] / 2), float(window[0] + window[1] / 2)
    return float(array.min()), float(array.max())


# --- the grid ---------------------------------------------------------------------------------


def _grid(layout: Layout, spacing: tuple[float, float, float] | None) -> _Grid:
    planes = layout.planes
    depth, rows, columns = _offsets(layout)
    if layout.tilt == 0:  # a drift below half a pixel makes the volume no larger
        rows, columns = rows * 0, columns * 0
    z = _even_gap(layout, depth)
    wanted = spacing or (z, *planes.spacing)
    height = rows.max() - rows.min() + (planes.shape[1] - 1) * planes.spacing[0]
    width = columns.max() - columns.min() + (planes.shape[2] - 1) * planes.spacing[1]
    along = _ticks(depth[-1], wanted[0])
    down, across = _ticks(height, wanted[1]), _ticks(width, wanted[2])
    row, column = np.asarray(planes.row), np.asarray(planes.column)
    origin = np.asarray(planes.origins[0]) + rows.min() * row + columns.min() * column
    geometry = Geometry(
        (len(along), len(down), len(across)),
        wanted,
        "patient",
        _triple(origin),
        (_triple(planes.normal), _triple(row), _triple(column)),
    )
    return _Grid(geometry, along, down + rows.min(), across + columns.min())


def _offsets(layout: Layout) -> tuple[Floats, Floats, Floats]:
    """Where each slice's first pixel lies from the first slice's: along the normal, the rows'
    direction and the columns', in mm. In an even series the rounding of positions is left out."""
    planes = layout.planes
    way = np.asarray(planes.origins) - np.asarray(planes.origins[0])
    depth = way @ planes.normal
    if layout.uneven is None:  # rounded positions on an even grid
        depth = np.linspace(0, depth[-1], len(depth))
    if layout.tilt == 0 and layout.uneven is None:
        return depth, np.zeros_like(depth), np.zeros_like(depth)
    return depth, way @ np.asarray(planes.row), way @ np.asarray(planes.column)


def _even_gap(layout: Layout, depth: Floats) -> float:
    """The gap of an even series; of an uneven one, the smallest that is common."""
    gaps = np.diff(depth)
    if layout.uneven is None:
        return float(depth[-1] / (len(depth) - 1))
    near = np.abs(gaps[:, None] - gaps[None]) <= 0.02 * gaps[:, None]
    common = gaps[near.mean(1) >= _COMMON]
    return float(np.round((common if len(common) else gaps).min(), 6))


def _ticks(length: float, spacing: float) -> Floats:
    """Places every `spacing` mm from 0 to `length`, rounding errors or not."""
    count = int(np.floor(length / spacing + 1e-6)) + 1
    return np.arange(count, dtype=np.float64) * spacing


def _triple(values: npt.ArrayLike) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in np.asarray(values))
    return x, y, z


# --- pixels -----------------------------------------------------------------------------------


def _stacked(layout: Layout) -> AnyArray:
    """The slices as they are."""
    if not all(stays_whole(s) for s in layout.slices):
        return _filled(layout, np.float32)
    try:
        return _filled(layout, np.int16)
    except OverflowError:
        return _filled(layout, np.int32)


def _filled(layout: Layout, dtype: npt.DTypeLike) -> AnyArray:
    array = np.empty(layout.planes.shape, dtype)
    pixels = Pixels(layout.slices)
    slices = _in_order(lambda s: rescaled(pixels.stored(s), s, dtype), layout.slices)
    for k, values in enumerate(slices):
        array[k] = values
    return array


def _sampled(layout: Layout, grid: _Grid, fill: float) -> npt.NDArray[np.float32]:
    """The slices interpolated onto `grid`, in one pass over them."""
    depth, rows, columns = _offsets(layout)
    spacing = layout.planes.spacing
    pixels = Pixels(layout.slices)

    def flat(k: int) -> npt.NDArray[np.float32]:
        """Slice `k` on the grid's rows and columns."""
        one = layout.slices[k]
        down = (grid.rows - rows[k]) / spacing[0]
        across = (grid.columns - columns[k]) / spacing[1]
        return _in_plane(pixels.stored(one), one, down, across, fill)

    array = np.empty(grid.geometry.shape, np.float32)
    flattened = _in_order(flat, range(len(depth)))
    lower, upper = next(flattened), next(flattened)
    k = 0
    for target, place in zip(array, grid.along, strict=True):
        while place > depth[k + 1] + 1e-6 and k + 2 < len(depth):
            lower, upper, k = upper, next(flattened), k + 1
        weight = np.float32(np.clip((place - depth[k]) / (depth[k + 1] - depth[k]), 0, 1))
        np.subtract(upper, lower, out=target)
        target *= weight
        target += lower
    return array


def _in_plane(
    stored: AnyArray, one: Slice, down: Floats, across: Floats, fill: float
) -> npt.NDArray[np.float32]:
    """A slice at the fractional rows `down` and columns `across`; `fill` beyond its edges."""
    rows, columns = taps(down, stored.shape[0]), taps(across, stored.shape[1])
    values = sample_plane(stored, rows, columns)
    if one.slope != 1:
        values *= np.float32(one.slope)
    if one.intercept != 0:
        values += np.float32(one.intercept)
    values[rows[2]] = fill
    values[:, columns[2]] = fill
    return values


def _in_order(work: Callable[[Any], T], items: Sequence[Any] | range) -> Iterator[T]:
    """`work` of each item, in order, done in threads that run at most a few items ahead."""
    workers = os.cpu_count() or 1
    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
