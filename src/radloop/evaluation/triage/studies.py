"""What arrives in one run of a room: studies with their truth, reading time and the model's word.

Every study draws the same numbers whatever the readers, the order and the load are, so that two
rooms differ in nothing but that (common random numbers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, ndtri

from radloop.evaluation.triage.scenario import Disease, Room, Stream, TriageModel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
HEALTHY = -1
NOT_FLAGGED = np.iinfo(np.intp).max
_ALMOST = 1e-9


@dataclass(frozen=True)
class Studies:
    """Columns of `(study,)`, in the order of arrival.

    arrival, work: minutes. stream, disease: indices into the room's streams and the stream's
    diseases, `HEALTHY` for none of them. sought: has a disease that a model looks for. rank: the
    best of the models that flagged it, `NOT_FLAGGED` without. score: the highest urgency times
    probability of its models, over the highest urgency, 0 to 1.
    """

    arrival: Floats
    work: Floats
    stream: Ints
    disease: Ints
    emergency: Bools
    sought: Bools
    rank: Ints
    score: Floats

    @property
    def flagged(self) -> Bools:
        """Flagged by any model."""
        return np.asarray(self.rank != NOT_FLAGGED)

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self.arrival.size)


def draw(room: Room, replication: int = 0) -> Studies:
    """The studies of one run; the same for the same room, seed and replication."""
    parts = [_draw_stream(room, k, replication) for k in range(len(room.streams))]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    by_time = np.argsort(columns["arrival"], kind="stable")
    return Studies(**{name: column[by_time] for name, column in columns.items()})


def arrivals(stream: Stream, room: Room, rng: np.random.Generator) -> Floats:
    """Arrival times in minutes, ascending: a Poisson process of the stream's profile, by turning
    the unit process through the inverse of the cumulative rate; or the times that it was given."""
    if stream.times:
        return np.sort(np.array(stream.times, np.float64))
    edges = np.arange(int(room.minutes / 60) + 1) * 60.0
    hour = np.arange(edges.size - 1)
    by_hour = np.array(stream.hours or [1.0] * 24)
    by_day = np.array(stream.weekdays or [1.0] * 7)
    weights = by_hour[hour % 24] / by_hour.mean() * (
        by_day[(hour // 24 + room.first_weekday) % 7] / by_day.mean()
    )  # fmt: skip
    expected = np.concatenate([[0.0], np.cumsum(stream.per_hour * weights)])
    unit = np.empty(0)
    while not unit.size or unit[-1] < expected[-1]:
        more = int(expected[-1] - (unit[-1] if unit.size else 0)) + 64
        gaps = rng.exponential(size=more)
        unit = np.concatenate([unit, (unit[-1] if unit.size else 0.0) + np.cumsum(gaps)])
    return np.asarray(np.interp(unit[unit < expected[-1]], expected, edges))


def _draw_stream(room: Room, index: int, replication: int) -> dict[str, npt.NDArray[np.generic]]:
    stream = room.streams[index]
    seeds = np.random.SeedSequence(room.seed, spawn_key=(replication, index)).spawn(2)
    arrival = arrivals(stream, room, np.random.default_rng(seeds[0]))
    n = arrival.size
    uniform = np.random.default_rng(seeds[1]).random((n, 2 + len(stream.models))).T
    disease = np.searchsorted(np.cumsum([d.prevalence for d in stream.diseases]), uniform[0],
                              side="right").astype(np.intp)  # fmt: skip
    work = np.empty(n)
    for k, (_, reading) in enumerate(stream.kinds):
        here = disease == k
        work[here] = reading.times(uniform[1][here])
    disease[disease == len(stream.diseases)] = HEALTHY
    rank, score = np.full(n, NOT_FLAGGED, np.intp), np.zeros(n)
    sought = np.zeros(n, bool)
    most = max((d.urgency for s in room.streams for d in s.diseases), default=0.0)
    for model, chance in zip(stream.models, uniform[2:], strict=True):
        target = [d.name for d in stream.diseases].index(model.disease)
        has = disease == target
        sought |= has
        rank[_flags(model, has, chance)] = np.minimum(
            rank[_flags(model, has, chance)], np.intp(model.rank)
        )
        if room.by == "scores" and most > 0:
            about = stream.diseases[target]
            probability = _probability(model, about, has, chance)
            score = np.maximum(score, about.urgency / most * probability)
    return {
        "arrival": arrival,
        "work": work,
        "stream": np.full(n, index, np.intp),
        "disease": disease,
        "emergency": np.full(n, stream.emergency),
        "sought": sought,
        "rank": rank,
        "score": score,
    }


def _flags(model: TriageModel, has: Bools, chance: Floats) -> Bools:
    """Flagged where the study's chance lies in the model's positive share, at the top."""
    return chance >= np.where(has, 1 - model.sensitivity, model.specificity)


def _probability(model: TriageModel, about: Disease, has: Bools, chance: Floats) -> Floats:
    """The model's probability of the disease, rising with the chance that also flags.

    Of an evaluation's cases where there are scores. Without: two normal distributions of equal
    width, as far apart as the operating point says, and the probability that they and the
    prevalence imply, which is calibrated.
    """
    if model.scores is not None:
        ill, well = model.scores.diseased, model.scores.healthy
        drawn = np.where(
            has,
            ill[(chance * ill.size).astype(np.intp)],
            well[(chance * well.size).astype(np.intp)],
        )
        return np.asarray(drawn, np.float64)
    ends = (_ALMOST, 1 - _ALMOST)
    apart = ndtri(np.clip(model.sensitivity, *ends)) + ndtri(np.clip(model.specificity, *ends))
    seen = ndtri(np.clip(chance, *ends)) + apart * has
    prior = logit(np.clip(about.prevalence, *ends))
    return np.asarray(expit(prior + apart * seen - apart**2 / 2))
