"""`DentalChart`: what a film says of every place of the dentition, and its file.

The file is JSON: `{"format": 1, "case_id", "teeth": [{"number", "status", "probability", "box",
"conditions": {name: probability}}], "extra": [{"box", "probability", "near"}]}`, boxes in px of the
film (x0, y0, x1, y1), or null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from radloop.errors import InputError
from radloop.systems.jaw.numbers import NUMBERS, is_number

Status = Literal["present", "missing", "implant", "unknown"]
Corners = tuple[float, float, float, float]
STATUSES: tuple[Status, ...] = ("present", "missing", "implant", "unknown")
CONDITIONS = ("caries", "restoration", "root_canal", "implant")
"""What a detector finds on teeth; an implant is also the status of its place."""
FORMAT = 1


@dataclass(frozen=True)
class ToothState:
    """One place. probability: of the status, in 0..1. box: of the tooth or implant, None where
    there is none. conditions: what is on the tooth (names of `CONDITIONS`), with probabilities."""

    number: str
    status: Status
    probability: float
    box: Corners | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ExtraTooth:
    """A tooth that fits no place of its arch. near: the number of the nearest tooth."""

    box: Corners
    probability: float
    near: str = ""


@dataclass(frozen=True)
class DentalChart:
    """teeth: by ISO 3950 number; a number that is not there is of unknown status (not on the
    film)."""

    case_id: str = ""
    teeth: Mapping[str, ToothState] = field(default_factory=dict)
    extra: Sequence[ExtraTooth] = ()

    def status(self, number: str) -> Status:
        """Of one place, "unknown" where the film does not show it."""
        return self.teeth[number].status if number in self.teeth else "unknown"

    def conditions(self, number: str) -> Mapping[str, float]:
        """What is on one tooth."""
        return self.teeth[number].conditions if number in self.teeth else {}


def chart_to_json(chart: DentalChart) -> dict[str, Any]:
    """The file's content."""
    return {
        "format": FORMAT,
        "case_id": chart.case_id,
        "teeth": [
            {
                "number": tooth.number,
                "status": tooth.status,
                "probability": round(tooth.probability, 4),
                "box": None if tooth.box is None else [round(v, 1) for v in tooth.box],
                "conditions": {name: round(p, 4) for name, p in tooth.conditions.items()},
            }
            for tooth in sorted(chart.teeth.values(), key=lambda t: NUMBERS.index(t.number))
        ],
        "extra": [
            {
                "box": [round(v, 1) for v in one.box],
                "probability": round(one.probability, 4),
                "near": one.near,
            }
            for one in chart.extra
        ],
    }


def chart_from_json(data: Mapping[str, Any]) -> DentalChart:
    """The way back. Raises ValueError, KeyError or TypeError for what is no chart."""
    teeth = {one["number"]: _tooth(one) for one in data["teeth"]}
    if len(teeth) < len(data["teeth"]):
        raise ValueError("a number is there twice")
    extra = tuple(
        ExtraTooth(_corners(e["box"]), _share(e["probability"]), str(e.get("near", "")))
        for e in data["extra"]
    )
    return DentalChart(str(data["case_id"]), teeth, extra)


def read_chart(path: Path) -> DentalChart:
    """The chart in a file. Raises InputError for one that is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        newer = int(data["format"]) > FORMAT
        chart = chart_from_json(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        raise InputError(
            f"{path.name} is not a dental chart ({reason}).",
            "Give one that `radloop predict` wrote for a model of teeth (charts/<case>.json).",
        ) from error
    if newer:
        raise InputError(f"{path.name} was written by a newer Radloop.", "Upgrade this one.")
    return chart


def _tooth(one: Mapping[str, Any]) -> ToothState:
    number, status = str(one["number"]), one["status"]
    if not is_number(number) or status not in STATUSES:
        raise ValueError(f"tooth {number!r} of status {status!r}")
    conditions = {str(name): _share(p) for name, p in one["conditions"].items()}
    if not set(conditions) <= set(CONDITIONS):
        raise ValueError(f"unknown condition of tooth {number}")
    box = None if one["box"] is None else _corners(one["box"])
    return ToothState(number, status, _share(one["probability"]), box, conditions)


def _corners(values: Sequence[float]) -> Corners:
    x0, y0, x1, y1 = (float(v) for v in values)
    return x0, y0, x1, y1


def _share(value: float) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{value!r} is no probability")
    return float(value)
