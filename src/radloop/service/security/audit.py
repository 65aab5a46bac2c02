"""The audit log: who saw and did what, in a chain of digests that shows any later change.

A line's digest is the SHA-256 of its fields and of the digest before it. Lines that are changed,
removed or put in between break the chain; lines cut off at the end do not, which is why `verify`
tells the last digest: noted elsewhere (printed, sent to another machine), it covers these too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from radloop.errors import RadloopError
from radloop.service.security.schema import AuditEntry
from radloop.service.store.database import Store
from radloop.service.store.schema import utc_now

_LOCK = 0x61756474  # "audt": the advisory lock under which PostgreSQL appends one line at a time


class AuditError(RadloopError):
    """The audit log was changed."""


@dataclass(frozen=True)
class Verified:
    """entries: how many lines. head: the digest of the last, "" of an empty log."""

    entries: int
    head: str


def digest_of(
    n: int, when: str, who: str, action: str, study_id: str, detail: str, before: str
) -> str:
    """The digest of a line, 64 hexadecimal digits. JSON keeps the fields apart."""
    line = json.dumps([n, when, who, action, study_id, detail, before], separators=(",", ":"))
    return hashlib.sha256(line.encode("utf-8")).hexdigest()


def append(
    session: Session, who: str, action: str, study_id: str = "", detail: Mapping[str, Any] = {}
) -> None:
    """Add a line within a transaction: it is there exactly when the transaction is."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.n.desc()).limit(1)).first()
    n, before = (last.n + 1, last.digest) if last else (1, "")
    when = utc_now().isoformat(timespec="milliseconds")
    said = json.dumps(dict(detail), sort_keys=True, separators=(",", ":"))
    session.add(
        AuditEntry(
            n=n, when=when, who=who, action=action, study_id=study_id, detail=said, before=before,
            digest=digest_of(n, when, who, action, study_id, said, before),
        )
    )  # fmt: skip
    session.flush()


def record(
    store: Store, who: str, action: str, study_id: str = "", detail: Mapping[str, Any] = {}
) -> None:
    """Add a line in a transaction of its own."""
    with store.session() as session:
        append(session, who, action, study_id, detail)


def verify(store: Store, head: str = "") -> Verified:
    """Walk the chain. head: a digest noted earlier, which must still be in it.

    Raises AuditError, which names the first line that does not fit.
    """
    before, n, seen = "", 0, not head
    with store.reading() as session:
        rows = session.scalars(
            select(AuditEntry).order_by(AuditEntry.n).execution_options(yield_per=1000)
        )
        for row in rows:
            n += 1
            made = digest_of(
                row.n, row.when, row.who, row.action, row.study_id, row.detail, row.before
            )
            if row.n != n or row.before != before or row.digest != made:
                raise AuditError(
                    f"The audit log was changed at line {n}.",
                    "Compare it with a backup from before, and find out who could write to it.",
                )
            before = row.digest
            seen = seen or before == head
    if not seen:
        raise AuditError(
            "The audit log does not hold the digest that was noted: its end was cut off.",
            "Compare it with a backup from before.",
        )
    return Verified(n, before)


def entries(store: Store, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest lines, newest first; before: only those with a smaller number."""
    statement = select(AuditEntry).order_by(AuditEntry.n.desc()).limit(limit)
    if before is not None:
        statement = statement.where(AuditEntry.n < before)
    with store.reading() as session:
        return list(session.scalars(statement))
