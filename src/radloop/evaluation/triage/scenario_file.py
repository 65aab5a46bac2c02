"""Scenario files: a reading room as YAML or JSON, and arrival times as CSV."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from radloop.errors import InputError
from radloop.evaluation.triage.operating_point import operating_point
from radloop.evaluation.triage.scenario import (
    DAY,
    Disease,
    Reading,
    Room,
    ScenarioError,
    Stream,
    TriageModel,
)

T = TypeVar("T", Disease, Reading, Room, Stream, TriageModel)
EXAMPLE = """\
# A reading room for `radloop triage-benefit --scenario`. Times are minutes. The rates, reading
# times and the prevalence are assumptions: put your own. The model is at the operating point of
# the shipped `hemorrhage`.
readers: 2
by: flags               # or ranks (of several models), or scores (urgency x probability)
interrupt: emergencies  # who stops a reading under way: nobody, emergencies, or also the flagged
head_start: null        # ageing: flagged studies overtake only those up to so many minutes older
days: 60                # counted, after `run_in` days and before as many again
run_in: 5
replications: 20
seed: 0
streams:
  - name: head CT
    per_hour: 2.5
    # Weights of the 24 hours and of Monday to Sunday; leave them out for an even flow.
    hours: [4, 3, 3, 3, 3, 4, 5, 7, 10, 12, 13, 13, 12, 12, 12, 12, 12, 11, 10, 9, 8, 7, 6, 5]
    weekdays: [1, 1, 1, 1, 1, 0.8, 0.8]
    reading: {mean: 10, shape: lognormal, cv: 0.6}
    diseases:
      - {name: bleed, prevalence: 0.12, reading: {mean: 14, shape: lognormal, cv: 0.6}}
    models:
      - disease: bleed
        sensitivity: 0.808
        specificity: 0.735
        sensitivity_interval: [0.640, 0.952]
        specificity_interval: [0.571, 0.882]
  - name: other CT
    per_hour: 3
    hours: [2, 1, 1, 1, 1, 2, 4, 8, 14, 16, 16, 16, 14, 15, 16, 15, 13, 10, 7, 5, 4, 3, 3, 2]
    reading: {mean: 14, shape: lognormal, cv: 0.6}
  - name: trauma
    per_hour: 0.3
    emergency: true
    reading: {mean: 8}
"""


def read_scenario(path: Path) -> Room:
    """The room of a scenario file; files that it names lie relative to it.

    Beside the fields of `Room` and of what it holds: `load` scales all rates so that the readers
    are asked for this share of their time; of a stream `arrivals` is a CSV of arrival times; of a
    model `report` is the folder of `radloop evaluate` that holds its operating point, and `finding`
    which one. Raises ScenarioError for what is unknown, missing, of the wrong kind or impossible.
    """
    return parse_scenario(read_content(path), path.parent)


def read_content(path: Path) -> dict[str, Any]:
    """What stands in a scenario file, not yet looked at beyond being YAML (JSON is YAML, too)."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The scenario {path.name} cannot be read.", "Check the path.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ScenarioError(f"The scenario {path.name} is neither YAML nor JSON{where}.") from error
    return dict(_mapping(content, f"the scenario {path.name}"))


def parse_scenario(content: object, folder: Path = Path()) -> Room:
    """The room of a scenario file's content, see `read_scenario`."""
    given = dict(_mapping(content, "the scenario"))
    load = given.pop("load", None)
    streams = [
        _stream(dict(_mapping(one, f"streams[{k}]")), f"streams[{k}]", folder)
        for k, one in enumerate(_list(given.pop("streams", None), "streams"))
    ]
    streams, origin = _on_one_clock(streams)
    if origin is not None:
        given.setdefault("run_in", 0)
        latest = max(max(s["times"]) for s in streams if s.get("times"))
        given.setdefault("days", math.floor(latest / DAY) + 1)
        given["first_weekday"] = origin.weekday() if isinstance(origin, datetime) else 0
        _refuse_run_in(given)
    made = tuple(_build(Stream, stream, f"streams[{k}]") for k, stream in enumerate(streams))
    room = _build(Room, {**given, "streams": made}, "the scenario")
    if load is None:
        return room
    return room.at_load(_number(load, "load"))


def _stream(given: dict[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The stream's fields, with what lies in files read."""
    if "reading" not in given:
        raise ScenarioError(f"{where} has no 'reading'.", "Give {mean: MINUTES}.")
    given["reading"] = _reading(given["reading"], f"{where}.reading")
    given["diseases"] = tuple(
        _disease(dict(_mapping(one, f"{where}.diseases[{k}]")), f"{where}.diseases[{k}]")
        for k, one in enumerate(_list(given.get("diseases", []), f"{where}.diseases"))
    )
    given["models"] = tuple(
        _model(dict(_mapping(one, f"{where}.models[{k}]")), f"{where}.models[{k}]", folder)
        for k, one in enumerate(_list(given.get("models", []), f"{where}.models"))
    )
    if "arrivals" in given:
        given["times"] = read_times(folder / str(given.pop("arrivals")))
    return given


def _reading(given: object, where: str) -> Reading:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return _build(Reading, {"mean": given}, where)
    fields = dict(_mapping(given, where))
    if "values" in fields:
        values = [_number(v, f"{where}.values") for v in _list(fields["values"], f"{where}.values")]
        if not values:
            raise ScenarioError(f"{where}.values is empty.")
        fields |= {"values": tuple(values), "mean": sum(values) / len(values)}
        fields.setdefault("shape", "empirical")
    return _build(Reading, fields, where)


def _disease(given: dict[str, Any], where: str) -> Disease:
    if given.get("reading") is not None:
        given["reading"] = _reading(given["reading"], f"{where}.reading")
    return _build(Disease, given, where)


def _model(given: dict[str, Any], where: str, folder: Path) -> TriageModel:
    report, finding = given.pop("report", None), given.pop("finding", None)
    if report is not None:
        point = operating_point(folder / str(report), finding)
        given.setdefault("sensitivity", point.sensitivity)
        given.setdefault("specificity", point.specificity)
        given.setdefault("scores", point.scores)
        for what, ends in (
            ("sensitivity", point.sensitivity_interval),
            ("specificity", point.specificity_interval),
        ):
            if given[what] == getattr(point, what) and all(math.isfinite(end) for end in ends):
                given.setdefault(f"{what}_interval", ends)
    return _build(TriageModel, given, where)


def read_times(path: Path) -> tuple[Any, ...]:
    """The column `arrived` of a CSV: datetimes (ISO 8601), or minutes as numbers.

    Raises ScenarioError for a file without such a column, for other cells, and for a mixture.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(
            f"The arrivals {path.name} cannot be read.", "Check the path."
        ) from error
    cells = [str(row.get("arrived") or "").strip() for row in rows]
    if not any(cells):
        raise ScenarioError(f"{path.name} has no column 'arrived' with times.")
    times = [_time(cell, path.name, number) for number, cell in enumerate(cells, start=2)]
    aware = {isinstance(t, datetime) and t.tzinfo is not None for t in times}
    if len({type(t) for t in times}) > 1 or len(aware) > 1:
        raise ScenarioError(f"{path.name} mixes kinds of times in the column 'arrived'.")
    return tuple(times)


def _time(cell: str, name: str, line: int) -> float | datetime:
    try:
        minutes = float(cell)
    except ValueError:
        pass
    else:
        if math.isfinite(minutes) and minutes >= 0:
            return minutes
    try:
        return datetime.fromisoformat(cell)
    except ValueError as error:
        raise ScenarioError(
            f"Line {line} of {name} holds no time of arrival.",
            "Write 2026-03-01T08:15:00, or minutes after midnight of the first day.",
        ) from error


def _on_one_clock(
    streams: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], datetime | float | None]:
    """Arrival times as minutes after the midnight before the first of all, and that midnight."""
    given = [time for stream in streams for time in stream.get("times", ())]
    if not given:
        return streams, None
    if len({type(time) for time in given}) > 1:
        raise ScenarioError("Some arrivals are datetimes and some are minutes.", "Use one kind.")
    if isinstance(given[0], float):
        return streams, 0.0
    try:
        origin = min(given).replace(hour=0, minute=0, second=0, microsecond=0)
        timed = [
            {**s, "times": tuple((t - origin).total_seconds() / 60 for t in s["times"])}
            if s.get("times")
            else s
            for s in streams
        ]
    except TypeError as error:
        raise ScenarioError("Some arrivals have a time zone and some have none.") from error
    return timed, origin


def _refuse_run_in(given: Mapping[str, Any]) -> None:
    if given["run_in"]:
        raise ScenarioError(
            "Arrival times of a file leave no days to run in.", "Set run_in to 0, or leave it out."
        )


def _build(kind: type[T], given: Mapping[str, Any], where: str) -> T:
    """The dataclass of these fields, each of its type. Raises ScenarioError that says where."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = [name for name in given if name not in fields]
    if unknown:
        raise ScenarioError(
            f"{where} has no field '{unknown[0]}'.", f"Known are: {', '.join(fields)}."
        )
    missing = [
        name
        for name, f in fields.items()
        if name not in given
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ScenarioError(f"{where} lacks '{missing[0]}'.")
    hints = get_type_hints(kind)
    values = {n: _typed(v, hints[n], f"{where}.{n}") for n, v in given.items()}
    try:
        return kind(**values)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error.what}", error.remedy) from error


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Numbers, whole numbers, truths and lists of numbers are checked; the rest is as given."""
    text = str(hint)
    if hint is float or (text == "float | None" and value is not None):
        return _number(value, where)
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ScenarioError(f"{where} must be a whole number, not {value!r}.")
        return value
    if hint is bool and not isinstance(value, bool):
        raise ScenarioError(f"{where} must be true or false, not {value!r}.")
    if hint is str or "Literal" in text:
        if not isinstance(value, str):
            raise ScenarioError(f"{where} must be text, not {value!r}.")
        return value
    if text == "tuple[float, ...]":
        return tuple(_number(one, where) for one in _list(value, where))
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScenarioError(f"{where} must be a number, not {value!r}.")
    return float(value)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ScenarioError(f"{where} must hold names with values.")
    return value


def _list(value: object, where: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ScenarioError(f"{where} must be a list.")
    return value
