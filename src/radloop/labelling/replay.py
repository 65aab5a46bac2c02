"""`replay`: the state that a log's events lead to; a pure function, the only maker of a `State`.

The label in force of an item follows from the answers in force, by this rule:

1. an adjudicator's answer; "cannot tell" there makes the label unknown;
2. else, once every reader of the item's queue has answered, the value that all of them gave;
3. else, the label it came with.

So two readers who disagree, or one who cannot tell, leave the label as it was until an adjudicator
has spoken. Every change is a new entry in the item's history; nothing is removed from one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from radloop.labelling.events import FORMAT, Event, LogError
from radloop.labelling.state import (
    Answer,
    Item,
    Label,
    Question,
    Queue,
    Settings,
    State,
    Task,
    Version,
)

TABLE = "table"


def replay(events: Iterable[Event]) -> State:
    """The state after `events`, the first of which is "started".

    Raises LogError for an empty log, one of a newer version, or one that contradicts itself.
    """
    building: _Building | None = None
    for event in events:
        try:
            if building is None:
                building = _Building(event)
            else:
                building.apply(event)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise LogError(
                f"Line {event.number} of the log does not say what an event of the kind"
                f" '{event.kind}' has to say ({type(error).__name__}).",
                "Restore the log from a copy.",
            ) from error
    if building is None:
        raise LogError("The log is empty.", "Make a project with `radloop label start`.")
    return building.state()


def state_at(events: Iterable[Event], when: str) -> State:
    """The state at a moment (`2026-05-01T12:00:00Z`, or the start of it) or a version's name.

    Raises LogError when there was no project yet, or no such version.
    """
    kept = list(events)
    if when[:1] == "v":
        for version in replay(kept).versions:
            if when in (version.name, version.name.partition("-")[0]):
                return replay(kept[: version.number])
        raise LogError(f"There is no label version '{when}'.", "`radloop label status` lists them.")
    return replay([event for event in kept if event.when[: len(when)] <= when])


def decide(item: Item, review: Queue | None, adjudication: Queue | None, answers: Answers) -> Known:
    """The label that follows from the answers in force: its value, its source, and its queue."""
    if adjudication is not None:
        (adjudicator,) = adjudication.readers
        answer = answers.get((item.name, adjudicator))
        if answer is not None:
            return answer.value, adjudicator, adjudication
    if review is not None:
        given = [answers.get((item.name, reader)) for reader in review.readers]
        values = {None if answer is None else answer.value for answer in given}
        if len(values) == 1 and (value := values.pop()) is not None:
            return value, "+".join(review.readers), review
    return item.given, TABLE, None


Answers = Mapping[tuple[str, str], Answer]
Known = tuple[int | None, str, Queue | None]


class _Building:
    """The state while it is made, changed in place, so that a long log is replayed in one pass."""

    def __init__(self, event: Event) -> None:
        if event.kind != "started":
            raise LogError("The log does not begin with the start of a project.")
        if event.data["format"] > FORMAT:
            raise LogError(
                "The project was made by a newer Radloop.", "Upgrade this one to work on it."
            )
        self.settings = _settings(event.data)
        self.items: dict[str, Item] = {}
        self.queues: dict[str, Queue] = {}
        self.asked: dict[str, dict[str, Queue]] = {"review": {}, "adjudication": {}}
        self.answers: dict[tuple[str, str], Answer] = {}
        self.said: list[Answer] = []
        self.labels: dict[str, list[Label]] = {}
        self.versions: list[Version] = []
        self.promotions: list[Mapping[str, Any]] = []
        self.known = 0
        self.events = 0
        self.apply(event)

    def apply(self, event: Event) -> None:
        if event.number != self.events + 1:
            raise LogError(f"Event {event.number} follows event {self.events}.")
        self.events = event.number
        changed = {
            "started": self._add,
            "added": self._add,
            "drawn": self._draw,
            "answered": self._answer,
            "promoted": self._promote,
        }[event.kind](event)
        if changed or not self.versions:
            name = f"v{len(self.versions)}-{self._digest()}"
            self.versions.append(Version(name, event.number, event.when, changed))

    def state(self) -> State:
        return State(
            self.settings,
            dict(self.items),
            tuple(self.queues.values()),
            dict(self.answers),
            tuple(self.said),
            {name: tuple(history) for name, history in self.labels.items()},
            tuple(self.versions),
            tuple(self.promotions),
            self.events,
        )

    def _add(self, event: Event) -> int:
        """Items and readers; the number of labels that came with them."""
        known = 0
        for row in event.data.get("items", ()):
            item = Item(row["item"], row["case"], row["image"], row.get("slice"), row.get("label"))
            if item.name in self.items:
                raise ValueError("an item was added twice")
            self._check(item.given)
            self.items[item.name] = item
            label = Label(item.given, TABLE, event.number, event.when, event.why, {})
            self.labels[item.name] = [label]
            self.known += _weight(item.name, item.given)
            known += item.given is not None
        more = event.data.get("more_readers", ())
        self.settings = Settings(
            **{
                **vars(self.settings),
                "readers": (*self.settings.readers, *more),
                "adjudicator": event.data.get("new_adjudicator") or self.settings.adjudicator,
            }
        )
        return known

    def _draw(self, event: Event) -> int:
        data = event.data
        queue = Queue(
            name=data["queue"],
            token=f"{data['queue']}-{event.digest[:6]}",
            role=data["role"],
            readers=tuple(data["readers"]),
            tasks=tuple(Task(*task) for task in data["tasks"]),
            model=data.get("model", {}),
            counts=data.get("counts", {}),
            outside=frozenset(data.get("outside", ())),
            seed=data["seed"],
            number=event.number,
            when=event.when,
            why=event.why,
        )
        asked = self.asked[queue.role]
        if queue.name in self.queues:
            raise ValueError("two queues of one name")
        for task in queue.tasks:
            if task.item not in self.items or task.item in asked:
                raise ValueError("an item is unknown or was asked before")
            asked[task.item] = queue
        self.queues[queue.name] = queue
        return 0

    def _answer(self, event: Event) -> int:
        data = event.data
        queue = self.queues[data["queue"]]
        reader = data["reader"]
        if reader not in queue.readers:
            raise ValueError("an answer of someone who was not asked")
        changed = 0
        for name, value, comment, seconds in data["answers"]:
            if self.asked[queue.role].get(name) is not queue:
                raise ValueError("an answer to an item that was not asked")
            if (name, reader) in self.answers and not data.get("correction"):
                raise ValueError("an item was answered twice")
            self._check(value)
            answer = Answer(
                name, reader, value, queue.name, event.number, event.when, event.why,
                comment, seconds,
            )  # fmt: skip
            self.answers[name, reader] = answer
            self.said.append(answer)
            changed += self._relabel(name, event)
        return changed

    def _relabel(self, name: str, event: Event) -> bool:
        """Bring an item's label up to its answers; whether its value changed."""
        review, adjudication = (self.asked[role].get(name) for role in ("review", "adjudication"))
        value, source, queue = decide(self.items[name], review, adjudication, self.answers)
        last = self.labels[name][-1]
        if (value, source) == (last.value, last.source):
            return False
        model = queue.model if queue else {}
        label = Label(value, source, event.number, event.when, event.why, model)
        self.labels[name].append(label)
        self.known += _weight(name, value) - _weight(name, last.value)
        return value != last.value

    def _promote(self, event: Event) -> int:
        self.promotions.append({**event.data, "when": event.when, "who": event.who})
        return 0

    def _check(self, value: int | None) -> None:
        if value is not None and value not in self.settings.question.values:
            raise ValueError("a label that is no answer to the question")

    def _digest(self) -> str:
        """Of the question and all known labels. A sum, so that one change costs one addition."""
        question = self.settings.question
        content = json.dumps([question.name, question.classes, self.known % _MODULUS])
        return hashlib.sha256(content.encode()).hexdigest()[:8]


_MODULUS = 2**128


def _weight(name: str, value: int | None) -> int:
    """A known label as a number that no other label has; 0 for an unknown one."""
    if value is None:
        return 0
    return int.from_bytes(hashlib.sha256(json.dumps([name, value]).encode()).digest()[:16])


def _settings(data: Mapping[str, Any]) -> Settings:
    return Settings(
        question=Question(data["question"], tuple(data["classes"])),
        readers=tuple(data["readers"]),
        adjudicator=data["adjudicator"],
        cases=data["cases"],
        by_slice=data["by_slice"],
        audit=float(data["audit"]),
        seconds=float(data["seconds"]),
        seed=int(data["seed"]),
        locked=data.get("locked", ""),
    )
