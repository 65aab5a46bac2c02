"""The figures of a report, drawn from the columns of the judged cases and written as PNG.

A figure is always drawn: where the cases do not allow it, the sheet says why. matplotlib is
imported when the first figure is drawn, and used without its global state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radloop.images.write import atomic_path
from radloop.measures.agreement import bland_altman, pearson
from radloop.measures.classes import confusion_matrix, share_right
from radloop.measures.classification import (
    auc,
    expected_calibration_error,
    roc_curve,
    sensitivity,
    specificity,
)
from radloop.measures.detection import ALARMS, ap50, froc_curve, froc_score, precision_recall
from radloop.measures.interval import wilson
from radloop.measures.spec import (
    Agreement,
    BoxCurves,
    Column,
    ConfusionMatrix,
    Distribution,
    Figure,
    Reliability,
    Roc,
    Rows,
    unknown,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Sheet

BLUE, ORANGE, GREY = "#2458b3", "#c2571a", "#6b7280"
DOTS_PER_INCH = 150


def draw(figure: Figure, rows: Rows, path: Path) -> None:
    """Draw `figure` from `rows` and write it to `path` (PNG), whole or not at all."""
    sheet = _sheet(figure)
    _DRAWERS[type(figure)](sheet, figure, rows)
    with atomic_path(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _sheet(figure: Figure) -> Sheet:
    from matplotlib.figure import Figure as Sheet

    if isinstance(figure, Distribution):
        return Sheet(figsize=(7.0, 1.0 + 0.62 * len(figure.columns)), layout="constrained")
    if isinstance(figure, ConfusionMatrix):
        side = 2.6 + 0.5 * len(figure.classes)
        return Sheet(figsize=(side, side), layout="constrained")
    return Sheet(
        figsize=(9.6, 4.2) if isinstance(figure, Agreement | BoxCurves) else (4.8, 4.6),
        layout="constrained",
    )


def _draw_distribution(sheet: Sheet, figure: Distribution, rows: Rows) -> None:
    axes = _axes(sheet, 111)
    labels = []
    jitter = np.random.default_rng(0)
    for place, name in enumerate(figure.columns):
        known = _known(rows, name)
        finite = known[np.isfinite(known)]
        beyond = f", {known.size - finite.size} infinite" if finite.size < known.size else ""
        labels.append(f"{name.replace('_', ' ')}\nn = {known.size}{beyond}")
        heights = place + jitter.uniform(-0.22, 0.22, finite.size)
        axes.plot(finite, heights, ".", color=BLUE, alpha=0.35, markersize=4, markeredgewidth=0)
        if finite.size:
            axes.boxplot(
                finite,
                positions=[place],
                widths=0.5,
                orientation="horizontal",
                showfliers=False,
                medianprops={"color": ORANGE, "linewidth": 2},
                manage_ticks=False,
            )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="x", color=GREY, alpha=0.2)


def _draw_agreement(sheet: Sheet, figure: Agreement, rows: Rows) -> None:
    measured, reference = _complete(rows, figure.measured, figure.reference)
    if measured.size < 2:
        _say(sheet, "Fewer than two cases have both values.")
        return
    unit = f" [{figure.unit}]" if figure.unit else ""
    _draw_scatter(_axes(sheet, 121), measured, reference, unit)
    _draw_bland_altman(_axes(sheet, 122), measured, reference, unit)


def _draw_scatter(axes: Axes, measured: Column, reference: Column, unit: str) -> None:
    ends = [min(measured.min(), reference.min()), max(measured.max(), reference.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1)
    axes.plot(reference, measured, ".", color=BLUE, alpha=0.6, markeredgewidth=0)
    axes.set_xlabel(f"reference{unit}")
    axes.set_ylabel(f"measured{unit}")
    axes.set_aspect("equal", adjustable="datalim")
    r = pearson(measured, reference)
    axes.set_title(f"Correlation r = {r:.3f}, n = {measured.size}", fontsize=10)


def _draw_bland_altman(axes: Axes, measured: Column, reference: Column, unit: str) -> None:
    limits = bland_altman(measured, reference)
    axes.plot(
        (measured + reference) / 2,
        measured - reference,
        ".",
        color=BLUE,
        alpha=0.6,
        markeredgewidth=0,
    )
    lines = (
        (limits.upper, limits.upper_interval, "upper limit", ORANGE),
        (limits.bias, limits.bias_interval, "bias", BLUE),
        (limits.lower, limits.lower_interval, "lower limit", ORANGE),
    )
    for value, (low, high), name, color in lines:
        axes.axhspan(low, high, color=color, alpha=0.12, linewidth=0)
        axes.axhline(value, color=color, linewidth=1.2, linestyle="-" if name == "bias" else "--")
        axes.annotate(
            f"{name}\n{value:+.3g}".replace("-", "−"),
            (1.0, value),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
        )
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_xlabel(f"mean of measured and reference{unit}")
    axes.set_ylabel(f"measured − reference{unit}")
    axes.set_title("Bland-Altman, 95 % limits of agreement", fontsize=10)


def _draw_roc(sheet: Sheet, figure: Roc, rows: Rows) -> None:
    score, truth = _complete(rows, figure.score, figure.truth)
    positives = int(truth.sum())
    if positives in (0, truth.size):
        _say(sheet, f"No ROC curve: {positives} of {truth.size} cases are positive.")
        return
    axes = _axes(sheet, 111)
    curve = roc_curve(score, truth)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(
        curve.false_positive_rate,
        curve.true_positive_rate,
        color=BLUE,
        linewidth=1.8,
        label=f"AUC {auc(score, truth):.3f}\n{positives} positive, {truth.size - positives} not",
    )
    if figure.threshold is not None:
        said = score >= figure.threshold
        found, spared = sensitivity(said, truth), specificity(said, truth)
        axes.plot(
            1 - spared,
            found,
            "o",
            color=ORANGE,
            markersize=8,
            clip_on=False,
            zorder=3,
            label=f"at {figure.threshold:g}: sensitivity {found:.3f},\nspecificity {spared:.3f}",
        )
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="lower right", frameon=False, fontsize=9)


def _draw_box_curves(sheet: Sheet, figure: BoxCurves, rows: Rows) -> None:
    found, truth = rows[figure.found], rows[figure.truth]
    known = ~(unknown(found) | unknown(truth))
    found, truth = found[known], truth[known]
    count = sum(len(one) for one in truth)
    if not count:
        _say(sheet, "There are no true boxes.")
        return
    axes = _axes(sheet, 121)
    precision, recall = precision_recall(found, truth)
    axes.plot(recall, precision, color=BLUE, linewidth=1.8)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("recall (overlap of 0.5)")
    axes.set_ylabel("precision")
    axes.set_title(f"AP50 {ap50(found, truth):.3f}, {count} boxes", fontsize=10)
    axes = _axes(sheet, 122)
    alarms, share = froc_curve(found, truth)
    axes.step(np.maximum(alarms, ALARMS[0] / 4), share, where="post", color=BLUE, linewidth=1.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ALARMS, [f"{a:g}" for a in ALARMS])
    axes.set(xlim=(ALARMS[0] / 2, ALARMS[-1] * 2), ylim=(-0.02, 1.02))
    axes.set_xlabel("false alarms a film")
    axes.set_ylabel("share of boxes found")
    axes.set_title(f"FROC, mean {froc_score(found, truth):.3f}", fontsize=10)


def _draw_reliability(sheet: Sheet, figure: Reliability, rows: Rows) -> None:
    probability, truth = _complete(rows, figure.score, figure.truth)
    if not probability.size:
        _say(sheet, "No reliability diagram: there are no cases.")
        return
    axes = _axes(sheet, 111)
    bins = np.minimum((probability * 10).astype(np.intp), 9)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    for k in np.unique(bins):
        here = bins == k
        share = wilson(int(truth[here].sum()), int(here.sum()))
        stated = float(probability[here].mean())
        axes.plot([stated, stated], [share.low, share.high], color=BLUE, linewidth=1.2)
        axes.plot(stated, share.value, "o", color=BLUE, markersize=5)
        axes.annotate(
            str(int(here.sum())), (stated, share.value), xytext=(5, 3), color=GREY, fontsize=7,
            textcoords="offset points",
        )  # fmt: skip
    error = expected_calibration_error(probability, truth)
    axes.text(0.02, 0.96, f"expected calibration error {error:.3f}", fontsize=9, va="top")
    axes.set_xlabel("stated probability (bins of 0.1, number of cases beside)")
    axes.set_ylabel("share of positives, 95 % interval")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _draw_confusion(sheet: Sheet, figure: ConfusionMatrix, rows: Rows) -> None:
    called, truth = _complete(rows, figure.called, figure.truth)
    if not truth.size:
        _say(sheet, "No case's answer is known.")
        return
    table = confusion_matrix(called, truth, len(figure.classes))
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes = _axes(sheet, 111)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (y, x), count in np.ndenumerate(table):
        if count:
            ink = "white" if shares[y, x] > 0.6 else "black"
            axes.text(x, y, str(count), ha="center", va="center", color=ink, fontsize=9)
    names = [name.replace("_", " ") for name in figure.classes]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("called")
    axes.set_ylabel("true")
    axes.set_title(f"{share_right(called, truth):.3f} of {truth.size} right", fontsize=10)


# One drawer a kind of figure; each knows its own kind, which the mapping's type cannot say.
_DRAWERS: dict[type, Callable[..., None]] = {
    Distribution: _draw_distribution,
    Agreement: _draw_agreement,
    Roc: _draw_roc,
    Reliability: _draw_reliability,
    BoxCurves: _draw_box_curves,
    ConfusionMatrix: _draw_confusion,
}


def _axes(sheet: Sheet, place: int) -> Axes:
    axes = sheet.add_subplot(place)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return axes


def _say(sheet: Sheet, sentence: str) -> None:
    sheet.text(0.5, 0.5, sentence, ha="center", va="center", color=GREY)


def _known(rows: Rows, name: str) -> Column:
    column = rows.get(name, np.empty(0))
    return column[~np.isnan(column)]


def _complete(rows: Rows, *names: str) -> list[Column]:
    """The columns at the rows where all are finite numbers; empty when a column is missing."""
    if any(name not in rows for name in names):
        return [np.empty(0) for _ in names]
    keep = functools.reduce(np.logical_and, (np.isfinite(rows[name]) for name in names))
    return [rows[name][keep] for name in names]
