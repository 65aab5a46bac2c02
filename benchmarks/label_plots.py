"""The pictures of `label_simulation.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

COLOURS = ("#1b6ca8", "#d1495b", "#8a8a8a", "#edae49", "#3a7d44", "#7d5ba6")


def plot_review(found: dict[str, Any], path: Path) -> None:
    """Accuracy against that of clean labels, and labels still wrong, by share looked at."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    shares = 100 * np.array(found["shares"])
    names = [name for name in ("errors", "noise", "random", "oracle") if name in found]
    for k, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        rows = 100 * np.array([one["accuracy difference"] for one in found[name]["judged"]])
        ends = np.abs(rows[:, 1:] - rows[:, :1]).T
        place = shares + 0.35 * (k - 1.5)  # so that bars do not cover each other
        left.errorbar(place, rows[:, 0], ends, fmt="o-", ms=4, lw=1, color=colour, label=name)
        right.plot(shares, 100 * np.array(found[name]["wrong"]), "o-", ms=4, color=colour)
    left.axhspan(-0.5, 0, color="#3a7d44", alpha=0.25, lw=0)
    left.set_ylabel("accuracy against clean labels, points")
    right.set_ylabel("labels still wrong, %")
    right.set_ylim(bottom=0)
    left.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.axvline(15, color="black", lw=0.8, ls=":")
        axes.set_xlabel("items looked at, %")
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def plot_curves(found: dict[str, Any], path: Path) -> None:
    """AUC by labels, means over seeds."""
    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for (name, rows), colour in zip(
        found["areas"].items(), COLOURS[2::-1] + COLOURS[3:], strict=True
    ):
        axes.plot(found["sizes"], np.mean(rows, axis=0), "o-", ms=4, color=colour, label=name)
    axes.axhline(np.mean(found["full"]) - 0.02, color="black", lw=0.8, ls=":")
    axes.set_xscale("log")
    axes.set_xticks(found["sizes"], [str(size) for size in found["sizes"]])
    axes.minorticks_off()
    axes.set_xlabel("labels")
    axes.set_ylabel("AUC on locked patients")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def plot_audit(found: dict[str, Any], path: Path) -> None:
    """What is believed against what is so, without and with the audit; a point a run."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 7.5), layout="constrained")
    for panel, (kind, runs) in zip(axes.flat, found.items(), strict=True):
        blind = ("blind wrong", "blind believed", "errors alone")
        audited = ("wrong", "estimate", "with audit")
        for (true, said, label), colour in zip((blind, audited), COLOURS[1::-1], strict=True):
            x, y = (100 * np.array([run[key] for run in runs]) for key in (true, said))
            panel.plot(x, y, ".", color=colour, alpha=0.5, label=label)
        ends = panel.get_xlim()
        panel.plot(ends, ends, color="black", lw=0.8, ls=":")
        panel.set_title(f"wrong by {kind}")
        panel.set_xlabel("labels still wrong, %")
        panel.set_ylabel("believed to be wrong, %")
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130)
    plt.close(figure)
