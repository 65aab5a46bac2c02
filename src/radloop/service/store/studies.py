"""When a study is complete, and what is to be read of it then."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from radloop.service.routing import FILM, Reader, SeriesFacts, kind_of, route
from radloop.service.settings import ModelOptions
from radloop.service.store.database import Store
from radloop.service.store.intake import count_instances, insert_new
from radloop.service.store.placing import refresh
from radloop.service.store.schema import Instance, Job, Series, Study, utc_now


def complete_quiet(store: Store, now: datetime | None = None) -> list[str]:
    """Complete every study for which nothing came for the quiet time, or which has as many
    instances as were announced. Returns their ids."""
    now = now or utc_now()
    with store.reading() as session:
        count = (
            select(func.count(Instance.id))
            .join(Series, Series.id == Instance.series_id)
            .where(Series.study_id == Study.id, Series.own.is_(False))
            .scalar_subquery()
        )
        ready = list(
            session.scalars(
                select(Study.id).where(
                    Study.state == "receiving",
                    or_(
                        Study.changed_at <= now - store.settings.quiet_time,
                        (Study.changed_at <= now - store.settings.quiet_time_films)
                        & Study.modality.in_(("", *FILM)),
                        (Study.expected.is_not(None)) & (count >= Study.expected),
                    ),
                )
            )
        )
    return [study_id for study_id in ready if complete(store, study_id, now)]


def complete(store: Store, study_id: str, now: datetime | None = None) -> bool:
    """Complete a study: its next revision, and in the same transaction a job for each series that
    changed and each model that reads it. False when it was complete already."""
    now = now or utc_now()
    readers = known_readers(store.settings.models)
    with store.session() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        if study.state == "complete":
            return False
        study.state, study.revision = "complete", study.revision + 1
        for series in session.scalars(select(Series).where(Series.study_id == study_id)):
            instances = count_instances(session, series.id)
            if series.own or instances == series.counted:
                continue
            series.counted, series.revision = instances, study.revision
            study.reviewed_at = None  # nobody has seen these images yet
            _supersede(session, series, now)
            for reader in route(_facts(session, study, series, instances), readers):
                _add_job(session, study, series, reader, now)
        refresh(session, store.settings, study_id)
    return True


def expect(store: Store, study_uid: str, instances: int) -> None:
    """Note how many instances a study will have, as a PACS that sends it says."""
    with store.session() as session:
        session.execute(
            update(Study).where(Study.study_uid == study_uid).values(expected=instances)
        )


def job_key(study_uid: str, series_uid: str, sha256: str, revision: int) -> str:
    """What makes a reading exist once, wherever it is made: two stores give the same."""
    return f"{study_uid}:{series_uid}:{sha256[:16]}:{revision}"


@lru_cache(maxsize=8)
def known_readers(models: tuple[ModelOptions, ...]) -> tuple[Reader, ...]:
    """The models of the settings. Raises ModelError for one that cannot be used."""
    from radloop.systems.model import load_model

    readers = []
    for options in models:
        model = load_model(options.model)
        system = model.system
        readers.append(
            Reader(options.model, system.name, model.sha256, system.reads_scans, options.routes)
        )
    return tuple(readers)


def _supersede(session: Session, series: Series, now: datetime) -> None:
    """Waiting jobs of the series' older revisions need not be done any more."""
    session.execute(
        update(Job)
        .where(
            Job.series_id == series.id,
            Job.kind == "read",
            Job.state == "waiting",
            Job.revision < series.revision,
        )
        .values(state="done", finished_at=now, reason="Replaced: more of the series came.")
    )


def _add_job(session: Session, study: Study, series: Series, reader: Reader, now: datetime) -> None:
    insert_new(
        session,
        Job,
        {
            "key": job_key(study.study_uid, series.series_uid, reader.sha256, series.revision),
            "kind": "read",
            "study_id": study.id,
            "series_id": series.id,
            "model": reader.name,
            "revision": series.revision,
            "state": "waiting",
            "not_before": now,
            "created_at": now,
            "data": {},
        },
        "key",
    )


def _facts(session: Session, study: Study, series: Series, instances: int) -> SeriesFacts:
    first = session.execute(
        select(Instance.sop_class, Instance.transfer_syntax)
        .where(Instance.series_id == series.id)
        .order_by(Instance.id)
        .limit(1)
    ).first()
    return SeriesFacts(
        kind=kind_of(first.sop_class, first.transfer_syntax) if first else "dicom",
        modality=series.modality,
        body_part=series.body_part,
        view=series.view,
        description=series.description,
        study_description=study.description,
        own=series.own,
        instances=instances,
    )
