"""The second stage's word on what the detector found: is it a hip, is there metal, is it broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from radloop.systems.base import Look
from radloop.systems.pelvis.calibration import chance
from radloop.systems.pelvis.gate import FoundHip
from radloop.systems.pelvis.labels import SIDES
from radloop.systems.regions.film import Cutting, Film, cut

ANSWERS = ("hip_fracture", "hip_metalwork", "hip")
"""What the second stage is asked of a crop, in the order of its outputs."""


class Logits(NamedTuple):
    """The second stage's logits of one crop."""

    fracture: float
    metal: float
    hip: float


@dataclass(frozen=True)
class JudgedHip:
    """A hip and what the second stage says of it, in 0..1. metal: None where the model does not
    know metal; excluded: whether metal forbids a word on the fracture."""

    hip: FoundHip
    fracture: float
    metal: float | None
    excluded: bool


class SecondLook:
    """Looks at hips of one film, at each once.

    film: as it was read, uint8 `(y, x)`. crop: the side of the second stage's input, px.
    """

    def __init__(self, film: Film, cutting: Cutting, crop: int, look: Look) -> None:
        self.film, self.cutting, self.crop, self.look = cutting.tone(film), cutting, crop, look
        self._seen: dict[FoundHip, Logits] = {}

    def __call__(self, hip: FoundHip) -> Logits:
        if hip not in self._seen:
            piece = cut(self.film, hip.corners, self.cutting.margin, self.crop)
            faced = self.cutting.face(piece, SIDES.index(hip.side))
            self._seen[hip] = Logits(*(float(v) for v in self.look(faced, "regions")))
        return self._seen[hip]

    def is_hip(self, hip: FoundHip, settings: Mapping[str, Any]) -> bool:
        """Whether it is one at all; without the setting `hip` the detector is believed."""
        fitted = settings.get("hip")
        return fitted is None or chance(self(hip).hip, fitted) >= float(fitted["threshold"])

    def judge(self, hip: FoundHip, settings: Mapping[str, Any]) -> JudgedHip:
        """Calibrated probabilities, and whether metal excludes the hip."""
        said = self(hip)
        metal = chance(said.metal, settings["metal"]) if "metal" in settings else None
        excluded = metal is not None and metal >= float(settings["metal"]["threshold"])
        fracture = chance(said.fracture, settings.get("fracture", {}))
        return JudgedHip(hip, fracture, metal, excluded)
