"""Write a shipped model's card: how it was trained, and what reports measured.

    python scripts/write_card.py MODEL NAME=REPORT ... > card.md

Each REPORT is a folder that `radloop evaluate` wrote; NAME is the set's name in the card.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from radloop.systems.card import training_card
from radloop.systems.model import load_model

MEASURES = (
    ("heart_dice", "heart Dice"),
    ("heart_precision", "heart precision"),
    ("heart_recall", "heart recall"),
    ("heart_hd95", "heart HD95, px of the film"),
    ("lungs_dice", "lungs Dice"),
    ("lungs_precision", "lungs precision"),
    ("lungs_recall", "lungs recall"),
    ("lungs_hd95", "lungs HD95, px of the film"),
    ("ctr_mae", "CTR mean absolute error"),
    ("ctr_bias", "CTR bias"),
    ("ctr_cv", "CTR coefficient of variation"),
    ("ctr_coverage", "CTR 90 % interval covers"),
    ("auc", "AUC for CTR > .5"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("youden", "Youden index"),
)

SOURCES = """
Films and masks: Wingspan CTR (Dong et al., MICCAI 2018; MIT licence). Only those trained the
model; JSRT (Shiraishi 2000, masks of van Ginneken 2006) was only measured on. One film, whose
heart and left-lung masks are exchanged in the collection, was left out (`radloop check` names it).
The commands are in `scripts/train_shipped.sh`.

What the numbers are worth: the validation films chose the epoch and set the interval's width, and
the teachers had seen two thirds of them, so that column is optimistic, and 19 films are few. JSRT
was seen by none.
"""

FOLDS = """
In the cross-validation each film was judged by a teacher that had not seen its patient; it had two
thirds of the films, 14 minutes, and no teacher and no local contrast itself.
"""

USE = """
## Fit for, unfit for

Fit for research on upright frontal (PA) films of adults. Unfit for AP and bedside films (the heart
is magnified: the ratio overestimates), lateral films, children, chests after pneumonectomy, large
effusions or opacities that hide the heart's border, and for any decision about a patient. A ratio
whose interval holds .5 is a warning: a reader should measure it.
"""


def table(reports: dict[str, dict[str, Any]]) -> str:
    """Value and 95 % patient-bootstrap interval of each measure, a column a report."""
    lines = [
        "| | " + " | ".join(reports) + " |",
        "|---" * (len(reports) + 1) + "|",
        "| cases (refused) | "
        + " | ".join(f"{r['n']} ({r['verdicts'].get('refused', 0)})" for r in reports.values())
        + " |",
    ]
    for name, title in MEASURES:
        cells = [_cell(report["measures"].get(name)) for report in reports.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(measure: dict[str, Any] | None) -> str:
    if measure is None or measure["value"] is None:
        return ""
    digits = 1 if measure["value"] > 2 else 3
    value, low, high = (measure[key] for key in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Print the card."""
    model = load_model(sys.argv[1])
    named = dict(argument.split("=", 1) for argument in sys.argv[2:])
    reports = {
        name: json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
        for name, folder in named.items()
    }
    folds = FOLDS if any("cross-validation" in name for name in reports) else ""
    print(training_card(model.system, model.info) + SOURCES + folds)
    print("## How it measured\n\nValue and 95 % interval (bootstrap over patients).\n")
    print(table(reports) + USE.rstrip())


if __name__ == "__main__":
    main()
