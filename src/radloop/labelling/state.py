"""What a labelling project knows at one moment: values only; `replay.py` makes them of the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

UNSURE = "u"
Role = Literal["review", "adjudication"]


@dataclass(frozen=True)
class Question:
    """What is asked of every item: a label that is there or not, or which of several classes.

    name: the label of the case table. classes: in order, for exclusive classes; empty for a yes/no
    question. A value is 1 or 0, or the number of the class, from 0.
    """

    name: str
    classes: tuple[str, ...] = ()

    @property
    def values(self) -> range:
        """Every value a label can have."""
        return range(len(self.classes) or 2)

    def text(self, value: int | None) -> str:
        """A value as sheets and tables write it; None, "cannot tell", is "u"."""
        if value is None:
            return UNSURE
        return self.classes[value] if self.classes else str(value)

    def parse(self, cell: str) -> int | None:
        """The value in a cell: "1", "0", a class by name or by its number from 1, or "u".

        Raises ValueError for anything else. "1.0" and "0.0" are what spreadsheets make of numbers.
        """
        cell = cell.strip()
        if cell.lower() == UNSURE and cell not in self.classes:
            return None
        if not self.classes:
            return {"1": 1, "0": 0, "1.0": 1, "0.0": 0}[cell] if cell in _YES_NO else _none(cell)
        if cell in self.classes:
            return self.classes.index(cell)
        number = cell.removesuffix(".0")
        if number.isdecimal() and 1 <= int(number) <= len(self.classes):
            return int(number) - 1
        return _none(cell)


_YES_NO = ("1", "0", "1.0", "0.0")


def _none(cell: str) -> int:
    raise ValueError(f"'{cell}' is no answer")


@dataclass(frozen=True)
class Item:
    """What is asked about: a case, or one slice of it.

    name: the case's identifier, or `case/slice`. image: its file or folder, relative to the
    project. slice: the place in a volume, from 0, or None for a whole image or a slice with a file
    of its own. given: the label it came with, from the case table; None = unknown.
    """

    name: str
    case_id: str
    image: str
    slice: int | None = None
    given: int | None = None


@dataclass(frozen=True)
class Task:
    """An item in a queue, and why: the reason and score of the `Pick`, never shown to a reader."""

    item: str
    reason: str
    score: float


@dataclass(frozen=True)
class Queue:
    """What was asked of whom.

    name: `q001` for reviews, `a001` for adjudications. token: the name and a few digits that no
    other project has; sheets carry it. model: what asked (name, version, sha256 of weights or of
    the predictions), empty without one. counts: how many items there were of each kind when it was
    drawn. outside: what the audit was *not* drawn from though it could be asked about: labelled
    items that the model contradicted or was silent on. number, when, why: of its event.
    """

    name: str
    token: str
    role: Role
    readers: tuple[str, ...]
    tasks: tuple[Task, ...]
    model: Mapping[str, str]
    counts: Mapping[str, int]
    outside: frozenset[str]
    seed: int
    number: int
    when: str
    why: str


@dataclass(frozen=True)
class Answer:
    """What a reader said of an item: a value, or None for "cannot tell". seconds: how long the
    reader took, where the page measured it. number, when, why: of its event."""

    item: str
    reader: str
    value: int | None
    queue: str
    number: int
    when: str
    why: str
    comment: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Label:
    """The label of an item from an event on: value (None = unknown), and where it comes from.

    source: "table", the readers who agreed ("anna+ben"), or who adjudicated. model: as of the queue
    that asked; empty for the table's.
    """

    value: int | None
    source: str
    number: int
    when: str
    why: str
    model: Mapping[str, str]


@dataclass(frozen=True)
class Version:
    """The labels in force after an event that changed some. name: `v3-1f2e3d4c`, the third such
    event and a digest of all known labels. changed: how many labels it changed."""

    name: str
    number: int
    when: str
    changed: int


@dataclass(frozen=True)
class Settings:
    """What was said when the project was made, and may be added to.

    cases: the case table, relative to the project. by_slice: items are slices. audit: the share of
    each queue that is a random audit. seconds: what one item is thought to cost a reader. locked:
    the fingerprint of the test set that decides which model replaces which; "" without one.
    """

    question: Question
    readers: tuple[str, ...]
    adjudicator: str
    cases: str
    by_slice: bool
    audit: float
    seconds: float
    seed: int
    locked: str = ""


@dataclass(frozen=True)
class State:
    """A project after some event.

    items: by name, in the order in which they came. answers: (item, reader) -> in force now.
    said: every answer ever given, in order. labels: item -> every label it had, the last in force.
    versions: the first is that of the case table. promotions: what was decided about models.
    events: how many there were.
    """

    settings: Settings
    items: Mapping[str, Item]
    queues: tuple[Queue, ...]
    answers: Mapping[tuple[str, str], Answer]
    said: tuple[Answer, ...]
    labels: Mapping[str, tuple[Label, ...]]
    versions: tuple[Version, ...]
    promotions: tuple[Mapping[str, Any], ...]
    events: int

    def label(self, item: str) -> int | None:
        """The label in force; None = unknown."""
        return self.labels[item][-1].value

    @property
    def version(self) -> Version:
        """The version in force."""
        return self.versions[-1]

    def queue_of(self, item: str, role: Role = "review") -> Queue | None:
        """The queue of this kind that asks about the item; there is never more than one."""
        for queue in self.queues:
            if queue.role == role and any(task.item == item for task in queue.tasks):
                return queue
        return None

    def open_tasks(self, queue: Queue, reader: str) -> tuple[Task, ...]:
        """What a reader of the queue has not answered yet."""
        return tuple(task for task in queue.tasks if (task.item, reader) not in self.answers)

    def is_open(self, queue: Queue) -> bool:
        """Whether any of its readers has something left to answer."""
        return any(self.open_tasks(queue, reader) for reader in queue.readers)
