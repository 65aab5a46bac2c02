"""Keys for programs: shown once, stored as hashes, with scopes and an end."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from radloop.errors import InputError
from radloop.service.security import audit
from radloop.service.security.schema import Account, Token
from radloop.service.security.sessions import hash_of
from radloop.service.store.database import Store
from radloop.service.store.schema import utc_now

SCOPES = ("read", "write")
PREFIX = "radloop_"  # by which scanners of source code find a key that leaked
_LONGEST = 366


def create(
    store: Store, account: Account, name: str, scopes: Sequence[str], days: int = 90,
    now: datetime | None = None,
) -> str:  # fmt: skip
    """A new key of the account, which may never do more than the account. Raises InputError."""
    now = now or utc_now()
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InputError("A key needs a scope.", f"Use: {', '.join(SCOPES)}.")
    if not 1 <= days <= _LONGEST:
        raise InputError(f"A key lasts 1 to {_LONGEST} days.")
    key = PREFIX + secrets.token_urlsafe(32)
    with store.session() as session:
        session.add(
            Token(
                account_id=account.id,
                name=" ".join(name.split())[:64] or "key",
                hash=hash_of(key),
                scopes=sorted(set(scopes)),
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
        )
        audit.append(session, account.name, "key made", detail={"scopes": sorted(set(scopes))})
    return key


def find(
    store: Store, key: str, now: datetime | None = None
) -> tuple[Account, tuple[str, ...]] | None:
    """The account and the scopes of a key, or None when it is unknown, ended or revoked."""
    now = now or utc_now()
    if not key.startswith(PREFIX):
        return None
    with store.reading() as session:
        row = session.scalars(select(Token).where(Token.hash == hash_of(key))).first()
        account = session.get(Account, row.account_id) if row else None
    if row is None or account is None or account.disabled or account.must_change:
        return None
    if row.revoked_at is not None or now >= row.expires_at:
        return None
    return account, tuple(row.scopes)


def of_account(store: Store, account: Account) -> list[Token]:
    """The account's keys that still open something."""
    statement = select(Token).where(
        Token.account_id == account.id, Token.revoked_at.is_(None), Token.expires_at > utc_now()
    )
    with store.reading() as session:
        return list(session.scalars(statement.order_by(Token.created_at)))


def revoke(store: Store, account: Account, token_id: str) -> None:
    """End one of the account's own keys. Raises InputError for another's."""
    with store.session() as session:
        row = session.get(Token, token_id)
        if row is None or row.account_id != account.id:
            raise InputError("There is no such key.")
        row.revoked_at = utc_now()
        audit.append(session, account.name, "key revoked")
