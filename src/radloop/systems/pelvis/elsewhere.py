"""Drawn films of what is no frontal pelvis: what a gate must learn to refuse, as it were by hand.

Among them those that come nearest: a shoulder (a ball in a socket), both knees (a pair of joints),
a hip from the side.
"""

from __future__ import annotations

import numpy as np

from radloop.systems.pelvis.drawing import Canvas, Film, View, band, ellipse, expose

ELSEWHERE = ("knee", "chest", "shoulder", "knees", "lateral", "spine", "hand", "skull", "ankle")
"""Names of `draw_elsewhere`; "lateral" is a hip from the side."""
_BONE = 0.75


def draw_elsewhere(seed: int, kind: str) -> Film:
    """A film of `kind`, one of `ELSEWHERE`, that the seed decides. KeyError for another."""
    draw = {
        "knee": _knee, "knees": _knees, "chest": _chest, "shoulder": _shoulder,
        "lateral": _lateral, "spine": _spine, "hand": _hand, "skull": _skull, "ankle": _ankle,
    }[kind]  # fmt: skip
    rng = np.random.default_rng(seed)
    wide = kind in ("knees", "chest")
    rows = int(rng.integers(330, 400))
    columns = int(rng.integers(400, 480)) if wide else int(rng.integers(270, 340))
    scale = min(rows, columns) / rng.uniform(3.6, 4.6)
    shift = (float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.2)))
    canvas = Canvas(View(rows, columns, scale, shift, rng.uniform(-9, 9)))
    draw(canvas, rng)
    if rng.random() < 0.5:  # either side of the body, from either side
        canvas.dense = np.ascontiguousarray(canvas.dense[:, ::-1])
    return expose(canvas, rng)


def _knee(canvas: Canvas, rng: np.random.Generator, x: float = 0.0) -> None:
    canvas.add(0.35, band((x, -3), (x, 3), 1.5, 1.2))
    apart = rng.uniform(0.04, 0.1)
    canvas.bone(
        _BONE, band((x, -3), (x, -0.5), 0.5, 0.6), ellipse((x - 0.27, -0.3), (0.32, 0.3)),
        ellipse((x + 0.27, -0.3), (0.32, 0.3)),
    )  # fmt: skip
    canvas.bone(_BONE, band((x, apart), (x, 0.5), 1.1, 0.6), band((x, 0.4), (x, 3), 0.6, 0.44))
    canvas.bone(
        _BONE * 0.6, band((x + 0.55, 0.35), (x + 0.5, 3), 0.16), ellipse((x, -0.4), (0.25, 0.25))
    )


def _knees(canvas: Canvas, rng: np.random.Generator) -> None:
    for x in (-1.15, 1.15):
        _knee(canvas, rng, x + rng.normal(0, 0.05))


def _chest(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.9, ellipse((0, 0.4), (2.3, 2.4)))
    for sign in (-1, 1):
        lung = canvas.mask([ellipse((sign * 0.95, 0), (0.72, rng.uniform(1.3, 1.6)), sign * -6)])
        canvas.dense -= 0.6 * lung
        canvas.bone(_BONE * 0.4, band((sign * 0.2, -1.35), (sign * 1.7, -1.6), 0.14))
        for k in range(6):
            y = -1.1 + k * 0.42
            canvas.add(0.12, band((sign * 0.2, y), (sign * 1.6, y + 0.3), 0.12))
    canvas.add(0.45, ellipse((0.3, 0.65), (rng.uniform(0.6, 0.85), 0.7), 25))
    canvas.bone(_BONE * 0.4, band((0, -3), (0, 3), 0.36))


def _shoulder(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.4, ellipse((-0.9, 0.8), (1.6, 1.9)), band((0.6, 0.2), (0.9, 3), 1.1))
    canvas.add(-0.2, ellipse((-1.3, 1.3), (0.7, 1.1)))
    canvas.bone(_BONE * 0.6, np.array([(-0.3, -0.5), (-0.1, 0.5), (-0.7, 1.6), (-1.2, -0.3)]))
    canvas.bone(
        _BONE * 0.6, band((-2.2, -0.7), (0.4, -0.75), 0.22), ellipse((0.3, -0.65), (0.3, 0.14))
    )
    turn = rng.uniform(-0.1, 0.1)
    canvas.bone(_BONE, ellipse((0.3, 0), (0.44, 0.44)), ellipse((0.62, 0.05), (0.18, 0.24)),
                band((0.42, 0.2), (0.75 + turn, 3), 0.6, 0.36))  # fmt: skip


def _lateral(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.45, ellipse((0, -0.4), (1.5, 1.7)), band((0, 0.2), (0.7, 3), 1.7))
    canvas.bone(
        _BONE * 0.5, ellipse((-0.35, -1.1), (0.5, 0.9), 20), ellipse((-0.1, -1.0), (0.5, 0.9), 20)
    )
    canvas.bone(_BONE * 0.6, band((-0.9, -2.3), (-1.1, -0.4), 0.4, 0.25))
    canvas.bone(
        _BONE * 0.6, ellipse((0, 0), (0.46, 0.46)), band((-0.1, 0.3), (-0.5, 1.0), 0.34, 0.3)
    )
    slope = rng.uniform(0.4, 1.0)
    canvas.bone(_BONE, ellipse((0.02, 0.02), (0.28, 0.28)), band((0, 0), (0.3, 0.6), 0.34, 0.4),
                band((0.28, 0.5), (slope, 3), 0.4, 0.36))  # fmt: skip


def _spine(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.6, ellipse((0, 0), (1.9, 3)))
    lean = rng.uniform(-0.12, 0.12)
    for k in range(-4, 5):
        x, y = lean * k, 0.55 * k
        canvas.bone(_BONE * 0.7, band((x, y - 0.2), (x, y + 0.2), rng.uniform(0.7, 0.8)),
                    band((x - 0.75, y), (x + 0.75, y), 0.1))  # fmt: skip


def _hand(canvas: Canvas, rng: np.random.Generator) -> None:
    for k in range(5):
        x, reach = -0.9 + 0.45 * k, (1.3, 1.8, 2.0, 1.8, 0.9)[k]
        spread = (k - 2) * rng.uniform(0.1, 0.2)
        canvas.add(0.2, band((x, 0.9), (x + spread, -reach), 0.42))
        ends = np.linspace(0.9, -reach, 5)
        for top, low in zip(ends[1:], ends[:-1], strict=True):
            at = [(x + spread * (0.9 - y) / (0.9 + reach), y) for y in (low - 0.04, top + 0.04)]
            canvas.bone(_BONE * 0.8, band(at[0], at[1], 0.2, 0.17))
    canvas.add(0.25, ellipse((0, 1.1), (1.2, 0.9)), band((0, 1.3), (0, 3), 1.2))
    for k in range(7):
        canvas.bone(
            _BONE * 0.7, ellipse((-0.6 + 0.4 * (k % 4), 1.15 + 0.32 * (k // 4)), (0.2, 0.17))
        )
    canvas.bone(_BONE, band((-0.35, 1.8), (-0.25, 3), 0.6, 0.36), band((0.4, 1.8), (0.3, 3), 0.34))


def _skull(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.5, ellipse((0, 0), (1.35, 1.7)))
    canvas.bone(_BONE, ellipse((0, -0.1), (1.3, 1.6)), without=[ellipse((0, -0.1), (1.18, 1.48))])
    for sign in (-1, 1):
        canvas.add(-0.2, ellipse((sign * 0.45, 0.15), (0.3, rng.uniform(0.22, 0.3))))
    canvas.bone(_BONE * 0.8, band((0, 0.95), (0, 1.25), 1.0), band((-0.7, 1.5), (0.7, 1.5), 0.25))
    canvas.bone(_BONE * 0.6, band((0, 1.6), (0, 3), 0.5))


def _ankle(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.add(0.3, band((0, -3), (0, 0.6), 1.1, 1.3), ellipse((0.3, 1.2), (1.3, 0.7)))
    canvas.bone(_BONE, band((0, -3), (0, -0.5), 0.44, 0.5), band((0, -0.5), (0, 0), 0.5, 0.8))
    canvas.bone(_BONE * 0.8, band((0.5, -3), (0.52, 0.25), 0.18, 0.26))
    canvas.bone(_BONE, ellipse((0.02, 0.32), (0.42, 0.26)), ellipse((0.1, 0.9), (0.6, 0.4)))
    canvas.bone(_BONE * 0.7, band((0.5, 0.9), (rng.uniform(1.3, 1.7), 1.5), 0.5, 0.4))
