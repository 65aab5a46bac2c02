"""A triage benefit for people and for scripts: the table, `triage.html` and `triage.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radloop import pages
from radloop.evaluation.page import show
from radloop.evaluation.render import add_section, is_report
from radloop.evaluation.report import plain
from radloop.evaluation.triage import figures
from radloop.evaluation.triage.benefit import ARMS, STATISTICS, Benefit, Group, LoadPoints
from radloop.evaluation.triage.expected import expected_waits
from radloop.evaluation.triage.scenario import Reading, Room, Stream
from radloop.evaluation.triage.section import triage_section
from radloop.images.write import write_bytes, write_text
from radloop.measures.interval import Interval

if TYPE_CHECKING:
    from rich.table import Table

JSON, PAGE = "triage.json", "triage.html"
HEADINGS = (
    "Studies",
    "n a run",
    "mean without",
    "mean with",
    "saved",
    "median",
    "95 % within",
    "longest seen",
    "wait longer",
)
MEANING = {
    "diseased": "has a disease that a model looks for",
    "healthy": "shows none of the diseases",
    "other diseases": "has a disease that no model looks for",
    "flagged": "flagged by a model",
    "not flagged": "flagged by none; emergencies apart",
    "missed": "diseased, and not flagged",
    "emergencies": "read before all others, with or without a model",
    "all": "every study",
}


def cells(group: Group) -> tuple[str, ...]:
    """A row of the printed tables, under `HEADINGS`; minutes, "without → with"."""
    without, with_ = (group.waits[arm] for arm in ARMS)
    both = [
        f"{minutes(without[s].value)} → {minutes(with_[s].value)}"
        for s in ("median", "p95", "worst")
    ]
    return (
        group.name,
        f"{group.n:.0f}",
        minutes(without["mean"].value),
        minutes(with_["mean"].value),
        _with_ends(group.saved),
        *both,
        f"{100 * group.share_later.value:.0f} %",
    )


def minutes(value: float) -> str:
    """Minutes with one digit behind the point, none from 1000 on."""
    return show(value, 1 if abs(value) < 1000 else 0)


def _with_ends(interval: Interval) -> str:
    if interval.low != interval.low:
        return minutes(interval.value)
    return f"{minutes(interval.value)} ({minutes(interval.low)} to {minutes(interval.high)})"


def remarks(benefit: Benefit) -> list[str]:
    """What the reader must know besides the numbers: overload, the bound of ageing, who pays."""
    room = benefit.room
    found = []
    if room.load >= 1:
        per_day = (room.load - 1) * room.readers * 24 * 60
        found.append(
            f"The readers are asked for {room.load:.2f} of their time: the worklist grows without "
            f"end, by {per_day:.0f} minutes of reading a day. There is no steady state, and the "
            f"waiting times are those of these {room.days} days, which began with an empty list."
        )
    elif room.load > 0.95:
        found.append(
            f"At a load of {room.load:.2f} waiting times swing for weeks: simulate more days."
        )
    if room.head_start is not None:
        seen = minutes(benefit.reach["with"])
        found.append(
            f"Starvation bound: no study is overtaken by one that came more than "
            f"{minutes(room.head_start)} minutes after it, emergencies apart; the most seen was "
            f"{seen} minutes."
        )
    elif any(stream.models for stream in room.streams):
        found.append(
            "There is no ageing: a study that is not flagged can be overtaken without end. "
            f"The most seen was by one that came {minutes(benefit.reach['with'])} minutes later."
        )
    return found


def to_table(benefit: Benefit) -> Table:
    """The benefit as a table for the console."""
    from rich.table import Table
    from rich.text import Text

    room = benefit.room
    table = Table(
        title=Text(
            f"Waiting times in minutes, without and with the model: {room.readers} readers, load "
            f"{room.load:.2f}, {room.replications} runs of {room.days} days, "
            f"{benefit.studies} studies"
        ),
        title_justify="left",
        caption=Text("\n".join([*remarks(benefit), method(benefit)])),
        caption_justify="left",
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
    for group in benefit.groups:
        table.add_row(*(Text(cell) for cell in cells(group)))
    return table


def method(benefit: Benefit) -> str:
    """How the intervals were made."""
    return (
        f"Intervals: {benefit.groups[0].saved.method}, both rooms on the same studies. "
        "Waiting is the time in the room minus the time of being read."
    )


def to_json(
    benefit: Benefit, ends: Mapping[str, Benefit] | None = None, loads: LoadPoints = ()
) -> dict[str, Any]:
    """The benefit as plain values, minutes. ends, loads: see `write`."""
    expected = expected_waits(benefit.room)
    return {
        "room": _room_json(benefit.room),
        "load": benefit.room.load,
        "studies": benefit.studies,
        "groups": {
            group.name: {
                "n_a_run": group.n,
                "waits": {
                    arm: {s: _numbers(group.waits[arm][s]) for s in STATISTICS} for arm in ARMS
                },
                "saved": _numbers(group.saved),
                "share_later": _numbers(group.share_later),
                "expected": expected.get(group.name),
            }
            for group in benefit.groups
        },
        "worklist": {
            arm: {
                "waiting": _numbers(queue.waiting),
                "longest": queue.longest,
                "unread_at_the_end": _numbers(queue.unread),
            }
            for arm, queue in benefit.queues.items()
        },
        "reach_of_overtaking": dict(benefit.reach),
        "share_interrupted": dict(benefit.interrupted),
        "at_ends_of_the_intervals": {
            name: _numbers(there.group("diseased").saved) for name, there in (ends or {}).items()
        },
        "by_load": [
            {"load": load, "saved_diseased": _numbers(saved), "saved_healthy": _numbers(healthy)}
            for load, saved, healthy in loads
        ],
        "remarks": remarks(benefit),
        "method": method(benefit),
    }


def write(
    out: Path,
    benefit: Benefit,
    ends: Mapping[str, Benefit] | None = None,
    loads: LoadPoints = (),
) -> None:
    """Write `triage.html` and then `triage.json` into the folder `out`.

    ends: the benefit at the ends of the operating point's intervals (`Room.at_ends`). loads: of
    `benefit.over_loads`. Raises WriteError.
    """
    pictures = [
        ("How long studies wait", figures.waiting_times(benefit)),
        ("The worklist over the day", figures.worklist_over_the_day(benefit)),
    ]
    if loads:
        pictures.append(
            (
                "What is saved, against the load",
                figures.saved_against_load(loads, benefit.room.load),
            )
        )
    expected = expected_waits(benefit.room)
    page = pages.render(
        Path(__file__).with_name("triage.html"),
        benefit=benefit,
        room=benefit.room,
        headings=HEADINGS,
        rows=[cells(group) for group in benefit.groups],
        meaning={g.name: MEANING[g.name] for g in benefit.groups if g.name in MEANING},
        remarks=remarks(benefit),
        method=method(benefit),
        diseased=benefit.group("diseased") if benefit.has("diseased") else None,
        minutes=minutes,
        with_ends=_with_ends,
        ends=ends or {},
        expected=[
            (g.name, [(g.waits[a]["mean"], expected[g.name][a]) for a in ARMS])
            for g in benefit.groups
            if g.name in expected
        ],
        streams=[_stream_row(benefit.room, stream) for stream in benefit.room.streams],
        pictures=[(title, pages.data_uri(data, "image/png")) for title, data in pictures],
    )
    write_text(out / PAGE, page)
    text = json.dumps(plain(to_json(benefit, ends, loads)), indent=2, ensure_ascii=False)
    write_text(out / JSON, text + "\n")
    if is_report(out):
        _add_to_report(out, benefit, pictures)


def _add_to_report(out: Path, benefit: Benefit, pictures: list[tuple[str, bytes]]) -> None:
    room = benefit.room
    files = [(title, f"triage_{k}.png") for k, (title, _) in enumerate(pictures, start=1)]
    for (_, data), (_, name) in zip(pictures, files, strict=True):
        write_bytes(out / name, data)
    sentence = (
        f"Waiting times in minutes, without and with the model: {room.readers} readers, load"
        f" {room.load:.2f}, {room.replications} runs of {room.days} days, {benefit.studies}"
        " studies, by simulation."
    )
    rows = [cells(group) for group in benefit.groups]
    part = triage_section(sentence, HEADINGS, rows, remarks(benefit), method(benefit), files)
    add_section(out, part)


def _stream_row(room: Room, stream: Stream) -> dict[str, str]:
    return {
        "name": stream.name + (" (emergencies)" if stream.emergency else ""),
        "per_hour": f"{60 * room.rate(stream):.2f}",
        "reading": _reading_text(stream.reading),
        "diseases": "; ".join(
            f"{d.name} {100 * d.prevalence:g} %"
            + (f", {_reading_text(d.reading)}" if d.reading else "")
            for d in stream.diseases
        ),
        "models": "; ".join(
            f"{m.disease}: sensitivity {m.sensitivity:.3f}, specificity {m.specificity:.3f}"
            for m in stream.models
        ),
    }


def _reading_text(reading: Reading) -> str:
    spread = f" (cv {reading.cv:g})" if reading.shape == "lognormal" else ""
    return f"{reading.mean:g} min, {reading.shape}{spread}"


def _room_json(room: Room) -> dict[str, Any]:
    """The room without the long lists: arrival times and scores are counted."""
    found = asdict(room)
    for stream in found["streams"]:
        stream["times"] = len(stream["times"])
        for model in stream["models"]:
            scores = model.pop("scores")
            model["scored_cases"] = sum(len(v) for v in scores.values()) if scores else 0
    return found


def _numbers(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
