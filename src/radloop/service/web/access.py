"""Who asks: the account behind a request, what it may do, and which studies exist for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from fastapi import HTTPException, Request
from sqlalchemy import select

from radloop.errors import InputError
from radloop.service.security import sessions, tokens
from radloop.service.security.accounts import Role, may, sees
from radloop.service.security.limits import RateLimit
from radloop.service.security.schema import Account
from radloop.service.settings import Settings
from radloop.service.store.database import Store
from radloop.service.store.results import StudyView, of_study
from radloop.service.store.schema import Study

COOKIE = "radloop_session"
_SAFE = ("GET", "HEAD", "OPTIONS")


class LoginNeededError(Exception):
    """Nobody is logged in. `change` says that the account must change its password first."""

    def __init__(self, change: bool = False) -> None:
        super().__init__()
        self.change = change


@dataclass(frozen=True)
class Web:
    """What every route needs; one an application."""

    store: Store
    settings: Settings
    requests: RateLimit
    logins: RateLimit


@dataclass(frozen=True)
class Who:
    """The account of a request. csrf: "" for a program with a key."""

    account: Account
    csrf: str = ""

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def sites(self) -> tuple[str, ...] | None:
        """The sites whose studies exist for the account, None for all."""
        return tuple(self.account.sites) or None

    def may(self, role: Role) -> bool:
        """Whether the account has a role's rights."""
        return may(self.account.role, role)


def web(request: Request) -> Web:
    """The application's parts."""
    return cast(Web, request.app.state.web)


def address(request: Request) -> str:
    """Who to count requests without an account for."""
    return request.client.host if request.client else "unknown"


def slow_down(seconds: float) -> HTTPException:
    """The answer to too many requests."""
    text = "Too many requests. Wait a little and try again."
    return HTTPException(429, text, {"Retry-After": str(max(1, round(seconds)))})


def needs(
    role: Role = "reader", *, live: bool = False, unchanged: bool = False
) -> Callable[[Request], Awaitable[Who]]:
    """A dependency that gives the account of a request, once all of this holds: it is logged in or
    has a key whose scope covers the method, asks not too often, has the role, and a change carries
    the session's CSRF token (header `X-CSRF-Token` or form field `csrf`).

    live: a request that pages make by themselves, which keeps no session open. unchanged: also for
    an account that must change its password first.
    """

    async def dependency(request: Request) -> Who:
        from starlette.concurrency import run_in_threadpool

        parts = web(request)
        who, scopes = await run_in_threadpool(_identify, request, parts, live)
        key = who.account.id if who else f"@{address(request)}"
        if wait := parts.requests.wait(key, time.monotonic()):
            raise slow_down(wait)
        if who is None:
            raise LoginNeededError
        writes = request.method not in _SAFE
        if scopes is None and writes:
            given = request.headers.get("x-csrf-token", "")
            if not given and "form" in request.headers.get("content-type", ""):
                given = str((await request.form(max_files=0)).get("csrf", ""))
            if not sessions.csrf_fits(sessions.Opened(who.account, who.csrf), given):
                raise HTTPException(403, "The page is too old. Load it again.")
        if scopes is not None and ("write" if writes else "read") not in scopes:
            raise HTTPException(403, "The key's scope does not cover this.")
        if who.account.must_change and not unchanged:
            raise LoginNeededError(change=True)
        if not who.may(role):
            raise HTTPException(403, f"This needs the role of {role}.")
        request.state.who = who.name
        return who

    return dependency


def _identify(
    request: Request, parts: Web, live: bool
) -> tuple[Who | None, tuple[str, ...] | None]:
    """The account, and the scopes of the key where one was used."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind:
        found = tokens.find(parts.store, key.strip()) if kind.lower() == "bearer" else None
        return (Who(found[0]), found[1]) if found else (None, ())
    cookie = request.cookies.get(COOKIE, "")
    opened = cookie and sessions.find(parts.store, cookie, parts.settings.security, touch=not live)
    return (Who(opened.account, opened.csrf) if opened else None), None


def visible(parts: Web, who: Who, study_id: str) -> StudyView:
    """A study with all of it. 404 for one that is not there, and the same for one of a site that
    the account may not see: nobody learns which ids exist."""
    try:
        view = of_study(parts.store, study_id)
    except InputError:
        raise HTTPException(404, "There is no such study.") from None
    if not sees(who.account, view.study.site):
        raise HTTPException(404, "There is no such study.")
    return view


def check_visible(parts: Web, who: Who, study_id: str) -> None:
    """404 as `visible`, without reading all of the study."""
    with parts.store.reading() as session:
        site = session.scalar(select(Study.site).where(Study.id == study_id))
    if site is None or not sees(who.account, site):
        raise HTTPException(404, "There is no such study.")
