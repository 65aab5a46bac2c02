"""From numbered teeth and conditions to the chart, and from the chart to findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from radloop.findings.codes import code
from radloop.findings.finding import Finding
from radloop.findings.tooth_codes import tooth_code
from radloop.systems.jaw.chart import DentalChart, ExtraTooth, Status, ToothState
from radloop.systems.jaw.conditions import Condition, assign_conditions
from radloop.systems.jaw.numbering import missing_places
from radloop.systems.jaw.tooth import Tooth

UNSURE = 0.5
"""The probability of what was never measured."""


def draw_up(
    teeth: Sequence[Tooth], found: Sequence[Condition], settings: Mapping[str, Any]
) -> DentalChart:
    """The chart of a film.

    settings: "whole" (the film shows both arches), "missing" (how often a place called missing is,
    by whether it lies "between" teeth or at the "end" of an arch), "thresholds" of conditions.
    """
    gone = missing_places(teeth, bool(settings.get("whole")))
    sure = [one for one in found if one.score >= threshold(one.name, settings)]
    conditions = assign_conditions(sure, teeth, tuple(gone))
    on: dict[str, dict[str, float]] = {}
    for one in conditions:
        if one.tooth:
            own = on.setdefault(one.tooth, {})
            own[one.name] = max(own.get(one.name, 0.0), one.score)
    states = {}
    for tooth in teeth:
        if tooth.number:
            status: Status = "implant" if "implant" in on.get(tooth.number, {}) else "present"
            states[tooth.number] = ToothState(
                tooth.number, status, tooth.score, tooth.corners, on.get(tooth.number, {})
            )
    implants = {one.tooth: one for one in conditions if one.name == "implant"}
    share = settings.get("missing", {})
    for number, where in gone.items():
        implant = implants.get(number)
        states[number] = (
            ToothState(number, "implant", implant.score, implant.corners, on[number])
            if implant
            else ToothState(number, "missing", float(share.get(where, UNSURE)))
        )
    extra = [ExtraTooth(t.corners, t.score, _nearest(t, teeth)) for t in teeth if not t.number]
    return DentalChart("", states, tuple(extra))


def threshold(condition: str, settings: Mapping[str, Any]) -> float:
    """The score from which a condition counts."""
    return float(settings.get("thresholds", {}).get(condition, 0.5))


def _nearest(tooth: Tooth, teeth: Iterable[Tooth]) -> str:
    numbered = [other for other in teeth if other.number]
    if not numbered:
        return ""
    x, y = tooth.middle
    return min(numbered, key=lambda t: (t.middle[0] - x) ** 2 + (t.middle[1] - y) ** 2).number


def findings_of(chart: DentalChart, settings: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Every statement of a chart: conditions, missing and extra teeth, and the teeth themselves."""
    stated: list[Finding] = []
    for number, tooth in chart.teeth.items():
        where: dict[str, Any] = {"tooth": number, "tooth_code": vars(tooth_code(number))}
        if tooth.box is not None:
            where["box"] = [round(v, 1) for v in tooth.box]
        for name, probability in tooth.conditions.items():
            limit = round(threshold(name, settings), 4)
            stated.append(Finding(name, code(name), round(probability, 4), True, limit, where))
        if tooth.status == "missing":
            stated.append(
                Finding("missing_tooth", code("missing_tooth"), round(tooth.probability, 4), True,
                        0.0, where)
            )  # fmt: skip
        if tooth.status == "present":
            limit = round(float(settings.get("found", 0.5)), 4)
            stated.append(
                Finding(
                    "tooth", tooth_code(number), round(tooth.probability, 4), True, limit, where
                )
            )
    for extra in chart.extra:
        box = [round(v, 1) for v in extra.box]
        near = {"near": extra.near} if extra.near else {}
        stated.append(
            Finding("extra_tooth", code("extra_tooth"), round(extra.probability, 4), True,
                    round(float(settings.get("found", 0.5)), 4), {"box": box, **near})
        )  # fmt: skip
    rank = {"missing_tooth": 1, "extra_tooth": 2, "tooth": 3}
    return tuple(sorted(stated, key=lambda f: (rank.get(f.name, 0), -f.probability)))
