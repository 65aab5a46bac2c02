"""SIGKILL at random moments of the loop: what was taken is not lost, nothing is asked twice."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from label_films import fill, make

from radloop.errors import InputError
from radloop.labelling.draw import askable
from radloop.labelling.log import LOG
from radloop.labelling.project import Asking, import_sheets, load, next_queues

ITEMS = 60
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def answer_of(item: str, reader: str) -> str:
    """What this reader always says: anna and ben disagree about every fifth item."""
    number = int(item[1:])
    return str((number + (reader == "ben" and number % 5 == 0)) % 2)


def work(project: Path, acknowledged: Path) -> bool:
    """Next, read, import, until nothing is left; True then. What was imported is noted."""
    while True:
        try:
            _, issued = next_queues(project, Asking(7, 0.0), pages=False)
        except InputError:
            return True
        if not issued:
            return True
        for one in issued:
            with one.sheet.open() as file:
                items = [row["item"] for row in csv.DictReader(file)]
            answers = {item: answer_of(item, one.reader) for item in items}
            filled = fill(one.sheet, answers, project / f"{one.queue.name}-{one.reader}.csv")
            import_sheets(project, [filled])
            with acknowledged.open("a") as file:
                file.writelines(f"{item},{one.reader}\n" for item in items)


def check_nothing_is_lost(project: Path, acknowledged: Path) -> None:
    """What an import had said it took is in the project."""
    state, _ = load(project)
    lines = [line.split(",") for line in acknowledged.read_text().split("\n")[:-1]]
    assert {(item, reader) for item, reader in lines} <= state.answers.keys()


def check_all_was_asked_once(project: Path) -> None:
    """Every item by both readers, the disagreements by the adjudicator, and nothing twice."""
    state, _ = load(project)
    asked = Counter(t.item for q in state.queues if q.role == "review" for t in q.tasks)
    assert asked == {f"c{k:02}": 1 for k in range(ITEMS)}
    assert Counter((a.item, a.reader) for a in state.said).most_common(1)[0][1] == 1
    assert sum(reader in ("anna", "ben") for _, reader in state.answers) == 2 * ITEMS
    settled = {item for item, reader in state.answers if reader == "chief"}
    assert settled == {f"c{k:02}" for k in range(0, ITEMS, 5)}
    assert (project / LOG).read_bytes().endswith(b"\n")


def test_kills(tmp_path: Path) -> None:
    project = make(tmp_path, [k % 2 for k in range(ITEMS)], ("anna", "ben"))
    acknowledged = tmp_path / "acknowledged.csv"
    acknowledged.touch()
    moments = random.Random(5)
    context = multiprocessing.get_context("fork")
    killed = 0
    for _ in range(60):
        child = context.Process(target=work, args=(project, acknowledged))
        child.start()
        time.sleep(moments.uniform(0, 0.04))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        check_nothing_is_lost(project, acknowledged)
        if not askable(load(project)[0]):
            break
    assert killed > 5
    assert work(project, acknowledged)
    check_all_was_asked_once(project)


# A process of its own that runs the real commands; it says when it is about to begin.
LOOP = """
import csv, sys
from pathlib import Path
from radloop.cli.main import app
from radloop.labelling.project import load
project, done = Path(sys.argv[1]), Path(sys.argv[2])
def radloop(*words):
    try:
        app(["label", *map(str, words)], standalone_mode=False)
    except SystemExit as end:
        assert not end.code, words
load(project)
print("ready", flush=True)
while True:
    radloop("next", project, "--random", "-n", 7, "--no-pages", "--quiet")
    state, _ = load(project)
    parts = [(q, r) for q in state.queues for r in q.readers if state.open_tasks(q, r)]
    if not parts:
        break
    for queue, reader in parts:
        sheet = project / "queues" / queue.name / f"{reader}.csv"
        with sheet.open() as file:
            rows = list(csv.DictReader(file))
        filled = project / f"{queue.name}-{reader}.csv"
        with filled.open("w") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            for row in rows:
                number = int(row["item"][1:])
                said = (number + (reader == "ben" and number % 5 == 0)) % 2
                writer.writerow(row | {"answer": str(said)})
        radloop("import", project, filled, "--quiet")
        with done.open("a") as file:
            file.writelines(f"{row['item']},{reader}\\n" for row in rows)
"""


def test_kills_of_the_real_commands(tmp_path: Path) -> None:
    project = make(tmp_path, [k % 2 for k in range(ITEMS)], ("anna", "ben"))
    acknowledged = tmp_path / "acknowledged.csv"
    acknowledged.touch()
    moments = random.Random(11)
    command = [sys.executable, "-c", LOOP, str(project), str(acknowledged)]
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(moments.uniform(0, 0.25))
            child.kill()
        check_nothing_is_lost(project, acknowledged)
    assert work(project, acknowledged)
    check_all_was_asked_once(project)
