"""`radloop serve`: the parts of the service as processes of one group, started again when they die.

A part that dies costs nothing but its time: what it held is in the store. Claims of a dead worker
are freed at once. SIGTERM or Ctrl-C stops all: the node takes no new association, workers finish
the job at hand, and who has not ended after `GRACE` seconds is killed, which the store survives.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from radloop.errors import RadloopError
from radloop.service.logs import event
from radloop.service.settings import Settings
from radloop.service.store import intake, jobs
from radloop.service.store.database import Store

GRACE = 20.0
PARTS = ("node", "worker", "web")
_LOOK = 0.1
_LONGEST_PAUSE = 10.0
_HEALTHY = 10.0


@dataclass
class _Part:
    """A process that should run. name: a worker's is unlike any other's, so that its claims can be
    told. failures: deaths in a row, each soon after the start."""

    kind: str
    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Keeps the parts running until `stop` is set.

    kinds: of `PARTS`; "worker" stands for as many as the settings say. options: of the command
    line, passed on to the parts.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        kinds: Sequence[str] = PARTS,
        options: Sequence[str] = (),
    ) -> None:
        self.store, self.settings, self._options = store, settings, options
        self.stop = threading.Event()
        boot = secrets.token_hex(4)
        self._parts = [
            _Part(kind, f"{kind}-{boot}-{k}")
            for kind in kinds
            for k in range(settings.worker.count if kind == "worker" else 1)
        ]

    def run(self) -> int:
        """Start the parts and watch them. Returns 0 after `stop`."""
        registered, removed = intake.recover(self.store)
        event("serve", "recovered", new=registered, removed=removed)
        try:
            while not self.stop.is_set():
                for part in self._parts:
                    self._look_after(part)
                self.stop.wait(_LOOK)
        finally:
            self._end()
        return 0

    def _look_after(self, part: _Part) -> None:
        now = time.monotonic()
        if part.process is None:
            if now >= part.not_before:
                part.process, part.started = self._start(part), now
            return
        status = part.process.poll()
        if status is None:
            return
        lived = now - part.started
        part.failures = 0 if lived > _HEALTHY else part.failures + 1
        pause = min(_LONGEST_PAUSE, 0.1 * 2**part.failures)
        part.process, part.not_before = None, now + pause
        event(
            "serve", "part_died", logging.ERROR, process=part.kind, worker=part.name, status=status,
            seconds=round(lived, 1),
        )  # fmt: skip
        if part.kind == "worker":
            self._release(part)

    def _start(self, part: _Part) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "radloop.cli.main", "serve", part.kind,
            "--home", str(self.settings.home), "--supervised", part.name,
            *self._options,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        event("serve", "part_started", process=part.kind, worker=part.name, pid=process.pid)
        return process

    def _release(self, part: _Part) -> None:
        try:
            freed = jobs.release(self.store, part.name)
        except RadloopError:
            return  # the claims run out by themselves
        if freed:
            event("serve", "claims_freed", worker=part.name, count=freed)

    def _end(self) -> None:
        running = [part for part in self._parts if part.process is not None]
        for part in running:
            assert part.process is not None
            part.process.terminate()
        until = time.monotonic() + GRACE
        for part in running:
            assert part.process is not None
            try:
                part.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                event("serve", "part_killed", logging.ERROR, process=part.kind, worker=part.name)
                part.process.kill()
                part.process.wait()
            if part.kind == "worker":
                self._release(part)
        event("serve", "stopped")


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT while the block runs."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch_parent(stop: threading.Event) -> None:
    """Set `stop` when the process that started this one is gone, so that no part outlives it."""
    parent = os.getppid()

    def look() -> None:
        while not stop.wait(0.5):
            if os.getppid() != parent:
                stop.set()

    threading.Thread(target=look, name="parent", daemon=True).start()


def watch_folder(store: Store, folders: Sequence[Path], stop: threading.Event) -> None:
    """Take in what is put into the folders, until `stop`: a file once its size and time have not
    changed between two looks. Files stay where they are; known ones are looked at once only."""
    seen: dict[Path, tuple[int, int]] = {}
    done: dict[Path, tuple[int, int]] = {}
    while not stop.is_set():
        for folder in folders:
            for path in intake.files_below(folder):
                try:
                    status = path.stat()
                except OSError:
                    continue
                state = (status.st_size, status.st_mtime_ns)
                if done.get(path) == state:
                    continue
                if seen.get(path) != state:
                    seen[path] = state
                    continue
                try:
                    intake.add_file(store, path)
                except intake.IntakeError:
                    event("watch", "file_refused", logging.WARNING)
                except (RadloopError, OSError) as error:  # a full disk, a locked database: again
                    event("watch", "file_waits", logging.WARNING, error=type(error).__name__)
                    continue
                done[path] = state
        stop.wait(1.0)
