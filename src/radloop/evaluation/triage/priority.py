"""Who is read first, in the room without the model and in the room with it.

Ageing at one pace for all needs no clock: a study that counts as though it had come h minutes
earlier keeps that lead over everyone while both wait, so its place is arrival - h for good. Hence
the bound: no study is overtaken by one that came more than the head start later (emergencies
apart, which always go first).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from radloop.evaluation.triage.queue import Floats, Order
from radloop.evaluation.triage.scenario import Room
from radloop.evaluation.triage.studies import NOT_FLAGGED, Bools, Studies


def without_model(room: Room, studies: Studies) -> Order:
    """First come, first served, emergencies before all."""
    level = np.where(studies.emergency, 0, 1).astype(np.intp)
    return Order(level, studies.arrival, 0 if room.interrupt == "nobody" else 1)


def with_model(room: Room, studies: Studies) -> Order:
    """The order of the room, see `Room.by` and `Room.head_start`."""
    plain = without_model(room, studies)
    arrival, emergency = studies.arrival, studies.emergency
    if room.by == "scores":
        aged = arrival - (room.head_start or 0.0) * studies.score
        key = -studies.score if room.head_start is None else aged
        # Emergencies have no score: among themselves they stay in their order.
        return replace(plain, key=np.where(emergency, arrival, key))
    if room.head_start is not None:
        share = np.where(emergency, 0.0, _share_of_head_start(room, studies))
        return replace(plain, key=arrival - room.head_start * share)
    last = max((m.rank for s in room.streams for m in s.models), default=1) + 1
    rank = np.minimum(studies.rank, last)
    if room.by == "flags":
        rank = np.where(studies.flagged, 1, last)
    level = np.where(emergency, 0, rank).astype(np.intp)
    return Order(level, arrival, last if room.interrupt == "flagged" else plain.interrupting)


def _share_of_head_start(room: Room, studies: Studies) -> Floats:
    """1 for the flagged; by ranks, the second rank gets a half, the third a third."""
    if room.by == "flags":
        return studies.flagged.astype(np.float64)
    flagged = studies.rank != NOT_FLAGGED
    return np.where(flagged, 1.0 / np.where(flagged, studies.rank, 1), 0.0)


def reach_of_overtaking(arrival: Floats, start: Floats, emergency: Bools) -> float:
    """By how many minutes the youngest study that was opened before an older one came after it.

    Emergencies do not count, neither as overtaker nor as overtaken. 0 when nobody was overtaken.
    """
    came, begun = arrival[~emergency], start[~emergency]
    in_turn = came[np.lexsort((came, begun))]
    if not in_turn.size:
        return 0.0
    return float(np.max(np.maximum.accumulate(in_turn) - in_turn))
