"""Teeth by number: ISO 3950 (FDI), what it says, and the same tooth in other notations.

The first digit is the quadrant (1 upper right, 2 upper left, 3 lower left, 4 lower right; 5 to 8
the same for deciduous teeth), the second counts from the midline. On a film the patient's right is
on the left, so that 18 stands at its upper left corner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from radloop.findings.tooth_codes import TEETH

Arch = Literal["upper", "lower"]
ARCHES: tuple[Arch, Arch] = ("upper", "lower")

PERMANENT = tuple(f"{quadrant}{tooth}" for quadrant in range(1, 5) for tooth in range(1, 9))
DECIDUOUS = tuple(f"{quadrant}{tooth}" for quadrant in range(5, 9) for tooth in range(1, 6))
NUMBERS = PERMANENT + DECIDUOUS
"""Class numbers of a detector are places in this; those of deciduous teeth come last."""
WISDOM = ("18", "28", "38", "48")

_OPPOSITE = {"1": "2", "2": "1", "3": "4", "4": "3", "5": "6", "6": "5", "7": "8", "8": "7"}
_QUADRANTS: Mapping[bool, Mapping[Arch, tuple[str, str]]] = {
    False: {"upper": ("1", "2"), "lower": ("4", "3")},
    True: {"upper": ("5", "6"), "lower": ("8", "7")},
}
_UNIVERSAL = {
    **{number: str(k + 1) for k, number in enumerate(
        [f"1{t}" for t in range(8, 0, -1)] + [f"2{t}" for t in range(1, 9)]
        + [f"3{t}" for t in range(8, 0, -1)] + [f"4{t}" for t in range(1, 9)])},
    **{number: chr(ord("A") + k) for k, number in enumerate(
        [f"5{t}" for t in range(5, 0, -1)] + [f"6{t}" for t in range(1, 6)]
        + [f"7{t}" for t in range(5, 0, -1)] + [f"8{t}" for t in range(1, 6)])},
}  # fmt: skip

Kind = Literal["wisdom", "molar", "premolar", "canine", "lateral", "central", "incisor"]
_SAME = 0.9
_UPPER_KINDS: tuple[Kind, ...] = (
    "central", "lateral", "canine", "premolar", "premolar", "molar", "molar", "wisdom",
)  # fmt: skip
_LOWER_KINDS: tuple[Kind, ...] = ("incisor", "incisor", *_UPPER_KINDS[2:])
_ALIKE: Mapping[Arch, Mapping[frozenset[Kind], float]] = {
    "upper": {
        frozenset({"wisdom", "molar"}): 0.8,
        frozenset({"premolar", "canine"}): 0.6,
        frozenset({"premolar", "lateral"}): 0.4,
        frozenset({"premolar", "central"}): 0.4,
        frozenset({"canine", "lateral"}): 0.6,
        frozenset({"canine", "central"}): 0.8,
        frozenset({"lateral", "central"}): 0.8,
    },
    "lower": {
        frozenset({"wisdom", "molar"}): 0.7,
        frozenset({"premolar", "canine"}): 0.5,
        frozenset({"premolar", "incisor"}): 0.3,
        frozenset({"canine", "incisor"}): 0.5,
    },
}


def is_number(text: str) -> bool:
    """Whether `text` is the ISO 3950 number of a tooth."""
    return text in _UNIVERSAL


def deciduous(number: str) -> bool:
    """Whether a tooth is one of the first dentition."""
    return number[0] in "5678"


def arch(number: str) -> Arch:
    """The jaw a tooth stands in."""
    return "upper" if number[0] in "1256" else "lower"


def template(of: Arch, first_dentition: bool = False) -> tuple[str, ...]:
    """The numbers of an arch from the left of the film to its right: 16 of them, or 10."""
    right, left = _QUADRANTS[first_dentition][of]
    count = 5 if first_dentition else 8
    return tuple(f"{right}{t}" for t in range(count, 0, -1)) + tuple(
        f"{left}{t}" for t in range(1, count + 1)
    )


def mirrored(number: str) -> str:
    """The tooth of the other side, which a mirrored film shows in its place."""
    return _OPPOSITE[number[0]] + number[1]


def universal(number: str) -> str:
    """The number of the Universal system (USA): "1" to "32", deciduous "A" to "T"."""
    return _UNIVERSAL[number]


def palmer(number: str) -> str:
    """Palmer's notation in letters: quadrant UR, UL, LL or LR, and the tooth (deciduous A to E)."""
    side = {"1": "UR", "2": "UL", "3": "LL", "4": "LR"}
    quadrant = side[str((int(number[0]) - 1) % 4 + 1)]
    tooth = int(number[1])
    return quadrant + (chr(ord("A") + tooth - 1) if deciduous(number) else str(tooth))


def tooth_name(number: str) -> str:
    """In words: "upper right first molar"."""
    side = "right" if number[0] in "1458" else "left"
    name = TEETH[deciduous(number)][int(number[1]) - 1]
    return f"{arch(number)} {side} {'deciduous ' if deciduous(number) else ''}{name}"


def similarity(a: str, b: str) -> float:
    """How easily two teeth of one arch and dentition are taken for each other, in 0..1 (Chen et
    al. 2019, Sci Rep 9:3840): 1 for the same tooth, .9 for one of its category; 0 across arches."""
    if a == b:
        return 1.0
    if arch(a) != arch(b) or deciduous(a) != deciduous(b):
        return 0.0
    first, second = _kind(a), _kind(b)
    return _SAME if first == second else _ALIKE[arch(a)].get(frozenset({first, second}), 0.0)


def _kind(number: str) -> Kind:
    kinds = _UPPER_KINDS if arch(number) == "upper" else _LOWER_KINDS
    tooth = int(number[1])
    if deciduous(number) and tooth >= 4:
        return "molar"
    return kinds[tooth - 1]
