"""What is on the teeth: caries, restorations, root canal treatments, implants, and on which."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from radloop.systems.jaw.chart import CONDITIONS
from radloop.systems.jaw.numbers import Arch, template
from radloop.systems.jaw.tooth import Corners, Tooth, split_arches

UNCLEAR = "unclear"
"""The class of boxes that a reader could not decide on: they teach nothing."""
LEAST = 0.3
"""The share of a condition's box that must lie on a tooth to be on it."""
_SPECK = 20
"""Parts of a mask with fewer px are slips of the pen."""

_WORDS = {
    "caries": r"caries|carious|decay|cavity",
    "implant": r"implant",
    "root_canal": r"root.?canal|endodont|\brct\b",
    "restoration": r"filling|crown|restoration|inlay|onlay|amalgam|composite|bridge",
    UNCLEAR: r"unclear|unknown|unsure",
}


@dataclass(frozen=True)
class Condition:
    """name: one of `CONDITIONS`; corners px; tooth: the number it lies on, "" for none."""

    name: str
    corners: Corners
    score: float
    tooth: str = ""


def condition_of(label: str) -> str | None:
    """The condition that a class of boxes names ("Filling/Crown": restoration); `UNCLEAR` for
    those that name none on purpose; None for a word that is not known."""
    words = label.lower().replace("_", " ")
    return next((name for name, known in _WORDS.items() if re.search(known, words)), None)


def boxes_of_mask(mask: npt.NDArray[np.bool_]) -> list[Corners]:
    """The box around every connected part of a mask `(y, x)`, edges at whole numbers."""
    count, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes = []
    for x, y, width, height, area in facts[1:count].tolist():
        if area >= _SPECK:
            boxes.append((float(x), float(y), float(x + width), float(y + height)))
    return boxes


def assign_conditions(
    found: Sequence[Condition], teeth: Sequence[Tooth], missing: Sequence[str] = ()
) -> tuple[Condition, ...]:
    """Each condition with the number of the tooth it lies on.

    That is the tooth in whose box most of it lies, `LEAST` at least; of an implant on no tooth, the
    missing one (`missing`) in whose place it stands.
    """
    numbered = [tooth for tooth in teeth if tooth.number]
    arches = split_arches(numbered)
    placed = []
    for one in found:
        shares = [_share_on(one.corners, tooth.corners) for tooth in numbered]
        best = int(np.argmax(shares)) if shares else -1
        number = numbered[best].number if shares and shares[best] >= LEAST else ""
        if not number and one.name == "implant":
            number = _place_of(one.corners, arches, missing)
        placed.append(Condition(one.name, one.corners, one.score, number))
    return tuple(placed)


def _share_on(part: Corners, whole: Corners) -> float:
    width = min(part[2], whole[2]) - max(part[0], whole[0])
    height = min(part[3], whole[3]) - max(part[1], whole[1])
    area = (part[2] - part[0]) * (part[3] - part[1])
    return max(width, 0.0) * max(height, 0.0) / area if area > 0 else 0.0


def _place_of(box: Corners, arches: Mapping[Arch, Sequence[Tooth]], missing: Sequence[str]) -> str:
    """The missing place of the nearer arch whose x, read between its neighbours, is nearest."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    far = {
        name: abs(float(np.median([t.middle[1] for t in teeth])) - y)
        for name, teeth in arches.items()
        if len(teeth) >= 2
    }
    if not far:
        return ""
    nearest = min(far, key=lambda name: far[name])
    places = template(nearest)
    known = sorted((places.index(t.number), t.middle[0]) for t in arches[nearest]
                   if t.number in places)  # fmt: skip
    open_ = [k for k, place in enumerate(places) if place in missing]
    if len(known) < 2 or not open_:
        return ""
    slots, xs = zip(*known, strict=True)
    middle = np.polynomial.Polynomial.fit(slots, xs, 1)
    expected = [
        float(np.interp(k, slots, xs)) if slots[0] <= k <= slots[-1] else float(middle(k))
        for k in open_
    ]
    return places[open_[int(np.argmin(np.abs(np.array(expected) - x)))]]


assert set(_WORDS) - {UNCLEAR} == set(CONDITIONS)
