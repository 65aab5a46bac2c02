"""A study's place in the list, derived from everything that is known of it, inside the transaction
that changed any of it."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from radloop.service.priority import PLACES, Judged, most_pressing, order_key
from radloop.service.settings import Settings
from radloop.service.store.schema import (
    Correction,
    Job,
    Override,
    Result,
    Series,
    Study,
    utc_now,
)
from radloop.service.worklist import GREY

NO_MODEL = "No model reads this study: a person has to look without one."


def refresh(session: Session, settings: Settings, study_id: str) -> Study:
    """Derive group, reason, score, place and key of a study anew. The row is locked."""
    session.flush()
    study = session.get_one(Study, study_id, with_for_update=True, populate_existing=True)
    judged = [_of_result(row) for row in current_results(session, study_id)]
    judged += [_of_failure(job) for job in failed_jobs(session, study_id)]
    if judged:
        worst = most_pressing(judged)
        study.group, study.reason, study.score = worst.group, worst.reason, worst.score
    elif study.state == "complete" and not _jobs(session, study_id):
        readable = session.scalar(
            select(func.count()).where(Series.study_id == study_id, Series.own.is_(False))
        )
        study.group, study.reason, study.score = ("not read", NO_MODEL, 0.0) if readable else (
            None, "", 0.0,
        )  # fmt: skip
        if not readable:  # only what we made ourselves: nothing for a reader
            study.reviewed_at = study.reviewed_at or utc_now()
    else:
        study.group, study.reason, study.score = None, "", 0.0
    study.place = PLACES[rank_of(session, study_id)]
    study.order_key = order_key(study.received_at, study.score, settings.worklist.ageing_hours)
    return study


def current_results(session: Session, study_id: str) -> list[Result]:
    """The newest result of each series and model."""
    statement = select(Result).where(Result.study_id == study_id, Result.current.is_(True))
    return list(session.scalars(statement.order_by(Result.score.desc(), Result.job_id)))


def failed_jobs(session: Session, study_id: str) -> list[Job]:
    """Readings in quarantine that no newer revision has replaced."""
    statement = (
        select(Job)
        .join(Series, Series.id == Job.series_id)
        .where(
            Job.study_id == study_id,
            Job.kind == "read",
            Job.state == "quarantined",
            Job.revision >= Series.revision,
        )
    )
    return list(session.scalars(statement.order_by(Job.id)))


def rank_of(session: Session, study_id: str) -> str | None:
    """Where somebody put the study last: "first", "last", or None."""
    newest = select(Override.rank).where(Override.study_id == study_id).order_by(Override.id.desc())
    return session.scalar(newest.limit(1))


def refresh_reviewed(session: Session, study_id: str) -> None:
    """Whether every current result of the study was judged by a person, and when the last was."""
    session.flush()
    study = session.get_one(Study, study_id, with_for_update=True)
    said = session.execute(
        select(Correction.result_id, func.max(Correction.when).label("when"))
        .where(Correction.study_id == study_id, Correction.kind != "comment")
        .group_by(Correction.result_id)
    ).all()
    results = {row.id for row in current_results(session, study_id)}
    judged = {row.result_id for row in said}
    times = [row.when for row in said]
    covered = bool(times) and (None in judged or (bool(results) and results <= judged))
    study.reviewed_at = max(times) if covered else None


def _jobs(session: Session, study_id: str) -> int:
    statement = select(func.count()).where(Job.study_id == study_id, Job.kind == "read")
    return int(session.scalar(statement) or 0)


def _of_result(row: Result) -> Judged:
    return Judged(row.group, row.urgency, row.score, row.reason)  # type: ignore[arg-type]


def _of_failure(job: Job) -> Judged:
    return Judged("not read", 1.0, GREY, f"Reading with {job.model} failed: {job.reason}")
