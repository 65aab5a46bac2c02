"""Sessions: kept on the server, opened by a random cookie of which only the hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete

from radloop.service.security.schema import Account, Session
from radloop.service.security.settings import SecuritySettings
from radloop.service.store.database import Store
from radloop.service.store.schema import utc_now

_EVERY = timedelta(minutes=1)  # how exact the time of the last request is kept


@dataclass(frozen=True)
class Opened:
    """A login as a request sees it. csrf: what a change must send back."""

    account: Account
    csrf: str


def hash_of(secret: str) -> str:
    """What is stored of a cookie or key. They are 256 random bits: a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def start(
    store: Store, account: Account, settings: SecuritySettings, now: datetime | None = None
) -> str:
    """Open a session, always under a new cookie, which is returned. What expired is removed."""
    now = now or utc_now()
    cookie = secrets.token_urlsafe(32)
    with store.session() as session:
        session.execute(delete(Session).where(Session.expires_at < now))
        session.add(
            Session(
                id=hash_of(cookie),
                account_id=account.id,
                csrf=secrets.token_urlsafe(32),
                created_at=now,
                seen_at=now,
                expires_at=now + timedelta(hours=settings.absolute_hours),
            )
        )
    return cookie


def find(
    store: Store,
    cookie: str,
    settings: SecuritySettings,
    now: datetime | None = None,
    *,
    touch: bool = True,
) -> Opened | None:
    """The session of a cookie, or None when there is none, it ended, or its account is disabled.

    touch: the request shows that somebody is there, and the idle time starts anew.
    """
    now = now or utc_now()
    with store.reading() as session:
        row = session.get(Session, hash_of(cookie))
        account = session.get(Account, row.account_id) if row else None
    if row is None or account is None or account.disabled:
        return None
    if now >= row.expires_at or now - row.seen_at >= timedelta(minutes=settings.idle_minutes):
        end(store, cookie)
        return None
    if touch and now - row.seen_at >= _EVERY:
        with store.session() as session:
            current = session.get(Session, row.id)
            if current is None:
                return None
            current.seen_at = now
    return Opened(account, row.csrf)


def end(store: Store, cookie: str) -> None:
    """Close a session: the cookie opens nothing any more."""
    with store.session() as session:
        session.execute(delete(Session).where(Session.id == hash_of(cookie)))


def csrf_fits(opened: Opened, given: str) -> bool:
    """Whether a change was asked for from a page of this session."""
    return hmac.compare_digest(opened.csrf.encode(), given.encode("utf-8", "replace"))
