"""What there is to see: the worklist, a study with its results, overrides by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import Session

from radloop.errors import InputError
from radloop.service.priority import PLACES, explanation, priority
from radloop.service.store.database import Store
from radloop.service.store.placing import refresh
from radloop.service.store.schema import (
    Instance,
    Job,
    Output,
    Override,
    Result,
    Series,
    Study,
    utc_now,
)

Stage = Literal["receiving", "waiting", "reading", "read", "failed"]


@dataclass(frozen=True)
class Filters:
    """What the list shows. reviewed: False hides what was judged, None shows all. text: looked for
    in patient, accession number and description, as it stands. sites: None shows those of all."""

    group: str = ""
    modality: str = ""
    text: str = ""
    reviewed: bool | None = False
    source: str = ""
    since: datetime | None = None
    sites: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Row:
    """A study's line in the list. rank: its place in it, 1 is first. stage: how far it is; a study
    that was re-opened may show results already. why: the sentence that explains its place."""

    rank: int
    study: Study
    stage: Stage
    group: str | None
    priority: float
    score: float
    urgency: float
    waited_hours: float
    reason: str
    why: str
    override: str | None
    override_by: str
    models: tuple[str, ...]
    results: tuple[str, ...]
    unfinished: int
    failed: int
    instances: int


@dataclass(frozen=True)
class StudyView:
    """Everything of one study. results: the current ones first; outputs by result id; jobs that
    failed stand in `jobs` with their reason."""

    study: Study
    series: tuple[Series, ...]
    instances: dict[str, tuple[Instance, ...]]
    results: tuple[Result, ...]
    outputs: dict[str, tuple[Output, ...]]
    jobs: tuple[Job, ...]
    overrides: tuple[Override, ...] = field(default_factory=tuple)


def worklist(
    store: Store,
    now: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
    filters: Filters = Filters(),
) -> list[Row]:
    """The rows `offset` to `offset + limit`, most pressing first. Every study that was received is
    in it, refused and failed ones too, until it was reviewed."""
    now = now or utc_now()
    with store.reading() as session:
        statement = _filtered(select(Study), filters).order_by(
            Study.place, Study.order_key, Study.id
        )
        studies = list(session.scalars(statement.limit(limit).offset(offset)))
        details = _details(session, [study.id for study in studies])
    hours = store.settings.worklist.ageing_hours
    return [
        _row(offset + k, study, details[study.id], now, hours)
        for k, study in enumerate(studies, start=1)
    ]


def count(store: Store, filters: Filters = Filters()) -> int:
    """How many studies the list has."""
    total: Any = select(func.count(Study.id))
    with store.reading() as session:
        return int(session.scalar(_filtered(total, filters)) or 0)


def group_counts(store: Store, filters: Filters = Filters()) -> dict[str, int]:
    """How many studies of the list there are by group; "" stands for not yet judged."""
    with store.reading() as session:
        counted: Any = select(Study.group, func.count())
        rows = session.execute(_filtered(counted, filters).group_by(Study.group))
        return {group or "": number for group, number in rows}


def of_study(store: Store, study_id: str) -> StudyView:
    """One study with everything of it. Raises InputError when there is none of that id."""
    with store.reading() as session:
        study = session.get(Study, study_id)
        if study is None:
            raise InputError("There is no such study.")
        series = tuple(
            session.scalars(select(Series).where(Series.study_id == study_id).order_by(Series.id))
        )
        instances: dict[str, list[Instance]] = {one.id: [] for one in series}
        for row in session.scalars(
            select(Instance)
            .where(Instance.series_id.in_(instances))
            .order_by(Instance.number, Instance.id)
        ):
            instances[row.series_id].append(row)
        results = tuple(
            session.scalars(
                select(Result)
                .where(Result.study_id == study_id)
                .order_by(Result.current.desc(), Result.score.desc(), Result.job_id)
            )
        )
        outputs: dict[str, list[Output]] = {one.id: [] for one in results}
        for output in session.scalars(
            select(Output).where(Output.result_id.in_(outputs)).order_by(Output.id)
        ):
            outputs[output.result_id].append(output)
        jobs = tuple(session.scalars(select(Job).where(Job.study_id == study_id).order_by(Job.id)))
        overrides = tuple(
            session.scalars(
                select(Override).where(Override.study_id == study_id).order_by(Override.id)
            )
        )
    return StudyView(
        study,
        series,
        {key: tuple(rows) for key, rows in instances.items()},
        results,
        {key: tuple(rows) for key, rows in outputs.items()},
        jobs,
        overrides,
    )


def override(
    store: Store, study_id: str, who: str, rank: str | None, reason: str = "",
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Put a study first or last by hand, or back (None). Raises InputError for another rank."""
    if rank not in PLACES:
        raise InputError("A study is put 'first' or 'last', or back.")
    with store.session() as session:
        if session.get(Study, study_id) is None:
            raise InputError("There is no such study.")
        session.add(
            Override(study_id=study_id, who=who, when=now or utc_now(), rank=rank, reason=reason)
        )
        refresh(session, store.settings, study_id)


@dataclass
class _Details:
    models: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    urgency: float = 0.0
    unfinished: int = 0
    running: int = 0
    failed: int = 0
    instances: int = 0
    override: tuple[str | None, str] = (None, "")


def _details(session: Session, ids: Sequence[str]) -> dict[str, _Details]:
    found = {study_id: _Details() for study_id in ids}
    for row in session.execute(
        select(Result.study_id, Result.id, Result.model_name, Result.urgency)
        .where(Result.study_id.in_(ids), Result.current.is_(True))
        .order_by(Result.score.desc(), Result.job_id)
    ):
        one = found[row.study_id]
        if not one.results:
            one.urgency = row.urgency
        one.results.append(row.id)
        one.models.append(row.model_name)
    for state in session.execute(
        select(
            Job.study_id,
            func.sum(case((Job.state.in_(("waiting", "running")), 1), else_=0)).label("open"),
            func.sum(case((Job.state == "running", 1), else_=0)).label("running"),
            func.sum(
                case(((Job.state == "quarantined") & (Job.revision >= Series.revision), 1), else_=0)
            ).label("failed"),
        )
        .join(Series, Series.id == Job.series_id)
        .where(Job.study_id.in_(ids), Job.kind == "read")
        .group_by(Job.study_id)
    ):
        one = found[state.study_id]
        one.unfinished, one.running, one.failed = state.open, state.running, state.failed
    for number in session.execute(
        select(Series.study_id, func.count(Instance.id).label("number"))
        .join(Instance, Instance.series_id == Series.id)
        .where(Series.study_id.in_(ids), Series.own.is_(False))
        .group_by(Series.study_id)
    ):
        found[number.study_id].instances = number.number
    for by_hand in session.scalars(
        select(Override).where(Override.study_id.in_(ids)).order_by(Override.id)
    ):
        found[by_hand.study_id].override = (by_hand.rank, by_hand.who)
    return found


def _row(rank: int, study: Study, details: _Details, now: datetime, hours: float) -> Row:
    waited = (now - study.received_at).total_seconds() / 3600
    reason = study.reason or {
        "receiving": "Images are coming in.",
    }.get(study.state, "Waits to be read.")
    by_hand, who = details.override
    urgency = 1.0 if details.failed and not details.results else details.urgency
    return Row(
        rank=rank,
        study=study,
        stage=_stage(study, details),
        group=study.group,
        priority=priority(study.score, waited, hours),
        score=study.score,
        urgency=urgency,
        waited_hours=waited,
        reason=reason,
        why=explanation(reason, urgency, study.score, waited, hours, by_hand, who)
        if study.group or by_hand
        else reason,
        override=by_hand,
        override_by=who,
        models=tuple(details.models),
        results=tuple(details.results),
        unfinished=details.unfinished,
        failed=details.failed,
        instances=details.instances,
    )


def _stage(study: Study, details: _Details) -> Stage:
    if study.state == "receiving":
        return "receiving"
    if details.running:
        return "reading"
    if details.unfinished:
        return "waiting"
    return "failed" if details.failed else "read"


def _filtered(statement: Select[Any], filters: Filters) -> Select[Any]:
    if filters.reviewed is not None:
        reviewed = Study.reviewed_at
        statement = statement.where(
            reviewed.is_not(None) if filters.reviewed else reviewed.is_(None)
        )
    if filters.group:
        statement = statement.where(Study.group == filters.group)
    if filters.modality:
        statement = statement.where(Study.modality.contains(filters.modality, autoescape=True))
    if filters.sites is not None:
        statement = statement.where(Study.site.in_(filters.sites))
    if filters.source:
        statement = statement.where(Study.source == filters.source)
    if filters.since is not None:
        statement = statement.where(Study.received_at >= filters.since)
    if filters.text:
        columns = (Study.patient_id, Study.patient_name, Study.accession, Study.description)
        statement = statement.where(
            or_(*(column.icontains(filters.text, autoescape=True) for column in columns))
        )
    return statement
