"""What a case table says of teeth: its boxes and masks as teeth, conditions, and targets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from radloop.cases.boxes.coco import case_boxes
from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.images.masks import read_mask
from radloop.systems.jaw.chart import CONDITIONS
from radloop.systems.jaw.conditions import UNCLEAR, Condition, boxes_of_mask, condition_of
from radloop.systems.jaw.numbers import NUMBERS, is_number
from radloop.systems.jaw.tooth import Tooth

FIRST_CONDITION = 100
"""In a target, classes from here on are conditions; below are teeth."""


def true_teeth(case: Case) -> list[Tooth] | None:
    """The teeth that a reader drew; None where no box of the case is a tooth and some are
    something else, so that teeth were not what was drawn."""
    boxes = case_boxes(case)
    if boxes is None:
        return None
    teeth = [Tooth(box.corners, 1.0, box.label) for box in boxes if is_number(box.label)]
    return None if boxes and not teeth else teeth


def true_conditions(case: Case) -> list[Condition] | None:
    """The conditions that a reader drew, as boxes or masks; None where there are none of either.

    Raises InputError for a class of boxes, or a mask, that is neither a tooth nor a condition.
    """
    found = []
    for box in case_boxes(case) or ():
        name = None if is_number(box.label) else _named(box.label, case)
        if name is not None and name != UNCLEAR:
            found.append(Condition(name, box.corners, 1.0))
    for structure, path in case.reference.masks.items():
        name = _named(structure, case)
        found += [Condition(name, corners, 1.0) for corners in boxes_of_mask(read_mask(path))]
    return found or ([] if case.reference.masks else None)


def _named(label: str, case: Case) -> str:
    name = condition_of(label)
    if name is None:
        raise InputError(
            f"Case '{case.case_id}': '{label}' is neither a tooth nor a condition.",
            f"Name teeth by ISO 3950 (11 to 48, 51 to 85), conditions {', '.join(CONDITIONS)},"
            f" and what nobody could tell '{UNCLEAR}'.",
        )
    return name


def targets(case: Case, shape: tuple[int, int], size: int) -> npt.NDArray[np.float32]:
    """Both as rows `(k, 5)`: box in px of a film of `shape` (rows, columns) stretched to a square
    of `size` px, and class. Raises InputError for a case that says nothing of teeth."""
    if case_boxes(case) is None and not case.reference.masks:
        raise InputError(
            f"Case '{case.case_id}' has neither boxes nor masks.",
            "Import boxes with `radloop import yolo`, `voc` or `coco`, or masks, or leave it out.",
        )
    conditions = true_conditions(case) or []  # also refuses unknown words
    rows = [
        *((t.corners, NUMBERS.index(t.number)) for t in true_teeth(case) or []),
        *((c.corners, FIRST_CONDITION + CONDITIONS.index(c.name)) for c in conditions),
    ]
    scale = np.array([size / shape[1], size / shape[0]] * 2)
    return np.array(
        [[*(np.array(corners) * scale), kind] for corners, kind in rows], np.float32
    ).reshape(-1, 5)
