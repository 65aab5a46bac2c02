"""Write a shipped model's card: how it was trained, and what reports measured.

    python scripts/write_card.py MODEL NAME=REPORT ... > card.md

Each REPORT is a folder that `radloop evaluate` wrote; NAME is the set's name in the card.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radloop.systems.card import training_card
from radloop.systems.head.labels import KINDS
from radloop.systems.jaw.chart import CONDITIONS
from radloop.systems.model import load_model

CHEST_MEASURES = (
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

CHEST_SOURCES = """
Films and masks: Wingspan CTR (Dong et al., MICCAI 2018; MIT licence). Only those trained the
model; JSRT (Shiraishi 2000, masks of van Ginneken 2006) was only measured on. One film, whose
heart and left-lung masks are exchanged in the collection, was left out (`radloop check` names it).
The commands are in `scripts/train_shipped.sh`.

What the numbers are worth: the validation films chose the epoch and set the interval's width, and
the teachers had seen two thirds of them, so that column is optimistic, and 19 films are few. JSRT
was seen by none.
"""

CHEST_FOLDS = """
In the cross-validation each film was judged by a teacher that had not seen its patient; it had two
thirds of the films, 14 minutes, and no teacher and no local contrast itself.
"""

CHEST_USE = """
## Fit for, unfit for

Fit for research on upright frontal (PA) films of adults. Unfit for AP and bedside films (the heart
is magnified: the ratio overestimates), lateral films, children, chests after pneumonectomy, large
effusions or opacities that hide the heart's border, and for any decision about a patient. A ratio
whose interval holds .5 is a warning: a reader should measure it.
"""

HEAD_MEASURES = (
    ("scan_any_auc", "any bleed in the scan: AUC"),
    ("scan_any_sensitivity", "sensitivity"),
    ("scan_any_specificity", "specificity"),
    ("scan_any_youden", "Youden index"),
    ("scan_any_ece", "expected calibration error"),
    ("scan_any_brier", "Brier score"),
    ("scan_log_loss", "weighted log loss of the scan"),
    *((f"scan_{kind}_auc", f"{kind} in the scan: AUC") for kind in KINDS),
    ("slice_any_auc", "any bleed in the slice: AUC"),
    ("slice_any_sensitivity", "sensitivity"),
    ("slice_any_specificity", "specificity"),
    ("slice_any_youden", "Youden index"),
    ("slice_any_ece", "expected calibration error"),
    ("slice_log_loss", "weighted log loss of the slice (RSNA 2019)"),
    *((f"slice_{kind}_auc", f"{kind} in the slice: AUC") for kind in KINDS),
)

HEAD_SOURCES = """
Scans: Computed Tomography Images for Intracranial Hemorrhage Detection and Segmentation, version
1.0.0, PhysioNet (Hssayeni 2020; Hssayeni et al., Data 2020, 5:14; Goldberger et al., Circulation
2000, 101:e215), CC BY 4.0: 60 of its patients, 26 with a bleed, windowed to 0 to 80 HU before they
came here. The encoder has its weights from ImageNet (EfficientNet-Lite0, Google, Apache-2.0) and
was not trained further. The commands are in `scripts/train_shipped_hemorrhage.sh`.

The model is the mean of the networks of a cross-validation, each of which left out twelve patients.
What is measured below is every patient judged by the *one* network that never saw him, with a
calibration and thresholds from the other folds; the mean of all is expected to be somewhat better,
and cannot be measured on these patients. The preparation, the window, the measured densities, the
levels of the encoder and the strength of the regularisation were chosen by cross-validation on the
same patients, so the numbers are somewhat optimistic.
"""

HEAD_USE = """
## Fit for, unfit for

Fit for research and teaching, and to try the software with. Twenty-six patients with a bleed, in
some types five or fewer, are too few for anything else: intervals are wide, and the types are
guesses. Unfit for scans with contrast, after operations, of children, and for any decision about a
patient.

It learned from eight-bit pictures of the brain window. On DICOM it sees the same window of the same
tissue through 5 mm slabs, and what that costs was not measured: there is no DICOM collection with
known bleeds here. Calcifications, beam hardening at the base of the skull, and what makes the sides
differ without a bleed, such as an old stroke, are taken for blood at times.
"""


TEETH_MEASURES = (
    ("ap50_tooth", "any tooth: AP at an overlap of .5"),
    ("mean_overlap", "any tooth: mean IoU"),
    ("precision_filtered", "numbers after the filter: precision"),
    ("recall_filtered", "numbers after the filter: recall"),
    ("precision_aligned", "numbers after all rules: precision"),
    ("recall_aligned", "numbers after all rules: recall"),
    ("missing_accuracy", "missing teeth: accuracy over 32 places"),
    *((f"{what}_{name}", f"{name.replace('_', ' ')}: {what}")
      for name in CONDITIONS for what in ("precision", "recall")),
)  # fmt: skip

TEETH_SOURCES = """
**It has never seen a film.** It learned from jaws that `radloop teeth phantom` draws, since no
collection of dental films that may be passed on was found. The commands are in
`scripts/train_shipped_phantom_teeth.sh`.
"""

TEETH_USE = """
## Fit for, unfit for

Fit to try the commands, the chart and the comparison of charts on drawn jaws. Unfit for any film:
train on films of your own.
"""


@dataclass(frozen=True)
class CardText:
    """What the card of a system's shipped models says beside the numbers."""

    measures: Sequence[tuple[str, str]]
    sources: str
    use: str
    folds: str = ""


TEXTS = {
    "cardiomegaly": CardText(CHEST_MEASURES, CHEST_SOURCES, CHEST_USE, CHEST_FOLDS),
    "teeth": CardText(TEETH_MEASURES, TEETH_SOURCES, TEETH_USE),
    "hemorrhage": CardText(HEAD_MEASURES, HEAD_SOURCES, HEAD_USE),
}


def table(reports: dict[str, dict[str, Any]], measures: Sequence[tuple[str, str]]) -> str:
    """Value and 95 % patient-bootstrap interval of each measure, a column a report."""
    lines = [
        "| | " + " | ".join(reports) + " |",
        "|---" * (len(reports) + 1) + "|",
        "| cases (refused) | "
        + " | ".join(f"{r['n']} ({r['verdicts'].get('refused', 0)})" for r in reports.values())
        + " |",
    ]
    for name, title in measures:
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
    text = TEXTS[model.system.name]
    folds = text.folds if any("cross-validation" in name for name in reports) else ""
    print(training_card(model.system, model.info) + text.sources + folds)
    print("## How it measured\n\nValue and 95 % interval (bootstrap over patients).\n")
    print(table(reports, text.measures) + text.use.rstrip())


if __name__ == "__main__":
    main()
