"""The sheet of one reader and one queue: a CSV that a spreadsheet or the page of pictures fills in.

Columns `queue`, `reader`, `item`, `image`, `answer`, `seconds`, `comment`. It says nothing of
labels, probabilities or reasons. Reading it back is all or nothing: every row that does not fit is
listed, and then none is taken.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radloop.cases.csv_text import Row, csv_text, read_rows
from radloop.cases.table import number_of
from radloop.errors import InputError
from radloop.labelling.draw import blinded
from radloop.labelling.state import Queue, State

COLUMNS = ("queue", "reader", "item", "image", "answer", "seconds", "comment")
_NEEDED = ("queue", "reader", "item", "answer")
_MOST_LISTED = 20
_LONGEST = 2000


class SheetError(InputError):
    """A sheet of which nothing was taken; `problems` lists every row that does not fit."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        shown = "\n".join(f"  {problem}" for problem in problems[:_MOST_LISTED])
        more = len(problems) - _MOST_LISTED
        super().__init__(
            f"{name} was not imported; nothing of it was taken:\n{shown}"
            + (f"\n  and {more} more" if more > 0 else "")
            + "\n",
            "Correct these and import it again.",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Given:
    """What a sheet adds: answers of one reader to one queue. unchanged: answers that were known;
    empty: items still without one."""

    queue: Queue
    reader: str
    answers: tuple[tuple[str, int | None, str, float | None], ...]
    unchanged: int
    empty: int


def sheet_text(state: State, queue: Queue, reader: str, project: Path, folder: Path) -> str:
    """The sheet as CSV, in the reader's blinded order, of what is still to be answered.

    project: the folder the items' images are relative to. folder: where the sheet will lie; its
    image paths are relative to that.
    """
    left = {task.item for task in state.open_tasks(queue, reader)}
    rows = [
        {
            "queue": queue.token,
            "reader": reader,
            "item": name,
            "image": _relative(project / state.items[name].image, folder)
            + ("" if (k := state.items[name].slice) is None else f"#{k}"),
        }
        for name in blinded(left, queue.token, reader)
    ]
    return csv_text(COLUMNS, rows)


def read_sheet(path: Path, state: State, reader: str = "", *, correcting: bool = False) -> Given:
    """What a filled-in sheet adds to the state.

    reader: whose it must be; "" for whoever it says. correcting: answers that differ from those
    given before replace them. Rows without an answer are left for later.

    Raises CaseTableError for a file that is no CSV, SheetError otherwise: no such queue, someone
    else's sheet, an item that was not asked, an answer that is none, an item answered twice
    differently (in the sheet, or before).
    """
    columns, rows = read_rows(path)
    missing = [column for column in _NEEDED if column not in columns]
    if missing:
        raise SheetError(path.name, [f"it has no column '{missing[0]}': it is not a queue's sheet"])
    queue, whose = _whose(path, rows, state, reader)
    asked = {task.item for task in queue.tasks}
    problems: list[str] = []
    answers: dict[str, tuple[int | None, str, float | None]] = {}
    unchanged, empty = 0, 0
    for row in rows:
        name, cell = row.cells["item"].strip(), row.cells["answer"].strip()
        told = f"row {row.number}, {name or 'no item'}:"
        if name not in asked:
            known = "was not asked in this queue" if name in state.items else "is unknown"
            problems.append(f"{told} the item {known}")
            continue
        if not cell:
            empty += 1
            continue
        try:
            value = state.settings.question.parse(cell)
            seconds = _seconds(row)
        except ValueError as error:
            problems.append(f"{told} {error}; {_legal(state)}")
            continue
        before = state.answers.get((name, whose))
        if name in answers:
            if answers[name][0] != value:
                problems.append(f"{told} answered twice, and differently, in this sheet")
        elif before is not None and before.value == value:
            unchanged += 1
        elif before is not None and not correcting:
            was = state.settings.question.text(before.value)
            problems.append(
                f"{told} {whose} answered '{was}' before; to correct it, import with --correct"
            )
        else:
            answers[name] = (value, row.cells.get("comment", "").strip()[:_LONGEST], seconds)
    if problems:
        raise SheetError(path.name, problems)
    given = tuple((name, *answer) for name, answer in answers.items())
    return Given(queue, whose, given, unchanged, empty)


def _whose(path: Path, rows: Sequence[Row], state: State, reader: str) -> tuple[Queue, str]:
    """The queue and the reader that every row names."""
    problems = []
    tokens = {row.cells["queue"].strip() for row in rows}
    queues = {queue.token: queue for queue in state.queues}
    for token in sorted(tokens - queues.keys()):
        row = next(row for row in rows if row.cells["queue"].strip() == token)
        problems.append(f"row {row.number}: this project has no queue '{token}'")
    if not problems and len(tokens) > 1:
        problems.append(f"it mixes the queues {', '.join(sorted(tokens))}: import one at a time")
    if problems:
        raise SheetError(path.name, problems)
    queue = queues[tokens.pop()]
    for row in rows:
        named = row.cells["reader"].strip()
        if reader and named != reader:
            problems.append(f"row {row.number}: the sheet is of '{named}', not of '{reader}'")
        elif named not in queue.readers:
            problems.append(f"row {row.number}: '{named}' was not asked in the queue {queue.name}")
    if not problems and len({row.cells["reader"].strip() for row in rows}) > 1:
        problems.append("it mixes the answers of several readers: import one at a time")
    if problems:
        raise SheetError(path.name, problems)
    return queue, rows[0].cells["reader"].strip()


def _seconds(row: Row) -> float | None:
    cell = row.cells.get("seconds", "").strip()
    if not cell:
        return None
    seconds = number_of(cell)
    if seconds is None or seconds < 0:
        raise ValueError(f"seconds '{cell}' is no duration")
    return seconds


def _legal(state: State) -> str:
    question = state.settings.question
    values = ", ".join(question.text(value) for value in question.values)
    return f"an answer is one of {values}, or u for 'cannot tell'"


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
