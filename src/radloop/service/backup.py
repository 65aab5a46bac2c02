"""Backup, restore and check of a store.

The database is copied first and the files after it: a row is written after its file and no file is
ever changed, so the copy has every file that its rows name, while the service runs. SQLite is
copied through its own backup interface; of PostgreSQL `pg_dump` makes the copy.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

import radloop
from radloop.errors import InputError
from radloop.images.write import atomic_path, write_text
from radloop.service.settings import FILE_NAME
from radloop.service.store.blobs import BlobStore
from radloop.service.store.database import Store, StoreError
from radloop.service.store.schema import Base, Blob, Job, Result

DATABASE = "radloop.db"
ABOUT = "backup.json"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Copied:
    """How many files were copied, and how many were there from an earlier backup."""

    copied: int
    there: int
    bytes: int


def backup(
    store: Store, out: Path, *, files_only: bool = False, progress: Progress | None = None
) -> Copied:
    """Copy the database and every file to `out`; a second backup to the same folder copies only
    what is new. Raises InputError for PostgreSQL without `files_only`, WriteError."""
    if not store.is_sqlite and not files_only:
        raise InputError(
            "The database is PostgreSQL, which has its own backup.",
            "Run pg_dump first, then `radloop store backup --files-only` into the same folder.",
        )
    out.mkdir(parents=True, exist_ok=True)
    if not files_only:
        with atomic_path(out / DATABASE) as temporary:
            _copy_sqlite(Path(store.engine.url.database or ""), temporary)
    target = BlobStore(out / "blobs")
    with store.reading() as session:
        names = list(session.execute(select(Blob.sha256, Blob.bytes).order_by(Blob.sha256)))
    copied = there = size = 0
    for done, (name, count) in enumerate(names, start=1):
        final = target.path(name)
        if final.exists() and final.stat().st_size == count:
            there += 1
        else:
            stored = target.put_file(store.blobs.path(name))
            if stored.sha256 != name:
                target.path(stored.sha256).unlink(missing_ok=True)
                raise StoreError(
                    "A stored file has changed on the disk.", "Run `radloop store check --deep`."
                )
            copied, size = copied + 1, size + count
        if progress is not None:
            progress(done, len(names))
    settings = store.settings.home / FILE_NAME
    if settings.is_file():
        write_text(out / FILE_NAME, settings.read_text(encoding="utf-8"))
    about = {
        "radloop": radloop.__version__,
        "database": "none" if files_only else "sqlite",
        "files": len(names),
    }
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")
    return Copied(copied, there, size)


def restore(source: Path, home: Path, progress: Progress | None = None) -> Copied:
    """Make a home folder of a backup; every file's hash is checked on the way.

    Raises InputError when `home` holds a database, or `source` is no backup of SQLite; StoreError
    for a damaged one, and then `home` has no database.
    """
    if (home / DATABASE).exists():
        raise InputError("The home folder holds a database already.", "Restore to a new folder.")
    if not (source / ABOUT).is_file() or not (source / DATABASE).is_file():
        raise InputError(
            "The folder holds no backup of SQLite.",
            "For PostgreSQL, restore the dump with pg_restore and copy the folder 'blobs'.",
        )
    home.mkdir(parents=True, exist_ok=True)
    given, target = BlobStore(source / "blobs"), BlobStore(home / "blobs")
    names = list(given)
    size = 0
    for done, name in enumerate(names, start=1):
        stored = target.put_file(given.path(name))
        if stored.sha256 != name:
            raise StoreError("A file of the backup is damaged.", "Use another backup.")
        size += stored.bytes
        if progress is not None:
            progress(done, len(names))
    if (source / FILE_NAME).is_file() and not (home / FILE_NAME).exists():
        write_text(home / FILE_NAME, (source / FILE_NAME).read_text(encoding="utf-8"))
    with atomic_path(home / DATABASE) as temporary:
        shutil.copyfile(source / DATABASE, temporary)
        problem = _integrity(temporary)
        if problem:
            raise StoreError("The database of the backup is damaged.", "Use another backup.")
    return Copied(len(names), 0, size)


def check(store: Store, *, deep: bool = False, progress: Progress | None = None) -> list[str]:
    """What is wrong with the store, a sentence each; nothing when all is well.

    deep: also read every file and compare its hash.
    """
    problems = []
    with store.reading() as session:
        if store.is_sqlite:
            rows = list(session.scalars(text("PRAGMA integrity_check")))
            problems += [f"The database is damaged: {row}." for row in rows if row != "ok"]
            broken = list(session.execute(text("PRAGMA foreign_key_check")))
            if broken:
                problems.append(f"{len(broken)} rows refer to rows that are not there.")
        problems += _doubled(session)
        names = list(session.execute(select(Blob.sha256, Blob.bytes)))
    missing = damaged = 0
    for done, (name, size) in enumerate(names, start=1):
        path = store.blobs.path(name)
        if not path.is_file():
            missing += 1
        elif path.stat().st_size != size or (deep and not store.blobs.whole(name)):
            damaged += 1
        if progress is not None:
            progress(done, len(names))
    if missing:
        problems.append(f"{missing} files are missing.")
    if damaged:
        problems.append(f"{damaged} files are damaged.")
    return problems


def _doubled(session: Any) -> list[str]:
    """Readings without a result, and series that a model has read twice in effect."""
    problems = []
    lost = session.scalar(
        select(func.count())
        .select_from(Job)
        .outerjoin(Result, Result.job_id == Job.id)
        .where(Job.kind == "read", Job.state == "done", Job.reason == "", Result.id.is_(None))
    )
    if lost:
        problems.append(f"{lost} readings are done and have no result.")
    twice = session.execute(
        select(Result.series_id)
        .where(Result.current.is_(True))
        .group_by(Result.series_id, Result.model_name)
        .having(func.count() > 1)
    ).all()
    if twice:
        problems.append(f"{len(twice)} series have two current results of one model.")
    return problems


def _copy_sqlite(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other, pages=1000, sleep=0.01)
        other.execute("PRAGMA journal_mode=DELETE").close()
    one.close()
    other.close()


def _integrity(path: Path) -> str:
    try:
        database = sqlite3.connect(path)
        try:
            found = str(database.execute("PRAGMA integrity_check").fetchone()[0])
        finally:
            database.close()
    except sqlite3.DatabaseError:
        return "not a database"
    return "" if found == "ok" else found


def table_counts(store: Store) -> dict[str, int]:
    """How many rows each table has."""
    with store.reading() as session:
        return {
            table.name: int(session.scalar(select(func.count()).select_from(table)) or 0)
            for table in Base.metadata.sorted_tables
        }
