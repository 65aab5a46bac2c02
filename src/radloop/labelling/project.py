"""A labelling project: a folder with a log, and the sheets and pages it gave out.

Each command reads the log, decides, and appends at most a few events; sheets and pages can be made
again from the log at any time. A command that was killed has either recorded an event or not:
running it again goes on from there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radloop.cases.table import CaseTable, read_cases
from radloop.errors import InputError
from radloop.images.write import write_text
from radloop.labelling.candidates import Said, build_pool
from radloop.labelling.draw import (
    Strategy,
    askable,
    audited_not,
    compose,
    count_kinds,
    disputes,
    open_queues,
    random_picks,
)
from radloop.labelling.events import FORMAT, Event
from radloop.labelling.items import LOCKED, items_of
from radloop.labelling.locked import fingerprint_of
from radloop.labelling.log import LOG, EventLog, writing
from radloop.labelling.page import write_page
from radloop.labelling.pool import Numbers, Pick
from radloop.labelling.replay import replay, state_at
from radloop.labelling.sheet import Given, SheetError, read_sheet, sheet_text
from radloop.labelling.state import Question, Queue, Role, State

QUEUES = "queues"
_NAME = re.compile(r"[\w.-]+")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asking:
    """What the next queue shall hold: at most `k` items, a `share` of them for the audit.

    said: what the model says; None asks about a random sample. review, explore: the strategies for
    items with and without a label; `why` names them for the log.
    """

    k: int
    share: float
    review: Strategy | None = None
    explore: Strategy | None = None
    said: Said | None = None
    threshold: float | None = None
    features: dict[str, Numbers] | None = None
    why: str = ""


@dataclass(frozen=True)
class Issued:
    """One reader's part of a queue. left: items still to answer. fresh: drawn just now. kept: its
    sheet was there already and was not touched: it may hold answers."""

    queue: Queue
    reader: str
    sheet: Path
    page: Path | None
    left: int
    fresh: bool
    kept: bool


def load(folder: Path, at: str = "") -> tuple[State, int]:
    """The state now, or at a moment or a label version; and the bytes of a cut-off last line that
    were passed over. Raises LogError."""
    log = EventLog(folder)
    events = log.read()
    return (state_at(events, at) if at else replay(events)), log.repaired


def start(
    folder: Path,
    cases: Path,
    question: Question,
    *,
    readers: Sequence[str],
    adjudicator: str = "",
    by_slice: bool = False,
    splits: Sequence[str] = (),
    audit: float = 0.1,
    seconds: float = 30.0,
    seed: int = 0,
    who: str = "",
    why: str = "",
) -> State:
    """Make a project of the items of a case table (`items_of` says which).

    Raises InputError: there is a project already, a reader twice, an adjudicator who is a reader.
    """
    _check_people(readers, adjudicator)
    if not readers:
        raise InputError("A project needs a reader.", "Name one with --reader.")
    if len(readers) > 1 and not adjudicator:
        raise InputError(
            "Several readers will disagree somewhere.", "Name who settles it with --adjudicator."
        )
    if len(set(question.classes)) != len(question.classes) or len(question.classes) == 1:
        raise InputError("Classes are two or more, each with its own name.")
    table = read_cases(cases)
    with writing(folder, new=True) as log:
        if (folder / LOG).exists() and (folder / LOG).stat().st_size:
            raise InputError(
                f"{folder.name} is a labelling project already.",
                "Choose another folder, or go on with `radloop label next`.",
            )
        items = items_of(table, question, folder, by_slice=by_slice, splits=splits)
        data: dict[str, Any] = {
            "format": FORMAT,
            "question": question.name,
            "classes": list(question.classes),
            "readers": list(readers),
            "adjudicator": adjudicator,
            "cases": _from(folder, cases),
            "by_slice": by_slice,
            "audit": audit,
            "seconds": seconds,
            "seed": seed,
            "locked": "" if LOCKED in splits else fingerprint_of(table, question, by_slice),
            "items": items,
        }
        return replay([log.append((), "started", who, why, data)])


def add(
    folder: Path,
    *,
    cases: Path | None = None,
    splits: Sequence[str] = (),
    readers: Sequence[str] = (),
    adjudicator: str = "",
    who: str = "",
    why: str = "",
) -> tuple[State, int]:
    """Add the items of a table that are not there yet, readers (asked from the next queue on), or
    an adjudicator. Returns the state and the number of new items."""
    table: CaseTable | None = read_cases(cases) if cases else None
    with writing(folder) as log:
        events = log.read()
        state = replay(events)
        _check_people(
            [*state.settings.readers, *readers], adjudicator or state.settings.adjudicator
        )
        items = []
        if table is not None:
            found = items_of(
                table, state.settings.question, folder,
                by_slice=state.settings.by_slice, splits=splits,
            )  # fmt: skip
            items = [row for row in found if row["item"] not in state.items]
        data = {"items": items, "more_readers": list(readers), "new_adjudicator": adjudicator}
        if any(data.values()):
            events = (*events, log.append(events, "added", who, why, data))
        return replay(events), len(items)


def next_queues(
    folder: Path,
    asking: Asking | None,
    *,
    pages: bool = True,
    who: str = "",
    progress: Progress | None = None,
) -> tuple[State, list[Issued]]:
    """Give out what is to be read: open queues again, new disagreements to the adjudicator, and
    where no review is open, the queue that `asking` describes.

    A sheet that exists is never written over. Raises InputError when there is nothing open and
    `asking` is None.
    """
    with writing(folder) as log:
        events = log.read()
        state = replay(events)
        fresh: list[str] = []
        pending = disputes(state)
        if pending and state.settings.adjudicator:
            picks = tuple(Pick(name, "disagreement", 0.0) for name in pending)
            people = (state.settings.adjudicator,)
            data = _drawn(state, "adjudication", people, picks)
            why = "the readers disagree, or cannot tell"
            events = (*events, log.append(events, "drawn", who, why, data))
            fresh.append(data["queue"])
            state = replay(events)
        if not open_queues(state, "review"):
            if asking is not None:
                data = _ask(state, asking)
                if data["tasks"]:
                    events = (*events, log.append(events, "drawn", who, asking.why, data))
                    fresh.append(data["queue"])
                    state = replay(events)
            elif not open_queues(state, "adjudication"):
                raise InputError(
                    "No queue is open.",
                    "Give --predictions of a model, or --random for a first queue without one.",
                )
        return state, _issue(folder, state, fresh, pages, progress)


def import_sheets(
    folder: Path,
    sheets: Sequence[Path],
    *,
    reader: str = "",
    correct: str = "",
    who: str = "",
) -> tuple[State, list[Given]]:
    """Record the answers of filled-in sheets: of all of them, or when any does not fit, of none.

    correct: why answers that were given before may change; "" refuses such. Raises SheetError.
    """
    with writing(folder) as log:
        events = log.read()
        state = replay(events)
        given = [read_sheet(path, state, reader, correcting=bool(correct)) for path in sheets]
        seen: dict[tuple[str, str], Path] = {}
        for path, one in zip(sheets, given, strict=True):
            key = (one.queue.name, one.reader)
            if key in seen:
                told = f"{seen[key].name} is a sheet of {one.reader} for this queue, too"
                raise SheetError(path.name, [f"{told}: import one at a time"])
            seen[key] = path
        for one in given:
            if one.answers:
                data = {
                    "queue": one.queue.name,
                    "reader": one.reader,
                    "correction": bool(correct),
                    "answers": [list(answer) for answer in one.answers],
                }
                why = correct or one.queue.why
                events = (*events, log.append(events, "answered", who, why, data))
        return replay(events), given


def record(folder: Path, kind: str, data: dict[str, Any], *, who: str, why: str) -> Event:
    """Append an event that changes no label, such as "promoted"."""
    with writing(folder) as log:
        events = log.read()
        return log.append(events, kind, who, why, data)


def _ask(state: State, asking: Asking) -> dict[str, Any]:
    """The data of the event that draws the queue; without tasks when nothing is left to ask."""
    names = askable(state)
    seed = _seed_of(state)
    if asking.said is None:
        picks = random_picks(names, asking.k, seed)
        return _drawn(state, "review", state.settings.readers, picks)
    if asking.review is None or asking.explore is None:
        raise ValueError("predictions need strategies")
    fresh = set(names)
    if names and not fresh & asking.said.probabilities.keys():
        raise InputError(
            f"The predictions name none of the {len(names)} items that can be asked about.",
            "Predict the cases of the project's table; a slice is named case_id/slice.",
        )
    asked = {name for name in state.items if name not in fresh}
    known = [n for n in state.items if n in fresh or state.label(n) is not None]
    pool = build_pool(state, known, asking.said, asking.threshold, asking.features)
    picks = compose(pool, asked, asking.k, asking.share, asking.review, asking.explore, seed)
    counts = count_kinds(pool, fresh)
    outside = audited_not(pool, [name for name in names if state.label(name) is not None])
    model = asking.said.model
    return _drawn(state, "review", state.settings.readers, picks, model, counts, outside)


def _drawn(
    state: State,
    role: Role,
    readers: Sequence[str],
    picks: Sequence[Pick],
    model: Mapping[str, str] | None = None,
    counts: Mapping[str, int] | None = None,
    outside: Sequence[str] = (),
) -> dict[str, Any]:
    count = sum(queue.role == role for queue in state.queues) + 1
    return {
        "queue": f"{'q' if role == 'review' else 'a'}{count:03}",
        "role": role,
        "readers": list(readers),
        "tasks": [[pick.case_id, pick.reason, round(float(pick.score), 6)] for pick in picks],
        "model": dict(model or {}),
        "counts": dict(counts or {}),
        "outside": list(outside),
        "seed": _seed_of(state),
    }


def _seed_of(state: State) -> int:
    """Of the next draw: another for each event, the same when a killed draw is made again."""
    return state.settings.seed * 1_000_003 + state.events


def _issue(
    folder: Path, state: State, fresh: Sequence[str], pages: bool, progress: Progress | None
) -> list[Issued]:
    queues = (*open_queues(state, "adjudication"), *open_queues(state, "review"))
    parts = [(q, reader) for q in queues for reader in q.readers if state.open_tasks(q, reader)]
    issued = []
    for queue, reader in parts:
        place = folder / QUEUES / queue.name
        sheet, page = place / f"{reader}.csv", place / f"{reader}.html"
        kept = sheet.exists()
        if not kept:
            write_text(sheet, sheet_text(state, queue, reader, folder, place))
        if pages and not page.exists():
            write_page(page, state, queue, reader, folder, progress)
        left = len(state.open_tasks(queue, reader))
        shown = page if page.exists() else None
        issued.append(Issued(queue, reader, sheet, shown, left, queue.name in fresh, kept))
    return issued


def _check_people(readers: Sequence[str], adjudicator: str) -> None:
    for name in (*readers, *([adjudicator] if adjudicator else [])):
        if not _NAME.fullmatch(name):
            raise InputError(
                f"'{name}' is no name for a reader.", "Use letters, digits, '.', '-' and '_'."
            )
    doubled = [name for name in readers if readers.count(name) > 1]
    if doubled:
        raise InputError(f"The reader '{doubled[0]}' is there twice.", "Give each their own name.")
    if adjudicator in readers:
        raise InputError(
            f"'{adjudicator}' cannot settle a disagreement that they are part of.",
            "Name an adjudicator who is none of the readers.",
        )


def _from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
