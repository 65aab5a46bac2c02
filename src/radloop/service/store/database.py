"""`open_store`: the database and the files, with the same code for SQLite and PostgreSQL.

SQLite runs in WAL mode with `synchronous=FULL`: a transaction that was answered survives a loss of
power. PostgreSQL does so by default.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from radloop.errors import InputError, RadloopError, WriteError
from radloop.service.settings import Settings
from radloop.service.store.blobs import BlobStore

BUSY_MS = 30_000
_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x7261646C  # "radl": the advisory lock under which PostgreSQL migrates once


class StoreError(RadloopError):
    """The database cannot be used: not there, of a newer version, locked for too long."""


class Store:
    """The database (`engine`, `session`) and the files (`blobs`) of one home folder."""

    def __init__(self, settings: Settings, engine: Engine, blobs: BlobStore) -> None:
        self.settings = settings
        self.engine = engine
        self.blobs = blobs

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction for reading and writing: committed when the block ends well.

        On SQLite it takes the writer's place from the start (BEGIN IMMEDIATE), so that what was
        read in it cannot have changed when it writes. Raises StoreError and WriteError.
        """
        with self._transaction(immediate=True) as session:
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view, without a lock that a writer would wait for."""
        with self._transaction(immediate=False) as session:
            yield session

    @contextlib.contextmanager
    def _transaction(self, immediate: bool) -> Iterator[Session]:
        bind = self.engine.execution_options(radloop_immediate=immediate)
        try:
            # Objects stay usable after the block: what was read is a value, not a connection.
            with Session(bind, expire_on_commit=False) as session, session.begin():
                yield session
        except DBAPIError as error:
            raise database_error(error) from error

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def open_store(settings: Settings, migrate: bool = True) -> Store:
    """The store of a home folder, made when missing, its tables brought to this version.

    Raises StoreError when the database cannot be reached or is newer than this program.
    """
    blobs = BlobStore(settings.home / "blobs")
    engine = make_engine(settings.database_url)
    try:
        if migrate:
            upgrade(engine)
    except SQLAlchemyError as error:
        raise database_error(error) from error
    return Store(settings, engine, blobs)


def make_engine(url: str) -> Engine:
    """A pool of connections. Raises InputError for an address of another kind of database."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError as error:
        raise InputError("The setting 'database' is not an address of a database.") from error
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False}
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            return create_engine(parsed, pool_pre_ping=True, pool_size=10, max_overflow=20)
        except ModuleNotFoundError as error:
            raise InputError(
                "PostgreSQL needs a driver.", "Install it with: pip install 'radloop[postgres]'."
            ) from error
    raise InputError(
        f"Radloop cannot keep its data in '{parsed.get_backend_name()}'.",
        "Use sqlite:///FILE or postgresql://USER@HOST/NAME.",
    )


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    immediate = connection.get_execution_options().get("radloop_immediate", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def upgrade(engine: Engine) -> None:
    """Bring the tables to this version, once however many processes start together."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        from alembic.migration import MigrationContext

        now = MigrationContext.configure(connection).get_current_revision()
        known = {item.revision for item in script.walk_revisions()}
        if now is not None and now not in known:
            raise StoreError(
                "The database was written by a newer Radloop.", "Upgrade this installation."
            )
        if now != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def database_error(error: SQLAlchemyError) -> RadloopError:
    """The error for the reader; nothing of the statement or its values is in it."""
    cause = str(getattr(error, "orig", "") or "")
    if "disk is full" in cause or "No space left" in cause or "disk I/O" in cause:
        return WriteError(
            "The database cannot be written: the disk is full.",
            "Free some space; what was registered before is kept.",
        )
    if "locked" in cause:
        return StoreError("The database was locked for too long by another program.")
    name = type(error).__name__
    if "unable to open" in cause or "connect" in cause.lower():
        return StoreError(
            "The database cannot be reached.", "Check the setting 'database' and that it runs."
        )
    return StoreError(f"The database refused a statement ({name}).", "Run `radloop store check`.")
