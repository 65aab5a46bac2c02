"""What a reading room is: readers, streams of studies, diseases, models, and who is read first.

All times are minutes. Everything is checked where it is made: what cannot be is a `ScenarioError`
that names the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from radloop.errors import InputError

Floats = npt.NDArray[np.float64]
Shape = Literal["exponential", "lognormal", "constant", "empirical"]
SHAPES = ("exponential", "lognormal", "constant", "empirical")
BY = ("flags", "ranks", "scores")
INTERRUPT = ("nobody", "emergencies", "flagged")
DAY = 24 * 60.0


class ScenarioError(InputError):
    """A reading room that cannot be: a rate below zero, a sensitivity above one, no reader."""


@dataclass(frozen=True)
class Reading:
    """How long a reading takes.

    shape: exponential; lognormal, with `cv` the standard deviation over the mean; constant; or
    empirical: one of `values`, each as likely (`mean` is then theirs).
    """

    mean: float
    shape: Shape = "exponential"
    cv: float = 0.5
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _one_of("The shape of reading times", self.shape, SHAPES)
        _positive("The mean reading time", self.mean)
        _positive("The cv of reading times", self.cv)
        if (self.shape == "empirical") != bool(self.values):
            raise ScenarioError("Values of reading times belong to the shape 'empirical'.")
        for value in self.values:
            _positive("A reading time", value)

    @property
    def second(self) -> float:
        """The mean of the squared reading time."""
        if self.shape == "empirical":
            return float(np.mean(np.square(self.values)))
        squared_cv = {"exponential": 1.0, "lognormal": self.cv**2, "constant": 0.0}[self.shape]
        return self.mean**2 * (1 + squared_cv)

    def times(self, uniform: Floats) -> Floats:
        """The reading times at these quantiles, each in [0, 1)."""
        if self.shape == "constant":
            return np.full(uniform.shape, self.mean)
        if self.shape == "exponential":
            return -self.mean * np.log1p(-uniform)
        if self.shape == "empirical":
            values = np.sort(self.values)
            return np.asarray(values[(uniform * values.size).astype(np.intp)], np.float64)
        spread = math.log1p(self.cv**2)
        normal = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
        return np.asarray(self.mean * np.exp(math.sqrt(spread) * normal - spread / 2))


@dataclass(frozen=True)
class Disease:
    """What a study of a stream may show. urgency weighs its probability in `by: scores`."""

    name: str
    prevalence: float
    reading: Reading | None = None
    urgency: float = 1.0

    def __post_init__(self) -> None:
        _share(f"The prevalence of '{self.name}'", self.prevalence)
        if not (math.isfinite(self.urgency) and self.urgency >= 0):
            raise ScenarioError(f"The urgency of '{self.name}', {self.urgency:g}, is below zero.")


@dataclass(frozen=True)
class Scores:
    """The model's probabilities on diseased and on healthy cases of an evaluation, ascending."""

    diseased: Floats
    healthy: Floats


@dataclass(frozen=True)
class TriageModel:
    """A model that flags studies of its stream for one disease, at its operating point.

    A study that does not have the disease is flagged with probability 1 - specificity, whatever
    else it shows. rank: of several models, who comes first in `by: ranks`. scores: what orders
    studies in `by: scores`; without them two normal distributions through the operating point.
    The intervals say how well the operating point is known; see `at_ends`.
    """

    disease: str
    sensitivity: float
    specificity: float
    rank: int = 1
    sensitivity_interval: tuple[float, ...] = ()
    specificity_interval: tuple[float, ...] = ()
    scores: Scores | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for what in ("sensitivity", "specificity"):
            value, ends = getattr(self, what), getattr(self, f"{what}_interval")
            _share(f"The {what} for '{self.disease}'", value)
            if ends and not (len(ends) == 2 and 0 <= ends[0] <= value <= ends[1] <= 1):
                raise ScenarioError(
                    f"The {what} interval for '{self.disease}' must be two numbers from 0 to 1 "
                    "with the value between them."
                )
        if self.rank < 1:
            raise ScenarioError(f"The rank {self.rank} for '{self.disease}' is below 1.")


@dataclass(frozen=True)
class Stream:
    """Studies of one kind: how many come, how long they take, what they show, who looks at them.

    per_hour: arrivals an hour, on average over the week; `hours` (24) and `weekdays` (7, Monday
    first) are weights that spread them. times: instead, arrivals in minutes after the first
    midnight. emergency: read before all others, whatever a model says.
    """

    name: str
    reading: Reading
    per_hour: float = 0.0
    times: tuple[float, ...] = ()
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    emergency: bool = False
    diseases: tuple[Disease, ...] = ()
    models: tuple[TriageModel, ...] = ()

    def __post_init__(self) -> None:
        if self.times and self.per_hour:
            raise ScenarioError(f"'{self.name}' has both arrival times and a rate.", "Give one.")
        if not self.times:
            _positive(f"The arrivals an hour of '{self.name}'", self.per_hour)
        for what, weights, count in (("hours", self.hours, 24), ("weekdays", self.weekdays, 7)):
            if weights and (
                len(weights) != count
                or not all(math.isfinite(w) and w >= 0 for w in weights)
                or not sum(weights) > 0
            ):
                raise ScenarioError(
                    f"The {what} of '{self.name}' must be {count} weights, none below zero, "
                    "not all zero."
                )
        _no_doubles(f"disease of '{self.name}'", [d.name for d in self.diseases])
        if sum(d.prevalence for d in self.diseases) > 1 + 1e-9:
            raise ScenarioError(f"The prevalences of '{self.name}' sum to more than 1.")
        known = [d.name for d in self.diseases]
        for model in self.models:
            if model.disease not in known:
                raise ScenarioError(
                    f"A model of '{self.name}' looks for '{model.disease}', which is none of its "
                    "diseases.",
                    f"Its diseases are: {', '.join(known) or 'none'}.",
                )
        _no_doubles(f"model of '{self.name}'", [m.disease for m in self.models])
        if self.emergency and self.models:
            raise ScenarioError(
                f"'{self.name}' is an emergency stream with a model.",
                "Emergencies are read first anyway: leave the model out.",
            )

    @property
    def kinds(self) -> tuple[tuple[float, Reading], ...]:
        """(share, reading time) of every disease, and last of the studies that show none."""
        ill = [(d.prevalence, d.reading or self.reading) for d in self.diseases]
        return (*ill, (max(0.0, 1 - sum(share for share, _ in ill)), self.reading))

    @property
    def mean(self) -> float:
        """The mean reading time of all its studies."""
        return sum(share * reading.mean for share, reading in self.kinds)


@dataclass(frozen=True)
class Room:
    """A reading room, and how long and how often it is simulated.

    by: what orders flagged studies: `flags` (all flagged alike), `ranks` (of the models), `scores`
    (urgency times probability, of all studies). interrupt: who stops a reading: `nobody`,
    `emergencies`, or also the `flagged`. head_start: ageing. A flagged study counts as though it
    had come so many minutes earlier (by scores: that times the score), so that it overtakes only
    studies up to so many minutes older; None: it overtakes any. days: that are counted, after
    `run_in` days and before as many again. first_weekday: of day 0, Monday is 0.
    """

    streams: tuple[Stream, ...]
    readers: int = 1
    by: Literal["flags", "ranks", "scores"] = "flags"
    interrupt: Literal["nobody", "emergencies", "flagged"] = "emergencies"
    head_start: float | None = None
    days: int = 60
    run_in: int = 5
    replications: int = 20
    seed: int = 0
    first_weekday: int = 0

    def __post_init__(self) -> None:
        _one_of("'by'", self.by, BY)
        _one_of("'interrupt'", self.interrupt, INTERRUPT)
        _no_doubles("stream", [stream.name for stream in self.streams])
        if not self.streams:
            raise ScenarioError("There is no stream of studies.")
        least = {"readers": 1, "days": 1, "run_in": 0, "replications": 1, "seed": 0}
        for what, lowest in least.items():
            if getattr(self, what) < lowest:
                raise ScenarioError(f"'{what}' is {getattr(self, what)}, below {lowest}.")
        if self.head_start is not None:
            _positive("'head_start'", self.head_start)
            if self.interrupt == "flagged":
                raise ScenarioError(
                    "With a head start, flagged studies are not read strictly first, so they "
                    "cannot interrupt others.",
                    "Let emergencies or nobody interrupt, or leave the head start out.",
                )
        if self.by == "scores" and self.interrupt == "flagged":
            raise ScenarioError(
                "By scores, no study is flagged, so none can interrupt.",
                "Let emergencies or nobody interrupt.",
            )
        if self.by != "flags" and not any(stream.models for stream in self.streams):
            raise ScenarioError(f"There is no model whose {self.by} could order the studies.")

    @property
    def minutes(self) -> float:
        """The whole time simulated, run-in and run-out included."""
        return (self.days + 2 * self.run_in) * DAY

    @property
    def load(self) -> float:
        """The share of the readers' time that the arrivals ask for; from 1 on, queues grow."""
        return sum(self.rate(s) * s.mean for s in self.streams) / self.readers

    def rate(self, stream: Stream) -> float:
        """Arrivals a minute of a stream."""
        return len(stream.times) / self.minutes if stream.times else stream.per_hour / 60

    def at_load(self, load: float) -> Room:
        """The same room with all rates changed in proportion, so that its load is this."""
        _positive("The load", load)
        if any(stream.times for stream in self.streams):
            raise ScenarioError("Arrival times of a file cannot be scaled to another load.")
        factor = load / self.load
        scaled = [replace(s, per_hour=s.per_hour * factor) for s in self.streams]
        return replace(self, streams=tuple(scaled))

    def at_ends(self) -> dict[str, Room]:
        """The room with its models at the lower, and at the upper, ends of their intervals; empty
        where no model has any, or where scores of an evaluation order the studies."""
        models = [m for s in self.streams for m in s.models]
        if not any(m.sensitivity_interval or m.specificity_interval for m in models) or (
            self.by == "scores" and any(m.scores is not None for m in models)
        ):
            return {}
        return {
            name: replace(
                self,
                streams=tuple(
                    replace(s, models=tuple(_at_end(m, end) for m in s.models))
                    for s in self.streams
                ),
            )
            for end, name in enumerate(("lower", "upper"))
        }


def _at_end(model: TriageModel, end: int) -> TriageModel:
    ends = (model.sensitivity_interval, model.specificity_interval)
    values = (model.sensitivity, model.specificity)
    sensitivity, specificity = (
        interval[end] if interval else value for interval, value in zip(ends, values, strict=True)
    )
    return replace(
        model,
        sensitivity=sensitivity,
        specificity=specificity,
        sensitivity_interval=(),
        specificity_interval=(),
    )


def _share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ScenarioError(f"{what}, {value:g}, is not between 0 and 1.")


def _positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ScenarioError(f"{what}, {value:g}, is not above zero.")


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ScenarioError(f"{what} cannot be '{value}'.", f"Choose of: {', '.join(allowed)}.")


def _no_doubles(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"The {what} '{name}' is given twice.")
