"""Augmentation of a prepared head CT: slices drawn, the head moved and re-exposed.

Everything is done alike to all slices of a draw: a scan's slices come from one machine and one
head. Mirroring needs no change of labels, for none of them has a side; reversing the order of
slices exchanges nothing but the direction in which the sequence is read.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.systems.head.labels import strongest
from radloop.training.recipe import Recipe

Greys = npt.NDArray[np.uint8]
Target = npt.NDArray[np.float32]

_AT_A_BLEED = 0.75


class ScanAugmentation:
    """From a whole scan `(z, y, x)` and its target to `recipe.slices` slices of `recipe.size` px.

    target: `(1 + z, labels)`, row 0 the scan's, label 0 "any"; NaN = unknown. With
    known slices a run of them is drawn, three times in four around a bleed where there is one, and
    row 0 is made of what was drawn. Where only the scan's labels are known, slices are taken from
    the whole height of the head.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.slices, self.size, self.config = recipe.slices, recipe.size, recipe.augmentation

    def __call__(
        self, stack: Greys, target: Target, rng: np.random.Generator
    ) -> tuple[Greys, Target]:
        known = bool((~np.isnan(target[1:, 0])).any())
        rows = self._run(target, rng) if known else self._spread(len(stack), rng)
        slices = np.stack([cv2.resize(s, (self.size, self.size)) for s in stack[rows]])
        labels = target[1:][rows]
        # Greys to brain window, beyond its ends too, so that bone keeps its place.
        seen = (slices.astype(np.float32) - 16) * np.float32(255 / 200)
        seen = self._exposed(self._moved(seen, rng), rng)
        if rng.random() < 0.5:
            seen, labels = seen[::-1], labels[::-1]
        first = strongest(labels)[None] if known else target[:1]
        greys = np.clip(np.rint(seen * np.float32(200 / 255) + 16), 0, 255).astype(np.uint8)
        return greys, np.concatenate([first, labels]).astype(np.float32)

    def _run(self, target: Target, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        z = len(target) - 1
        positive = np.flatnonzero(target[1:, 0] == 1)
        if len(positive) and rng.random() < _AT_A_BLEED:
            first = int(rng.choice(positive)) - int(rng.integers(self.slices))
        elif rng.random() < 0.8:  # the neck has its share, not more
            first = int(rng.integers(z // 5, max(z // 5, z - self.slices) + 1))
        else:
            first = int(rng.integers(0, max(0, z - self.slices) + 1))
        first = int(np.clip(first, 0, max(0, z - self.slices)))
        return np.minimum(np.arange(first, first + self.slices), z - 1)

    def _spread(self, z: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        first = z // 5  # below it there is neck
        step = max(1.0, (z - first) / self.slices)
        rows = (first + rng.uniform(0, step) + step * np.arange(self.slices)).astype(np.intp)
        return np.minimum(rows, z - 1)

    def _moved(self, seen: npt.NDArray[np.float32], rng: np.random.Generator) -> Any:
        c, size = self.config, self.size
        zoom = float(np.exp(rng.uniform(-1, 1) * np.log(c.zoom)))
        middle = ((size - 1) / 2, (size - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, rng.uniform(-c.rotation, c.rotation), zoom)
        matrix = np.asarray(turn, np.float64)
        matrix[0, 1] += np.tan(np.radians(rng.uniform(-c.shear, c.shear)))
        matrix[:, 2] += rng.uniform(-c.shift, c.shift, 2) * size
        if rng.random() < c.mirror:
            matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]])
        return np.stack(
            [cv2.warpAffine(s, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE) for s in seen]
        )

    def _exposed(self, seen: npt.NDArray[np.float32], rng: np.random.Generator) -> Any:
        c = self.config
        gain = float(np.exp(rng.uniform(-1, 1) * np.log(c.gamma)))
        offset = rng.uniform(-1, 1) * c.bias * 255
        seen = np.where(seen > 3, seen * gain + offset, seen)
        if rng.random() < 0.4:
            grain = rng.standard_normal(seen.shape, np.float32)
            seen = seen + grain * np.float32(rng.uniform(0, c.noise) * 255)
        if rng.random() < 0.25:
            blur = rng.uniform(0.3, max(c.blur, 0.31))
            seen = np.stack([cv2.GaussianBlur(s.astype(np.float32), (0, 0), blur) for s in seen])
        return seen
