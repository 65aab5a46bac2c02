"""`radloop serve` as a process: killed parts come back, and what they held is neither lost nor
doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from made_store import dicom, written
from sqlalchemy import func, select

from radloop.service.backup import check
from radloop.service.settings import load_settings
from radloop.service.store import intake, jobs
from radloop.service.store.database import Store, open_store
from radloop.service.store.schema import Job, Result, Series, Study

KILLS = Path(__file__).parents[2] / "benchmarks" / "reading_room_kills.py"
FILMS, KILLED = 6, 1  # the benchmark has hundreds, and kills every part
PROGRAM = [sys.executable, "-m", "radloop.cli.main"]


class Served:
    """`radloop serve PART` and what its log says."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", *arguments, "--home", str(home)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.events: list[dict[str, object]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.events.append(json.loads(line))

    def pids(self) -> list[int]:
        """Of all parts that were started, oldest first."""
        return [int(str(e["pid"])) for e in list(self.events) if e["event"] == "part_started"]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Until the condition holds. Fails the test when the time is over."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose workers are quick to try again."""
    worker = {"poll": 0.05, "backoff": 0.1, "attempts": 9, "threads": 1}
    given = {"quiet_films": 0.1, "models": [{"model": "cardiomegaly"}], "worker": worker}
    (tmp_path / "radloop.yaml").write_text(yaml.safe_dump(given))
    return tmp_path


def count(store: Store, table: type, *where: object) -> int:
    with store.reading() as session:
        return int(session.scalar(select(func.count()).select_from(table).where(*where)) or 0)  # type: ignore[arg-type]


def test_a_worker_that_is_killed_loses_and_doubles_nothing(home: Path) -> None:
    store = open_store(load_settings(home))
    for _ in range(FILMS):
        content = written(dicom())
        intake.register(store, intake.facts_of(content), store.blobs.put(content))
    served = Served(home, "worker")
    try:
        for kill in range(KILLED):  # each time when it has a job, and has done some
            served.wait_for(lambda n=kill: count(store, Result) > 2 * n)  # type: ignore[misc]
            served.wait_for(lambda: count(store, Job, Job.state == "running") > 0)
            os.kill(served.pids()[-1], signal.SIGKILL)
            served.wait_for(lambda n=kill: len(served.pids()) > n + 1)  # type: ignore[misc]
        served.wait_for(lambda: count(store, Job, Job.state == "done") == FILMS)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(60) == 0
    finally:
        served.process.kill()
    assert [count(store, table) for table in (Study, Series, Job, Result)] == [FILMS] * 4
    assert count(store, Result, Result.current.is_(True)) == FILMS
    assert check(store, deep=True) == []
    assert [e["event"] for e in served.events].count("part_died") == KILLED
    store.close()


def test_a_worker_whose_supervisor_is_killed_ends_too(home: Path) -> None:
    served = Served(home, "worker")
    served.wait_for(lambda: any(e["event"] == "started" for e in served.events))
    (pid,) = served.pids()
    served.process.kill()
    served.process.wait()
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the worker went on alone")


def test_a_part_or_folder_that_is_not_there_is_said(home: Path) -> None:
    for arguments, says in ((["pacs"], "no part 'pacs'"), (["--watch", "none"], "no folder")):
        done = subprocess.run(
            [*PROGRAM, "serve", *arguments, "--home", str(home)], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("quiet: [", "as YAML"),
        ("- 1", "not a list"),
        ("quit: 3", "'quit'"),
        ("quiet: -1", "'quiet'"),
        ("models: [{model: x, send_to: [pacs]}]", "no peer"),
        ("worklist: {urgency: {fracture: 2}}", "between 0 and 1"),
    ],
)
def test_settings_that_are_wrong_are_said(tmp_path: Path, text: str, says: str) -> None:
    from radloop.errors import InputError

    (tmp_path / "radloop.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        load_settings(tmp_path)


def test_a_watched_folder_is_taken_in_once_a_file_is_whole(tmp_path: Path) -> None:
    from radloop.service.supervise import watch_folder

    store = open_store(load_settings(tmp_path / "home"))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("not an image")
    stop = threading.Event()
    watcher = threading.Thread(target=watch_folder, args=(store, [folder], stop))
    watcher.start()
    try:
        (folder / "film.dcm").write_bytes(written(dicom()))
        for _ in range(200):
            if count(store, Study):
                break
            time.sleep(0.05)
    finally:
        stop.set()
        watcher.join()
    assert count(store, Study) == 1 and jobs.counts(store) == {}
    store.close()


@pytest.mark.real
@pytest.mark.parametrize("seed", [random.Random(0).randrange(1000)])
def test_all_parts_may_be_killed_at_random_moments(seed: int) -> None:
    command = [sys.executable, str(KILLS), "--studies", "20", "--kills", "5", "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
