"""Patches of a study for training: half of them on a lesion, half anywhere (Clerigues et al. 2020).

Lesions are a hundredth of a brain or less: patches drawn evenly would hardly show one, and patches
drawn on lesions alone would never show the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.training.recipe import Recipe

Array = npt.NDArray[Any]
_ON_A_LESION = 0.5
_MOVED = 0.4
"""The share of patches that are turned and zoomed, which costs more than all else."""


class PatchSampler:
    """From a study `(channels, z, y, x)` and its label map to one patch of each.

    patch: (z, y, x). augment: also vary it, by the recipe's `augmentation`: mirrored left to right,
    turned, zoomed, re-exposed channel by channel, with noise. drop: how often a channel is missing
    (at least one stays); mirrored channels, behind the others, go with their originals. channels:
    how many there are without the mirrored ones.
    """

    def __init__(
        self, recipe: Recipe, patch: tuple[int, int, int], channels: int,
        *, augment: bool = True, drop: float = 0.0,
    ) -> None:  # fmt: skip
        self.config, self.patch, self.channels = recipe.augmentation, patch, channels
        self.augment, self.drop = augment, drop

    def __call__(
        self, volume: Array, labels: Array, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        centre = self._centre(volume, labels, rng)
        if self.augment and rng.random() < _MOVED:
            piece, target = self._turned(volume, labels, centre, rng)
        else:
            piece, target = _cut(volume, centre, self.patch), _cut(labels, centre, self.patch)
        if self.augment:
            if rng.random() < self.config.mirror:
                piece, target = piece[..., ::-1], target[..., ::-1]
            piece = self._exposed(piece, rng)
            self._drop(piece, rng)
        return np.ascontiguousarray(piece, np.float32), np.ascontiguousarray(target)

    def _centre(
        self, volume: Array, labels: Array, rng: np.random.Generator
    ) -> npt.NDArray[np.intp]:
        """A voxel of a lesion, off by up to a quarter of the patch; or any voxel of the brain."""
        lesion = np.flatnonzero(labels)
        if lesion.size and rng.random() < _ON_A_LESION:
            place = np.unravel_index(int(rng.choice(lesion)), labels.shape)
            reach = np.asarray(self.patch) // 4
            return np.asarray(place) + rng.integers(-reach, reach + 1)
        anywhere = rng.integers(labels.shape)
        for _ in range(20):
            z, y, x = anywhere
            if (volume[:, z, y, x] != 0).any():
                break
            anywhere = rng.integers(labels.shape)
        return np.asarray(anywhere, np.intp)

    def _turned(
        self, volume: Array, labels: Array, centre: npt.NDArray[np.intp], rng: np.random.Generator
    ) -> tuple[Array, Array]:
        c = self.config
        turn = np.radians(rng.uniform(-1, 1, 3) * c.rotation * np.array([1.0, 0.3, 0.3]))
        zoom = np.exp(rng.uniform(-1, 1) * np.log(c.zoom))
        matrix = _rotation(turn) * zoom
        reach = np.asarray(self.patch) // 2
        away = int(np.ceil(np.abs(matrix) @ reach).max() + 2)
        around = (2 * away + 1,) * 3
        corner = np.asarray(around) // 2 - matrix @ reach
        box, label_box = _cut(volume, centre, around), _cut(labels, centre, around)
        moved = [ndimage.affine_transform(one, matrix, corner, self.patch, order=1) for one in box]
        target = ndimage.affine_transform(label_box, matrix, corner, self.patch, order=0)
        return np.stack(moved), target

    def _exposed(self, piece: Array, rng: np.random.Generator) -> Array:
        """Each channel with its own gain, offset, curve and noise; 0 stays what it is."""
        c = self.config
        inside = piece != 0
        result = np.empty_like(piece, np.float32)
        own = self.channels
        gains = np.exp(rng.uniform(-1, 1, own) * np.log(c.gamma))
        offsets = rng.uniform(-1, 1, own) * c.bias
        noises = rng.uniform(0, c.noise, own) * (rng.random(own) < 0.5)
        blurs = rng.uniform(0.3, max(c.blur, 0.31), own) * (rng.random(own) < 0.15)
        for k, one in enumerate(piece):
            n = k % own  # a mirrored channel varies with its original
            changed = one * gains[n] + offsets[n]
            if blurs[n] > 0:
                changed = ndimage.gaussian_filter(changed, blurs[n])
            if noises[n] > 0:
                changed = changed + rng.standard_normal(one.shape, np.float32) * noises[n]
            result[k] = changed
        return np.where(inside, result, 0)

    def _drop(self, piece: Array, rng: np.random.Generator) -> None:
        gone = rng.random(self.channels) < self.drop
        shown = piece[: self.channels].reshape(self.channels, -1).any(1)
        if not (shown & ~gone).any():
            gone[:] = False
        for k in np.flatnonzero(gone):
            piece[k :: self.channels] = 0


def _cut(volume: Array, centre: npt.NDArray[np.intp], patch: tuple[int, ...]) -> Array:
    """The box of `patch` samples around `centre`, zeros beyond it; channels first, if any."""
    lead = volume.ndim - 3
    before, take = [(0, 0)] * lead, [slice(None)] * lead
    for middle, side, n in zip(centre, patch, volume.shape[lead:], strict=True):
        start = int(middle) - side // 2
        take.append(slice(max(0, start), max(0, min(n, start + side))))
        before.append((max(0, -start), max(0, start + side - n)))
    piece = volume[tuple(take)]
    return np.pad(piece, before) if any(a or b for a, b in before) else piece.copy()


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The matrix of turns about the axes z, y and x, on (z, y, x)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix
