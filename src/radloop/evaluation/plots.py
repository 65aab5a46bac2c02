"""The figures that a report draws of its own numbers: flow, decision curve, abstention, subgroups.

(The figures that a system declares are in `figures.py`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radloop.evaluation.figures import BLUE, DOTS_PER_INCH, GREY, ORANGE
from radloop.evaluation.flow import Flow, draw_flow
from radloop.evaluation.judgement import Judgement
from radloop.evaluation.page import decimals, show, show_interval
from radloop.evaluation.subgroups import Group, Subgroups
from radloop.images.write import atomic_path
from radloop.measures.abstention import risk_coverage
from radloop.measures.net_benefit import DecisionCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet


def plot_flow(flow: Flow, path: Path) -> None:
    """The study flow."""
    steps = 2 + bool(flow.table) + bool(flow.question) + bool(flow.cells)
    sheet = _sheet(7.2, 0.5 + 0.95 * steps)
    axes = sheet.add_subplot(111)
    draw_flow(axes, flow)
    axes.set_ylim(-2.0 * (steps - 1) - 1.1, 0.9)
    _save(sheet, path)


def plot_decision(curve: DecisionCurve, path: Path) -> None:
    """Net benefit over the threshold probability, against acting on everybody and on nobody."""
    sheet = _sheet(5.6, 4.2)
    axes = _axes(sheet)
    axes.fill_between(curve.thresholds, curve.low, curve.high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(curve.thresholds, curve.model, color=BLUE, linewidth=1.8, label="the model, 95 %")
    axes.plot(curve.thresholds, curve.all, color=ORANGE, linewidth=1.2, label="everybody")
    axes.axhline(0.0, color=GREY, linewidth=1.0, label="nobody")
    top = float(np.nanmax([*curve.model, *curve.high, 0.05]))
    axes.set(xlim=(0, 1), ylim=(-0.35 * top, 1.1 * top))
    axes.set_xlabel("threshold probability")
    axes.set_ylabel("net benefit")
    axes.legend(frameon=False, fontsize=8)
    _save(sheet, path)


def plot_abstention(judgement: Judgement, threshold: float, path: Path) -> None:
    """The share of wrong calls over the share of cases decided, surest first."""
    found = judgement.answers
    assert found.called is not None
    wrong = (found.called != found.truth).astype(float)
    coverage, risk = risk_coverage(np.abs(found.decides - threshold), wrong)
    sheet = _sheet(5.0, 4.2)
    axes = _axes(sheet)
    axes.step(coverage, risk, where="post", color=BLUE, linewidth=1.6)
    axes.plot(coverage[-1], risk[-1], "o", color=ORANGE, markersize=6, label="all decided")
    axes.set(xlim=(0, 1.02), ylim=(0, max(0.05, 1.15 * float(risk.max()))))
    axes.set_xlabel("share of cases decided, farthest from the threshold first")
    axes.set_ylabel("share of wrong calls among them")
    axes.legend(frameon=False, fontsize=8)
    _save(sheet, path)


def plot_forest(found: Subgroups, measure: str, path: Path) -> None:
    """One measure in all groups, with the whole as a line."""
    groups = [g for g in found.groups if g.measure == measure]
    whole = next((g for g in groups if not g.column), None)
    lines = _lines([g for g in groups if g.column])
    sheet = _sheet(7.6, 1.0 + 0.27 * (len(lines) + 1))
    axes = _axes(sheet)
    places = decimals(*(g.interval.value for g in groups))
    if whole is not None:
        axes.axvline(whole.interval.value, color=ORANGE, linewidth=1.0, linestyle="--")
    everything = [(None, whole), *lines] if whole is not None else lines
    for k, (heading, group) in enumerate(everything):
        if group is None:
            axes.text(-0.01, k, str(heading), transform=axes.get_yaxis_transform(), ha="right",
                      va="center", fontsize=8, weight="bold")  # fmt: skip
            continue
        one = group.interval
        color = GREY if group.few else BLUE if group.column else ORANGE
        label = f"{group.name} (n = {group.counted}{', few' if group.few else ''})"
        axes.text(-0.01, k, label, transform=axes.get_yaxis_transform(), ha="right", va="center",
                  fontsize=8)  # fmt: skip
        if np.isfinite(one.value):
            axes.plot([one.low, one.high], [k, k], color=color, linewidth=1.4)
            axes.plot(one.value, k, "s", color=color, markersize=4.5)
        text = f"{show(one.value, places)} ({show_interval(one.low, one.high, places)})"
        axes.text(1.01, k, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set_ylim(len(everything) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_xlabel(measure, fontsize=9)
    _save(sheet, path)


def _lines(groups: Sequence[Group]) -> list[tuple[str | None, Group | None]]:
    """The groups, a heading before those of each column."""
    lines: list[tuple[str | None, Group | None]] = []
    for column in dict.fromkeys(g.column for g in groups):
        lines.append((column.replace("_", " "), None))
        lines += [(None, g) for g in groups if g.column == column]
    return lines


def _sheet(width: float, height: float) -> Sheet:
    from matplotlib.figure import Figure as Sheet

    return Sheet(figsize=(width, height), layout="constrained")


def _axes(sheet: Sheet) -> Axes:
    axes = sheet.add_subplot(111)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return axes


def _save(sheet: Sheet, path: Path) -> None:
    with atomic_path(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
