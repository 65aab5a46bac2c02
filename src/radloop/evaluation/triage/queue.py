"""Readers and a queue: which study is read when. The event loop of the simulation.

Every study has a place in the order of reading that does not change while it waits. This covers
first come, first served, classes, scores, and ageing at one pace for all: who waits longer keeps
his lead (see `priority`). So the queue is a heap of whole numbers, which is what makes a million
studies a matter of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Order:
    """Who is read first: by level, then by key, then by arrival; each `(study,)`.

    A study of a level below `interrupting` stops, when no reader is free, the reading of a study
    of a higher level: of those the one that is last in the order. It goes on later from where it
    stopped.
    """

    level: Ints
    key: Floats
    interrupting: int = 0


@dataclass(frozen=True)
class Served:
    """When each study was first opened and when it was finished, minutes, `(study,)`.

    spells: (study, begin, end) of every uninterrupted stretch of reading, when asked for.
    """

    start: Floats
    finish: Floats
    spells: list[tuple[int, float, float]] | None = None


def serve(
    arrival: Floats, work: Floats, order: Order, readers: int, spells: bool = False
) -> Served:
    """Let `readers` readers read all studies; no reader is idle while a study waits.

    arrival: ascending, minutes. work: minutes of reading. Raises ValueError for arrivals out of
    order, negative work, or no reader.
    """
    if readers < 1 or np.any(np.diff(arrival) < 0) or np.any(work < 0):
        raise ValueError("arrivals must ascend, work must not be negative, and someone must read")
    by_place = np.lexsort((np.arange(arrival.size), order.key, order.level))
    place = np.empty(arrival.size, np.intp)
    place[by_place] = np.arange(arrival.size)
    if arrival.size and order.level.min() < min(order.interrupting, order.level.max()):
        return _with_interruptions(arrival, work, place, by_place, order, readers, spells)
    start = _without(arrival.tolist(), work.tolist(), place.tolist(), by_place.tolist(), readers)
    begun = np.array(start, np.float64)
    ends = begun + work
    listed = list(zip(range(arrival.size), start, ends.tolist(), strict=True)) if spells else None
    return Served(begun, ends, listed)


def _without(
    arrival: list[float], work: list[float], place: list[int], by_place: list[int], readers: int
) -> list[float]:
    """When each study is opened, where nothing is interrupted."""
    start = [0.0] * len(arrival)
    waiting: list[int] = []
    ends: list[float] = []  # of the readings under way
    for study, now in enumerate(arrival):
        while ends and ends[0] <= now:
            if waiting:
                following = by_place[heappop(waiting)]
                start[following] = ends[0]
                heapreplace(ends, ends[0] + work[following])
            else:
                heappop(ends)
        if len(ends) < readers:
            start[study] = now
            heappush(ends, now + work[study])
        else:
            heappush(waiting, place[study])
    while waiting:
        following = by_place[heappop(waiting)]
        start[following] = ends[0]
        heapreplace(ends, ends[0] + work[following])
    return start


def _with_interruptions(
    arrival: Floats,
    work: Floats,
    place: Ints,
    by_place: Ints,
    order: Order,
    readers: int,
    spells: bool,
) -> Served:
    """The same with readings that stop for others and are resumed."""
    places, studies = place.tolist(), by_place.tolist()
    levels, interrupting = order.level.tolist(), order.interrupting
    left, start, finish = work.tolist(), [-1.0] * work.size, [0.0] * work.size
    waiting: list[int] = []
    reading: list[tuple[float, int, float]] = []  # end, place, begin
    listed: list[tuple[int, float, float]] = []

    def begin(study: int, now: float) -> None:
        if start[study] < 0:
            start[study] = now
        heappush(reading, (now + left[study], places[study], now))

    def end_first() -> None:
        now, done, begun = heappop(reading)
        finish[studies[done]] = now
        if spells:
            listed.append((studies[done], begun, now))
        if waiting:
            begin(studies[heappop(waiting)], now)

    for study, now in enumerate(arrival.tolist()):
        while reading and reading[0][0] <= now:
            end_first()
        if len(reading) < readers:
            begin(study, now)
            continue
        if levels[study] < interrupting:
            last = max(reading, key=_place_of)
            stopped = studies[last[1]]
            if levels[stopped] > levels[study]:
                reading.remove(last)
                heapify(reading)
                left[stopped] = last[0] - now
                if spells:
                    listed.append((stopped, last[2], now))
                heappush(waiting, last[1])
                begin(study, now)
                continue
        heappush(waiting, places[study])
    while reading:
        end_first()
    return Served(np.array(start), np.array(finish), listed if spells else None)


def _place_of(reading: tuple[float, int, float]) -> int:
    return reading[1]
