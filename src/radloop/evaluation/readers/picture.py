"""The model's ROC curve with the readers as points, drawn as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radloop.evaluation.figures import BLUE, DOTS_PER_INCH, GREY, ORANGE
from radloop.evaluation.readers.beside import Beside
from radloop.evaluation.readers.judged import Judged
from radloop.evaluation.readers.single import Single
from radloop.images.write import atomic_path
from radloop.measures.classification import roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREEN, PURPLE = "#2f7d4f", "#7a3f9d"
COLORS = (ORANGE, GREEN, PURPLE, "#8a6d1f", "#a3336b", GREY)
PANEL = 330.0
"""The side of a panel, about, in points of the printer."""
LETTER, LINE, MARK = 4.4, 9.0, 4.0
"""Width and height of a letter of a name, and half of a mark, in points."""
PLACES = tuple((x, y) for y in (4.0, -10.0, 14.0, -20.0) for x in (5.0, -5.0))
"""Where a name can stand, from its mark; to the left of it where x is negative."""


def draw_readers(found: Beside, judged: Judged | None, path: Path) -> None:
    """Draw the curve (where there is one), the readers, their majorities and the model's point.

    Two panels: the whole square, and the part in which the points lie, with names (of up to twelve
    readers) and intervals of what was read in the first modality. Written whole or not at all.
    """
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(10.6, 5.2), layout="constrained")
    first = next((single.modality for single in found.readers), "")
    points = [
        single
        for single in found.singles
        if _has_point(single) and (single.kind != "majority" or single.modality == first)
    ]
    corner = _corner(points)
    for place, (x, y) in ((121, ((-0.02, 1.02), (-0.02, 1.02))), (122, corner)):
        axes = sheet.add_subplot(place)
        axes.spines[["top", "right"]].set_visible(False)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        if judged is not None and judged.truth.any() and not judged.truth.all():
            curve = roc_curve(judged.score, judged.truth)
            label = "model"
            if found.auc is not None:
                label = f"model, AUC {found.auc.value:.3f}"
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=BLUE, label=label)
        axes.set_xlim(*x)
        axes.set_ylim(*y)
        _draw_points(axes, points, first, named=place == 122)
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("sensitivity")
        axes.tick_params(labelsize=9)
        axes.grid(color=GREY, alpha=0.15)
    sheet.axes[0].set_title(found.title, fontsize=10)
    sheet.axes[0].set_aspect("equal")
    sheet.axes[1].set_title("the part with the points; crosses are 95 % intervals", fontsize=10)
    if sheet.axes[0].get_legend_handles_labels()[0]:
        sheet.axes[0].legend(loc="lower right", fontsize=8, frameon=False)
    with atomic_path(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _draw_points(axes: Axes, points: list[Single], first: str, named: bool) -> None:
    kinds = list(dict.fromkeys((p.group, p.modality) for p in points if p.kind == "reader"))
    seen: set[object] = set()
    places = name_places(axes, points, first) if named else {}
    for single in points:
        y, x = single.shares["sensitivity"], single.shares["specificity"]
        if single.kind == "model":
            color, mark, label, size = BLUE, "*", "model, its threshold", 15
        elif single.kind == "majority":
            color, mark, label, size = "#1c2430", "X", "majority", 8
        else:
            k = kinds.index((single.group, single.modality))
            color, mark, size = COLORS[k % len(COLORS)], MARKS[k % len(MARKS)], 6
            label = ", ".join(part for part in kinds[k] if part) or "reader"
        plain = single.kind == "reader" and single.modality == first
        if named and plain and not np.isnan(y.low + x.low):
            for across, up in (
                ([1 - x.value] * 2, [y.low, y.high]),
                ([1 - x.high, 1 - x.low], [y.value] * 2),
            ):
                axes.plot(across, up, color=color, alpha=0.35, linewidth=1.0, zorder=2)
        axes.plot(
            1 - x.value, y.value, mark, color=color, markersize=size, markeredgecolor="white",
            markeredgewidth=0.6, zorder=4, label=None if label in seen else label,
        )  # fmt: skip
        seen.add(label)
        if plain and single.name in places:
            offset = places[single.name]
            axes.annotate(
                single.name, (1 - x.value, y.value), xytext=offset, textcoords="offset points",
                ha="left" if offset[0] > 0 else "right", fontsize=7.5, color=color,
            )  # fmt: skip


def name_places(axes: Axes, points: list[Single], first: str) -> dict[str, tuple[float, float]]:
    """Where the names of up to twelve readers stand: of `PLACES` the one that covers least."""
    readers = [p for p in points if p.kind == "reader" and p.modality == first]
    if len(readers) > 12:
        return {}
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()

    def at(single: Single) -> tuple[float, float]:
        x, y = 1 - single.shares["specificity"].value, single.shares["sensitivity"].value
        return (x - left) / (right - left) * PANEL, (y - bottom) / (top - bottom) * PANEL

    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in map(at, points)]
    found = {}
    for single in readers:
        boxes = [_box(at(single), place, len(single.name)) for place in PLACES]
        covered = [sum(_shared(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(covered))
        found[single.name] = PLACES[best]
        taken.append(boxes[best])
    return found


def _box(at: tuple[float, float], place: tuple[float, float], letters: int) -> Box:
    """left, bottom, right, top of a name."""
    width = LETTER * letters
    left = at[0] + place[0] - (width if place[0] < 0 else 0.0)
    return left, at[1] + place[1], left + width, at[1] + place[1] + LINE


def _shared(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _corner(points: list[Single]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The square that holds the points and most of their intervals."""
    if not points:
        return (-0.02, 1.02), (-0.02, 1.02)
    right = max(1 - p.shares["specificity"].value for p in points) + 0.12
    low = min(p.shares["sensitivity"].value for p in points) - 0.12
    side = min(1.02, max(right, 1 - low, 0.25))
    return (-0.02 * side, side), (1 - side, 1 + 0.02 * side)


def _has_point(single: Single) -> bool:
    values = (single.shares["sensitivity"].value, single.shares["specificity"].value)
    return not any(np.isnan(values))
