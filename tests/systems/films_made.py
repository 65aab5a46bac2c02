"""Made-up films with three answers: a crack or none, one of three shapes, and a side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.table import CaseTable, read_cases
from radloop.images.write import write_png

SHAPES = ("bar", "ring", "cross")
HEADER = (
    "case_id,patient_id,split,image,label:crack,label:shape:bar,label:shape:ring,"
    "label:shape:cross,label:laterality:left,label:laterality:right"
)


def draw_card(
    seed: int, crack: bool, shape: str, left: bool
) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """A film `(80, 96)` and the place (x, y) of its crack, a small bright square; the shape is
    grey, and a long mark stands on its left or right."""
    rng = np.random.default_rng(seed)
    film = np.full((80, 96), 30, np.float32)
    if shape == "bar":
        cv2.rectangle(film, (40, 12), (56, 68), 110, -1)
    if shape == "ring":
        cv2.circle(film, (48, 40), 24, 110, 7)
    if shape == "cross":
        cv2.line(film, (28, 20), (68, 60), 110, 9)
        cv2.line(film, (68, 20), (28, 60), 110, 9)
    side = 8 if left else 88
    cv2.line(film, (side, 12), (side, 68), 130, 7)
    x, y = int(rng.integers(24, 72)), int(rng.integers(16, 64))
    if crack:
        cv2.rectangle(film, (x - 5, y - 5), (x + 5, y + 5), 250, -1)
    film += rng.normal(0, 5, film.shape)
    return np.clip(film, 0, 255).astype(np.uint8), (x, y)


def write_cards(folder: Path, count: int, folds: int = 0) -> CaseTable:
    """A table of films, some with unknown shape or side. folds: of the split; 0 for train and val
    (a third)."""
    lines = [HEADER]
    rng = np.random.default_rng(count)
    for k in range(count):
        crack, left = k % 2 == 1, bool(rng.integers(2))
        shape = SHAPES[rng.integers(3)]
        write_png(folder / f"films/{k:03d}.png", draw_card(k, crack, shape, left)[0])
        split = f"fold{k // 2 % folds}" if folds else ("val" if k % 3 == 2 else "train")
        shapes = ["" if k % 7 == 3 else str(int(shape == s)) for s in SHAPES]
        sides = ["" if k % 5 == 4 else str(int(left == s)) for s in (True, False)]
        cells = [f"c{k}", f"p{k}", split, f"films/{k:03d}.png", str(int(crack)), *shapes, *sides]
        lines.append(",".join(cells))
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return read_cases(folder / "cases.csv")
