"""A network over a volume piece by piece: overlapping windows, blended by a Gaussian.

Windows without any signal (air, and all that the brain mask took away) are not read. What is held
beside the input is one probability map on the working grid and its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from radloop.systems.base import Array, Run

_TOGETHER = 1_000_000
"""Voxels of the windows in one call of the engine, which divides them among its streams."""


def sliding(
    volume: Array, patch: Sequence[int], run: Run, overlap: float = 0.5, *stage: str
) -> npt.NDArray[np.float32]:
    """The blended outputs `(classes, z, y, x)` for `volume` `(channels, z, y, x)`.

    patch: the window, (z, y, x). run: outputs `(n, classes, *patch)` for `(n, channels, *patch)`.
    overlap: of neighbouring windows, as a share of their side. Each output weighs by a Gaussian of
    an eighth of the side (Isensee et al. 2021); a voxel that no window read is 0.
    """
    shape = volume.shape[1:]
    padding = [max(0, side - n) for side, n in zip(patch, shape, strict=True)]
    if any(padding):
        volume = np.pad(volume, [(0, 0), *((p // 2, p - p // 2) for p in padding)])
    weight = gaussian(patch)
    total: npt.NDArray[np.float32] | None = None
    weights = np.zeros(volume.shape[1:], np.float32)
    together = max(1, _TOGETHER // int(np.prod(patch)))
    for places in _in_groups(windows(volume, patch, overlap), together):
        pieces = np.stack([volume[(slice(None), *place)] for place in places])
        outputs = run(np.ascontiguousarray(pieces, np.float32), *stage)
        if total is None:
            total = np.zeros((outputs.shape[1], *volume.shape[1:]), np.float32)
        for place, output in zip(places, outputs, strict=True):
            total[(slice(None), *place)] += output * weight
            weights[place] += weight
    if total is None:
        return np.zeros((1, *shape), np.float32)
    total /= np.maximum(weights, 1e-6)
    inside = tuple(slice(p // 2, p // 2 + n) for p, n in zip(padding, shape, strict=True))
    return total[(slice(None), *inside)]


def windows(
    volume: Array, patch: Sequence[int], overlap: float
) -> Iterator[tuple[slice, slice, slice]]:
    """The places of all windows with any signal; `volume` is nowhere smaller than `patch`."""
    signal = (volume != 0).any(0)
    steps = [_starts(n, side, overlap) for n, side in zip(volume.shape[1:], patch, strict=True)]
    for z in steps[0]:
        slab = signal[z : z + patch[0]].any(0)
        for y in steps[1]:
            for x in steps[2]:
                if slab[y : y + patch[1], x : x + patch[2]].any():
                    yield slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2])


def gaussian(patch: Sequence[int]) -> npt.NDArray[np.float32]:
    """Weights `patch`, 1 in the middle, nowhere so small that a division would suffer."""
    sides = [
        np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2).astype(np.float32)
        for n in patch
    ]
    product = sides[0][:, None, None] * sides[1][:, None] * sides[2]
    return np.asarray(np.maximum(product, np.float32(1e-3)), np.float32)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Evenly spread starts, from 0 to the last, so that no two are further apart than wanted."""
    last = length - side
    if last <= 0:
        return [0]
    count = int(np.ceil(last / max(1, round(side * (1 - overlap))))) + 1
    return sorted({round(k * last / (count - 1)) for k in range(count)})


def _in_groups(
    places: Iterator[tuple[slice, slice, slice]], together: int
) -> Iterator[list[tuple[slice, slice, slice]]]:
    group: list[tuple[slice, slice, slice]] = []
    for place in places:
        group.append(place)
        if len(group) == together:
            yield group
            group = []
    if group:
        yield group
