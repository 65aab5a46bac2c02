"""What judges charts of teeth: boxes, numbers after each rule, missing teeth, conditions, and the
three levels of DENTEX (Hamamci et al. 2023, arXiv 2305.19112: quadrant, place in it, diagnosis)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.measures.detection import (
    ap50,
    average_precision,
    average_recall,
    box_overlap,
    match_film,
)
from radloop.measures.spec import BoxCurves, MeasureSpec
from radloop.systems.base import FoundBox
from radloop.systems.jaw.chart import CONDITIONS
from radloop.systems.jaw.conditions import Condition
from radloop.systems.jaw.numbering import STEPS
from radloop.systems.jaw.numbers import NUMBERS, PERMANENT
from radloop.systems.jaw.tooth import Tooth

SAME = 0.5
"""The overlap (IoU) from which a found tooth is the true one."""
Floats = npt.NDArray[np.float64]


def ratio(part: Floats, whole: Floats) -> float:
    """Sum over sum; NaN of nothing."""
    total = float(np.sum(whole))
    return float(np.sum(part)) / total if total else float("nan")


def f1(right: Floats, said: Floats, true: Floats) -> float:
    """The harmonic mean of precision and recall."""
    total = float(np.sum(said) + np.sum(true))
    return 2 * float(np.sum(right)) / total if total else float("nan")


def _mean(values: Floats) -> float:
    return float(np.mean(values))


_STEP_TITLES = {
    "detected": "before any rule",
    "filtered": "after the filter",
    "slid": "after the rule of Chen et al.",
    "aligned_alone": "aligned without missing teeth",
    "aligned": "aligned with missing teeth",
    "charted": "after all rules",
}
_LEVELS = {"quadrant": "quadrant", "enumeration": "place in the quadrant", "diagnosis": "diagnosis"}


def _numbering(step: str) -> list[MeasureSpec]:
    right, said, title = f"{step}_right", f"{step}_said", _STEP_TITLES[step]
    return [
        MeasureSpec(f"precision_{step}", (right, said), ratio, f"Numbers: precision {title}"),
        MeasureSpec(f"recall_{step}", (right, "teeth"), ratio, f"Numbers: recall {title}"),
        MeasureSpec(f"f1_{step}", (right, said, "teeth"), f1, f"Numbers: F1 {title}"),
    ]


def _average(level: str, title: str) -> list[MeasureSpec]:
    columns = (f"found_{level}", f"truth_{level}")
    ap75 = partial(average_precision, overlaps=(5,))
    return [
        MeasureSpec(f"ap_{level}", columns, average_precision, f"{title}: mAP, .5 to .95"),
        MeasureSpec(f"ap50_{level}", columns, ap50, f"{title}: AP at .5"),
        MeasureSpec(f"ap75_{level}", columns, ap75, f"{title}: AP at .75"),
        MeasureSpec(f"ar_{level}", columns, average_recall, f"{title}: average recall"),
    ]


def _condition(name: str) -> list[MeasureSpec]:
    title = name.replace("_", " ").capitalize()
    return [
        MeasureSpec(f"precision_{name}", (f"{name}_hit", f"{name}_said"), ratio,
                    f"{title}: precision"),
        MeasureSpec(f"recall_{name}", (f"{name}_hit", f"{name}_true"), ratio, f"{title}: recall"),
    ]  # fmt: skip


MEASURES = (
    *_average("tooth", "Any tooth"),
    MeasureSpec("mean_overlap", ("overlap_sum", "overlap_count"), ratio,
                "Any tooth: mean IoU of found teeth"),
    *_average("number", "Numbered tooth"),
    *(spec for step in STEPS for spec in _numbering(step)),
    MeasureSpec("gained", ("gained",), _mean, "Numbers: right ones a film that the rules added",
                "", "higher"),
    MeasureSpec("missing_accuracy", ("missing_right", "places"), ratio,
                "Missing teeth: accuracy over the 32 places"),
    MeasureSpec("missing_precision", ("missing_hit", "missing_said"), ratio,
                "Missing teeth: precision"),
    MeasureSpec("missing_recall", ("missing_hit", "missing_true"), ratio, "Missing teeth: recall"),
    *(spec for level, title in _LEVELS.items() for spec in _average(level, f"DENTEX {title}")),
    *(spec for name in CONDITIONS for spec in _condition(name)),
    *(MeasureSpec(f"found_{n}", (f"tooth_{n}",), _mean, f"Tooth {n}: found and numbered right")
      for n in PERMANENT),
)  # fmt: skip

FIGURES = (
    BoxCurves("Any tooth", "found_tooth", "truth_tooth"),
    BoxCurves("Conditions", "found_diagnosis", "truth_diagnosis"),
)


def judge_teeth(
    true: Sequence[Tooth], candidates: Sequence[Tooth], steps: Mapping[str, Sequence[FoundBox]],
    missing: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """The row of a film whose teeth are known.

    candidates: all that was found, unsure ones too, for average precision, with the numbers that
    the rules gave the sure ones. missing: the numbers that were called missing.
    """
    row: dict[str, Any] = {"teeth": float(len(true))}
    classes: dict[str, Callable[[str], float]] = {
        "tooth": lambda number: 0.0,
        "number": lambda number: float(NUMBERS.index(number)) if number else -1.0,
        "quadrant": lambda number: float(number[0]) if number else -1.0,
        "enumeration": lambda number: float(number[1]) if number else -1.0,
    }
    for level, of in classes.items():
        found, truth = match_film(
            [[*t.corners, t.score, of(t.number)] for t in candidates],
            [[*t.corners, of(t.number)] for t in true],
        )
        row |= {f"found_{level}": found.tolist(), f"truth_{level}": truth.tolist()}
    rights = {}
    for name, boxes in steps.items():
        pairs = _pairs(boxes, true)
        right = [t for box, t, _ in pairs if box.label == true[t].number]
        said = sum(1 for box in boxes if box.label)  # a tooth that fits no place has no number
        row |= {f"{name}_right": float(len(right)), f"{name}_said": float(said)}
        rights[name] = right
        if name == "charted":
            row |= {"overlap_sum": float(sum(o for *_, o in pairs)),
                    "overlap_count": float(len(pairs))}  # fmt: skip
            row |= {f"tooth_{t.number}": float(k in right) for k, t in enumerate(true)}
    if {"charted", "filtered"} <= rights.keys():
        row["gained"] = float(len(rights["charted"]) - len(rights["filtered"]))
    row["f1"] = f1(
        np.array(row.get("charted_right", 0.0)), np.array(row.get("charted_said", 0.0)),
        np.array(row["teeth"]),
    )  # fmt: skip
    return row | _missing(true, missing)


def right_numbers(found: Sequence[Tooth], true: Sequence[Tooth]) -> int:
    """How many true teeth are found with their number."""
    boxes = [FoundBox(t.corners, t.score, score=t.score, label=t.number) for t in found]
    return sum(box.label == true[k].number for box, k, _ in _pairs(boxes, true))


def _pairs(boxes: Sequence[FoundBox], true: Sequence[Tooth]) -> list[tuple[FoundBox, int, float]]:
    """Found boxes and the true teeth they are, by falling score, each tooth once."""
    free, pairs = set(range(len(true))), []
    overlap = box_overlap([b.corners for b in boxes], [t.corners for t in true])
    for k in sorted(range(len(boxes)), key=lambda k: -boxes[k].score):
        best = max(free, key=lambda t: overlap[k, t], default=None)
        if best is not None and overlap[k, best] >= SAME:
            free.discard(best)
            pairs.append((boxes[k], best, float(overlap[k, best])))
    return pairs


def _missing(true: Sequence[Tooth], said: Sequence[str]) -> dict[str, float]:
    there = {tooth.number for tooth in true}
    gone = {number for number in PERMANENT if number not in there}
    called = set(said)
    return {
        "places": float(len(PERMANENT)),
        "missing_right": float(sum((n in gone) == (n in called) for n in PERMANENT)),
        "missing_hit": float(len(gone & called)),
        "missing_said": float(len(called)),
        "missing_true": float(len(gone)),
    }


def judge_conditions(
    true: Sequence[Condition], found: Sequence[FoundBox], called: Sequence[FoundBox]
) -> dict[str, Any]:
    """The row of a film whose conditions are known. found: unsure ones too; called: those that
    became findings."""
    matched, answer = match_film(
        [[*b.corners, b.score, float(CONDITIONS.index(b.label))] for b in found],
        [[*c.corners, float(CONDITIONS.index(c.name))] for c in true],
    )
    row: dict[str, Any] = {"found_diagnosis": matched.tolist(), "truth_diagnosis": answer.tolist()}
    for name in {c.name for c in true} | {b.label for b in found}:
        said = [box for box in called if box.label == name]
        wanted = [Tooth(c.corners, 1.0, "") for c in true if c.name == name]
        row |= {
            f"{name}_hit": float(len(_pairs(said, wanted))),
            f"{name}_said": float(len(said)),
            f"{name}_true": float(len(wanted)),
        }
    return row
