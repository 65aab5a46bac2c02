"""The queue: jobs are claimed with a lease, and end done or in quarantine.

A claim counts as an attempt at once, so that a job which kills its worker is given up after as
many attempts as one that fails. A claim that expires, or whose worker is known to be dead, is
free again; the result of whoever finishes first counts, and the others' is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from radloop.findings.finding import Prediction
from radloop.findings.forms import prediction_to_json
from radloop.service.priority import judge
from radloop.service.store.database import Store
from radloop.service.store.intake import insert_new
from radloop.service.store.placing import refresh
from radloop.service.store.schema import Blob, Job, Output, Result, Series, token, utc_now

LONGEST_PAUSE = 3600.0


@dataclass(frozen=True)
class NewOutput:
    """A file of a result that lies in the store already. sop_uid: of a DICOM object."""

    kind: str
    blob: str
    bytes: int
    name: str = ""
    sop_uid: str = ""


@dataclass(frozen=True)
class NewResult:
    """What a model said; `instance_id` of which film, in a series of several."""

    prediction: Prediction
    instance_id: int | None = None
    send_to: tuple[str, ...] = field(default_factory=tuple)


def claim(
    store: Store,
    worker: str,
    kinds: Sequence[str] = ("read", "send"),
    now: datetime | None = None,
    lease: float | None = None,
) -> Job | None:
    """The next job, now this worker's for `lease` seconds; None when there is none.

    A job whose every attempt ended with a dead worker goes to quarantine here.
    """
    now = now or utc_now()
    options = store.settings.worker
    until = now + timedelta(seconds=lease if lease is not None else options.lease)
    with store.reading() as session:  # most looks find nothing: they should lock nothing
        if session.scalars(_free(kinds, now).with_only_columns(Job.id).limit(1)).first() is None:
            return None
    while True:
        with store.session() as session:
            job = session.scalars(
                _free(kinds, now).limit(1).with_for_update(skip_locked=True)
            ).first()
            if job is None:
                return None
            if job.attempts < options.attempts:
                job.state, job.worker, job.lease_until = "running", worker, until
                job.attempts += 1
                session.flush()
                return job
            reason = job.reason or f"The worker stopped {job.attempts} times while it was at it."
            _quarantine(session, store, job, reason, now)


def extend(store: Store, job: Job, now: datetime | None = None, lease: float | None = None) -> bool:
    """Hold a claim for longer. False when it was lost."""
    now = now or utc_now()
    until = now + timedelta(seconds=lease if lease is not None else store.settings.worker.lease)
    with store.session() as session:
        done = session.execute(update(Job).where(_mine(job)).values(lease_until=until))
        return bool(done.rowcount)  # type: ignore[attr-defined]


def finish(
    store: Store,
    job: Job,
    result: NewResult | None = None,
    outputs: Sequence[NewOutput] = (),
    now: datetime | None = None,
) -> str | None:
    """Record that a job is done, with its result and outputs and the jobs that send them, in one
    transaction. Returns the result's id; that of whoever was first, if the job was done already."""
    now = now or utc_now()
    with store.session() as session:
        row = session.get_one(Job, job.id, with_for_update=True)
        if row.state == "done":
            return session.scalar(select(Result.id).where(Result.job_id == job.id))
        result_id = None
        if result is not None:
            result_id = _add_result(session, store, row, result, now)
            _add_outputs(session, result_id, outputs)
            for peer in result.send_to:
                _add_send(session, row, result_id, peer, outputs, now)
        row.state, row.finished_at, row.lease_until, row.reason = "done", now, None, ""
        if row.kind == "read":
            refresh(session, store.settings, row.study_id)
        return result_id


def fail(
    store: Store, job: Job, reason: str, now: datetime | None = None, *, for_good: bool = False
) -> str:
    """A job failed: it waits for its next attempt, or goes to quarantine after the last, or at
    once when trying again cannot help. Returns its state. Nothing happens when it is not ours."""
    now = now or utc_now()
    options = store.settings.worker
    with store.session() as session:
        row = session.get_one(Job, job.id, with_for_update=True)
        if row.state != "running" or row.worker != job.worker:
            return row.state
        if for_good or row.attempts >= options.attempts:
            _quarantine(session, store, row, reason, now)
        else:
            pause = min(LONGEST_PAUSE, options.backoff * 2 ** (row.attempts - 1))
            row.state, row.lease_until, row.reason = "waiting", None, reason
            row.not_before = now + timedelta(seconds=pause)
        return row.state


def postpone(
    store: Store, job: Job, reason: str, seconds: float, now: datetime | None = None
) -> None:
    """Give a claim back without counting it: the disk is full, the service stops."""
    now = now or utc_now()
    with store.session() as session:
        session.execute(
            update(Job)
            .where(_mine(job))
            .values(
                state="waiting",
                lease_until=None,
                reason=reason,
                attempts=Job.attempts - 1,
                not_before=now + timedelta(seconds=seconds),
            )
        )


def release(store: Store, worker: str, now: datetime | None = None) -> int:
    """Free the claims of a worker that is known to be dead; the attempt stays counted. The job is
    free at once if it was the first attempt, and after the back-off if not. Returns how many."""
    now = now or utc_now()
    backoff = store.settings.worker.backoff
    with store.session() as session:
        rows = session.scalars(
            select(Job).where(Job.state == "running", Job.worker == worker).with_for_update()
        ).all()
        for row in rows:
            pause = (
                0.0 if row.attempts < 2 else min(LONGEST_PAUSE, backoff * 2 ** (row.attempts - 2))
            )
            row.state, row.lease_until = "waiting", None
            row.not_before = now + timedelta(seconds=pause)
        return len(rows)


def retry(store: Store, job_id: int, now: datetime | None = None) -> bool:
    """Let a job out of quarantine, with all its attempts. False when it is not there."""
    now = now or utc_now()
    with store.session() as session:
        row = session.get(Job, job_id, with_for_update=True)
        if row is None or row.state != "quarantined":
            return False
        row.state, row.attempts, row.reason, row.finished_at = "waiting", 0, "", None
        row.not_before = now
        if row.kind == "read":
            refresh(session, store.settings, row.study_id)
        return True


def counts(store: Store) -> dict[tuple[str, str], int]:
    """How many jobs there are by kind and state."""
    with store.reading() as session:
        rows = session.execute(
            select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state)
        )
        return {(kind, state): number for kind, state, number in rows}


def oldest_waiting(store: Store, now: datetime | None = None) -> float:
    """How long the job that waits longest has been waiting, seconds; 0 when none does."""
    now = now or utc_now()
    with store.reading() as session:
        first = session.scalar(select(func.min(Job.created_at)).where(Job.state == "waiting"))
    return max(0.0, (now - first).total_seconds()) if first else 0.0


def _free(kinds: Sequence[str], now: datetime) -> Select[Job]:
    waiting = and_(Job.state == "waiting", Job.not_before <= now)
    expired = and_(Job.state == "running", Job.lease_until < now)
    # What was never tried goes first: a job that fails again and again holds up nobody.
    fresh = case((Job.attempts == 0, 0), else_=1)
    return (
        select(Job)
        .where(Job.kind.in_(kinds), or_(waiting, expired))
        .order_by(fresh, Job.not_before, Job.id)
    )


def _mine(job: Job) -> Any:
    return and_(Job.id == job.id, Job.state == "running", Job.worker == job.worker)


def _quarantine(session: Session, store: Store, job: Job, reason: str, now: datetime) -> None:
    job.state, job.reason, job.finished_at, job.lease_until = "quarantined", reason, now, None
    if job.kind == "read":
        refresh(session, store.settings, job.study_id)


def _add_result(session: Session, store: Store, job: Job, result: NewResult, now: datetime) -> str:
    prediction = result.prediction
    judged = judge(prediction, store.settings.worklist.urgency)
    assert job.series_id is not None
    same = and_(Result.series_id == job.series_id, Result.model_name == prediction.model.name)
    newest = session.scalar(select(func.max(Result.revision)).where(same))
    newest_series = session.scalar(select(Series.revision).where(Series.id == job.series_id)) or 0
    current = job.revision >= max(newest or 0, newest_series)
    if current:
        session.execute(update(Result).where(same).values(current=False))
    row = Result(
        id=token(),
        job_id=job.id,
        study_id=job.study_id,
        series_id=job.series_id,
        system=prediction.system,
        model_name=prediction.model.name,
        model_version=prediction.model.version,
        model_sha256=prediction.model.sha256,
        revision=job.revision,
        status=prediction.verdict.status,
        code=prediction.verdict.code,
        prediction=prediction_to_json(prediction),
        group=judged.group,
        urgency=judged.urgency,
        score=judged.score,
        reason=judged.reason,
        created_at=now,
        current=current,
        instance_id=result.instance_id,
    )
    session.add(row)
    session.flush()
    return row.id


def _add_outputs(session: Session, result_id: str, outputs: Sequence[NewOutput]) -> None:
    for output in outputs:
        insert_new(session, Blob, {"sha256": output.blob, "bytes": output.bytes}, "sha256")
        session.add(
            Output(
                result_id=result_id,
                kind=output.kind,
                blob=output.blob,
                name=output.name,
                sop_uid=output.sop_uid,
            )
        )
    session.flush()


def _add_send(
    session: Session, job: Job, result_id: str, peer: str, outputs: Sequence[NewOutput],
    now: datetime,
) -> None:  # fmt: skip
    uids = [output.sop_uid for output in outputs if output.sop_uid]
    if not uids:
        return
    data: Mapping[str, Any] = {"to": peer, "result": result_id, "outputs": uids}
    insert_new(
        session,
        Job,
        {
            "key": f"{job.key}>{peer}",
            "kind": "send",
            "study_id": job.study_id,
            "series_id": job.series_id,
            "model": job.model,
            "revision": job.revision,
            "state": "waiting",
            "not_before": now,
            "created_at": now,
            "data": dict(data),
        },
        "key",
    )
