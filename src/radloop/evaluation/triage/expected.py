"""What queueing theory expects of a room, where it has a closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from radloop.evaluation.triage import theory
from radloop.evaluation.triage.scenario import Reading, Room


@dataclass(frozen=True)
class _Kind:
    """Studies that are alike: rate a minute, reading time, the groups they count in, and the level
    they are read at without and with the model."""

    rate: float
    reading: Reading
    groups: tuple[str, ...]
    levels: Mapping[str, int]


def expected_waits(room: Room) -> dict[str, dict[str, float]]:
    """Group -> arm -> mean wait in minutes, as `benefit` simulates it; empty where no closed form
    is known to this function.

    Known are: constant rates, strict classes, and either one reader, or several with exponential
    reading times of one mean; everybody of a better class interrupts, or nobody does. That is
    Pollaczek-Khinchine, Erlang, Cobham and preemptive resume (`theory`).
    """
    if _unknown(room):
        return {}
    kinds = _kinds(room)
    waits = {}
    for arm in ("without", "with"):
        levels = sorted({kind.levels[arm] for kind in kinds})
        interrupting = room.interrupt == "flagged" or (
            room.interrupt == "emergencies" and levels[0] == 0
        )
        if interrupting and room.interrupt == "emergencies" and len(levels) > 2:
            return {}  # emergencies interrupt, flagged studies do not: a mixed discipline
        waits[arm] = _waits(kinds, arm, interrupting, room.readers)
    names = dict.fromkeys(name for kind in kinds for name in kind.groups)
    return {
        name: {
            arm: sum(k.rate * w for k, w in zip(kinds, waits[arm], strict=True) if name in k.groups)
            / sum(k.rate for k in kinds if name in k.groups)
            for arm in ("without", "with")
        }
        for name in names
    }


def _unknown(room: Room) -> bool:
    uneven = any(s.times or _varies(s.hours) or _varies(s.weekdays) for s in room.streams)
    readings = {reading for s in room.streams for share, reading in s.kinds if share}
    several = room.readers > 1 and (
        len({r.mean for r in readings}) > 1 or any(r.shape != "exponential" for r in readings)
    )
    # Several models on one study make its level depend on more than one flag.
    crowded = any(len(s.models) > 1 for s in room.streams)
    return uneven or several or crowded or room.by == "scores" or room.head_start is not None


def _varies(weights: Sequence[float]) -> bool:
    return len(set(weights)) > 1


def _kinds(room: Room) -> list[_Kind]:
    last = max((m.rank for s in room.streams for m in s.models), default=1) + 1
    several = sum(len(stream.diseases) for stream in room.streams) > 1
    found = []
    for stream in room.streams:
        names = [d.name for d in stream.diseases] + [""]
        for name, (share, reading) in zip(names, stream.kinds, strict=True):
            for model in stream.models or (None,):
                seeks = model is not None and model.disease == name
                flag = 0.0 if model is None else (
                    model.sensitivity if seeks else 1 - model.specificity
                )  # fmt: skip
                for flagged, part in ((True, flag), (False, 1 - flag)):
                    rate = room.rate(stream) * share * part
                    if not rate:
                        continue
                    rank = 1 if room.by == "flags" or model is None else model.rank
                    level = rank if flagged else last
                    found.append(
                        _Kind(
                            rate,
                            reading,
                            _groups(name, seeks, flagged, stream.emergency)
                            + ((f"{stream.name}: {name}",) if name and several else ()),
                            {"without": 0, "with": 0}
                            if stream.emergency
                            else {"without": 1, "with": level},
                        )
                    )
    return found


def _groups(disease: str, sought: bool, flagged: bool, emergency: bool) -> tuple[str, ...]:
    found = {
        "diseased": sought,
        "healthy": not disease and not emergency,
        "other diseases": bool(disease) and not sought and not emergency,
        "flagged": flagged,
        "not flagged": not flagged and not emergency,
        "missed": sought and not flagged,
        "emergencies": emergency,
        "all": True,
    }
    return tuple(name for name, holds in found.items() if holds)


def _waits(kinds: Sequence[_Kind], arm: str, interrupting: bool, readers: int) -> list[float]:
    """The mean wait of every kind."""
    by_level = sorted(kinds, key=lambda k: k.levels[arm])
    classes = [list(alike) for _, alike in groupby(by_level, key=lambda k: k.levels[arm])]
    rates = [sum(k.rate for k in alike) for alike in classes]
    means = [
        sum(k.rate * k.reading.mean for k in alike) / rate
        for alike, rate in zip(classes, rates, strict=True)
    ]
    seconds = [
        sum(k.rate * k.reading.second for k in alike) / rate
        for alike, rate in zip(classes, rates, strict=True)
    ]
    longer = [0.0] * len(classes)
    if readers > 1:
        several = theory.preemptive_mmc if interrupting else theory.priority_mmc
        waits = several(rates, means[0], readers)
    elif interrupting:
        waits = theory.preemptive_mg1(rates, means, seconds)
        longer = theory.stretch(rates, means)
    else:
        waits = theory.cobham(rates, means, seconds)
    place = {alike[0].levels[arm]: number for number, alike in enumerate(classes)}
    return [
        waits[c] + (kind.reading.mean - means[c]) * longer[c]
        for kind in kinds
        for c in [place[kind.levels[arm]]]
    ]
