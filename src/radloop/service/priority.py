"""The order of the reading room's list: urgency times probability, with ageing.

A study's *score* is the urgency of its most pressing finding times that finding's calibrated
probability, 0 to 1. What nobody could judge counts as a probability of `GREY`: after the evidence,
before what was found clear. Waiting adds to it: `ageing_hours` of waiting weigh as much as a score
of 1.

Since everybody ages at the same pace, the order does not change with the hour: a study goes before
another when `order_key` (seconds of its arrival, minus its score in seconds) is smaller. From this
the bound follows. A study is never passed by one that came more than `ageing_hours` after it, so
it waits at most until what came within that time is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from radloop.findings.finding import Prediction
from radloop.service.worklist import GREY, GROUPS, UNSURE, Group, order

Rank = Literal["first", "last"]
PLACES: Mapping[str | None, int] = {"first": 0, None: 1, "last": 2}

URGENCY: Mapping[str, float] = {
    "intracranial_hemorrhage": 1.0,
    "stroke_lesion": 1.0,
    "hip_fracture": 0.8,
    "fracture": 0.6,
    "wrist_fracture": 0.6,
    "cardiomegaly": 0.4,
    "ms_lesion": 0.4,
    "caries": 0.2,
}
"""How pressing a finding is, by name: our own choice of an order, from minutes (1) to a routine
visit (0.2), not a clinical standard. `radloop.yaml` may set others."""
UNLISTED = 0.5
"""The urgency of a finding that the table does not name."""


@dataclass(frozen=True)
class Judged:
    """What a prediction means for the list. finding: the name of the one that decides."""

    group: Group
    urgency: float
    score: float
    reason: str
    finding: str = ""


def urgency_of(name: str, settings: Mapping[str, float] = {}) -> float:
    """The urgency of a finding, 0..1. A part of a finding ("subdural_hemorrhage") has that of the
    longest listed name it ends in."""
    table = {**URGENCY, **settings}
    if name in table:
        return table[name]
    if name.endswith("_hemorrhage"):
        return table["intracranial_hemorrhage"]
    ends = [known for known in table if name.endswith("_" + known)]
    return table[max(ends, key=len)] if ends else UNLISTED


def judge(prediction: Prediction, urgency: Mapping[str, float] = {}) -> Judged:
    """A prediction's group, the sentence that says why, and its score."""
    from radloop.findings.codes import STOCK

    item = order([prediction])[0]
    calling = [f for f in prediction.findings if f.name not in STOCK and "class" not in f.where]
    if prediction.verdict.refused or not calling:
        unsure = item.group in ("not read", "grey zone")
        return Judged(item.group, 1.0, GREY if unsure else 0.0, item.reason)
    pressing = max(calling, key=lambda f: urgency_of(f.name, urgency) * f.probability)
    weight = urgency_of(pressing.name, urgency)
    probability = pressing.probability
    if prediction.verdict.code in UNSURE:
        probability = max(probability, GREY)
    reason = order([replace(prediction, findings=(pressing,))])[0].reason
    found = item.finding
    if found is not None and found.positive and not pressing.positive:
        reason = f"{reason} {found.code.meaning}."
    return Judged(item.group, weight, round(weight * probability, 6), reason, pressing.name)


def most_pressing(judged: list[Judged]) -> Judged:
    """What several readings of a study come to: the highest score and the most urgent group, the
    sentence of the first of these before those of the others. Raises ValueError for none."""
    ordered = sorted(judged, key=lambda one: (-one.score, GROUPS.index(one.group)))
    first = ordered[0]
    group = min((one.group for one in judged), key=GROUPS.index)
    others = [one.reason for one in ordered[1:] if one.group != "negative"]
    return Judged(
        group, first.urgency, first.score, " ".join([first.reason, *others]), first.finding
    )


def order_key(received_at: datetime, score: float, ageing_hours: float) -> float:
    """Smaller goes first: seconds since 1970 of the arrival, minus the score's worth in seconds."""
    return received_at.timestamp() - score * ageing_hours * 3600


def priority(score: float, waited_hours: float, ageing_hours: float) -> float:
    """The priority now: the score plus what waiting adds. Orders as `order_key` does."""
    return score + max(0.0, waited_hours) / ageing_hours


def explanation(
    reason: str, urgency: float, score: float, waited_hours: float, ageing_hours: float,
    rank: str | None = None, who: str = "",
) -> str:  # fmt: skip
    """The sentence of a row: what was found, and the arithmetic of its place."""
    if rank is not None:
        return f"{reason} Put {rank} by {who}.".strip()
    aged = max(0.0, waited_hours) / ageing_hours
    probability = score / urgency if urgency else 0.0
    return (
        f"{reason} Urgency {urgency:.1f} x probability {probability:.2f} = {score:.2f};"
        f" waiting {_hours(waited_hours)} adds {aged:.2f}."
    ).strip()


def _hours(hours: float) -> str:
    minutes = max(0, round(hours * 60))
    return f"{minutes} min" if minutes < 100 else f"{hours:.1f} h"
