"""Registering what comes in: one transaction a file, the same however often it comes.

A file is a blob first and a row after. What a crash leaves between the two is a blob without a
row, which `recover` registers at the next start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Insert, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from radloop.service.store.database import Store
from radloop.service.store.facts import (
    InstanceFacts,
    IntakeError,
    facts_of,
    facts_of_picture,
    is_dicom,
    suffix_of,
)
from radloop.service.store.schema import (
    Blob,
    Correction,
    Instance,
    Output,
    Series,
    Study,
    token,
    utc_now,
)

__all__ = [
    "InstanceFacts", "IntakeError", "Registered", "add_file", "add_folder", "facts_of", "recover",
    "register",
]  # fmt: skip


@dataclass(frozen=True)
class Registered:
    """new: it was not known. differs: its UID is known with another content, which was kept."""

    new: bool
    study_id: str
    differs: bool = False


@dataclass(frozen=True)
class Added:
    """What came of a folder: new files, files known before, and names with the reason why not."""

    new: int = 0
    known: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    studies: tuple[str, ...] = ()


def register(
    store: Store,
    facts: InstanceFacts,
    blob: str,
    size: int | None = None,
    *,
    source: str = "dicom",
    now: datetime | None = None,
) -> Registered:
    """Register a stored file: study, series and instance, in one transaction.

    A new instance makes its study "receiving" again, unless we made it ourselves. Raises
    IntakeError when its series belongs to another study, or its study to another patient.
    """
    now = now or utc_now()
    if size is None:
        size = store.blobs.path(blob).stat().st_size
    with store.session() as session:
        known = session.execute(
            select(Instance.blob, Series.study_id)
            .join(Series, Series.id == Instance.series_id)
            .where(Instance.sop_uid == facts.sop_uid)
        ).first()
        if known:
            return Registered(False, known.study_id, differs=known.blob != blob)
        study_id = _study(session, facts, source, now)
        series_id = _series(session, facts, study_id)
        insert_new(session, Blob, {"sha256": blob, "bytes": size}, "sha256")
        values = instance_values(facts, series_id, blob, size, now)
        if not insert_new(session, Instance, values, "sop_uid"):
            return Registered(False, study_id)  # another process was first, a moment ago
        if not facts.own:
            session.execute(
                update(Study).where(Study.id == study_id).values(**reopened_values(facts, now))
            )
        return Registered(True, study_id)


def study_values(facts: InstanceFacts, source: str, now: datetime) -> dict[str, Any]:
    """The row of a study that was not known, but for its id."""
    return {
        "study_uid": facts.study_uid,
        "patient_id": facts.patient_id,
        "patient_name": facts.patient_name,
        "patient_sex": facts.patient_sex,
        "patient_age": facts.patient_age,
        "accession": facts.accession,
        "description": facts.study_description,
        "modality": "",
        "study_date": facts.study_date,
        "received_at": now,
        "changed_at": now,
        "expected": facts.expected,
        "source": source,
    }


def series_values(facts: InstanceFacts, study_id: str) -> dict[str, Any]:
    """The row of a series that was not known, but for its id."""
    return {
        "study_id": study_id,
        "series_uid": facts.series_uid,
        "modality": facts.modality,
        "body_part": facts.body_part,
        "view": facts.view,
        "description": facts.series_description,
        "manufacturer": facts.manufacturer,
        "own": facts.own,
    }


def instance_values(
    facts: InstanceFacts, series_id: str, blob: str, size: int, now: datetime
) -> dict[str, Any]:
    """The row of an instance."""
    return {
        "series_id": series_id,
        "sop_uid": facts.sop_uid,
        "sop_class": facts.sop_class,
        "transfer_syntax": facts.transfer_syntax,
        "number": facts.number,
        "blob": blob,
        "bytes": size,
        "received_at": now,
    }


def reopened_values(facts: InstanceFacts, now: datetime) -> dict[str, Any]:
    """What a new instance changes of its study."""
    expected = {"expected": facts.expected} if facts.expected else {}
    return {"state": "receiving", "changed_at": now} | expected


def check_belongs(facts: InstanceFacts, patient_id: str, series_study: bool) -> None:
    """Raises IntakeError. patient_id: of the known study. series_study: whether the known series
    is of this study."""
    if patient_id != facts.patient_id:
        raise IntakeError(
            "The study is known with another patient: this file was not taken.",
            "Ask the sender which patient it is of; a corrected study needs new UIDs.",
        )
    if not series_study:
        raise IntakeError(
            "The series is known in another study: this file was not taken.",
            "Ask the sender to correct the UIDs.",
        )


def insert_new(session: Session, table: Any, values: dict[str, Any], key: str) -> bool:
    """Insert a row unless one with the same `key` exists; whether it was inserted."""
    kind = session.get_bind().dialect.name
    made: Insert = (
        sqlite.insert(table).on_conflict_do_nothing(index_elements=[key])
        if kind == "sqlite"
        else postgresql.insert(table).on_conflict_do_nothing(index_elements=[key])
    )
    return bool(session.execute(made.values(**values)).rowcount)  # type: ignore[attr-defined]


def _study(session: Session, facts: InstanceFacts, source: str, now: datetime) -> str:
    values = {"id": token(), **study_values(facts, source, now)}
    insert_new(session, Study, values, "study_uid")
    known = session.execute(
        select(Study.id, Study.patient_id).where(Study.study_uid == facts.study_uid)
    ).one()
    check_belongs(facts, known.patient_id, True)
    return str(known.id)


def _series(session: Session, facts: InstanceFacts, study_id: str) -> str:
    values = {"id": token(), **series_values(facts, study_id)}
    new = insert_new(session, Series, values, "series_uid")
    known = session.execute(
        select(Series.id, Series.study_id).where(Series.series_uid == facts.series_uid)
    ).one()
    check_belongs(facts, facts.patient_id, known.study_id == study_id)
    if new and not facts.own and facts.modality:
        study = session.get_one(Study, study_id, with_for_update=True)
        study.modality = "/".join(sorted({*study.modality.split("/"), facts.modality} - {""}))
    return str(known.id)


def add_file(store: Store, path: Path, name: str = "", source: str = "folder") -> Registered:
    """Take one file in, DICOM by its content, pictures and volumes by their name.

    Raises IntakeError for another kind of file, WriteError when the disk is full.
    """
    dicom = is_dicom(path)
    if not dicom and not suffix_of(name or path.name):
        raise IntakeError(
            "This is no DICOM file, film or volume.", "Give DICOM, PNG, JPEG, TIFF or NIfTI files."
        )
    facts = facts_of(path) if dicom else None
    stored = store.blobs.put_file(path)
    if facts is None:
        facts = facts_of_picture(name or path.name, stored.sha256)
    return register(store, facts, stored.sha256, stored.bytes, source=source)


def add_folder(
    store: Store,
    path: Path,
    source: str = "folder",
    progress: Callable[[int], None] | None = None,
) -> Added:
    """Take in every file below a folder, or one file. What cannot be taken is listed by its name
    with the reason, and stops nothing; a full disk does (WriteError)."""
    new = known = 0
    refused: list[tuple[str, str]] = []
    studies: dict[str, None] = {}
    for done, file in enumerate(files_below(path), start=1):
        try:
            registered = add_file(store, file, source=source)
        except IntakeError as error:
            refused.append((file.name, error.what))
        except OSError as error:
            refused.append((file.name, f"It could not be read: {error.strerror}."))
        else:
            new, known = new + registered.new, known + (not registered.new)
            studies[registered.study_id] = None
        if progress is not None:
            progress(done)
    return Added(new, known, tuple(refused), tuple(studies))


def files_below(path: Path) -> Iterator[Path]:
    """A file itself, or every file below a folder but hidden ones, in order."""
    if path.is_file():
        yield path
    for parent, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, n) for n in sorted(names) if not n.startswith("."))


def recover(store: Store, older_than: float = 3600.0) -> tuple[int, int]:
    """Register the blobs that a crash left without a row, and remove what is of no use.

    older_than: seconds; younger files that cannot be registered may belong to a process at work.
    Returns how many were registered and how many removed.
    """
    limit = time.time() - older_than
    registered = removed = 0
    with store.reading() as session:
        known = set(session.scalars(select(Blob.sha256)))
    for name in store.blobs:
        path = store.blobs.path(name)
        if name in known:
            continue
        if is_dicom(path) and store.blobs.whole(name):
            try:
                registered += register(store, facts_of(path), name).new
                continue
            except IntakeError:
                pass  # whoever sent it was told; the file goes
        with store.session() as session:  # nobody may refer to it while it goes
            if session.get(Blob, name) is None and path.stat().st_mtime < limit:
                path.unlink(missing_ok=True)
                removed += 1
    for path in store.blobs.unfinished():
        if path.stat().st_mtime < limit:
            path.unlink(missing_ok=True)
    return registered, removed


def unreferenced(session: Session) -> list[str]:
    """Blobs with a row that nothing refers to."""
    used = [select(column) for column in (Instance.blob, Output.blob, Correction.blob)]
    statement = select(Blob.sha256)
    for one in used:
        statement = statement.where(
            Blob.sha256.not_in(one.where(one.selected_columns[0].is_not(None)))
        )
    return list(session.scalars(statement))


def count_instances(session: Session, series_id: str) -> int:
    """How many instances a series has."""
    statement = select(func.count()).where(Instance.series_id == series_id)
    return int(session.scalar(statement) or 0)
