"""Phantom jaws: drawn panoramic films with known teeth, for demonstrations and tests.

Nothing of a patient is in them, and nobody could take them for a film: the word PHANTOM stands on
each. What learns from them knows phantoms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.voc import voc_text
from radloop.images.write import write_png, write_text
from radloop.systems.jaw.numbers import ARCHES, PERMANENT, Arch, template

Film = npt.NDArray[np.uint8]

ROWS, COLUMNS = 320, 640
_WIDTHS = {"1": 1.0, "2": 0.85, "3": 1.0, "4": 0.95, "5": 1.0, "6": 1.45, "7": 1.4, "8": 1.25}
_LOWER_INCISORS = 0.75
_SPAN = 0.62
"""The share of the film's width that an arch of 16 teeth takes."""


@dataclass(frozen=True)
class PhantomJaw:
    """film: uint8 `(y, x)`. boxes: every tooth by its number, every condition by its name."""

    film: Film
    boxes: tuple[Box, ...]


def draw_jaw(
    seed: int, missing: Collection[str] | None = None,
    conditions: Mapping[str, str] | None = None,
) -> PhantomJaw:  # fmt: skip
    """A jaw that the seed decides. missing: the teeth that are not there; conditions: the one on
    each tooth ("caries", "restoration", "root_canal", or "implant" in place of the tooth); both
    drawn at random when None."""
    rng = np.random.default_rng(seed)
    gone = _some_missing(rng) if missing is None else set(missing)
    on = _some_conditions(rng, gone) if conditions is None else dict(conditions)
    canvas = np.full((ROWS, COLUMNS), 30, np.float32)
    middle = (COLUMNS / 2 + rng.uniform(-15, 15), ROWS / 2 + rng.uniform(-10, 10))
    cv2.ellipse(canvas, (int(middle[0]), int(middle[1])), (250, 135), 0, 0, 360, 75, -1)
    cv2.ellipse(canvas, (int(middle[0]), int(middle[1]) - 10), (190, 16), 0, 0, 360, 35, -1)
    boxes: list[Box] = []
    for name in ARCHES:
        for number, place in _places(name, middle, rng).items():
            boxes += _draw_tooth(canvas, number, place, gone, on.get(number, ""), rng)
    grainy = cv2.GaussianBlur(canvas, (0, 0), 0.8) + rng.normal(0, 4, canvas.shape)
    film = np.clip(grainy, 0, 255).astype(np.uint8)
    cv2.putText(film, "PHANTOM", (8, ROWS - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    return PhantomJaw(film, tuple(boxes))


@dataclass(frozen=True)
class _Place:
    """Where a tooth stands: its middle at the bite, px, its size, px, and which way is its root."""

    x: float
    y: float
    width: float
    height: float
    root: int


def _some_missing(rng: np.random.Generator) -> set[str]:
    return {n for n in PERMANENT if rng.random() < (0.4 if n[1] == "8" else 0.06)}


def _some_conditions(rng: np.random.Generator, gone: set[str]) -> dict[str, str]:
    on: dict[str, str] = {}
    for number in PERMANENT:
        if number in gone:
            if number[1] != "8" and rng.random() < 0.3:
                on[number] = "implant"
        elif rng.random() < 0.15:
            on[number] = str(rng.choice(["caries", "restoration", "root_canal"]))
    return on


def _places(of: Arch, middle: tuple[float, float], rng: np.random.Generator) -> dict[str, _Place]:
    numbers = template(of)
    widths = np.array([_WIDTHS[n[1]] for n in numbers])
    if of == "lower":
        widths = np.where([n[1] in "12" for n in numbers], _LOWER_INCISORS, widths)
    span = _SPAN * COLUMNS * rng.uniform(0.92, 1.05)
    widths = widths * rng.uniform(0.94, 1.06, len(numbers))
    widths *= span / widths.sum()
    edges = np.concatenate([[0.0], np.cumsum(widths)]) - span / 2
    root = -1 if of == "upper" else 1
    bend, tall = rng.uniform(14, 26), rng.uniform(66, 80)
    places = {}
    for number, left, width in zip(numbers, edges, widths, strict=False):
        x = left + width / 2
        rise = bend * (1 - (2 * x / span) ** 2)
        y = middle[1] - 10 + rise * 0.6 + root * 5 + rng.normal(0, 1)
        height = tall * (0.85 if number[1] in "678" else 1.0) * rng.uniform(0.93, 1.07)
        places[number] = _Place(middle[0] + x, y, width * 0.94, height, root)
    return places


def _draw_tooth(
    canvas: npt.NDArray[np.float32], number: str, place: _Place, gone: Collection[str],
    condition: str, rng: np.random.Generator,
) -> list[Box]:  # fmt: skip
    x, y, half, root = place.x, place.y, place.width / 2, place.root
    crown, tip = y + root * 0.4 * place.height, y + root * place.height
    if number in gone:
        if condition != "implant":
            return []
        end = y + root * 0.85 * place.height
        cv2.rectangle(canvas, _at(x - 5, y + root * 12), _at(x + 5, end), 235, -1)
        for step in np.arange(y + root * 18, end, root * 6):
            cv2.line(canvas, _at(x - 8, step), _at(x + 8, step - root * 3), 235, 2)
        return [_box(x - 9, y + root * 9, x + 9, end, "implant")]
    level = float(rng.uniform(150, 175))
    roots = (-0.45, 0.45) if number[1] in "678" else (0.0,)
    for offset in roots:
        base = half * (0.5 if len(roots) > 1 else 0.85)
        corners = [
            _at(x + offset * half - base, crown), _at(x + offset * half + base, crown),
            _at(x + offset * half + base * 0.3, tip), _at(x + offset * half - base * 0.3, tip),
        ]  # fmt: skip
        cv2.fillConvexPoly(canvas, np.array(corners), level - 20)
        if condition == "root_canal":
            cv2.line(canvas, _at(x + offset * half, crown), _at(x + offset * half, tip), 245, 2)
    cv2.rectangle(canvas, _at(x - half + 1, y), _at(x + half - 1, crown), level, -1)
    boxes = [_box(x - half, y, x + half, tip, number)]
    depth = y + root * 0.2 * place.height
    if condition == "restoration":
        cv2.rectangle(canvas, _at(x - half * 0.6, y), _at(x + half * 0.6, depth), 250, -1)
        boxes.append(_box(x - half * 0.6, y, x + half * 0.6, depth, "restoration"))
    if condition == "caries":
        side = float(rng.choice([-0.5, 0.5])) * half
        cv2.ellipse(canvas, _at(x + side, depth), (5, 6), 0, 0, 360, 60, -1)
        boxes.append(_box(x + side - 6, depth - 7, x + side + 6, depth + 7, "caries"))
    if condition == "root_canal":
        wide = half * (0.6 if len(roots) > 1 else 0.3)
        boxes.append(_box(x - wide, crown, x + wide, tip, "root_canal"))
    return boxes


def _at(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def _box(x0: float, y0: float, x1: float, y1: float, label: str) -> Box:
    top, bottom = sorted((y0, y1))
    return Box(max(x0, 0.0), max(top, 0.0), min(x1, COLUMNS), min(bottom, ROWS), label)


def write_jaws(folder: Path, count: int, seed: int = 0) -> Path:
    """`images/jaw000.png` ... and LabelImg's `boxes/`, of `count` phantoms; returns `folder`."""
    for k in range(count):
        jaw = draw_jaw(seed + k)
        name = f"jaw{k:03d}"
        write_png(folder / "images" / f"{name}.png", jaw.film)
        boxes = FilmBoxes(COLUMNS, ROWS, jaw.boxes)
        write_text(folder / "boxes" / f"{name}.xml", voc_text(boxes, f"{name}.png"))
    return folder
