"""Drawing in the manner of an X-ray film: what lies in the beam adds up, and exposure makes greys.

Shapes are given in the units of a body, x to the right of the film, y down; a view moves them to
the film's px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Layer = npt.NDArray[np.float32]
Film = npt.NDArray[np.uint8]
XY = tuple[float, float]
_SHIFT = 4  # OpenCV takes points in 1/16 px


@dataclass(frozen=True)
class View:
    """How a body falls on a film of `rows` x `columns` px: turned by `angle` degrees, `scale` px a
    unit, its point `centre` in the middle of the film."""

    rows: int
    columns: int
    scale: float
    centre: XY = (0.0, 0.0)
    angle: float = 0.0

    def px(self, points: npt.ArrayLike) -> Points:
        """Points `(k, 2)` of the body as px of the film."""
        a = math.radians(self.angle)
        turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
        moved = (np.asarray(points, np.float64).reshape(-1, 2) - np.array(self.centre)) @ turn
        return np.asarray(moved * self.scale + np.array([self.columns / 2, self.rows / 2]))


def ellipse(centre: XY, axes: XY, angle: float = 0.0) -> Points:
    """The outline of an ellipse, `(48, 2)`; angle: of its first axis, degrees."""
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    a = math.radians(angle)
    straight = np.stack([axes[0] * np.cos(t), axes[1] * np.sin(t)], axis=1)
    turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    return np.asarray(straight @ turn + np.array(centre))


def band(start: XY, end: XY, wide: float, narrow: float | None = None) -> Points:
    """A bar from `start`, `wide` there, to `end`, `narrow` there, `(4, 2)`."""
    first, last = np.array(start), np.array(end)
    along = (last - first) / max(float(np.hypot(*(last - first))), 1e-9)
    across = np.array([-along[1], along[0]]) / 2
    thin = wide if narrow is None else narrow
    return np.stack(
        [first + across * wide, last + across * thin, last - across * thin, first - across * wide]
    )


class Canvas:
    """What the beam meets, float32 `(rows, columns)`."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.dense: Layer = np.zeros((view.rows, view.columns), np.float32)

    def mask(self, shapes: Sequence[Points]) -> Layer:
        """1 where any of the outlines is."""
        layer: Layer = np.zeros_like(self.dense)
        for shape in shapes:
            points = np.rint(self.view.px(shape) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(layer, [points], 1.0, cv2.LINE_AA, _SHIFT)
        return layer

    def add(self, level: float, *shapes: Points) -> None:
        """Tissue of that density where any of the shapes is."""
        self.dense += level * self.mask(shapes)

    def bone(self, level: float, *shapes: Points, without: Sequence[Points] = ()) -> None:
        """Bone: as `add`, with a denser rim, as the cortex is; `without`: what is cut out of it."""
        layer = self.mask(shapes)
        if without:
            layer *= 1 - self.mask(without)
        width = max(0.6, 0.035 * self.view.scale)
        rim = layer * (1 - cv2.GaussianBlur(layer, (0, 0), width))
        self.dense += level * (0.8 * layer + rim)


def expose(canvas: Canvas, rng: np.random.Generator, mark: str = "PHANTOM") -> Film:
    """The film, uint8: dose, gamma, an uneven field, blur and noise drawn at random."""
    view = canvas.view
    dose = rng.uniform(0.7, 1.25)
    grey = 1 - np.exp(-dose * cv2.GaussianBlur(canvas.dense, (0, 0), rng.uniform(0.5, 1.1)))
    coarse = rng.normal(0, 0.06, (3, 3)).astype(np.float32)
    grey *= np.exp(cv2.resize(coarse, (view.columns, view.rows), interpolation=cv2.INTER_CUBIC))
    grey = np.clip(grey, 0, 1) ** rng.uniform(0.8, 1.4)
    grey = grey + rng.normal(0, rng.uniform(0.008, 0.025), grey.shape)
    if rng.random() < 0.3:  # a collimator leaves an edge in the dark
        edge = int(rng.uniform(0.01, 0.05) * view.columns)
        grey[:, :edge] = grey[:, view.columns - edge :] = 0
    film = (np.clip(grey, 0, 1) * 255).astype(np.uint8)
    size = view.columns / 900
    cv2.putText(film, mark, (6, view.rows - 6), cv2.FONT_HERSHEY_SIMPLEX, size, 230, 1, cv2.LINE_AA)
    return np.asarray(film, np.uint8)
