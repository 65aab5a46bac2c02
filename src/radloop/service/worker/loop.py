"""The life of a worker: complete quiet studies, claim a job, do it under a heartbeat, again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from radloop.errors import InputError, ModelError, RadloopError, WriteError
from radloop.service.logs import event
from radloop.service.store import jobs, studies
from radloop.service.store.database import Store, StoreError
from radloop.service.store.schema import Job
from radloop.service.worker.reading import Readers, read
from radloop.service.worker.sending import send

KINDS = ("read", "send")
_FULL_PAUSE = 30.0
STUCK = 75
"""The exit status of a worker that gave itself up because a job took too long."""


def run(
    store: Store,
    name: str,
    stop: threading.Event,
    kinds: Sequence[str] = KINDS,
    readers: Readers | None = None,
) -> int:
    """Work until `stop` is set; a job at hand is finished first. Returns how many jobs were done.

    name: unlike that of any other worker that runs; its claims are freed by it.
    """
    readers = readers or Readers(store.settings)
    poll, done = store.settings.worker.poll, 0
    event("worker", "started", worker=name, pid=os.getpid())
    while not stop.is_set():
        try:
            for study in studies.complete_quiet(store):
                event("worker", "study_complete", study=study)
            job = jobs.claim(store, name, kinds)
        except RadloopError as error:  # the database restarts, the disk is full: later
            event("worker", "store_unusable", logging.ERROR, error=type(error).__name__)
            stop.wait(max(1.0, poll))
            continue
        if job is None:
            stop.wait(poll)
            continue
        work_on(store, readers, job)
        done += 1
    event("worker", "stopped", worker=name, count=done)
    return done


def work_on(store: Store, readers: Readers, job: Job) -> str:
    """Do one claimed job and record what came of it. Returns its state afterwards.

    Nothing that a file, a model or a peer does ends the worker: it ends in the job's reason.
    """
    start = time.monotonic()
    try:
        with heartbeat(store, job):
            if job.kind == "read":
                result, outputs = read(store, readers, job)
                jobs.finish(store, job, result, outputs)
            else:
                send(store, job)
                jobs.finish(store, job)
        state, reason = "done", ""
    except WriteError as error:
        reason = error.what
        state = _recorded(lambda: jobs.postpone(store, job, reason, _FULL_PAUSE))
    except StoreError as error:  # what was done is not recorded: the claim runs out by itself
        state, reason = "running", error.what
    except RadloopError as error:
        reason = error.what
        for_good = isinstance(error, ModelError | InputError)
        state = _recorded(lambda: jobs.fail(store, job, reason, for_good=for_good))
    except Exception as error:  # the text may quote a header: the name alone is kept
        reason = f"{type(error).__name__} while it was worked on."
        state = _recorded(lambda: jobs.fail(store, job, reason))
    level = logging.INFO if state == "done" else logging.WARNING
    event(
        "worker", f"job_{state}", level, job=job.id, kind=job.kind, study=job.study_id,
        model=job.model, attempts=job.attempts, seconds=round(time.monotonic() - start, 3),
        **({"reason": reason} if reason else {}),
    )  # fmt: skip
    return state


@contextmanager
def heartbeat(store: Store, job: Job) -> Iterator[None]:
    """Extend the job's claim while the block runs, up to the longest time a job may take; then the
    process ends itself, since nothing else stops native code that hangs."""
    options = store.settings.worker
    ended = threading.Event()
    limit = time.monotonic() + options.longest

    def beat() -> None:
        while not ended.wait(options.lease / 3):
            if time.monotonic() > limit:
                event("worker", "job_stuck", logging.ERROR, job=job.id, study=job.study_id)
                os._exit(STUCK)
            try:
                jobs.extend(store, job)
            except RadloopError:
                continue

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _recorded(record: Callable[[], str | None]) -> str:
    """Record a failure; where even that fails, the claim runs out by itself."""
    try:
        return record() or "waiting"
    except RadloopError:
        return "running"
