"""The room without the model against the room with it: who waits how long, and who pays.

Both rooms get the same studies, reading times and model outputs (`studies.draw`), so that a
difference is the order's doing. Intervals are Student's t over independent replications.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from radloop.evaluation.triage.priority import reach_of_overtaking, with_model, without_model
from radloop.evaluation.triage.queue import Floats, Served, serve
from radloop.evaluation.triage.scenario import DAY, Room
from radloop.evaluation.triage.studies import HEALTHY, Bools, Studies, draw
from radloop.measures.interval import Interval

ARMS = ("without", "with")
STATISTICS = ("mean", "median", "p95", "worst")
LEVELS = np.linspace(0.0, 1.0, 401)
"""The quantiles kept of every group's waiting times, for pictures."""
LoadPoints = Sequence[tuple[float, Interval, Interval]]
"""(load, minutes saved a diseased study, minutes saved a healthy one)."""
CLOCK = np.arange(0.0, DAY, 15.0)
"""The times of day at which the worklist is counted, minutes after midnight."""


@dataclass(frozen=True)
class Group:
    """The waiting times of one kind of study, minutes.

    n: studies a replication, on average. waits: arm -> statistic -> interval; "worst" is the
    longest of all replications and has none. saved: mean wait without minus mean wait with the
    model, paired. share_later: of the studies that waited longer with the model. quantiles: arm
    -> waits at `LEVELS`.
    """

    name: str
    n: float
    waits: Mapping[str, Mapping[str, Interval]]
    saved: Interval
    share_later: Interval
    quantiles: Mapping[str, Floats]


@dataclass(frozen=True)
class Queue:
    """The worklist of one arm.

    waiting: studies that nobody is reading, over time. longest: the most at any counted time.
    unread: not finished when the counted days end. by_clock: mean number of studies that wait, at
    `CLOCK`; sought_by_clock: of studies with a disease that a model looks for, not yet finished.
    """

    waiting: Interval
    longest: int
    unread: Interval
    by_clock: Floats
    sought_by_clock: Floats


@dataclass(frozen=True)
class Benefit:
    """What the model changes in a room.

    groups: "diseased" are studies with a disease that a model looks for, "missed" those of them
    that it did not flag, "other diseases" what no model looks for. reach: the largest time between
    a study and a later one that was opened before it, minutes; by arm.
    """

    room: Room
    studies: int
    groups: tuple[Group, ...]
    queues: Mapping[str, Queue]
    reach: Mapping[str, float]
    interrupted: Mapping[str, float]

    def group(self, name: str) -> Group:
        """The group of this name; KeyError for one that has no studies."""
        return {group.name: group for group in self.groups}[name]

    def has(self, name: str) -> bool:
        """Whether any study was of this group."""
        return any(group.name == name for group in self.groups)


@dataclass(frozen=True)
class Run:
    """One replication: the studies, and how both rooms read them."""

    studies: Studies
    served: Mapping[str, Served]
    counted: Bools

    def wait(self, arm: str) -> Floats:
        """Time in the room minus time of reading, minutes: interruptions count as waiting."""
        served = self.served[arm]
        return np.maximum(served.finish - self.studies.arrival - self.studies.work, 0.0)


def simulate(room: Room, replication: int = 0) -> Run:
    """Let both rooms read the studies of one replication."""
    studies = draw(room, replication)
    served = {
        arm: serve(studies.arrival, studies.work, order(room, studies), room.readers)
        for arm, order in zip(ARMS, (without_model, with_model), strict=True)
    }
    begin, end = room.run_in * DAY, (room.run_in + room.days) * DAY
    return Run(studies, served, (studies.arrival >= begin) & (studies.arrival < end))


def benefit(room: Room, progress: Callable[[int, int], None] | None = None) -> Benefit:
    """Simulate both rooms, all replications, and put the numbers together."""
    collected: dict[str, list[dict[str, Any]]] = {}
    queues: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    total, reach, interrupted = 0, dict.fromkeys(ARMS, 0.0), dict.fromkeys(ARMS, 0.0)
    for number in range(room.replications):
        run = simulate(room, number)
        total += int(run.counted.sum())
        waits = {arm: run.wait(arm) for arm in ARMS}
        for name, mask in masks(room, run.studies).items():
            here = mask & run.counted
            if here.any():
                figures = _figures({arm: waits[arm][here] for arm in ARMS})
                collected.setdefault(name, []).append(figures)
        for arm in ARMS:
            served = run.served[arm]
            queues[arm].append(_worklist(room, run, arm))
            lag = reach_of_overtaking(run.studies.arrival, served.start, run.studies.emergency)
            reach[arm] = max(reach[arm], lag)
            stopped = served.finish - served.start > run.studies.work + 1e-6
            interrupted[arm] += float(np.sum(stopped & run.counted))
        if progress is not None:
            progress(number + 1, room.replications)
    return Benefit(
        room=room,
        studies=total,
        groups=tuple(_group(name, figures, room) for name, figures in collected.items()),
        queues={arm: _queue(found) for arm, found in queues.items()},
        reach=reach,
        interrupted={arm: count / max(total, 1) for arm, count in interrupted.items()},
    )


def masks(room: Room, studies: Studies) -> dict[str, Bools]:
    """The groups that are reported, by name; each disease is one where there are several."""
    ill, ordinary = studies.disease != HEALTHY, ~studies.emergency
    flagged = studies.flagged
    found = {
        "diseased": studies.sought,
        "healthy": ~ill & ordinary,
        "other diseases": ill & ~studies.sought & ordinary,
        "flagged": flagged,
        "not flagged": ~flagged & ordinary,
        "missed": studies.sought & ~flagged,
        "emergencies": studies.emergency,
        "all": np.ones(studies.size, bool),
    }
    if sum(len(stream.diseases) for stream in room.streams) > 1:
        for s, stream in enumerate(room.streams):
            for d, disease in enumerate(stream.diseases):
                name = f"{stream.name}: {disease.name}"
                found[name] = (studies.stream == s) & (studies.disease == d)
    return found


def _figures(waits: Mapping[str, Floats]) -> dict[str, Any]:
    """One group of one replication: its statistics, by arm and statistic."""
    found: dict[str, Any] = {"n": waits["with"].size}
    for arm in ARMS:
        quantiles = np.quantile(waits[arm], LEVELS)
        found[arm] = {
            "mean": float(waits[arm].mean()),
            "median": float(quantiles[LEVELS.size // 2]),
            "p95": float(np.quantile(waits[arm], 0.95)),
            "worst": float(quantiles[-1]),
        }
        found[f"{arm} quantiles"] = quantiles
    found["saved"] = found["without"]["mean"] - found["with"]["mean"]
    found["later"] = float(np.mean(waits["with"] > waits["without"] + 1e-9))
    return found


def _group(name: str, figures: Sequence[Mapping[str, Any]], room: Room) -> Group:
    waits = {}
    for arm in ARMS:
        waits[arm] = {s: over_replications([f[arm][s] for f in figures]) for s in STATISTICS}
        worst = max(f[arm]["worst"] for f in figures)
        waits[arm]["worst"] = Interval(worst, math.nan, math.nan, len(figures), "longest seen")
    return Group(
        name=name,
        n=sum(f["n"] for f in figures) / room.replications,
        waits=waits,
        saved=over_replications([f["saved"] for f in figures]),
        share_later=over_replications([f["later"] for f in figures]),
        quantiles={arm: np.mean([f[f"{arm} quantiles"] for f in figures], axis=0) for arm in ARMS},
    )


def over_replications(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of independent replications and Student's t interval; NaN ends for one alone."""
    n, mean = len(values), float(np.mean(values))
    method = f"Student's t over {n} replications, {level:.0%}"
    if n < 2:
        return Interval(mean, math.nan, math.nan, n, method)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n, method)


def _worklist(room: Room, run: Run, arm: str) -> dict[str, Any]:
    """The worklist counted every quarter of an hour of the counted days.

    No reader is idle while a study waits, so those in the room beyond the number of readers wait.
    """
    arrived, finish = run.studies.arrival, run.served[arm].finish
    begin = room.run_in * DAY
    clock = (begin + np.arange(room.days)[:, None] * DAY + CLOCK[None, :]).ravel()
    present = _present(arrived, finish, clock)
    waiting = np.maximum(present - room.readers, 0)
    sought = _present(arrived[run.studies.sought], finish[run.studies.sought], clock)
    end = np.array([begin + room.days * DAY])
    return {
        "waiting": float(waiting.mean()),
        "longest": int(waiting.max()),
        "unread": float(_present(arrived, finish, end)[0]),
        "by_clock": waiting.reshape(room.days, -1).mean(axis=0),
        "sought_by_clock": sought.reshape(room.days, -1).mean(axis=0),
    }


def _present(arrived: Floats, finish: Floats, when: Floats) -> Floats:
    """How many have arrived and are not finished at each time; `arrived` ascends."""
    came = np.searchsorted(arrived, when, side="right")
    return np.asarray(came - np.searchsorted(np.sort(finish), when, side="right"), np.float64)


def _queue(found: Sequence[Mapping[str, Any]]) -> Queue:
    return Queue(
        waiting=over_replications([f["waiting"] for f in found]),
        longest=max(f["longest"] for f in found),
        unread=over_replications([f["unread"] for f in found]),
        by_clock=np.mean([f["by_clock"] for f in found], axis=0),
        sought_by_clock=np.mean([f["sought_by_clock"] for f in found], axis=0),
    )


def over_loads(
    room: Room, loads: Sequence[float], progress: Callable[[int, int], None] | None = None
) -> LoadPoints:
    """What is saved in the same room at other loads, with at most ten replications each.

    A negative saving is a delay. Raises ScenarioError for arrivals that come from a file.
    """
    found = []
    for number, load in enumerate(loads):
        there = benefit(replace(room.at_load(load), replications=min(room.replications, 10)))
        found.append((load, there.group("diseased").saved, there.group("healthy").saved))
        if progress is not None:
            progress(number + 1, len(loads))
    return found
