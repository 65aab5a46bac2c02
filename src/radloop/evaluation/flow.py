"""The way of the cases through a study, from the table to the two-by-two table (STARD's flow)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radloop.evaluation.about import About
from radloop.evaluation.question import Answers, Question
from radloop.evaluation.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Flow:
    """Cases at every step. table: in the case table, 0 where that is not known. chosen: in the
    split. refused: by code. judged: read by the model. question: its title; unknown: judged cases
    whose truth is not known; the last four: what was called against what is true, None without an
    operating point."""

    table: int
    split: str
    chosen: int
    refused: Mapping[str, int]
    judged: int
    question: str = ""
    unknown: int = 0
    positive: int = 0
    negative: int = 0
    cells: Mapping[str, int] | None = field(default=None)


def flow_of(
    rows: Sequence[Row], about: About, question: Question | None, found: Answers | None
) -> Flow:
    """The flow of a report's rows; found: the answers of its first question."""
    refused = Counter(str(row.get("code", "refused")) for row in rows if _refused(row))
    judged = len(rows) - sum(refused.values())
    if question is None or found is None:
        return Flow(about.cases, about.split, len(rows), dict(refused), judged)
    cells = None
    if found.called is not None:
        pairs = {
            "true_positive": found.called & found.truth,
            "false_positive": found.called & ~found.truth,
            "false_negative": ~found.called & found.truth,
            "true_negative": ~found.called & ~found.truth,
        }
        cells = {name: int(flags.sum()) for name, flags in pairs.items()}
    positive = int(found.truth.sum())
    return Flow(
        about.cases, about.split, len(rows), dict(refused), judged, question.title,
        judged - found.truth.size, positive, found.truth.size - positive, cells,
    )  # fmt: skip


def _refused(row: Row) -> bool:
    return row.get("verdict") == "refused"


def draw_flow(axes: Axes, flow: Flow) -> None:
    """The flow as boxes and arrows: what goes on to the left, what is left out to the right."""
    axes.set_xlim(0.9, 9.5)
    axes.axis("off")
    steps: list[tuple[str, str]] = []
    if flow.table:
        left = flow.table - flow.chosen
        steps.append((
            f"In the case table\nn = {flow.table}",
            f"In other splits\nn = {left}" if left else "",
        ))  # fmt: skip
    refused = sum(flow.refused.values())
    reasons = [f"{code.replace('_', ' ')} {n}" for code, n in flow.refused.items()]
    more = [f"and {len(reasons) - 4} other reasons"] if len(reasons) > 5 else []
    listed = "\n".join([*(reasons[:4] if more else reasons), *more])
    steps.append((
        f"Given to the model{f' (split {flow.split})' if flow.split else ''}\nn = {flow.chosen}",
        f"Refused\nn = {refused}\n{listed}" if refused else "",
    ))  # fmt: skip
    steps.append((
        f"Read by the model\nn = {flow.judged}",
        f"Reference standard unknown\nn = {flow.unknown}" if flow.unknown else "",
    ))  # fmt: skip
    if flow.question:
        steps.append((
            f"Judged: {flow.question}\nn = {flow.positive + flow.negative}"
            f" ({flow.positive} positive, {flow.negative} negative)", "",
        ))  # fmt: skip
    height = 2.0
    for k, (goes_on, is_left) in enumerate(steps):
        y = -k * height
        _box(axes, 3.0, y, goes_on)
        if k + 1 < len(steps) or flow.cells:
            _arrow(axes, (3.0, y - 0.55), (3.0, y - height + 0.55))
        if is_left:
            _arrow(axes, (3.0, y - height / 2), (5.6, y - height / 2))
            _box(axes, 7.6, y - height / 2, is_left, faint=True)
    if flow.cells:
        y = -len(steps) * height
        called = flow.cells["true_positive"] + flow.cells["false_positive"]
        passed = flow.cells["true_negative"] + flow.cells["false_negative"]
        _arrow(axes, (3.0, y + height - 0.55), (7.3, y + 0.65))
        _box(axes, 3.0, y, f"Called positive: {called}\ntruly positive"
             f" {flow.cells['true_positive']}, not {flow.cells['false_positive']}")  # fmt: skip
        _box(axes, 7.6, y, f"Called negative: {passed}\ntruly positive"
             f" {flow.cells['false_negative']}, not {flow.cells['true_negative']}")  # fmt: skip


def _box(axes: Axes, x: float, y: float, text: str, faint: bool = False) -> None:
    axes.text(
        x, y, text, ha="center", va="center", fontsize=9, linespacing=1.35,
        bbox={"boxstyle": "round,pad=0.5", "facecolor": "#f4f6f9" if faint else "white",
              "edgecolor": "#6b7280" if faint else "#2458b3"},
    )  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#6b7280"}, zorder=0)
