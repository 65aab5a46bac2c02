"""The settings of a freshly trained model of teeth, measured on its validation films."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from radloop.cases.case import Case
from radloop.images.image import Image
from radloop.measures.detection import match_film
from radloop.systems.base import Array, Look
from radloop.systems.jaw.chart import CONDITIONS
from radloop.systems.jaw.conditions import Condition
from radloop.systems.jaw.doubles import drop_doubles
from radloop.systems.jaw.measures import right_numbers
from radloop.systems.jaw.numbering import Rule, missing_places, number_teeth
from radloop.systems.jaw.numbers import PERMANENT
from radloop.systems.jaw.reference import true_conditions, true_teeth
from radloop.systems.jaw.tooth import Tooth

GRID = np.round(np.arange(0.05, 0.91, 0.05), 2)
PANORAMIC = 16
"""Films with more teeth than this, in the middle of the collection, show the whole dentition."""

_Boxes = Sequence[tuple[tuple[float, float, float, float], float]]


def calibrate_teeth(
    judged: Sequence[tuple[Case, Image, Array]], *, rule: Rule, side: int,
    teeth: Callable[[Image, Array], list[Tooth]],
    conditions: Callable[[Image, Mapping[str, Any]], list[Condition]], look: Look,
) -> dict[str, Any]:  # fmt: skip
    """`found` and `thresholds`: the scores of greatest F1; `rule`: whether gaps help; `whole`:
    whether films are panoramic; `missing`: how often a tooth called missing is; `conditions`: those
    the films have."""
    settings: dict[str, Any] = {"rule": rule}
    films = [
        (true, teeth(image, output), float(image.array.shape[1]))
        for case, image, output in judged
        if (true := true_teeth(case)) is not None
    ]
    if films:
        settings["found"] = best_threshold([
            ([(t.corners, t.score) for t in drop_doubles(found)], [t.corners for t in true])
            for true, found, _ in films
        ])  # fmt: skip
        sure = [
            (true, [t for t in found if t.score >= settings["found"]], width)
            for true, found, width in films
        ]
        settings["rule"] = best_rule(sure, rule, look)
        settings["whole"] = bool(np.median([len(true) for true, *_ in films]) > PANORAMIC)
        settings["missing"] = _missing_shares(sure, settings, look)
    if side:
        known = {c.name for case, *_ in judged for c in true_conditions(case) or []}
        settings |= {"conditions": [n for n in CONDITIONS if n in known], "side": side}
        looked = [
            (drawn, conditions(image, settings))
            for case, image, _ in judged
            if (drawn := true_conditions(case)) is not None
        ]
        settings["thresholds"] = {
            name: best_threshold([
                ([(c.corners, c.score) for c in found if c.name == name],
                 [c.corners for c in true if c.name == name])
                for true, found in looked
            ])
            for name in settings["conditions"]
        }  # fmt: skip
    return settings


def best_rule(
    films: Sequence[tuple[Sequence[Tooth], Sequence[Tooth], float]], rule: Rule, look: Look
) -> Rule:
    """Whether aligned teeth have more numbers right with what the network of gaps says, or without:
    where a detector misses many teeth, it takes these for lost ones.

    films: true and found teeth, and the film's width. Another rule than "align" stays.
    """
    if rule != "align":
        return rule
    right = {"aligned": 0, "aligned_alone": 0}
    for true, found, width in films:
        steps = number_teeth(found, width, look).steps
        for step in right:
            right[step] += right_numbers(steps[step], true)
    return "align" if right["aligned"] >= right["aligned_alone"] else "align_alone"


def best_threshold(
    films: Sequence[tuple[_Boxes, Sequence[tuple[float, float, float, float]]]],
) -> float:
    """The score of `GRID` at which F1 of all films together peaks; found boxes with scores, and
    true ones, of each film."""
    answers, count = [np.zeros((0, 9))], 0
    for found, true in films:
        count += len(true)
        matched, _ = match_film([[*b, s, 0.0] for b, s in found], [[*b, 0.0] for b in true])
        answers.append(matched)
    rows = np.concatenate(answers)
    said, right = rows[:, 0], rows[:, 2].astype(np.int64) & 1  # the first bit: an overlap of .5
    values = [2 * right[said >= t].sum() / max((said >= t).sum() + count, 1) for t in GRID]
    return float(GRID[int(np.argmax(values))]) if count else 0.5


def _missing_shares(
    films: Sequence[tuple[list[Tooth], list[Tooth], float]], settings: Mapping[str, Any], look: Look
) -> dict[str, float]:
    """How often a tooth that is called missing is, by where; with one of each added, so that
    nothing is certain."""
    said = {"between": 2, "end": 2}
    right = {"between": 1, "end": 1}
    for true, found, width in films:
        numbered = number_teeth(found, width, look, settings["rule"]).teeth
        there = {t.number for t in true}
        for number, where in missing_places(numbered, settings["whole"]).items():
            said[where] += 1
            right[where] += number in PERMANENT and number not in there
    return {where: round(right[where] / said[where], 4) for where in said}
