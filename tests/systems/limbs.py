"""Phantom limbs: a bright bone across a grey arm, broken or not, and boxes as people draw them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.voc import voc_text
from radloop.images.write import write_png, write_text


def draw_limb(
    seed: int, broken: bool, scale: int = 1
) -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]:
    """A film `(y, x)`, and the box around the break, or around the place where one could be."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(120, 180)), int(rng.integers(100, 150))
    film = np.full((height, width), 20, np.float32)
    x, lean = rng.uniform(0.35, 0.65) * width, rng.uniform(-15, 15)
    cv2.line(film, (int(x), 0), (int(x + lean), height), 70, 60)
    cv2.line(film, (int(x), 0), (int(x + lean), height), 170, 22)
    y = rng.uniform(0.3, 0.7) * height
    middle = x + lean * y / height
    cv2.ellipse(film, (int(middle), int(y)), (24, 16), 0, 0, 360, 190, -1)  # the joint's ends
    if broken:
        tilt = rng.uniform(-8, 8)
        start, end = (int(middle - 22), int(y - tilt)), (int(middle + 22), int(y + tilt))
        cv2.line(film, start, end, 30, 5)
    film += rng.normal(0, 4, film.shape)
    shown = np.clip(film, 0, 255).astype(np.uint8)
    shown = np.repeat(np.repeat(shown, scale, 0), scale, 1)
    box = (middle - 26, y - 18, middle + 26, y + 18)
    return shown, (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)


def write_limbs(folder: Path, count: int, regions: bool, names: tuple[str, str] = ("", "")) -> Path:
    """`images/` and LabelImg's `boxes/`. regions: boxes around every joint, named by `names`
    (healthy, broken); otherwise around breaks only."""
    for k in range(count):
        broken = k % 2 == 1
        film, box = draw_limb(k, broken)
        label = names[broken] or "crack"
        boxes = (Box(*box, label),) if regions or broken else ()
        write_png(folder / f"images/f{k:03d}.png", film)
        found = FilmBoxes(film.shape[1], film.shape[0], boxes)
        write_text(folder / f"boxes/f{k:03d}.xml", voc_text(found, f"f{k:03d}.png"))
    return folder
