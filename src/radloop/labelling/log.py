"""The log on disk: append one event so that a kill at any point loses nothing, one writer a time.

An event is written with one call, then forced to the disk, before the command goes on. What a
killed command leaves is a whole log, or one with an incomplete last line, which the next writer
removes. The lock is the operating system's own and ends with the process that holds it, so a
killed command leaves none behind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from radloop.errors import RadloopError, WriteError
from radloop.labelling.events import Event, LogError, digest_of, event_line, parse_log

LOG = "log.jsonl"
LOCK = ".lock"


class BusyError(RadloopError):
    """Another command is writing to the project."""


class EventLog:
    """The log of a project folder. `repaired` says how many bytes of a cut-off line were dropped
    (by a writer) or passed over (by a reader)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        self.repaired = 0

    def read(self) -> tuple[Event, ...]:
        """The events. Raises LogError: no log, or one that was damaged or edited."""
        self.check()
        events, torn = parse_log(self.path.read_bytes())
        self.repaired = self.repaired or torn
        return events

    def check(self) -> None:
        """Raises LogError where there is no log."""
        if not self.path.is_file():
            raise LogError(
                f"{self.path.parent.name or self.path.parent} is no labelling project.",
                "Make one with `radloop label start`.",
            )

    def append(
        self, events: tuple[Event, ...], kind: str, who: str, why: str, data: Mapping[str, Any]
    ) -> Event:
        """Write the event that follows `events`, all there are, and wait until it is on the disk.

        Call it under `writing`. Raises WriteError; the log is then as it was.
        """
        last = events[-1] if events else None
        event = Event(
            number=len(events) + 1,
            kind=kind,
            when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            who=who,
            why=why,
            data=data,
            before=last.digest if last else "",
        )
        line = event_line(event)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                _append_line(file, line)
            if last is None:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise WriteError(
                f"{self.path.name} could not be written: {error.strerror}.",
                "Nothing was recorded; make room or change the permissions, and run it again.",
            ) from error
        return Event(**{**vars(event), "digest": digest_of(line)})

    def repair(self) -> None:
        """Remove an incomplete last line. Call it under `writing`."""
        if not self.path.is_file():
            return
        _, torn = parse_log(self.path.read_bytes())
        if torn:
            os.truncate(self.path, self.path.stat().st_size - torn)
            self.repaired = torn


def _append_line(file: BinaryIO, line: bytes) -> None:
    start = os.fstat(file.fileno()).st_size
    try:
        left = memoryview(line)
        while left:  # a full disk may take a part only
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), start)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name itself survive a power cut, where the system offers that."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def writing(folder: Path, *, new: bool = False) -> Iterator[EventLog]:
    """The log, for this process alone, without an incomplete last line.

    new: the folder may be without a log, or not be there. Raises BusyError at once when another
    command is writing to the project, LogError when it is none.
    """
    if not new:
        EventLog(folder).check()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a+b")
    except OSError as error:
        raise WriteError(
            f"{folder.name} cannot be written to: {error.strerror}.",
            "Choose another folder or change its permissions.",
        ) from error
    with lock:
        if not _locks(lock):
            raise BusyError(
                f"Another command is writing to the project {folder.name}.",
                "Wait until it has ended, and run this again.",
            )
        log = EventLog(folder)
        log.repair()
        yield log


def _locks(file: BinaryIO) -> bool:
    """Take the lock, which closing the file gives back; False when another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
