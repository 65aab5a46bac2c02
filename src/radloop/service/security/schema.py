"""The tables of accounts, sessions, tokens and the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from radloop.service.store.schema import Base, token, utc_now

_KEY = BigInteger().with_variant(Integer, "sqlite")


class Account(Base):
    """Somebody who may log in. name: in lower case. password: an Argon2id hash, "" without one.

    must_change: the password was given by somebody else, and opens nothing but the page that
    changes it. sites: whose studies the account sees; empty stands for all. subject: who it is for
    the provider of identities. failures, locked_until: wrong passwords in a row, and the wait that
    follows.
    """

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    name: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    password: Mapped[str] = mapped_column(default="")
    must_change: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    sites: Mapped[list[str]] = mapped_column(JSON, default=list)
    subject: Mapped[str | None] = mapped_column(default=None, unique=True)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Session(Base):
    """A login. id: the SHA-256 of the cookie, so that the table opens no session."""

    __tablename__ = "session"

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    csrf: Mapped[str]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Token(Base):
    """A key for a program, which acts for an account. hash: the SHA-256 of the key. scopes: "read",
    "write"."""

    __tablename__ = "token"

    id: Mapped[str] = mapped_column(primary_key=True, default=token)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)


class AuditEntry(Base):
    """One line of the audit log, which is only ever appended to: the database refuses changes, and
    `digest` covers the line and the digest before it. when: as text, so that it is hashed as it
    stands. detail: JSON text without identifiers of patients."""

    __tablename__ = "audit"

    n: Mapped[int] = mapped_column(_KEY, primary_key=True, autoincrement=False)
    when: Mapped[str]
    who: Mapped[str] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(index=True)
    study_id: Mapped[str] = mapped_column(default="", index=True)
    detail: Mapped[str] = mapped_column(default="{}")
    before: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
