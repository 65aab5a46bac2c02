"""The pictures of a triage benefit, as the bytes of PNG files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from radloop.evaluation.figures import BLUE, DOTS_PER_INCH, GREY, ORANGE
from radloop.evaluation.triage.benefit import ARMS, CLOCK, LEVELS, Benefit, Group, LoadPoints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

COLOUR = {"without": GREY, "with": BLUE}
LABEL = {"without": "without the model", "with": "with the model"}
SHOWN = ("diseased", "missed", "healthy", "other diseases")


def waiting_times(benefit: Benefit) -> bytes:
    """Of diseased, missed, healthy and otherwise diseased studies: how many wait longer than t."""
    groups = [g for name in SHOWN for g in benefit.groups if g.name == name]
    sheet = _sheet(3.4 * len(groups), 3.4)
    longest = max(g.quantiles[a][_level(0.99)] for g in groups for a in ARMS) or 1.0
    for number, group in enumerate(groups, start=1):
        axes = _axes(sheet, (1, len(groups), number))
        for arm in ARMS:
            axes.plot(group.quantiles[arm], 1 - LEVELS, color=COLOUR[arm], label=LABEL[arm])
        axes.set(xlim=(0, longest), ylim=(0, 1.0))
        axes.set_title(_titled(group), fontsize=10)
        axes.set_xlabel("waiting time t [min]")
        if number == 1:
            axes.set_ylabel("share that waits longer than t")
            axes.legend(frameon=False, fontsize=8)
    return _png(sheet)


def worklist_over_the_day(benefit: Benefit) -> bytes:
    """By the clock: how many studies wait, and how many with a sought disease are not finished."""
    sheet = _sheet(9.6, 3.4)
    parts = (
        ("by_clock", "studies that wait"),
        ("sought_by_clock", "diseased studies not yet read"),
    )
    for number, (name, title) in enumerate(parts, start=1):
        axes = _axes(sheet, (1, 2, number))
        for arm in ARMS:
            counts = getattr(benefit.queues[arm], name)
            hours = np.append(CLOCK, CLOCK[0] + 24 * 60) / 60
            axes.plot(hours, np.append(counts, counts[0]), color=COLOUR[arm], label=LABEL[arm])
        axes.set(xlim=(0, 24), xticks=range(0, 25, 4))
        axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("time of day [h]")
        axes.set_ylabel("mean number")
        if number == 1:
            axes.legend(frameon=False, fontsize=8)
    return _png(sheet)


def saved_against_load(points: LoadPoints, here: float | None = None) -> bytes:
    """Minutes saved a diseased study, and minutes a healthy one waits longer, against the load.

    points: of `benefit.over_loads`. here: the load of the room itself, marked.
    """
    sheet = _sheet(9.6, 3.4)
    loads = [load for load, _, _ in points]
    parts = (
        ("saved a diseased study [min]", [saved for _, saved, _ in points], BLUE, 1),
        ("added to a healthy study [min]", [healthy for _, _, healthy in points], ORANGE, -1),
    )
    for number, (title, found, colour, sign) in enumerate(parts, start=1):
        axes = _axes(sheet, (1, 2, number))
        ends = np.sort([[sign * one.low, sign * one.high] for one in found], axis=1)
        axes.fill_between(loads, ends[:, 0], ends[:, 1], color=colour, alpha=0.2, linewidth=0)
        axes.plot(loads, [sign * one.value for one in found], ".-", color=colour)
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        if here is not None and here <= max(loads) + 0.05:
            axes.axvline(here, color=GREY, linewidth=1, linestyle=":")
            axes.annotate(
                "this room", (here, 0.97), xycoords=("data", "axes fraction"), xytext=(-4, 0),
                textcoords="offset points", ha="right", va="top", fontsize=8, color=GREY,
            )  # fmt: skip
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("load: share of the readers' time that is asked for")
    return _png(sheet)


def _titled(group: Group) -> str:
    means = " → ".join(f"{group.waits[arm]['mean'].value:.1f}" for arm in ARMS)
    return f"{group.name}: mean {means} min"


def _level(share: float) -> int:
    return int(np.searchsorted(LEVELS, share))


def _sheet(width: float, height: float) -> Sheet:
    from matplotlib.figure import Figure as Sheet

    return Sheet(figsize=(width, height), layout="constrained")


def _axes(sheet: Sheet, place: tuple[int, int, int]) -> Axes:
    axes = sheet.add_subplot(*place)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.grid(color=GREY, alpha=0.15)
    return axes


def _png(sheet: Sheet) -> bytes:
    file = io.BytesIO()
    sheet.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return file.getvalue()
