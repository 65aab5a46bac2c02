"""What judges the hips: each hip by itself, the film, where the hips are, metal, and refusals.

Nested columns hold a row a hip, so that intervals resample patients and not hips: `hip_calls`
(probability, called, truth) of the hips that were judged, `hip_decided` (1 or 0) of all hips that
could be, `hip_overlap` of all that were drawn, `metal_calls` (probability, called, truth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.measures.classification import (
    accuracy,
    auc,
    brier_score,
    expected_calibration_error,
    sensitivity,
    specificity,
    youden,
)
from radloop.measures.detection import box_overlap, match_film
from radloop.measures.spec import BoxCurves, MeasureSpec, Reliability, Roc
from radloop.systems.base import Interpretation
from radloop.systems.pelvis.labels import SIDES, TrueHip
from radloop.systems.regions.measures import DECISION, REGIONS

Floats = npt.NDArray[np.float64]
Nested = npt.NDArray[np.object_]
Binary = Callable[[Any, Any], float]


def _rows(nested: Nested, width: int) -> Floats:
    arrays = [np.asarray(one, np.float64).reshape(-1, width) for one in nested]
    return np.concatenate([*arrays, np.zeros((0, width))])


def of_scores(measure: Binary) -> Callable[[Nested], float]:
    """A measure of scores and truth, over all hips."""

    def compute(nested: Nested) -> float:
        rows = _rows(nested, 3)
        return measure(rows[:, 0], rows[:, 2])

    return compute


def of_calls(measure: Binary) -> Callable[[Nested], float]:
    """A measure of yes or no and truth, over all hips."""

    def compute(nested: Nested) -> float:
        rows = _rows(nested, 3)
        return measure(rows[:, 1], rows[:, 2])

    return compute


def mean_of_hips(nested: Nested) -> float:
    """The mean over all hips; NaN without any."""
    values = _rows(nested, 1)
    return float(values.mean()) if len(values) else float("nan")


def _half(nested: Nested) -> float:
    values = _rows(nested, 1)
    return float((values >= 0.5).mean()) if len(values) else float("nan")


def accepted_share(refused: Floats, pelvis: Floats) -> float:
    """Of the films that show a hip, the share that was not refused; NaN without any."""
    mine = refused[pelvis == 1]
    return float(1 - mine.mean()) if len(mine) else float("nan")


def refused_share(refused: Floats, pelvis: Floats) -> float:
    """Of the films that show no hip, the share that was refused; NaN without any."""
    others = refused[pelvis == 0]
    return float(others.mean()) if len(others) else float("nan")


_CALLS = (("accuracy", accuracy), ("sensitivity", sensitivity), ("specificity", specificity),
          ("youden", youden))  # fmt: skip
_TITLES = {"youden": "Youden index"}
HIPS = (
    MeasureSpec("hip_auc", ("hip_calls",), of_scores(auc), "Hip: AUC"),
    *(
        MeasureSpec(f"hip_{name}", ("hip_calls",), of_calls(measure),
                    f"Hip: {_TITLES.get(name, name)}")
        for name, measure in _CALLS
    ),
    MeasureSpec("hip_ece", ("hip_calls",), of_scores(expected_calibration_error),
                "Hip: expected calibration error", "", "lower"),
    MeasureSpec("hip_brier", ("hip_calls",), of_scores(brier_score), "Hip: Brier score", "",
                "lower"),
    MeasureSpec("hip_decided", ("hip_decided",), mean_of_hips,
                "Hips without metal that got a decision"),
)  # fmt: skip
PLACES = (
    MeasureSpec("hip_overlap", ("hip_overlap",), mean_of_hips, "Hips: overlap, 0 where not found"),
    MeasureSpec("hip_overlap_half", ("hip_overlap",), _half,
                "Hips: share found on their side with an overlap of .5"),
)  # fmt: skip
METAL = (
    MeasureSpec("metal_auc", ("metal_calls",), of_scores(auc), "Metal: AUC"),
    MeasureSpec("metal_sensitivity", ("metal_calls",), of_calls(sensitivity), "Metal: sensitivity"),
    MeasureSpec("metal_specificity", ("metal_calls",), of_calls(specificity), "Metal: specificity"),
)
REFUSALS = (
    MeasureSpec("pelves_accepted", ("refused", "pelvis"), accepted_share,
                "Films with a hip that were accepted"),
    MeasureSpec("others_refused", ("refused", "pelvis"), refused_share,
                "Films without a hip that were refused"),
)  # fmt: skip
MEASURES = (*HIPS, *DECISION, *PLACES, *METAL, *REFUSALS, *REGIONS[:2])
FIGURES = (
    Roc("Film: ROC", "probability", "positive"),
    Roc("Right hips: ROC", "probability_right", "positive_right"),
    Roc("Left hips: ROC", "probability_left", "positive_left"),
    Reliability("Film: calibration", "probability", "positive"),
    BoxCurves("Hips", "found", "truth"),
)


def judge_film(read: Interpretation, hips: Mapping[str, TrueHip]) -> dict[str, Any]:
    """The evaluation's row for a film that was not refused, by what is true of its hips.

    The film counts as positive when any of its hips is known to be broken, as negative when all of
    them are known not to be.
    """
    values = read.values
    row: dict[str, Any] = dict(values)
    row |= {"refused": 0.0, "pelvis": float(bool(hips))}
    found = {box.label: box for box in read.boxes}
    calls, decided, overlaps, metal = [], [], [], []
    for side, hip in hips.items():
        given = found.get(side)
        overlap = box_overlap([given.corners], [hip.box.corners])[0, 0] if given else 0.0
        overlaps.append([float(overlap)])
        p = values.get(f"probability_{side}")
        if hip.fracture is not None:
            row[f"positive_{side}"] = float(hip.fracture)
            if not hip.metal:
                decided.append([float(p is not None)])
            if p is not None:
                calls.append([p, values[f"called_{side}"], float(hip.fracture)])
        q = values.get(f"metal_{side}")
        if hip.metal is not None and q is not None:
            metal.append([q, values[f"metal_called_{side}"], float(hip.metal)])
    said = [hip.fracture for hip in hips.values()]
    if hips and (True in said or None not in said):
        row["positive"] = float(True in said)
        if "probability" in row:
            p = row["probability"]
            row["certainty"] = p if row["positive"] else 1 - p
    boxes = [[*b.corners, b.found, float(SIDES.index(b.label))] for b in read.boxes]
    true = [[*hip.box.corners, float(SIDES.index(side))] for side, hip in hips.items()]
    matched, truth = match_film(boxes, true)
    return row | {
        "hip_calls": calls, "hip_decided": decided, "hip_overlap": overlaps, "metal_calls": metal,
        "found": matched.tolist(), "truth": truth.tolist(),
    }  # fmt: skip
