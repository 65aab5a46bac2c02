"""What a table says of the hips of a film: by the classes of its boxes, and by labels of a side.

A box encloses a hip: head, neck and both trochanters. Its class names the patient's side ("right
hip", "left hip") and may say more: "fractured right hip", "normal left hip", "right hip with
metal". Labels `hip_fracture_right`, `hip_fracture_left`, `hip_metal_right`, `hip_metal_left` say
the same, and count more than the class. An empty file of boxes says that the film shows no hip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from radloop.cases.boxes.box import Box
from radloop.cases.boxes.coco import case_boxes
from radloop.cases.case import Case
from radloop.errors import InputError

SIDES = ("right", "left")
"""The patient's; on a frontal film the right hip is on the left."""
_SIDE = re.compile(r"(?<![a-z])(right|left)(?![a-z])")
_NO = r"\b(no|not|non|without|w/o)[ -]+"
_BROKEN = re.compile(r"fractur|broken|positive")
_HEALTHY = re.compile(_NO + r"(a )?(fractur|broken)|\b(normal|healthy|negative|intact|unbroken)\b")
_METAL = re.compile(r"metal|prosthes|implant|nail|screw|\bplate|arthroplast|replacement|hardware")
_NO_METAL = re.compile(_NO + r"(metal|prosthes|implant|hardware)")


@dataclass(frozen=True)
class TrueHip:
    """A hip as the table knows it. fracture, metal: None where that is not known."""

    box: Box
    side: str
    fracture: bool | None
    metal: bool | None


def class_name(side: str, fracture: bool, metal: bool) -> str:
    """The class of a box around a hip, as `parse_class` reads it; with metal and not known to be
    broken it says nothing of a fracture."""
    if metal:
        return f"fractured {side} hip with metal" if fracture else f"{side} hip with metal"
    return f"{'fractured' if fracture else 'normal'} {side} hip"


def parse_class(label: str) -> tuple[str, bool | None, bool | None]:
    """Side, fracture, metal, of the class of a box; "" for a class that names no side.

    A normal or fractured hip of which no metal is said has none. A hip with metal of which no
    fracture is said is not known to be whole or broken: metal hides the neck.
    """
    text = re.sub(r"[_\s]+", " ", label).strip().lower()
    sides = set(_SIDE.findall(text))
    side = sides.pop() if len(sides) == 1 else ""
    healthy = bool(_HEALTHY.search(text))
    fracture = False if healthy else (True if _BROKEN.search(text) else None)
    metal: bool | None = bool(_METAL.search(text)) and not _NO_METAL.search(text)
    if not metal and fracture is None and not _NO_METAL.search(text):
        metal = None
    return side, fracture, metal


def true_hips(case: Case) -> Mapping[str, TrueHip] | None:
    """The hips of a film by side; None where its boxes are not known.

    Raises InputError for a class that names no side, and for two boxes of one side.
    """
    boxes = case_boxes(case)
    if boxes is None:
        return None
    hips: dict[str, TrueHip] = {}
    for box in boxes:
        side, fracture, metal = parse_class(box.label)
        if not side:
            raise InputError(
                f"A box of case '{case.case_id}' has the class '{box.label}', which names no side.",
                "Name boxes of hips by the patient's side: right hip, fractured left hip, ...",
            )
        if side in hips:
            raise InputError(
                f"Case '{case.case_id}' has two boxes of the {side} hip.",
                "Draw one around each hip; the patient's right is on the left of a frontal film.",
            )
        labels = case.reference.labels
        fracture = labels.get(f"hip_fracture_{side}", fracture)
        metal = labels.get(f"hip_metal_{side}", metal)
        hips[side] = TrueHip(box, side, fracture, metal)
    return hips
