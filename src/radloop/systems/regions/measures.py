"""What judges systems of regions: boxes, and the decision on each film."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from radloop.measures.classification import (
    accuracy,
    at_threshold,
    auc,
    brier_score,
    expected_calibration_error,
    sensitivity,
    specificity,
    youden,
)
from radloop.measures.detection import (
    ap50,
    average_precision,
    average_recall,
    froc_score,
    sensitivity_at,
)
from radloop.measures.spec import BoxCurves, MeasureSpec, Reliability, Roc

_BOXES = ("found", "truth")


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(np.mean(values))


def _above_half(values: npt.NDArray[np.float64]) -> float:
    return float(np.mean(values >= 0.5))


DECISION = (
    MeasureSpec("auc", ("probability", "positive"), auc, "Film: AUC"),
    MeasureSpec("accuracy", ("called", "positive"), at_threshold(accuracy, 0.5), "Film: accuracy"),
    MeasureSpec("sensitivity", ("called", "positive"), at_threshold(sensitivity, 0.5),
                "Film: sensitivity"),
    MeasureSpec("specificity", ("called", "positive"), at_threshold(specificity, 0.5),
                "Film: specificity"),
    MeasureSpec("youden", ("called", "positive"), at_threshold(youden, 0.5), "Film: Youden index"),
    MeasureSpec("ece", ("probability", "positive"), expected_calibration_error,
                "Film: expected calibration error", "", "lower"),
    MeasureSpec("brier", ("probability", "positive"), brier_score, "Film: Brier score", "",
                "lower"),
)  # fmt: skip

REGIONS = (
    MeasureSpec("ap50", _BOXES, ap50, "Boxes: AP at an overlap of .5"),
    MeasureSpec("map", _BOXES, average_precision, "Boxes: mAP, overlaps .5 to .95"),
    *(
        MeasureSpec(f"map_{area}", _BOXES, partial(average_precision, area=area),
                    f"Boxes: mAP, {area}")
        for area in ("small", "medium", "large")
    ),
    MeasureSpec("ar", _BOXES, average_recall, "Boxes: average recall"),
    MeasureSpec("froc", _BOXES, froc_score, "Boxes: FROC, mean of 1/8 to 8 false alarms a film"),
    *(
        MeasureSpec(f"found_at_{alarms:g}", _BOXES, sensitivity_at(alarms),
                    f"Boxes: share found at {alarms:g} false alarms a film")
        for alarms in (0.25, 0.5, 1.0, 2.0)
    ),
    MeasureSpec("best_overlap", ("best_overlap",), _mean, "Boxes: overlap of the best box"),
    MeasureSpec("best_overlap_half", ("best_overlap",), _above_half,
                "Boxes: share of films whose best box overlaps by .5"),
)  # fmt: skip

FIGURES = (
    Roc("Film: ROC", "probability", "positive"),
    Reliability("Film: calibration", "probability", "positive"),
    BoxCurves("Boxes", "found", "truth"),
)
