"""Accounts: making, changing, and finding out whether a password opens one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from radloop.errors import InputError
from radloop.service.security import audit, passwords
from radloop.service.security.schema import Account, Token
from radloop.service.security.schema import Session as Login
from radloop.service.store.database import Store
from radloop.service.store.schema import utc_now

Role = Literal["reader", "reviewer", "admin"]
ROLES: tuple[Role, ...] = ("reader", "reviewer", "admin")
"""What each may: see and comment; also judge and correct; also everything else."""
FIRST = "admin"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=15)


def may(role: str, needed: Role) -> bool:
    """Whether a role includes another. An unknown one includes nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


def sees(account: Account, site: str) -> bool:
    """Whether the account may see studies of a site."""
    return not account.sites or site in account.sites


def create(
    store: Store,
    name: str,
    role: str,
    *,
    sites: Sequence[str] = (),
    by: str = "",
    subject: str | None = None,
) -> str:
    """Make an account and return its one-time password, "" for one that logs in elsewhere (with a
    subject). Raises InputError."""
    name = name.strip().casefold()
    if not _NAME.fullmatch(name):
        raise InputError(
            "That cannot be the name of an account.", "Use letters, digits, '.', '_', '-' and '@'."
        )
    if role not in ROLES:
        raise InputError("There is no such role.", f"Use one of: {', '.join(ROLES)}.")
    password = "" if subject else passwords.one_time()
    stored = passwords.hashed(password) if password else ""
    with store.session() as session:
        if session.scalar(select(Account.id).where(Account.name == name)):
            raise InputError("There is an account of that name.", "Choose another.")
        session.add(
            Account(
                name=name,
                role=role,
                password=stored,
                must_change=bool(password),
                sites=sorted(set(sites)),
                subject=subject,
            )
        )
        audit.append(session, by or name, "account made", detail={"account": name, "role": role})
    return password


def first_admin(store: Store) -> str | None:
    """On the first run, make the administrator's account and return its one-time password, which
    opens nothing but the page that changes it; None when there are accounts."""
    with store.reading() as session:
        if session.scalar(select(func.count(Account.id))):
            return None
    try:
        return create(store, FIRST, "admin", by="first run")
    except InputError:  # another process was first
        return None


def authenticate(
    store: Store, name: str, password: str, lock_after: int = 5, now: datetime | None = None
) -> Account | None:
    """The account that name and password open, or None, whatever the reason.

    After `lock_after` wrong passwords in a row an account opens to nobody for a minute, then two,
    and so on up to a quarter of an hour. The time taken is the same for an unknown name.
    """
    now = now or utc_now()
    name = name.strip().casefold()[:64]
    with store.reading() as session:
        account = session.scalars(select(Account).where(Account.name == name)).first()
    known = account is not None and not account.disabled
    stored = account.password if account is not None and known else ""
    right = passwords.matches(stored, password)
    if account is None:
        return None
    locked = account.locked_until is not None and account.locked_until > now
    if locked or not known:
        return None
    with store.session() as session:
        row = session.get_one(Account, account.id)
        if right:
            row.failures, row.locked_until = 0, None
            if passwords.outdated(row.password):
                row.password = passwords.hashed(password)
            return row
        row.failures += 1
        if row.failures >= lock_after:
            wait = _FIRST_WAIT * 2 ** min(row.failures - lock_after, 10)
            row.locked_until = now + min(wait, _LONGEST_WAIT)
    return None


def change_password(store: Store, account_id: str, old: str, new: str) -> None:
    """Set a new password; every session of the account ends. Raises InputError."""
    with store.reading() as session:
        account = session.get_one(Account, account_id)
    if not passwords.matches(account.password, old):
        raise InputError("The old password is not right.")
    passwords.check_new(new, account.name)
    if new == old:
        raise InputError("The new password is the old one.", "Choose another.")
    stored = passwords.hashed(new)
    with store.session() as session:
        row = session.get_one(Account, account_id)
        row.password, row.must_change = stored, False
        _end_logins(session, account_id)
        audit.append(session, row.name, "password changed")


def reset_password(store: Store, account_id: str, by: str) -> str:
    """A new one-time password for somebody who forgot it; every session of the account ends."""
    password = passwords.one_time()
    stored = passwords.hashed(password)
    with store.session() as session:
        row = _existing(session, account_id)
        row.password, row.must_change, row.failures, row.locked_until = stored, True, 0, None
        _end_logins(session, account_id)
        audit.append(session, by, "password reset", detail={"account": row.name})
    return password


def change(
    store: Store,
    account_id: str,
    by: str,
    *,
    role: str | None = None,
    sites: Sequence[str] | None = None,
    disabled: bool | None = None,
) -> None:
    """Change what an account may. The last administrator who can log in stays one; what was
    allowed before ends with the account's sessions and tokens. Raises InputError."""
    if role is not None and role not in ROLES:
        raise InputError("There is no such role.", f"Use one of: {', '.join(ROLES)}.")
    with store.session() as session:
        row = _existing(session, account_id)
        others = select(func.count(Account.id)).where(
            Account.role == "admin", Account.disabled.is_(False), Account.id != account_id
        )
        stays = (role or row.role) == "admin" and not (
            row.disabled if disabled is None else disabled
        )
        if row.role == "admin" and not stays and not session.scalar(others):
            raise InputError("This is the last administrator.", "Make another one first.")
        row.role = role or row.role
        row.sites = row.sites if sites is None else sorted({one for one in sites if one})
        row.disabled = row.disabled if disabled is None else disabled
        _end_logins(session, account_id)
        if row.disabled:
            statement = update(Token).where(Token.account_id == account_id)
            session.execute(statement.values(revoked_at=utc_now()))
        detail = {
            "account": row.name,
            "role": row.role,
            "disabled": row.disabled,
            "sites": row.sites,
        }
        audit.append(session, by, "account changed", detail=detail)


def all_accounts(store: Store) -> list[Account]:
    """Every account, by name."""
    with store.reading() as session:
        return list(session.scalars(select(Account).order_by(Account.name)))


def _existing(session: Session, account_id: str) -> Account:
    row = session.get(Account, account_id)
    if row is None:
        raise InputError("There is no such account.")
    return row


def _end_logins(session: Session, account_id: str) -> None:
    for row in session.scalars(select(Login).where(Login.account_id == account_id)):
        session.delete(row)
