"""Random projects against a model of the rules, told independently of `replay`.

The machine draws queues, lets readers answer (in part, wrongly, again), adjudicates, corrects and
adds; after every step the state that `replay` makes is held against what the machine kept itself.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from radloop.labelling.draw import askable, disputes, open_queues
from radloop.labelling.events import Event, LogError, digest_of, event_line
from radloop.labelling.replay import replay, state_at

READERS = ("anna", "ben")
VALUES = st.sampled_from([0, 1, None])


class Project(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.given: dict[str, int | None] = {}
        self.said: dict[tuple[str, str], int | None] = {}
        self.all_said: list[tuple[str, str, int | None]] = []
        self.queues: dict[str, list[str]] = {}
        self.adjudicated: list[str] = []
        self.seen: list[tuple[int, str, dict[str, int | None]]] = []

    def write(self, kind: str, data: dict[str, Any]) -> None:
        number = len(self.events) + 1
        when = f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"
        before = self.events[-1].digest if self.events else ""
        event = Event(number, kind, when, "me", "why", data, before)
        line = event_line(event)
        self.events.append(Event(**{**vars(event), "digest": digest_of(line)}))

    def rows(self, labels: list[int | None]) -> list[dict[str, Any]]:
        first = len(self.given)
        rows = []
        for k, label in enumerate(labels, start=first):
            name = f"c{k}"
            self.given[name] = label
            rows.append({"item": name, "case": name, "image": f"{name}.png", "label": label})
        return rows

    @initialize(labels=st.lists(VALUES, min_size=1, max_size=8))
    def begin(self, labels: list[int | None]) -> None:
        data = {
            "format": 1, "question": "broken", "classes": [], "readers": list(READERS),
            "adjudicator": "chief", "cases": "cases.csv", "by_slice": False, "audit": 0.1,
            "seconds": 30.0, "seed": 0, "items": self.rows(labels),
        }  # fmt: skip
        self.write("started", data)

    @rule(labels=st.lists(VALUES, min_size=1, max_size=3))
    def add(self, labels: list[int | None]) -> None:
        self.write("added", {"items": self.rows(labels)})

    def draw(self, name: str, role: str, items: list[str], readers: list[str]) -> None:
        tasks = [[item, "because", 0.5] for item in items]
        self.write(
            "drawn",
            {"queue": name, "role": role, "readers": readers, "tasks": tasks, "seed": 0,
             "model": {"name": "m"}},
        )  # fmt: skip
        self.queues[name] = items

    @rule(data=st.data())
    def review(self, data: st.DataObject) -> None:
        left = list(askable(replay(self.events)))
        if left:
            items = data.draw(st.lists(st.sampled_from(left), unique=True, min_size=1))
            count = sum(name[0] == "q" for name in self.queues)
            self.draw(f"q{count + 1:03}", "review", items, list(READERS))

    @rule()
    def adjudicate(self) -> None:
        pending = list(disputes(replay(self.events)))
        if pending:
            count = sum(name[0] == "a" for name in self.queues)
            self.draw(f"a{count + 1:03}", "adjudication", pending, ["chief"])
            self.adjudicated += pending

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), correction=st.booleans())
    def answer(self, data: st.DataObject, correction: bool) -> None:
        queue = data.draw(st.sampled_from(sorted(self.queues)))
        reader = "chief" if queue[0] == "a" else data.draw(st.sampled_from(READERS))
        able = [
            name for name in self.queues[queue] if correction or (name, reader) not in self.said
        ]
        if not able:
            return
        items = data.draw(st.lists(st.sampled_from(able), unique=True, min_size=1))
        given = [(name, data.draw(VALUES)) for name in items]
        answers = [[name, value, "", None] for name, value in given]
        self.write(
            "answered",
            {"queue": queue, "reader": reader, "correction": correction, "answers": answers},
        )
        for name, value in given:
            self.said[name, reader] = value
            self.all_said.append((name, reader, value))

    def expected(self, name: str) -> int | None:
        if (name, "chief") in self.said:
            return self.said[name, "chief"]
        both = [self.said.get((name, reader)) for reader in READERS]
        return both[0] if both[0] is not None and both[0] == both[1] else self.given[name]

    @invariant()
    def holds(self) -> None:
        if not self.events:
            return
        state = replay(self.events)
        assert state == replay(list(self.events))
        # Labels are those of the rule, told here in its own words.
        labels = {name: state.label(name) for name in state.items}
        assert labels == {name: self.expected(name) for name in self.given}
        # Nothing is lost: every answer that was ever given is there, in order.
        assert [(a.item, a.reader, a.value) for a in state.said] == self.all_said
        assert {key: a.value for key, a in state.answers.items()} == self.said
        # Nothing is asked twice.
        for role in ("review", "adjudication"):
            asked = [t.item for q in state.queues if q.role == role for t in q.tasks]
            assert len(asked) == len(set(asked))
            assert role == "adjudication" or not set(asked) & set(askable(state))
        # What waits for an adjudicator are the complete disagreements that none was asked about.
        waiting = {
            name
            for queue, items in self.queues.items()
            if queue[0] == "q"
            for name in items
            if all((name, reader) in self.said for reader in READERS)
            and (len({self.said[name, r] for r in READERS}) > 1 or self.said[name, "anna"] is None)
        }
        assert set(disputes(state)) == waiting - set(self.adjudicated)
        for queue in open_queues(state, "review"):
            assert any((t.item, r) not in self.said for t in queue.tasks for r in READERS)
        # A version's labels never change afterwards.
        self.seen.append((len(self.events), state.version.name, labels))
        for number, version, then in self.seen[-4:]:
            past = replay(self.events[:number])
            assert past.version.name == version
            assert {name: past.label(name) for name in past.items} == then
            again = state_at(self.events, version)
            assert {n: again.label(n) for n in again.items if again.label(n) is not None} == {
                n: v for n, v in then.items() if v is not None
            }
        # Same name, same labels; other labels, another name.
        names = [version.name for version in state.versions]
        assert len(set(names)) == len(names)


TestProject = Project.TestCase
TestProject.settings = settings(
    max_examples=60, stateful_step_count=14, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def begun(**changes: Any) -> list[Event]:
    machine = Project()
    machine.begin([0, 1, None])
    machine.events = [
        Event(**{**vars(machine.events[0]), "data": {**machine.events[0].data, **changes}})
    ]
    return machine.events


def followed(kind: str, data: dict[str, Any]) -> list[Event]:
    return [*begun(), Event(2, kind, "2026-01-02T00:00:00Z", "me", "", data)]


QUEUE = {"queue": "q001", "role": "review", "readers": ["anna"], "seed": 0}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "empty"),
        (begun(format=2), "newer"),
        (begun(items=[{"item": "c0", "case": "c0", "image": "", "label": 7}]), "Line 1"),
        (begun()[:1] * 2, "follows"),
        ([Event(1, "drawn", "", "", "", {})], "does not begin"),
        (followed("drawn", {**QUEUE, "tasks": [["zz", "r", 0]]}), "Line 2"),
        (followed("drawn", {**QUEUE, "tasks": [["c0", "r", 0], ["c0", "r", 0]]}), "Line 2"),
        (followed("answered", {"queue": "q009"}), "Line 2"),
        (followed("added", {"items": [{"item": "c0", "case": "c0", "image": ""}]}), "Line 2"),
    ],
)
def test_a_log_that_contradicts_itself(events: list[Event], said: str) -> None:
    with pytest.raises(LogError, match=said):
        replay(events)


def test_a_moment_and_a_version() -> None:
    events = [*followed("added", {"items": [{"item": "n", "case": "n", "image": "", "label": 1}]})]
    assert set(state_at(events, "2026-01-01").items) == {"c0", "c1", "c2"}
    assert set(state_at(events, "2026-01-02").items) == {"c0", "c1", "c2", "n"}
    assert set(state_at(events, "v0").items) == {"c0", "c1", "c2"}
    with pytest.raises(LogError, match="no label version"):
        state_at(events, "v7")
    with pytest.raises(LogError, match="empty"):
        state_at(events, "2025")
