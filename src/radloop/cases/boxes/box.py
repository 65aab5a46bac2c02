"""`Box`: a named rectangle on a film, and the one rule by which a drawn one is accepted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]

TOLERANCE = 1.0
"""How far (px) a box may stick out of its picture by rounding alone; it is cut to the picture."""


@dataclass(frozen=True)
class Box:
    """A rectangle in px of the file, edges at whole numbers: the first pixel is from 0 to 1.

    label: the class's name. polygon: the outline it was drawn as, `(x, y)`, or empty.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    label: str
    polygon: tuple[Point, ...] = ()

    @property
    def corners(self) -> tuple[float, float, float, float]:
        return self.x0, self.y0, self.x1, self.y1


@dataclass(frozen=True)
class FilmBoxes:
    """The boxes of one picture of `width` x `height` px; none means that there is nothing."""

    width: int
    height: int
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class BadRow:
    """A box that was not taken over as it stands. `where`: file and row, as a person finds it."""

    code: str
    where: str


@dataclass
class Collected:
    """What a format's reader gathers: boxes by picture, and the rows a person should look at."""

    films: dict[str, FilmBoxes] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)


BAD_ROWS = {
    "malformed_box": "Rows that are no box or polygon, left out",
    "box_not_a_number": "Boxes with a coordinate that is not a finite number, left out",
    "unknown_class": "Boxes of a class that has no name, left out",
    "empty_box": "Boxes without an area, left out",
    "box_outside": "Boxes outside of their picture, left out",
    "box_cut": "Boxes that reach out of their picture, cut to it",
    "box_doubled": "Boxes that are there twice, taken once",
    "size_differs": "Files made for a picture of another size, left out",
    "unreadable_annotation": "Files that cannot be read, left out",
    "boxes_without_image": "Files of boxes without an image, left out",
    "image_unreadable": "Boxes of images that cannot be read, left out",
}
"""What can be wrong with a drawn box, by code."""


def fit(
    points: Sequence[Point], label: str, width: int, height: int, where: str, bad: list[BadRow],
    *, polygon: bool = False,
) -> Box | None:  # fmt: skip
    """The box around `points` (x, y) in a picture of `width` x `height` px; None when there is
    none, with the reason in `bad`."""
    if any(not math.isfinite(value) for point in points for value in point):
        bad.append(BadRow("box_not_a_number", where))
        return None
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x0, y0, x1, y1 = min(xs), min(ys), max(xs), max(ys)
    if x1 <= x0 or y1 <= y0:
        bad.append(BadRow("empty_box", where))
        return None
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        bad.append(BadRow("box_outside", where))
        return None
    if min(x0, y0, width - x1, height - y1) < -TOLERANCE:
        bad.append(BadRow("box_cut", where))
    inside = [(min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))) for x, y in points]
    xs, ys = [p[0] for p in inside], [p[1] for p in inside]
    return Box(min(xs), min(ys), max(xs), max(ys), label, tuple(inside) if polygon else ())


def without_doubles(boxes: Sequence[Box], where: str, bad: list[BadRow]) -> tuple[Box, ...]:
    """Each box once, the first with its outline."""
    kept: dict[tuple[object, str], Box] = {}
    for box in boxes:
        kept.setdefault((box.corners, box.label), box)
    bad += [BadRow("box_doubled", where)] * (len(boxes) - len(kept))
    return tuple(kept.values())
