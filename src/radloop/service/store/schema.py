"""The tables. All times are UTC; texts from files are sanitised before they come here."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, Integer, MetaData
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


def utc_now() -> datetime:
    """The time, aware of being UTC."""
    return datetime.now(UTC)


def token() -> str:
    """A name nobody can guess, for what addresses name."""
    return secrets.token_urlsafe(12)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time. SQLite keeps it as text in UTC without a zone, PostgreSQL with one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """What every table derives from, those of `service.security` too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: JSON}


class Study(Base):
    """One examination.

    state: "receiving" until it is complete. revision: how often it became complete. site: whose it
    is; accounts that are bound to sites see only theirs. The columns
    from `group` on are the worklist's: they are derived from results, jobs, overrides and
    corrections whenever one of these changes (`store.placing`), so that the list is one read of an
    index. group: None while nothing is known. score: urgency x probability, 0..1. place: 0 put
    first by hand, 1 by the rule, 2 put last. order_key: smaller goes first (`service.worklist`).
    """

    __tablename__ = "study"
    __table_args__ = (
        Index("ix_study_worklist", "reviewed_at", "place", "order_key", "id"),
        Index("ix_study_place", "place", "order_key", "id"),
        Index("ix_study_changing", "state", "changed_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    study_uid: Mapped[str] = mapped_column(unique=True)
    patient_id: Mapped[str] = mapped_column(default="", index=True)
    patient_name: Mapped[str] = mapped_column(default="")
    patient_sex: Mapped[str] = mapped_column(default="")
    patient_age: Mapped[str] = mapped_column(default="")
    accession: Mapped[str] = mapped_column(default="", index=True)
    description: Mapped[str] = mapped_column(default="")
    modality: Mapped[str] = mapped_column(default="")
    study_date: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime] = mapped_column(default=utc_now)
    changed_at: Mapped[datetime] = mapped_column(default=utc_now)
    expected: Mapped[int | None] = mapped_column(default=None)
    state: Mapped[str] = mapped_column(default="receiving")
    revision: Mapped[int] = mapped_column(default=0)
    source: Mapped[str] = mapped_column(default="dicom")
    site: Mapped[str] = mapped_column(default="", server_default="", index=True)
    group: Mapped[str | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")
    score: Mapped[float] = mapped_column(default=0.0)
    place: Mapped[int] = mapped_column(default=1)
    order_key: Mapped[float] = mapped_column(default=0.0)
    reviewed_at: Mapped[datetime | None] = mapped_column(default=None)


class Series(Base):
    """Instances of one kind. own: made by us, and never read. counted: how many instances it had
    when the study was last complete; another number now means that it has to be read again.
    revision: the study's, when this series last changed."""

    __tablename__ = "series"

    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), index=True)
    series_uid: Mapped[str] = mapped_column(unique=True)
    modality: Mapped[str] = mapped_column(default="")
    body_part: Mapped[str] = mapped_column(default="")
    view: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    manufacturer: Mapped[str] = mapped_column(default="")
    own: Mapped[bool] = mapped_column(default=False)
    counted: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)


class Blob(Base):
    """A file under the hash of its content (`blobs.BlobStore`)."""

    __tablename__ = "blob"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger)


class Instance(Base):
    """One file of a series. A picture or NIfTI file has sop_class "" and its suffix as
    transfer_syntax (".png", ".nii.gz"), and a UID made from its content."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    series_id: Mapped[str] = mapped_column(ForeignKey("series.id"), index=True)
    sop_uid: Mapped[str] = mapped_column(unique=True)
    sop_class: Mapped[str] = mapped_column(default="")
    transfer_syntax: Mapped[str] = mapped_column(default="")
    number: Mapped[int | None] = mapped_column(default=None)
    blob: Mapped[str] = mapped_column(ForeignKey("blob.sha256"))
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    received_at: Mapped[datetime] = mapped_column(default=utc_now)


class Job(Base):
    """Work for a worker: kind "read" (a model reads a series) or "send" (objects to a peer).

    key: what makes it exist once. state: "waiting", "running", "done" or "quarantined". A claim
    counts as an attempt when it is made, so that a crash of the worker counts too.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_claim", "state", "kind", "not_before", "id"),)

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), index=True)
    series_id: Mapped[str | None] = mapped_column(ForeignKey("series.id"), default=None)
    model: Mapped[str] = mapped_column(default="")
    revision: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime] = mapped_column(default=utc_now)
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    worker: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Result(Base):
    """What a model said of a series: one a job. prediction: a line of `predictions.jsonl`.

    urgency: of the finding that decides the place, 0..1. score: it times the probability. current:
    the newest of its series and model. instance_id: the film it speaks of, in a series of several.
    """

    __tablename__ = "result"

    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), unique=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), index=True)
    series_id: Mapped[str] = mapped_column(ForeignKey("series.id"), index=True)
    system: Mapped[str]
    model_name: Mapped[str]
    model_version: Mapped[str]
    model_sha256: Mapped[str]
    revision: Mapped[int]
    status: Mapped[str]
    code: Mapped[str]
    prediction: Mapped[dict[str, Any]]
    group: Mapped[str]
    urgency: Mapped[float]
    score: Mapped[float]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    current: Mapped[bool] = mapped_column(default=True)
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"), default=None)


class Output(Base):
    """A file that belongs to a result, by kind: "mask", "picture", "sr", "seg", "gsps", "sc",
    "fhir", "heatmap", "chart", ... sop_uid: of a DICOM object, which follows from the job's key."""

    __tablename__ = "output"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    result_id: Mapped[str] = mapped_column(ForeignKey("result.id"), index=True)
    kind: Mapped[str]
    blob: Mapped[str] = mapped_column(ForeignKey("blob.sha256"))
    name: Mapped[str] = mapped_column(default="")
    sop_uid: Mapped[str] = mapped_column(default="", index=True)


class Override(Base):
    """Somebody put a study "first" or "last" in the list, or back (rank None). The newest counts;
    none is removed."""

    __tablename__ = "override"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), index=True)
    who: Mapped[str]
    when: Mapped[datetime] = mapped_column(default=utc_now)
    rank: Mapped[str | None] = mapped_column(default=None)
    reason: Mapped[str] = mapped_column(default="")


class Correction(Base):
    """What a person says of a result: kind "agree", "label", "box", "tooth", "mask" or "comment".
    Rows are added and never changed. blob: a mask's file."""

    __tablename__ = "correction"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    study_id: Mapped[str] = mapped_column(ForeignKey("study.id"), index=True)
    result_id: Mapped[str | None] = mapped_column(ForeignKey("result.id"), default=None)
    who: Mapped[str]
    when: Mapped[datetime] = mapped_column(default=utc_now)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    blob: Mapped[str | None] = mapped_column(ForeignKey("blob.sha256"), default=None)
