"""Phantom pelves: drawn frontal films with known hips, for demonstrations and tests.

Nothing of a patient is in them, and nobody could take them for a film: the word PHANTOM stands on
each. What learns from them knows phantoms. The unit is half the distance of the femoral heads, the
origin between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.voc import voc_text
from radloop.images.write import write_png, write_text
from radloop.systems.pelvis.drawing import (
    XY,
    Canvas,
    Film,
    Points,
    View,
    band,
    ellipse,
    expose,
)
from radloop.systems.pelvis.elsewhere import ELSEWHERE, draw_elsewhere
from radloop.systems.pelvis.labels import SIDES, class_name

Fracture = Literal["", "neck", "trochanter"]
Metal = Literal["", "prosthesis", "nail", "screws"]

_FOOT, _AWAY = (0.62, -0.42), (1.84, 0.92)
"""Corners of the box around a hip: head, neck and both trochanters."""
_BONE = 0.75
_SEEN = 0.7
"""The share of a hip's box that must be on the film for the hip to be there."""
Place = Callable[[float, float], XY]
"""From a point of a straight femur, on the right of the film, to the same point of the body."""


@dataclass(frozen=True)
class DrawnHip:
    """What a drawn hip has: nothing, a break, metalwork, or both."""

    fracture: Fracture = ""
    metal: Metal = ""


@dataclass(frozen=True)
class PhantomPelvis:
    """film: uint8 `(y, x)`. boxes: the hips that are on it, named by `class_name`."""

    film: Film
    boxes: tuple[Box, ...]


def draw_pelvis(
    seed: int,
    right: DrawnHip | None = None,
    left: DrawnHip | None = None,
    only: str = "",
    angle: float | None = None,
) -> PhantomPelvis:
    """A pelvis that the seed decides. right, left: the patient's hips, drawn at random when None.
    only: "right" or "left" for a film of one hip; angle: how the patient lies, degrees."""
    rng = np.random.default_rng(seed)
    drawn = {"right": right or some_hip(rng), "left": left or some_hip(rng)}
    view = _view_of(rng, only, rng.uniform(-7, 7) if angle is None else angle)
    canvas = Canvas(view)
    canvas.add(0.35, ellipse((0, -0.5), (2.3, 2.2)), band((-1.1, 0), (-1.15, 3), 1.7),
               band((1.1, 0), (1.15, 3), 1.7))  # fmt: skip
    canvas.add(0.05 * rng.uniform(0.5, 1.5), ellipse((rng.normal(0, 0.3), -0.7), (0.6, 0.45)))
    spine = rng.normal(0, 0.04)
    canvas.bone(_BONE * 0.6, np.array([(-0.42, -1.25), (0.42, -1.25), (0.14, -0.2), (-0.14, -0.2)]))
    for level in (-1.45, -1.95, -2.45):
        canvas.bone(_BONE * 0.6, ellipse((spine, level), (0.4, 0.2)))
    boxes = []
    for side in SIDES:
        # The patient faces the reader: the right hip is on the left of the film.
        sign = -1.0 if side == "right" else 1.0
        _draw_half(canvas, sign, rng)
        _draw_hip(canvas, sign, drawn[side], rng)
        hip = drawn[side]
        box = _box_of(view, sign, class_name(side, bool(hip.fracture), bool(hip.metal)))
        if box is not None:
            boxes.append(box)
    return PhantomPelvis(expose(canvas, rng), tuple(boxes))


def some_hip(rng: np.random.Generator) -> DrawnHip:
    """A hip at random: three of ten are broken, one of six has metalwork, few both."""
    fracture: Fracture = ""
    metal: Metal = ""
    if rng.random() < 0.3:
        fracture = "neck" if rng.random() < 0.6 else "trochanter"
    if rng.random() < (0.05 if fracture else 0.22):
        kinds: tuple[Metal, ...] = ("prosthesis", "nail", "screws")
        metal = kinds[int(rng.integers(3))]
    return DrawnHip(fracture if metal != "prosthesis" else "", metal)


def _view_of(rng: np.random.Generator, only: str, angle: float) -> View:
    if only:
        rows, columns = int(rng.integers(330, 400)), int(rng.integers(270, 320))
        sign = -1.0 if only == "right" else 1.0
        centre = (sign * rng.uniform(1.25, 1.4), rng.uniform(0.25, 0.5))
        return View(rows, columns, columns / rng.uniform(1.9, 2.3), centre, angle)
    rows, columns = int(rng.integers(330, 400)), int(rng.integers(420, 480))
    centre = (rng.uniform(-0.15, 0.15), rng.uniform(-0.45, 0.15))
    return View(rows, columns, columns / rng.uniform(4.3, 5.3), centre, angle)


def _draw_half(canvas: Canvas, sign: float, rng: np.random.Generator) -> None:
    """Ilium, pubis and ischium of one half; sign: -1 on the left of the film."""
    tilt = rng.uniform(-6, 6)
    canvas.bone(_BONE * 0.55, ellipse((sign * 0.98, -0.95), (0.62, 0.78), sign * (18 + tilt)))
    canvas.bone(
        _BONE * 0.7,
        ellipse((sign * 0.98, -0.08), (0.42, 0.44)),
        band((sign * 0.8, 0.05), (sign * 0.1, 0.36), 0.24, 0.2),
        band((sign * 0.1, 0.36), (sign * 0.6, 0.92), 0.18, 0.2),
        band((sign * 0.85, 0.2), (sign * 0.62, 0.92), 0.34, 0.26),
    )


def _draw_hip(canvas: Canvas, sign: float, hip: DrawnHip, rng: np.random.Generator) -> None:
    """Femur and metalwork."""
    large, turn = rng.uniform(0.93, 1.07), rng.uniform(-7, 7)
    upper = _placed(sign, large, turn, (0.0, 0.0))
    lower = upper
    if hip.fracture:  # the shaft rises, and falls inwards
        slipped = (-rng.uniform(-0.03, 0.1), -rng.uniform(0.04, 0.2))
        lower = _placed(sign, large, turn + rng.uniform(0, 12), slipped)
    ball = ellipse(upper(1.0, 0.0), (0.28 * large, 0.28 * large))
    wide = rng.uniform(0.05, 0.1)
    if hip.fracture == "neck":
        along = rng.uniform(0.35, 0.65)
        x, y = 1.0 + 0.45 * along, 0.34 * along
        neck = [band(upper(1.0, 0.0), upper(x, y), 0.34, 0.3),
                band(lower(x, y), lower(1.45, 0.34), 0.3, 0.4)]  # fmt: skip
        gap = [band(upper(x - 0.12, y + 0.22), upper(x + 0.1, y - 0.22), wide)]
        bones = [ball, *neck, _greater(lower, large), *_shaft(lower, large)]
    else:
        neck = [band(upper(1.0, 0.0), upper(1.45, 0.34), 0.34, 0.4)]
        gap = [band(upper(1.72, 0.12), upper(1.26, 0.68), wide)] if hip.fracture else []
        bones = [ball, *neck, _greater(upper, large), *_shaft(lower, large)]
    if hip.metal == "prosthesis":  # head and neck were taken out
        bones, gap = [_greater(upper, large), *_shaft(upper, large)], []
    canvas.bone(_BONE, *bones, without=gap)
    for piece in _metalwork(hip.metal, upper, rng):
        canvas.add(4.0, piece)


def _placed(sign: float, large: float, angle: float, shift: XY) -> Place:
    """A femur turned about its head and shifted, on the side that `sign` says."""
    a = math.radians(angle)

    def place(x: float, y: float) -> XY:
        dx, dy = (x - 1.0) * large, y * large
        across = dx * math.cos(a) - dy * math.sin(a) + 1.0 + shift[0]
        return sign * across, dx * math.sin(a) + dy * math.cos(a) + shift[1]

    return place


def _greater(at: Place, large: float) -> Points:
    return ellipse(at(1.56, 0.22), (0.19 * large, 0.27 * large))


def _shaft(at: Place, large: float) -> list[Points]:
    """The lesser trochanter and the shaft."""
    return [
        ellipse(at(1.3, 0.66), (0.1 * large, 0.13 * large)),
        band(at(1.48, 0.34), at(1.44, 0.9), 0.44 * large, 0.36 * large),
        band(at(1.44, 0.9), at(1.36, 2.6), 0.36 * large, 0.34 * large),
    ]


def _metalwork(metal: Metal, at: Place, rng: np.random.Generator) -> list[Points]:
    if metal == "prosthesis":
        stem = band(at(1.42, 0.2), at(1.42, rng.uniform(1.3, 1.8)), 0.24, 0.1)
        neck = band(at(1.0, 0.0), at(1.4, 0.28), 0.12)
        return [ellipse(at(1.0, 0.0), (0.24, 0.24)), neck, stem]
    if metal == "nail":
        nail = band(at(1.52, 0.12), at(1.42, rng.uniform(1.1, 2.2)), 0.12)
        return [nail, band(at(1.62, 0.5), at(0.98, 0.02), 0.09)]
    if metal == "screws":
        lower = (0.0, 0.13, 0.26)
        return [band(at(1.6 - k / 2, 0.3 + k), at(1.0 - k / 2, -0.12 + k), 0.05) for k in lower]
    return []


def _box_of(view: View, sign: float, label: str) -> Box | None:
    """The box around a hip, as a reader draws it; None where the hip is not on the film."""
    (x0, y0), (x1, y1) = _FOOT, _AWAY
    middle, half = (sign * (x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)
    # The oval in the box turns with the patient; the box of its turned corners would grow.
    points = view.px(ellipse(middle, half))
    low, high = points.min(0), points.max(0)
    inside = np.clip([low, high], 0, [view.columns, view.rows])
    share = np.prod(inside[1] - inside[0]) / np.prod(high - low)
    if share < _SEEN:
        return None
    (left, top), (right, bottom) = (tuple(float(v) for v in corner) for corner in inside)
    return Box(left, top, right, bottom, label)


def write_pelves(folder: Path, count: int, seed: int = 0) -> Path:
    """`images/` and LabelImg's `boxes/`, of `count` films; returns `folder`.

    Of twelve films, seven show a pelvis, two a single hip, and three something else: their file of
    boxes is empty.
    """
    for k in range(count):
        rng = np.random.default_rng([seed + k, 1])
        boxes: tuple[Box, ...] = ()
        kind = (seed + k) % 12
        if kind in (3, 7, 11):
            name = f"film{k:03d}-{ELSEWHERE[(seed + k) // 4 % len(ELSEWHERE)]}"
            film = draw_elsewhere(seed + k, name.split("-")[1])
        else:
            only = str(rng.choice(SIDES)) if kind in (1, 5) else ""
            pelvis = draw_pelvis(seed + k, only=only)
            name, film, boxes = f"film{k:03d}-pelvis", pelvis.film, pelvis.boxes
        write_png(folder / "images" / f"{name}.png", film)
        found = FilmBoxes(film.shape[1], film.shape[0], boxes)
        write_text(folder / "boxes" / f"{name}.xml", voc_text(found, f"{name}.png"))
    return folder
