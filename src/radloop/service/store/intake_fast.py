"""Registering many instances of one series after another, as a scanner sends them.

The first of a series goes through `intake.register` and its rules. Those that follow need three
statements on a connection of their own, without a flush of the database: the file, flushed before,
is what lasts, and after a loss of power `intake.recover` registers from it what the database had
not yet written. A process that is killed loses nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import DBAPIError

from radloop.service.store.blobs import Stored
from radloop.service.store.database import BUSY_MS, Store, database_error
from radloop.service.store.facts import InstanceFacts
from radloop.service.store.intake import (
    Registered,
    instance_values,
    register,
    reopened_values,
)
from radloop.service.store.schema import utc_now


class FastIntake:
    """For one thread; `close` it at the end."""

    def __init__(self, store: Store, source: str = "dicom") -> None:
        self._store, self._source = store, source
        self._connection: Any = None
        self._known: dict[str, tuple[InstanceFacts, str, str]] = {}
        """Series UID -> facts of its first instance, study id, series id."""

    def register(self, facts: InstanceFacts, stored: Stored) -> Registered:
        """As `intake.register`, with the same rows and the same errors."""
        known = self._known.get(facts.series_uid)
        if known is not None and _same_series(known[0], facts):
            done = self._insert(facts, stored, known[1], known[2])
            if done is not None:
                return done
            del self._known[facts.series_uid]
        done = register(self._store, facts, stored.sha256, stored.bytes, source=self._source)
        self._remember(facts)
        return done

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _remember(self, facts: InstanceFacts) -> None:
        from sqlalchemy import select

        from radloop.service.store.schema import Series, Study

        with self._store.reading() as session:
            row = session.execute(
                select(Study.id, Series.id)
                .join(Series, Series.study_id == Study.id)
                .where(
                    Series.series_uid == facts.series_uid,
                    Study.study_uid == facts.study_uid,
                    Study.patient_id == facts.patient_id,
                )
            ).first()
        if len(self._known) > 256:
            self._known.clear()
        if row:
            self._known[facts.series_uid] = (facts, str(row[0]), str(row[1]))

    def _insert(
        self, facts: InstanceFacts, stored: Stored, study_id: str, series_id: str
    ) -> Registered | None:
        """None where the row was not inserted: `register` says why. Raises as `Store.session`."""
        now = utc_now()
        values = instance_values(facts, series_id, stored.sha256, stored.bytes, now)
        study = reopened_values(facts, now) | {"id": study_id}
        try:
            cursor = self._cursor()
            try:
                self._begin(cursor)
                cursor.execute(
                    self._sql("INSERT INTO blob (sha256, bytes) VALUES (:blob, :bytes) "
                              "ON CONFLICT DO NOTHING"),
                    {"blob": stored.sha256, "bytes": stored.bytes},
                )  # fmt: skip
                columns = ", ".join(values)
                places = ", ".join(f":{name}" for name in values)
                cursor.execute(
                    self._sql(f"INSERT INTO instance ({columns}) VALUES ({places}) "
                              "ON CONFLICT DO NOTHING"),
                    self._bound(values),
                )  # fmt: skip
                fine = cursor.rowcount == 1
                if fine and not facts.own:
                    changes = ", ".join(f"{name} = :{name}" for name in study if name != "id")
                    cursor.execute(
                        self._sql(f"UPDATE study SET {changes} WHERE id = :id"), self._bound(study)
                    )
                    fine = cursor.rowcount == 1
                cursor.execute("COMMIT" if fine else "ROLLBACK")
            except BaseException:
                with contextlib.suppress(Exception):
                    cursor.execute("ROLLBACK")
                raise
        except Exception as error:
            self.close()
            if self._is_integrity(error):  # the series was deleted a moment ago
                return None
            raise database_error(DBAPIError("", None, error)) from error
        return Registered(True, study_id) if fine else None

    def _cursor(self) -> Any:
        if self._connection is None:
            if self._store.is_sqlite:
                self._connection = sqlite3.connect(
                    str(self._store.engine.url.database),
                    timeout=BUSY_MS / 1000,
                    isolation_level=None,
                    check_same_thread=False,
                )
                self._connection.execute("PRAGMA foreign_keys=ON")
                self._connection.execute("PRAGMA synchronous=NORMAL")
            else:
                import psycopg

                url = self._store.engine.url.set(drivername="postgresql")
                self._connection = psycopg.connect(
                    url.render_as_string(hide_password=False), autocommit=True
                )
        return self._connection.cursor()

    def _begin(self, cursor: Any) -> None:
        if self._store.is_sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        else:
            cursor.execute("BEGIN")
            cursor.execute("SET LOCAL synchronous_commit TO OFF")

    def _sql(self, text: str) -> str:
        if self._store.is_sqlite:
            return text
        import re

        return re.sub(r":(\w+)", r"%(\1)s", text)

    def _bound(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self._store.is_sqlite:
            return values
        return {name: _as_text(value) for name, value in values.items()}

    @staticmethod
    def _is_integrity(error: Exception) -> bool:
        return type(error).__name__ in {"IntegrityError", "ForeignKeyViolation"}


def _as_text(value: Any) -> Any:
    """A time as SQLAlchemy writes it to SQLite."""
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).replace(tzinfo=None).strftime("%Y-%m-%d %H:%M:%S.%f")


def _same_series(first: InstanceFacts, facts: InstanceFacts) -> bool:
    """Whether the rows of study and series would stay as they are."""
    return (first.study_uid, first.patient_id, first.modality, first.own) == (
        facts.study_uid,
        facts.patient_id,
        facts.modality,
        facts.own,
    )
