"""What is still wrong, from a project's own audits; and which model may replace which."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_films import make, write_cases, write_predictions

from radloop.errors import InputError
from radloop.labelling.candidates import Said, read_predictions
from radloop.labelling.draw import askable, audited_not, compose
from radloop.labelling.events import Event
from radloop.labelling.locked import judge, model_in_force
from radloop.labelling.outlook import outlook
from radloop.labelling.pool import Pool
from radloop.labelling.project import add, load, record, start
from radloop.labelling.promotion import LockedSetError
from radloop.labelling.replay import replay
from radloop.labelling.state import Question, State
from radloop.labelling.strategies import INFORMATIVE, REVIEW


class Loop:
    """A project in memory: 200 items, a fifth wrong, and a model that has learnt half of those."""

    def __init__(self, seed: int, readers: tuple[str, ...] = ("anna",)) -> None:
        self.random = np.random.default_rng(seed)
        self.truth = self.random.integers(0, 2, 200)
        wrong = self.random.random(200) < 0.2
        given = np.where(wrong, 1 - self.truth, self.truth)
        right_call = self.random.random(200) < np.where(wrong, 0.5, 0.9)
        self.called = np.where(right_call, self.truth, 1 - self.truth)
        self.readers = readers
        self.seed = seed
        self.events: list[Event] = []
        items = [
            {"item": f"c{k}", "case": f"c{k}", "image": "", "label": int(v)}
            for k, v in enumerate(given)
        ]
        self.write(
            "started", format=1, question="broken", classes=[], readers=list(readers),
            adjudicator="", cases="", by_slice=False, audit=0.1, seconds=1.0, seed=0, items=items,
        )  # fmt: skip

    def write(self, kind: str, **data: Any) -> None:
        number = len(self.events) + 1
        self.events.append(Event(number, kind, "2026", "me", "", data, "", f"{number:016}"))

    @property
    def state(self) -> State:
        return replay(self.events)

    def draw(self, k: int, share: float) -> None:
        state = self.state
        names = askable(state)
        labels = np.array([state.label(name) for name in state.items], float)
        pool = Pool(tuple(state.items), labels, np.where(self.called == 1, 0.9, 0.1))
        asked = set(state.items) - set(names)
        ranks = REVIEW["errors"], INFORMATIVE["uncertainty"]
        picks = compose(pool, asked, k, share, *ranks, self.seed + len(self.events))
        queue = f"q{len(state.queues) + 1:03}"
        self.write(
            "drawn", queue=queue, role="review", readers=list(self.readers), seed=0,
            model={"name": "m"}, outside=list(audited_not(pool, names)),
            tasks=[[pick.case_id, pick.reason, 0.0] for pick in picks],
        )  # fmt: skip

    def answer(self, reader: str, say: Callable[[str], int | None] | None = None) -> None:
        queue = self.state.queues[-1]
        names = [task.item for task in queue.tasks]
        answers = [[n, say(n) if say else int(self.truth[int(n[1:])]), "", None] for n in names]
        self.write("answered", queue=queue.name, reader=reader, correction=False, answers=answers)

    def still_wrong(self) -> int:
        state = self.state
        return sum(state.label(f"c{k}") != v for k, v in enumerate(self.truth))


def test_the_interval_covers_what_is_wrong() -> None:
    """Three rounds that do not get through the disputes; 95 % intervals, 80 projects."""
    held, width = 0, []
    for seed in range(80):
        loop = Loop(seed)
        for _ in range(3):
            loop.draw(25, 0.4)
            loop.answer("anna")
        left = outlook(loop.state).remaining
        held += left.low <= loop.still_wrong() <= left.high
        width.append(left.high - left.low)
    assert held >= 73  # 95 % of 80 less two standard deviations is 72
    assert np.mean(width) < 60


def test_it_stops_when_everything_was_read() -> None:
    loop = Loop(0)
    for _ in range(20):
        loop.draw(25, 0.4)
        if not loop.state.queues[-1].tasks:
            break
        loop.answer("anna")
    found = outlook(loop.state)
    assert (found.remaining.unread, found.remaining.high, loop.still_wrong()) == (0, 0, 0)
    assert found.stop
    assert found.advice().startswith("Stop")


def test_an_audit_counts_when_all_of_it_is_answered() -> None:
    loop = Loop(1, ("anna", "ben"))
    assert math.isnan(outlook(loop.state).remaining.wrong)
    loop.draw(20, 0.5)
    loop.answer("anna")
    assert outlook(loop.state).audits == ()
    loop.answer("ben")
    (audit,) = outlook(loop.state).audits
    assert audit.read == 10
    given = {name: item.given for name, item in loop.state.items.items()}
    agreed = sum(given[f"c{k}"] == call for k, call in enumerate(loop.called))
    assert audit.population == agreed
    assert audit.outside == 200 - agreed - 10
    tasks = [t.item for t in loop.state.queues[0].tasks if t.reason == "audit"]
    assert audit.wrong == sum(given[name] != loop.truth[int(name[1:])] for name in tasks)


def test_an_audited_label_in_dispute_counts_as_wrong() -> None:
    loop = Loop(2, ("anna", "ben"))
    loop.draw(10, 1.0)
    loop.answer("anna", lambda name: loop.state.items[name].given)
    loop.answer("ben", lambda name: None)
    (audit,) = outlook(loop.state).audits
    assert (audit.read, audit.wrong) == (10, 10)
    assert outlook(loop.state).remaining.unread == 200


def test_advice() -> None:
    loop = Loop(3)
    loop.draw(10, 0.5)
    loop.answer("anna")
    found = outlook(loop.state)
    assert not found.stop
    assert found.advice().startswith(f"Go on: {found.disputed} unread labels were contradicted")
    assert outlook(loop.state, target=0.99).stop


# Which model may replace which.


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    cases = write_cases(tmp_path, [k % 2 for k in range(40)], ["train"] * 10 + ["test"] * 30)
    start(tmp_path / "p", cases, Question("broken"), readers=["anna"])
    return tmp_path / "p"


def said(folder: Path, name: str, sure: float, cases: range = range(10, 40)) -> Said:
    """A model that gives positives `sure` more than negatives, with the same noise for all."""
    noise = np.random.default_rng(1).random(40)
    values = {f"c{k:02}": float(0.5 * noise[k] + sure * (k % 2)) for k in cases}
    return read_predictions(
        [write_predictions(folder / f"{name}.csv", values)], Question("broken"), False
    )


def test_a_model_replaces_one_that_is_no_better(locked: Path, tmp_path: Path) -> None:
    weak, strong = said(tmp_path, "weak", 0.1), said(tmp_path, "strong", 0.5)
    state, _ = load(locked)
    first, data = judge(state, locked, weak, None)
    assert (first.promoted, first.verdict, first.cases) == (True, "first", 30)
    record(locked, "promoted", data, who="me", why="")
    state, _ = load(locked)
    assert model_in_force(state) == weak.model
    with pytest.raises(InputError, match="model in force is"):
        judge(state, locked, strong, None)
    with pytest.raises(InputError, match="holds no predictions of it"):
        judge(state, locked, weak, strong)
    better, data = judge(state, locked, strong, weak)
    assert (better.promoted, better.verdict) == (True, "superior")
    record(locked, "promoted", data, who="me", why="")
    state, _ = load(locked)
    worse, data = judge(state, locked, weak, strong)
    assert (worse.promoted, worse.verdict) == (False, "inferior")
    record(locked, "promoted", data, who="me", why="")
    state, _ = load(locked)
    assert model_in_force(state) == strong.model  # the refusal is recorded and changes nothing
    assert [one["promoted"] for one in state.promotions] == [True, True, False]


def test_the_locked_set_must_be_whole_and_unchanged(locked: Path, tmp_path: Path) -> None:
    state, _ = load(locked)
    with pytest.raises(LockedSetError, match="no score for 10 of 30"):
        judge(state, locked, said(tmp_path, "part", 0.5, range(20, 40)), None)
    labels = [k % 2 for k in range(39)]
    write_cases(tmp_path, [*labels, 0], ["train"] * 10 + ["test"] * 30)
    with pytest.raises(LockedSetError, match="not the one that was locked"):
        judge(state, locked, said(tmp_path, "new", 0.5), None)


def test_a_locked_set_that_readers_were_asked_about_judges_nothing(
    locked: Path, tmp_path: Path
) -> None:
    state, new = add(locked, cases=tmp_path / "cases.csv", splits=["test"])
    assert new == 30
    with pytest.raises(LockedSetError, match="30 patients of the locked"):
        judge(state, locked, said(tmp_path, "new", 0.5), None)


def test_what_has_no_label_is_no_reason_to_stop() -> None:
    loop = Loop(0)
    more = [{"item": f"n{k}", "case": f"n{k}", "image": ""} for k in range(7)]
    for _ in range(20):
        loop.draw(25, 0.4)
        if not loop.state.queues[-1].tasks:
            break
        loop.answer("anna")
    loop.write("added", items=more)
    found = outlook(loop.state)
    assert (found.stop, found.unlabelled) == (True, 7)
    assert "7 items have no label yet" in found.advice()


def test_every_label_was_read_without_an_audit() -> None:
    loop = Loop(0)
    while askable(loop.state):
        loop.draw(100, 0.0)
        if not loop.state.queues[-1].tasks:
            break
        loop.answer("anna")
    state = loop.state
    left = list(askable(state))
    loop.write(
        "drawn", queue="q999", role="review", readers=["anna"], seed=0, model={},
        tasks=[[name, "random", 0.0] for name in left],
    )  # fmt: skip
    loop.answer("anna")
    assert outlook(loop.state).remaining.sentence() == "Every label was read: 200."


def test_nothing_has_a_label_yet(tmp_path: Path) -> None:
    state, _ = load(make(tmp_path, [None, None]))
    assert outlook(state).advice() == "Go on: there is no label yet."


def test_without_a_locked_set(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 1])
    with pytest.raises(InputError, match="no locked test set"):
        judge(load(project)[0], project, said(tmp_path, "new", 0.5), None)
