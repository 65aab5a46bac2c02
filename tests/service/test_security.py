"""Accounts, sessions, keys, limits and the audit log, through their public functions."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_room import PASSWORD, Room
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from radloop.errors import InputError, RadloopError
from radloop.service.security import accounts, audit, passwords, sessions, tokens
from radloop.service.security.limits import Bucket, take
from radloop.service.security.schema import Account, Session, Token
from radloop.service.security.settings import SecuritySettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = SecuritySettings()


def account(room: Room, name: str = "anna", role: str = "reader") -> Account:
    room.account(name, role)
    found = accounts.authenticate(room.store, name, PASSWORD)
    assert found is not None
    return found


def test_the_first_run_makes_one_administrator_with_a_password_of_its_own(room: Room) -> None:
    password = accounts.first_admin(room.store)
    assert password is not None and len(password) >= 16
    first = accounts.authenticate(room.store, "admin", password)
    assert first is not None and first.role == "admin" and first.must_change
    assert accounts.first_admin(room.store) is None
    assert passwords.one_time() != passwords.one_time()


def test_passwords_are_stored_as_argon2id_only(room: Room) -> None:
    assert account(room).password.startswith("$argon2id$")
    raw = (room.store.settings.home / "radloop.db").read_bytes()
    assert PASSWORD.encode() not in raw


@pytest.mark.parametrize("new", ["short", "aaaaaaaaaaaaaaaa", "anna-anna-anna-anna", "x" * 300])
def test_bad_new_passwords_are_refused(room: Room, new: str) -> None:
    one = account(room)
    with pytest.raises(InputError):
        accounts.change_password(room.store, one.id, PASSWORD, new)


def test_wrong_passwords_lock_the_account_for_a_while(room: Room) -> None:
    account(room)
    for _ in range(5):
        assert accounts.authenticate(room.store, "anna", "wrong", 5, NOW) is None
    assert accounts.authenticate(room.store, "anna", PASSWORD, 5, NOW) is None
    later = NOW + timedelta(seconds=61)
    assert accounts.authenticate(room.store, "anna", PASSWORD, 5, later) is not None


def test_nobody_logs_in_under_an_unknown_name_or_with_an_empty_hash(room: Room) -> None:
    assert accounts.authenticate(room.store, "nobody", "") is None
    assert not passwords.matches("", "")


def test_the_last_administrator_stays_one(room: Room) -> None:
    boss = account(room, "boss", "admin")
    with pytest.raises(InputError, match="last administrator"):
        accounts.change(room.store, boss.id, "boss", role="reader")
    account(room, "other", "admin")
    accounts.change(room.store, boss.id, "other", role="reader")


def test_a_session_ends_by_idleness_by_age_and_by_disabling(room: Room) -> None:
    one = account(room)
    cookie = sessions.start(room.store, one, RULES, NOW)
    minute = timedelta(minutes=1)
    assert sessions.find(room.store, cookie, RULES, NOW + 29 * minute)
    assert sessions.find(room.store, cookie, RULES, NOW + 58 * minute, touch=False)
    # The page asked by itself, so the idle time went on from minute 29.
    assert sessions.find(room.store, cookie, RULES, NOW + 60 * minute) is None
    old = sessions.start(room.store, one, RULES, NOW)
    for k in range(1, 720 // 20):
        assert sessions.find(room.store, old, RULES, NOW + 20 * k * minute)
    assert sessions.find(room.store, old, RULES, NOW + 720 * minute) is None
    third = sessions.start(room.store, one, RULES, NOW)
    account(room, "boss", "admin")
    accounts.change(room.store, one.id, "boss", disabled=True)
    assert sessions.find(room.store, third, RULES, NOW) is None


def test_neither_cookies_nor_keys_lie_in_the_database(room: Room) -> None:
    one = account(room)
    cookie = sessions.start(room.store, one, RULES)
    key = tokens.create(room.store, one, "script", ["read"])
    with room.store.reading() as session:
        stored = [*session.scalars(select(Session.id)), *session.scalars(select(Token.hash))]
    assert cookie not in stored and key not in stored
    assert all(len(value) == 64 for value in stored)


def test_a_key_ends_and_can_be_revoked_by_its_owner_only(room: Room) -> None:
    one, other = account(room), account(room, "bert")
    key = tokens.create(room.store, one, "script", ["read"], days=1, now=NOW)
    assert tokens.find(room.store, key, NOW) is not None
    assert tokens.find(room.store, key, NOW + timedelta(days=2)) is None
    key = tokens.create(room.store, one, "script", ["read", "write"])
    (row,) = [t for t in tokens.of_account(room.store, one) if "write" in t.scopes]
    with pytest.raises(InputError):
        tokens.revoke(room.store, other, row.id)
    tokens.revoke(room.store, one, row.id)
    assert tokens.find(room.store, key) is None
    with pytest.raises(InputError):
        tokens.create(room.store, one, "x", ["everything"])


# The audit log.


def test_the_log_is_chained_and_the_database_refuses_to_change_it(room: Room) -> None:
    for k in range(5):
        audit.record(room.store, "anna", "study seen", f"s{k}")
    assert audit.verify(room.store).entries == 5
    for statement in ("UPDATE audit SET who = 'bert'", "DELETE FROM audit"):
        with pytest.raises((RadloopError, DBAPIError)), room.store.session() as session:
            session.execute(text(statement))


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE audit SET who = 'bert' WHERE n = 3",
        "DELETE FROM audit WHERE n = 3",
        "UPDATE audit SET n = n + 1 WHERE n = 5",
    ],
)
def test_a_change_behind_its_back_is_found(room: Room, attack: str) -> None:
    for k in range(5):
        audit.record(room.store, "anna", "study seen", f"s{k}")
    database = sqlite3.connect(room.store.settings.home / "radloop.db")
    database.execute("DROP TRIGGER audit_no_update")
    database.execute("DROP TRIGGER audit_no_delete")
    database.execute(attack)
    database.commit()
    database.close()
    with pytest.raises(audit.AuditError, match="changed at line"):
        audit.verify(room.store)


def test_a_cut_off_end_is_found_by_a_digest_noted_before(room: Room) -> None:
    for k in range(3):
        audit.record(room.store, "anna", "study seen", f"s{k}")
    head = audit.verify(room.store).head
    database = sqlite3.connect(room.store.settings.home / "radloop.db")
    database.execute("DROP TRIGGER audit_no_delete")
    database.execute("DELETE FROM audit WHERE n = 3")
    database.commit()
    database.close()
    assert audit.verify(room.store).entries == 2
    with pytest.raises(audit.AuditError, match="cut off"):
        audit.verify(room.store, head)


# Rate limits: a bucket never gives more than its size and what was refilled.


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 10))
def test_a_bucket_never_gives_more_than_it_may(pauses: list[float], size: int) -> None:
    bucket: Bucket | None = None
    now, given_out = 0.0, 0
    for pause in pauses:
        now += pause
        bucket, wait = take(bucket, now, size, 60.0)
        given_out += wait == 0
        assert given_out <= size + now * size / 60 + 1e-6
        if wait:
            _, again = take(bucket, now + wait + 1e-6, size, 60.0)
            assert again == 0
