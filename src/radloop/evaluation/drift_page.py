"""The page of a drift: `drift.json`, `drift.html`, `drift.pdf` and the picture they show."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from radloop.evaluation.document import Block, Document, Paragraph, Plots, Section, Table
from radloop.evaluation.drift import Drift, Tested
from radloop.evaluation.figures import BLUE, DOTS_PER_INCH, ORANGE
from radloop.evaluation.render import write_pages
from radloop.images.write import atomic_path, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE, RESULT = "drift.png", "drift.json"
HEADINGS = ("What", "Kind", "A", "B", "Stability index", "p", "corrected (Holm)", "Test")
METHOD = (
    "One row a patient. Numbers by Kolmogorov-Smirnov, words by chi-squared, all numbers of a kind"
    " together by a classifier that tries to tell A from B on patients it has not seen (at least"
    " 999 permutations). All p corrected together (Holm). With many patients even a shift of no"
    " consequence has a small p: look at the picture and at the stability index, by custom little"
    " below 0.1 and much above 0.25."
)
_ACROSS, _MOST = 4, 20


def write_drift(out: Path, found: Drift) -> None:
    """Write the files into the folder `out`. Raises WriteError when the disk does not take them."""
    draw_drift(found, out / PICTURE)
    write_pages(out, document_of(found), "drift")
    text = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
    write_text(out / RESULT, text + "\n")


def document_of(found: Drift) -> Document:
    """What the page says."""
    together: list[Block] = []
    for kind, (one, p) in found.together.items():
        together.append(
            Paragraph(
                f"All numbers of the {kind} together: the classifier's area under the ROC curve is"
                f" {one.auc:.3f} (0.5: A and B cannot be told apart), corrected p {shown_p(p)}."
            )
        )
    only = found.only
    if only:
        together.append(Paragraph(f"Not in both sets: {', '.join(only)}.", "faint"))
    table = Table(HEADINGS, tuple(cells(t) for t in found.tests), text_columns=4, wide=(0,))
    return Document(
        f"Drift: {found.a.name} (A) against {found.b.name} (B)",
        (f"A: {found.a.cases} cases of {found.a.patients} patients. B: {found.b.cases} cases of"
         f" {found.b.patients} patients.", summary(found)),
        (
            Section("together", "Together", tuple(together)),
            Section("tests", "Column by column", (table, Paragraph(METHOD, "faint"))),
            Section("picture", "Distributions", (Plots((("A in blue, B in orange", PICTURE),)),)),
        ),
    )  # fmt: skip


def summary(found: Drift) -> str:
    """One sentence."""
    moved = [t.name for t in found.tests if t.corrected < 0.05]
    if not moved:
        return "No column differs beyond chance (corrected p at least .05)."
    shown = ", ".join(moved[:6]) + (f" and {len(moved) - 6} more" if len(moved) > 6 else "")
    return f"{len(moved)} of {len(found.tests)} columns differ (corrected p below .05): {shown}."


def cells(t: Tested) -> tuple[str, ...]:
    """A row of the printed tables, as `HEADINGS`."""
    return (
        t.name, t.kind, _typical(t, t.a), _typical(t, t.b),
        "n/a" if math.isnan(t.shift.psi) else f"{t.shift.psi:.3f}",
        shown_p(t.shift.p), shown_p(t.corrected), t.shift.test,
    )  # fmt: skip


def shown_p(p: float) -> str:
    """p for people."""
    return "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _typical(t: Tested, values: tuple[str | float, ...]) -> str:
    if not values:
        return "n/a"
    if t.numeric:
        low, middle, high = np.percentile(np.array(values, np.float64), (25, 50, 75))
        return f"{middle:.4g} ({low:.4g} to {high:.4g})"
    counts = Counter(values).most_common(3)
    return ", ".join(f"{word} {count / len(values):.0%}" for word, count in counts)


def draw_drift(found: Drift, path: Path) -> None:
    """A small picture a column, the most different first; at most twenty, and none of what is the
    same everywhere."""
    from matplotlib.figure import Figure as Sheet

    varied = [t for t in found.tests if len({*t.a, *t.b}) > 1]
    tests = (varied or found.tests)[:_MOST]
    down = math.ceil(len(tests) / _ACROSS)
    sheet = Sheet(figsize=(11.0, 2.3 * down), layout="constrained")
    for k, t in enumerate(tests, start=1):
        axes = sheet.add_subplot(down, _ACROSS, k)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
        axes.set_title(f"{t.name[:34]}\np {shown_p(t.corrected)}", fontsize=8)
        if t.numeric:
            _draw_numbers(axes, t)
        else:
            _draw_words(axes, t)
    with atomic_path(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _draw_numbers(axes: Axes, t: Tested) -> None:
    """The share of patients up to each value."""
    for values, color in ((t.a, BLUE), (t.b, ORANGE)):
        x = np.sort(np.array(values, np.float64))
        if x.size:
            axes.step(
                x, np.arange(1, x.size + 1) / x.size, where="post", color=color, linewidth=1.3
            )
    axes.set_ylim(0, 1.03)
    axes.set_ylabel("share up to", fontsize=7)


def _draw_words(axes: Axes, t: Tested) -> None:
    """The share of patients with each word."""
    words = sorted({*map(str, t.a), *map(str, t.b)})
    places = np.arange(len(words))
    for values, color, shift in ((t.a, BLUE, -0.2), (t.b, ORANGE, 0.2)):
        counts = Counter(map(str, values))
        shares = [counts[word] / max(1, len(values)) for word in words]
        axes.bar(places + shift, shares, 0.4, color=color)
    axes.set_xticks(places, [word[:12] for word in words], rotation=30 if len(words) > 3 else 0,
                    fontsize=7)  # fmt: skip
    axes.set_ylim(0, 1.03)
