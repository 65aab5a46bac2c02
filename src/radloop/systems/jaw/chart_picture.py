"""The dental chart as a picture, and the film with its numbers. Drawn with OpenCV only."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from radloop.findings.picture import caption_strip
from radloop.systems.jaw.chart import Corners, DentalChart, ToothState
from radloop.systems.jaw.numbers import (
    ARCHES,
    Arch,
    arch,
    deciduous,
    is_number,
    palmer,
    template,
    universal,
)

Picture = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

# Okabe & Ito (2008), told apart with any kind of colour blindness; letters say the same.
_BACK: Rgb = (24, 24, 24)
_IVORY: Rgb = (226, 218, 200)
_ROOT: Rgb = (196, 184, 160)
_GREY: Rgb = (150, 150, 150)
_DIM: Rgb = (84, 84, 84)
_WHITE: Rgb = (255, 255, 255)
_BLACK: Rgb = (0, 0, 0)
_COLOURS: dict[str, Rgb] = {
    "caries": (240, 110, 30),
    "restoration": (86, 180, 233),
    "root_canal": (0, 190, 140),
    "implant": (204, 121, 167),
}
_LETTERS = {"caries": "C", "restoration": "F", "root_canal": "R", "implant": "I"}
_LEGEND = "F filling or crown   R root canal treatment   C caries   I implant   x missing"
_FONT = cv2.FONT_HERSHEY_SIMPLEX

_CELL = 60
_GLYPH = 92
_BAND = _GLYPH + 64
"""Px of a row of teeth with its numbers."""
_MARGIN = 32
_SUPER = 2
"""Drawn so much larger, then reduced: smooth edges."""


def draw_chart(chart: DentalChart, width: int = 1024) -> Picture:
    """The chart in ISO 3950 order as a dentist draws it, RGB `(y, width, 3)`.

    The patient's right is on the left. Each place has its ISO number, and small the Universal and
    Palmer ones. Deciduous rows are there when the chart has such teeth.
    """
    first = any(deciduous(number) for number in chart.teeth)
    rows: list[tuple[Arch, bool]] = [("upper", False), ("lower", False)]
    if first:
        rows[1:1] = [("upper", True), ("lower", True)]
    columns, height = 16 * _CELL + 2 * _MARGIN, _BAND
    bands = []
    for of, of_first in rows:
        band = np.full((height * _SUPER, columns * _SUPER, 3), _BACK, np.uint8)
        numbers = template(of, of_first)
        left = _MARGIN + (16 - len(numbers)) * _CELL // 2
        for k, number in enumerate(numbers):
            state = chart.teeth.get(number, ToothState(number, "unknown", 0.0))
            _draw_place(band, state, left + k * _CELL)
        middle = columns * _SUPER // 2
        cv2.line(band, (middle, 0), (middle, height * _SUPER), _DIM, _SUPER)
        _text(band, "R", (10, height / 2), 0.7, _WHITE)
        _text(band, "L", (columns - 24, height / 2), 0.7, _WHITE)
        bands.append(band)
    whole = np.vstack(bands)
    between = len(bands) // 2 * height * _SUPER
    cv2.line(whole, (0, between), (whole.shape[1], between), _DIM, _SUPER)
    size = (width, round(whole.shape[0] * width / whole.shape[1]))
    shown = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    lines = [_LEGEND]
    if chart.extra:
        near = ", ".join(one.near or "?" for one in chart.extra)
        lines.insert(0, f"{len(chart.extra)} that fit no place of the arch, near {near}")
    return np.asarray(np.vstack([shown, caption_strip(width, 0.5, lines)]), np.uint8)


def _draw_place(band: Picture, state: ToothState, left: int) -> None:
    number, upper = state.number, arch(state.number) == "upper"
    middle = left + _CELL / 2
    ink = {"present": _WHITE, "implant": _WHITE, "missing": _GREY, "unknown": _DIM}[state.status]
    # Upper teeth have their numbers below, at the bite; lower ones above.
    base = _GLYPH + 30 if upper else 34
    _text(band, number, (middle, base), 0.62, ink, centred=True, bold=state.status == "present")
    small = f"{universal(number)}  {palmer(number)}"
    _text(band, small, (middle, base + 18 if upper else base - 18), 0.34, _GREY, centred=True)
    top = 6 if upper else _BAND - _GLYPH - 6
    tooth = _Glyph(band, middle, top, number, upper)
    if state.status == "present":
        tooth.whole(state)
    elif state.status == "implant":
        tooth.implant()
    else:
        tooth.outline(_GREY if state.status == "missing" else _DIM, state.status == "missing")
    letters = "".join(_LETTERS[name] for name in _LETTERS if name in state.conditions)
    for k, letter in enumerate(letters):
        ink = next(_COLOURS[name] for name in _LETTERS if _LETTERS[name] == letter)
        _text(band, letter, (middle + 15 + 8 * k, base), 0.4, ink)


class _Glyph:
    """One tooth: crown at the bite, roots away from it."""

    def __init__(self, band: Picture, middle: float, top: int, number: str, upper: bool) -> None:
        self.band, self.middle, self.top, self.upper = band, middle, top, upper
        place = int(number[1]) + (2 if deciduous(number) and number[1] in "45" else 0)
        self.molar = place >= 6
        sizes = {1: 19, 2: 15, 3: 17, 4: 18, 5: 18, 6: 26, 7: 25, 8: 22}
        half = sizes[place] - (4 if not upper and place <= 2 else 0)
        self.half = half * (0.8 if deciduous(number) else 1.0)

    def _at(self, across: float, along: float) -> list[float]:
        """across: in half widths; along: 0 the tip of the root, 1 the bite."""
        y = self.top + (_GLYPH * along if self.upper else _GLYPH * (1 - along))
        return [(self.middle + across * self.half) * _SUPER, y * _SUPER]

    def _polygon(self, points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
        return np.array([self._at(*point) for point in points]).round().astype(np.int32)

    def _roots(self) -> list[npt.NDArray[np.int32]]:
        ways = (-0.55, 0.55) if self.molar else (0.0,)
        wide = 0.42 if self.molar else 0.75
        return [
            self._polygon([(w - wide, 0.62), (w + wide, 0.62), (w * 1.15 + 0.14, 0.02),
                           (w * 1.15 - 0.14, 0.02)])
            for w in ways
        ]  # fmt: skip

    def _crown(self) -> npt.NDArray[np.int32]:
        return self._polygon([(-0.86, 0.58), (0.86, 0.58), (1, 0.74), (0.92, 0.95), (0.7, 1),
                              (-0.7, 1), (-0.92, 0.95), (-1, 0.74)])  # fmt: skip

    def whole(self, state: ToothState) -> None:
        """A tooth that is there, with what is on it."""
        for root in self._roots():
            cv2.fillPoly(self.band, [root], _ROOT, cv2.LINE_AA)
            if "root_canal" in state.conditions:
                start, end = root[:2].mean(0), root[2:].mean(0)
                ends = [(int(p[0]), int(p[1])) for p in (start, end)]
                cv2.line(
                    self.band, ends[0], ends[1], _COLOURS["root_canal"], 5 * _SUPER, cv2.LINE_AA
                )
        cv2.fillPoly(self.band, [self._crown()], _IVORY, cv2.LINE_AA)
        if "restoration" in state.conditions:
            patch = self._polygon([(-0.6, 0.84), (0.6, 0.84), (0.68, 0.99), (-0.68, 0.99)])
            cv2.fillPoly(self.band, [patch], _COLOURS["restoration"], cv2.LINE_AA)
        if "caries" in state.conditions:
            x, y = self._at(0.45, 0.76)
            cv2.circle(self.band, (int(x), int(y)), 5 * _SUPER, _COLOURS["caries"], -1, cv2.LINE_AA)

    def implant(self) -> None:
        """A screw with a crown."""
        colour = _COLOURS["implant"]
        body = self._polygon([(-0.28, 0.62), (0.28, 0.62), (0.18, 0.1), (-0.18, 0.1)])
        cv2.fillPoly(self.band, [body], colour, cv2.LINE_AA)
        for along in np.arange(0.14, 0.6, 0.09):
            a, b = self._polygon([(-0.5, along), (0.5, along + 0.05)])
            ends = [(int(p[0]), int(p[1])) for p in (a, b)]
            cv2.line(self.band, ends[0], ends[1], colour, 2 * _SUPER, cv2.LINE_AA)
        cv2.polylines(self.band, [self._crown()], True, colour, 2 * _SUPER, cv2.LINE_AA)

    def outline(self, colour: Rgb, crossed: bool) -> None:
        """A place without a tooth, or one that is not known."""
        cv2.polylines(self.band, [self._crown()], True, colour, _SUPER, cv2.LINE_AA)
        cv2.polylines(self.band, self._roots(), True, colour, _SUPER, cv2.LINE_AA)
        if crossed:
            for points in ([(-0.8, 0.2), (0.8, 0.95)], [(0.8, 0.2), (-0.8, 0.95)]):
                a, b = self._polygon(points)
                ends = [(int(p[0]), int(p[1])) for p in (a, b)]
                cv2.line(self.band, ends[0], ends[1], colour, 2 * _SUPER, cv2.LINE_AA)


def _text(
    band: Picture, text: str, at: tuple[float, float], size: float, ink: Rgb, *,
    centred: bool = False, bold: bool = False,
) -> None:  # fmt: skip
    """`at`: the lower left corner, or the lower middle, in px of the picture before `_SUPER`."""
    scale, weight = size * _SUPER, _SUPER + bold
    wide = cv2.getTextSize(text, _FONT, scale, weight)[0][0] if centred else 0
    place = (round(at[0] * _SUPER - wide / 2), round(at[1] * _SUPER))
    cv2.putText(band, text, place, _FONT, scale, ink, weight, cv2.LINE_AA)


def mark_film(
    film: npt.NDArray[np.uint8], chart: DentalChart, caption: str = "", longest: int = 1400
) -> Picture:
    """The film with the box and the ISO number of every tooth, RGB, over a strip with the caption.

    Numbers stand beyond the roots, the letters of conditions beside them; a tooth that fits no
    place has "+". longest: larger films are shown smaller, small ones up to twice as large.
    """
    scale = min(longest / max(film.shape), 2.0)
    shown = cv2.resize(
        film, None, fx=scale, fy=scale,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )  # fmt: skip
    canvas = np.repeat(np.asarray(shown, np.uint8)[..., None], 3, axis=2)
    for state in chart.teeth.values():
        if state.box is not None:
            letters = "".join(_LETTERS[name] for name in _LETTERS if name in state.conditions)
            worst = next((name for name in _LETTERS if name in state.conditions), "")
            ink = _COLOURS.get(worst, _IVORY)
            label = f"{state.number} {letters}".strip()
            _mark(canvas, state.box, scale, label, ink, arch(state.number))
    for extra in chart.extra:
        of = arch(extra.near) if is_number(extra.near) else ARCHES[0]
        _mark(canvas, extra.box, scale, "+", _COLOURS["caries"], of)
    text = max(canvas.shape[1] / 2000, 0.4)
    strip = [caption_strip(canvas.shape[1], text, [caption])] if caption else []
    return np.asarray(np.vstack([canvas, *strip]), np.uint8)


def _mark(canvas: Picture, box: Corners, scale: float, label: str, ink: Rgb, of: Arch) -> None:
    x0, y0, x1, y1 = (round(v * scale) for v in box)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _BLACK, 3, cv2.LINE_AA)
    cv2.rectangle(canvas, (x0, y0), (x1, y1), ink, 1, cv2.LINE_AA)
    size = float(np.clip(max(canvas.shape) / 2200, 0.4, 0.7))
    (wide, high), _ = cv2.getTextSize(label, _FONT, size, 1)
    x = (x0 + x1 - wide) // 2
    y = y0 - 5 if of == "upper" else y1 + high + 5
    y = int(np.clip(y, high + 2, canvas.shape[0] - 4))
    # A dark plate: thin coloured letters with a rim are hard to read on a grey film.
    cv2.rectangle(canvas, (x - 3, y - high - 2), (x + wide + 2, y + 3), _BACK, -1)
    cv2.putText(canvas, label, (x, y), _FONT, size, ink, 1, cv2.LINE_AA)
