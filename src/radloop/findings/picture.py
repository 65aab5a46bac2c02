"""The picture of a film with its evidence: outlines of structures, measured lines, a caption.

Drawn with OpenCV only, in a few milliseconds, so that pictures never hold up a prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rgb = tuple[int, int, int]
Point = tuple[float, float]

# Okabe & Ito (2008): told apart with any kind of colour blindness, and all bright on a film.
COLOURS: Mapping[str, Rgb] = {
    "heart": (240, 110, 30),
    "left_lung": (86, 180, 233),
    "right_lung": (240, 228, 66),
}
_OTHER_COLOURS: tuple[Rgb, ...] = ((0, 190, 140), (224, 141, 187), (230, 159, 0))
_BOX: Rgb = (255, 176, 0)
_WHITE: Rgb = (255, 255, 255)
_GREY: Rgb = (190, 190, 190)
_BLACK: Rgb = (0, 0, 0)
_STRIP: Rgb = (24, 24, 24)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT = 22.0  # px of a capital at font scale 1
_SHIFT = 4  # OpenCV takes points in 1/16 px


@dataclass(frozen=True)
class Line:
    """A straight line on the film, from `start` to `end`: `(y, x)` px, sample centres at integers.

    structure: gives the colour of that structure's outline; white without. guide: a thin line
    that is not measured (the midline), drawn first, without end ticks and label.
    """

    start: Point
    end: Point
    label: str = ""
    structure: str = ""
    guide: bool = False


@dataclass(frozen=True)
class Rectangle:
    """A box on the film: `(x0, y0, x1, y1)` px, edges at whole numbers, and what stands above it.

    faint: thin and grey, for what was looked at and not called.
    """

    box: tuple[float, ...]
    label: str = ""
    faint: bool = False


def draw_film(
    film: npt.NDArray[np.uint8],
    outlines: Mapping[str, npt.NDArray[np.bool_]],
    lines: Sequence[Line] = (),
    *,
    title: str = "",
    caption: str = "",
    sides: tuple[str, str] | None = ("R", "L"),
    rectangles: Sequence[Rectangle] = (),
    heat: npt.NDArray[np.float32] | None = None,
    longest: int = 1024,
) -> npt.NDArray[np.uint8]:
    """The film with outlines and lines, over a strip with title and caption.

    film: `(y, x)`; one that uses less than half of the range is shown brighter. outlines:
    structure -> mask `(y, x)` on the film's grid. rectangles: drawn over all. heat: laid over the
    film, `(y, x)` in 0..1 on its grid. sides: what stands at the film's left and right edge, for a
    frontal film the patient's right and left; None when that is not known. longest: a film with a
    longer side is shown smaller; none is enlarged. Text beyond ASCII is written as "?".

    Returns `(y, x, 3)` uint8 RGB, as wide as the shown film and higher by the strip, which is
    left out when there is neither title nor caption. Raises ValueError for a mask of another
    shape.
    """
    for name, mask in {**outlines, **({} if heat is None else {"heat": heat})}.items():
        if mask.shape != film.shape:
            raise ValueError(f"mask '{name}' of shape {mask.shape} on a film of {film.shape}")
    scale = min(1.0, longest / max(film.shape))
    height, width = (max(1, round(side * scale)) for side in film.shape)
    if scale < 1.0:
        film = np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    canvas = np.repeat(_bright(film)[..., None], 3, axis=2)
    if heat is not None:
        canvas = heated(canvas, np.asarray(cv2.resize(heat, (width, height)), np.float32))
    pen = _Pen(canvas, scale)
    colours = _colours(outlines)
    for line in (line for line in lines if line.guide):
        pen.guide(line)
    for name, mask in outlines.items():
        pen.outline(mask, colours[name])
    measured = [(line, colours.get(line.structure, _WHITE)) for line in lines if not line.guide]
    for line, colour in measured:
        pen.line(line, colour)
    for line, colour in measured:
        pen.label(line, colour)
    for rectangle in rectangles:
        pen.rectangle(rectangle)
    if sides is not None:
        pen.sides(sides)
    texts = [text for text in (title, caption) if text]
    return (
        np.vstack([pen.canvas, caption_strip(width, pen.text_scale, texts)])
        if texts
        else pen.canvas
    )


def _bright(film: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A dim film stretched to the whole range, its markers left out of account; others as is."""
    low, high = np.percentile(film[::4, ::4], (0.1, 99.5))
    if not 8 <= high - low < 128:  # even pictures hold nothing to stretch but noise
        return film
    return np.asarray(np.clip((film - low) * (255.0 / (high - low)), 0, 255), np.uint8)


def _colours(outlines: Mapping[str, object]) -> dict[str, Rgb]:
    others = [name for name in outlines if name not in COLOURS]
    return dict(COLOURS) | {
        name: _OTHER_COLOURS[index % len(_OTHER_COLOURS)] for index, name in enumerate(others)
    }


class _Pen:
    """Draws on `canvas`, with widths and letters that scale with it."""

    def __init__(self, canvas: npt.NDArray[np.uint8], scale: float) -> None:
        self.canvas = canvas
        self.scale = scale
        side = min(canvas.shape[:2])
        self.width = max(1, round(side / 320))
        self.text_scale = max(side / 1000, 0.35)

    def _points(self, points_xy: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Film px to canvas px, in OpenCV's fixed point; centres of samples stay centres."""
        points = (np.asarray(points_xy, np.float64) + 0.5) * self.scale - 0.5
        return np.rint(points * (1 << _SHIFT)).astype(np.int32)

    def outline(self, mask: npt.NDArray[np.bool_], colour: Rgb) -> None:
        found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        contours = [self._points(contour) for contour in found]
        cv2.polylines(self.canvas, contours, True, colour, self.width, cv2.LINE_AA, _SHIFT)

    def guide(self, line: Line) -> None:
        self._stroke(np.array([line.start[::-1], line.end[::-1]]), _GREY, 1)

    def line(self, line: Line, colour: Rgb) -> None:
        start, end = (np.array(point[::-1], np.float64) for point in (line.start, line.end))
        along = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        tick = np.array([-along[1], along[0]]) * 4 * self.width / self.scale
        strokes = [
            np.array(ends)
            for ends in ((start, end), (start - tick, start + tick), (end - tick, end + tick))
        ]
        for rim, ink in ((2, _BLACK), (0, colour)):
            for stroke in strokes:
                self._stroke(stroke, ink, self.width + rim)

    def label(self, line: Line, colour: Rgb) -> None:
        # a line across everything has its label near its start, off those of the structures
        along = 0.5 if line.structure else 0.15
        point = [s + along * (e - s) for s, e in zip(line.start[::-1], line.end[::-1], strict=True)]
        x, y = self._points(point) / (1 << _SHIFT)
        self._text(line.label, (x, y - 3 * self.width - 2), colour, centred=True)

    def rectangle(self, rectangle: Rectangle) -> None:
        x0, y0, x1, y1 = (value - 0.5 for value in rectangle.box)
        ink, width = (_GREY, 1) if rectangle.faint else (_BOX, self.width)
        corners = self._points([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])[:, None]
        if not rectangle.faint:
            cv2.polylines(self.canvas, [corners], True, _BLACK, width + 2, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self.canvas, [corners], True, ink, width, cv2.LINE_AA, _SHIFT)
        x, y = corners[0, 0] / (1 << _SHIFT)
        top = _FONT_HEIGHT * self.text_scale + 4
        self._text(rectangle.label, (max(x, 2), max(y - 3 * self.width, top)), ink)

    def sides(self, sides: tuple[str, str]) -> None:
        margin = 2 * self.width + _FONT_HEIGHT * self.text_scale * 0.5
        bottom = margin + 1.4 * _FONT_HEIGHT * self.text_scale
        self._text(sides[0], (margin, bottom), _WHITE, size=1.4)
        right = self.canvas.shape[1] - margin - self._text_width(sides[1], 1.4)
        self._text(sides[1], (right, bottom), _WHITE, size=1.4)

    def _stroke(self, ends_xy: npt.NDArray[np.float64], colour: Rgb, width: int) -> None:
        first, last = (tuple(map(int, point)) for point in self._points(ends_xy))
        cv2.line(self.canvas, first, last, colour, width, cv2.LINE_AA, _SHIFT)

    def _text_width(self, text: str, size: float = 1.0) -> int:
        return int(cv2.getTextSize(text, _FONT, self.text_scale * size, 1)[0][0])

    def _text(
        self, text: str, at: Point, colour: Rgb, *, centred: bool = False, size: float = 1.0
    ) -> None:
        """Text with a dark rim; `at` is the `(x, y)` of its lower left corner, or lower middle."""
        text = _ascii(text)
        left = at[0] - (self._text_width(text, size) / 2 if centred else 0)
        place = (round(left), round(at[1]))
        scale = self.text_scale * size
        for ink, extra in ((_BLACK, 2), (colour, 0)):
            width = self.width + extra
            cv2.putText(self.canvas, text, place, _FONT, scale, ink, width, cv2.LINE_AA)


def heated(canvas: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Heat `(y, x)` in 0..1 over a picture `(y, x, 3)`, as strong as it is hot, so that cold places
    stay readable."""
    hot = np.clip(heat, 0, 1)
    coloured = cv2.applyColorMap((hot * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    strength = 0.6 * hot[..., None]
    return np.asarray(canvas * (1 - strength) + coloured * strength, np.uint8)


def caption_strip(width: int, text_scale: float, texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    """`(y, width, 3)`: one line a text, each as large as the width allows, the first brightest."""
    row = max(12, round(_FONT_HEIGHT * text_scale * 2))
    strip = np.full((row * len(texts) + row // 2, width, 3), _STRIP, np.uint8)
    margin = row // 2
    for index, text in enumerate(map(_ascii, texts)):
        natural = cv2.getTextSize(text, _FONT, text_scale, 1)[0][0]
        fitted = text_scale * min(1.0, max(width - 2 * margin, 1) / max(natural, 1))
        place = (margin, round(row * (index + 0.95)))
        colour = _WHITE if index == 0 else _GREY
        cv2.putText(strip, text, place, _FONT, fitted, colour, 1, cv2.LINE_AA)
    return strip


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII; dashes have an equal there."""
    return text.replace("–", "-").replace("−", "-").encode("ascii", "replace").decode()
