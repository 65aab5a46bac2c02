"""Phantom heads: an elliptic skull around brain with ventricles, with or without a bleed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.images.write import write_png

SLICES = 12
KINDS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")


def draw_head(
    seed: int, side: int = 160, bleed: bool = False, angle: float = 0.0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Slices `(z, y, x)` of the brain window, feet first, and which of them show the bleed.

    angle: degrees by which the head is turned clockwise in its slices.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float64) - side / 2
    turn = np.radians(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    stack = np.zeros((SLICES, side, side))
    shown = np.zeros(SLICES, np.bool_)
    place = rng.uniform(-0.12, 0.12, 2) * side + (side * 0.12, 0)
    for k in range(SLICES):
        size = 1 - 0.5 * (max(0, k - 6) / 6) ** 2
        outer = (along / (0.33 * size)) ** 2 + (across / (0.42 * size)) ** 2 <= side**2
        inner = (along / (0.30 * size)) ** 2 + (across / (0.39 * size)) ** 2 <= side**2
        one = np.where(outer, 255.0, 0.0)
        one[inner] = 100
        if 3 < k < 9:
            for way in (-1, 1):
                ventricle = ((along - way * side * 0.05) / 0.03) ** 2 + (across / 0.12) ** 2
                one[ventricle <= side**2] = 40
        if bleed and 4 <= k <= 8:
            lump = np.hypot(along - place[0], across - place[1]) < side * 0.07
            one[lump & inner] = 200
            shown[k] = True
        stack[k] = one + rng.normal(0, 5, one.shape) * (one > 0)
    return np.clip(stack, 0, 255).astype(np.uint8), shown


def write_heads(folder: Path, n: int) -> Path:
    """`n` heads as folders of slices, every second with a bleed; returns the table of labels."""
    rows = ["Patient,Slice," + ",".join(KINDS)]
    for k in range(n):
        stack, shown = draw_head(k, bleed=k % 2 == 1)
        for z, one in enumerate(stack):
            write_png(folder / "scans" / f"{k:03d}" / f"{z + 1:02d}.png", one)
            cells = ["1" if shown[z] and kind == "intraparenchymal" else "0" for kind in KINDS]
            rows.append(f"{k},{z + 1},{','.join(cells)}")
    table = folder / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    return table
