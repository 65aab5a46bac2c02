"""From a film to the inputs of both stages, and back: letterbox, contrast, crops.

Boxes are `(k, 4)`: x0, y0, x1, y1, edges at whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Film = npt.NDArray[np.uint8]
Corners = tuple[float, float, float, float]
Boxes = npt.NDArray[np.float64]
Contrast = Literal["none", "equalise", "clahe"]


def with_contrast(film: Film, contrast: Contrast) -> Film:
    """The film with its histogram equalised, whole or by 8 x 8 tiles (CLAHE, clip limit 2)."""
    if contrast == "equalise":
        return np.asarray(cv2.equalizeHist(film), np.uint8)
    if contrast == "clahe":
        return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(film), np.uint8)
    return film


def letterbox(film: Film, size: int) -> Film:
    """The whole film in the middle of a black square, uint8 `(size, size)`: shapes keep their
    proportions."""
    rows, columns = film.shape
    longest = max(rows, columns)
    x, y = _offset((rows, columns))
    square = np.zeros((longest, longest), np.uint8)
    square[y : y + rows, x : x + columns] = film
    how = cv2.INTER_AREA if longest > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), np.uint8)


def from_square(heat: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A map `(size, size)` on the letterbox of a film of `shape`, on the film's own grid."""
    longest = max(shape)
    x, y = _offset(shape)
    # Where the middle of each of the film's pixels lies on the map.
    step = heat.shape[0] / longest
    columns = ((np.arange(shape[1]) + x + 0.5) * step - 0.5).astype(np.float32)
    rows = ((np.arange(shape[0]) + y + 0.5) * step - 0.5).astype(np.float32)
    across, down = np.meshgrid(columns, rows)
    moved = cv2.remap(heat, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def to_square(boxes: npt.ArrayLike, shape: tuple[int, int], size: float) -> Boxes:
    """Boxes `(k, 4)` in px of a film of `shape` (rows, columns), in px of its letterbox."""
    x, y = _offset(shape)
    moved = np.asarray(boxes, np.float64).reshape(-1, 4) + np.array([x, y, x, y])
    return np.asarray(moved * (size / max(shape)))


def to_film(boxes: npt.ArrayLike, shape: tuple[int, int], size: float) -> Boxes:
    """The way back of `to_square`."""
    x, y = _offset(shape)
    scaled = np.asarray(boxes, np.float64).reshape(-1, 4) * (max(shape) / size)
    return np.asarray(scaled - np.array([x, y, x, y]))


def _offset(shape: tuple[int, int]) -> tuple[int, int]:
    """Where the film begins in the square, (x, y) in its own px."""
    longest = max(shape)
    return (longest - shape[1]) // 2, (longest - shape[0]) // 2


def cut(film: Film, box: Sequence[float], margin: float, side: int) -> Film:
    """A square around `box` (x0, y0, x1, y1) px, cut at the film's own resolution and brought to
    `(side, side)`; black beyond the film.

    margin: what is added on each side of the box, as a share of its longer one.
    """
    x0, y0, x1, y1 = box
    reach = max(x1 - x0, y1 - y0, 2.0) * (1 + 2 * margin) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = round(x - reach), round(y - reach)
    length = max(2, round(2 * reach))
    piece = np.zeros((length, length), np.uint8)
    rows = slice(max(0, top), min(film.shape[0], top + length))
    columns = slice(max(0, left), min(film.shape[1], left + length))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = film[rows, columns]
        at_y, at_x = rows.start - top, columns.start - left
        piece[at_y : at_y + inside.shape[0], at_x : at_x + inside.shape[1]] = inside
    how = cv2.INTER_AREA if length > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (side, side), interpolation=how), np.uint8)


def within(box: Sequence[float], shape: tuple[int, int]) -> Corners:
    """The part of a box that lies on a film of `shape` (rows, columns)."""
    x0, y0, x1, y1 = (float(v) for v in box)
    rows, columns = shape
    return (
        min(max(x0, 0.0), columns), min(max(y0, 0.0), rows),
        min(max(x1, 0.0), columns), min(max(y1, 0.0), rows),
    )  # fmt: skip


def spare_boxes(shape: tuple[int, int], share: float, count: int, seed: int) -> Boxes:
    """`count` squares, `(count, 4)`, at random places of a film of `shape` (rows, columns), about
    as large as `share` of its longer side."""
    rng = np.random.default_rng(seed)
    side = share * max(shape) * np.exp(rng.uniform(-0.35, 0.35, count))
    x, y = rng.uniform(0, shape[1], count), rng.uniform(0, shape[0], count)
    return np.stack([x - side / 2, y - side / 2, x + side / 2, y + side / 2], axis=1)


@dataclass(frozen=True)
class Cutting:
    """How a system cuts regions out of its films.

    tone: the contrast of the film. face: turns a crop of a kind of region as the second stage sees
    it. kinds: how many there are. margin: around a box, as a share of its longer side.
    elsewhere: the state (`crops.state_of`) of found boxes far from every true one: healthy, where
    the boxes are the lesions; None where nothing is known of them. spare: how many such regions are
    also drawn at random on each film that has no true one.
    """

    tone: Callable[[Film], Film]
    face: Callable[[Film, int], Film]
    kinds: int
    margin: float
    elsewhere: int | None
    spare: int = 0
