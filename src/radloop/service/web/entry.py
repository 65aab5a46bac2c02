"""Coming in and going out: login, logout, the change of a password, single sign-on."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from radloop.errors import InputError
from radloop.service.security import accounts, audit, oidc, sessions
from radloop.service.security.schema import Account
from radloop.service.web.access import COOKIE, Web, Who, address, needs, slow_down, web
from radloop.service.web.pages import page

router = APIRouter()
_FORM_COOKIE, _OIDC_COOKIE = "radloop_login", "radloop_oidc"
Parts = Annotated[Web, Depends(web)]


@router.get("/login")
def login_page(request: Request, parts: Parts) -> Response:
    """The form; a cookie of its own ties it to this browser."""
    return _form(request, parts)


def _form(request: Request, parts: Web, said: str = "", status: int = 200) -> Response:
    secret = secrets.token_urlsafe(24)
    provider = parts.settings.security.oidc
    response = page(
        request, "login.html", None, status=status, csrf=secret, said=said,
        provider=provider.name if provider else "",
    )  # fmt: skip
    _set_cookie(response, parts, _FORM_COOKIE, secret, 3600)
    return response


@router.post("/login")
def login(
    request: Request,
    parts: Parts,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    csrf: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Open a session under a new cookie; whatever cookie came along is worth nothing afterwards."""
    if wait := parts.logins.wait(address(request), time.monotonic()):
        raise slow_down(wait)
    tied = request.cookies.get(_FORM_COOKIE, "")
    if not tied or not hmac.compare_digest(tied.encode(), csrf.encode()):
        return _form(request, parts, "The page is too old. Please try again.", 403)
    settings = parts.settings.security
    account = accounts.authenticate(parts.store, name, password, settings.lock_after)
    if account is None:
        # The name is not written down: people type passwords into the wrong field.
        audit.record(parts.store, "", "login refused")
        text = "Name and password do not fit, or the account waits after wrong passwords."
        return _form(request, parts, text, 401)
    return _opened(request, parts, account, "login")


def _opened(request: Request, parts: Web, account: Account, how: str) -> Response:
    if old := request.cookies.get(COOKIE):
        sessions.end(parts.store, old)
    cookie = sessions.start(parts.store, account, parts.settings.security)
    audit.record(parts.store, account.name, how)
    response = RedirectResponse("/password" if account.must_change else "/", 303)
    _set_cookie(response, parts, COOKIE, cookie, parts.settings.security.absolute_hours * 3600)
    response.delete_cookie(_FORM_COOKIE)
    return response


@router.post("/logout")
def logout(
    request: Request, parts: Parts, who: Annotated[Who, Depends(needs(unchanged=True))]
) -> Response:
    """Close the session on the server, so that a copy of the cookie opens nothing."""
    sessions.end(parts.store, request.cookies.get(COOKIE, ""))
    audit.record(parts.store, who.name, "logout")
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@router.get("/password")
def password_page(
    request: Request, who: Annotated[Who, Depends(needs(unchanged=True))]
) -> Response:
    """The form that changes one's own password."""
    return page(request, "password.html", who, said="")


@router.post("/password")
def change_password(
    request: Request,
    parts: Parts,
    who: Annotated[Who, Depends(needs(unchanged=True))],
    old: Annotated[str, Form(max_length=1024)] = "",
    new: Annotated[str, Form(max_length=1024)] = "",
    again: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Change it; all sessions end, and this browser gets a new one."""
    if wait := parts.logins.wait(who.account.id, time.monotonic()):
        raise slow_down(wait)
    try:
        if new != again:
            raise InputError("The two new passwords differ.")
        accounts.change_password(parts.store, who.account.id, old, new)
    except InputError as error:
        return page(request, "password.html", who, status=422, said=str(error))
    cookie = sessions.start(parts.store, who.account, parts.settings.security)
    response = RedirectResponse("/", 303)
    _set_cookie(response, parts, COOKIE, cookie, parts.settings.security.absolute_hours * 3600)
    return response


@router.get("/oidc")
async def oidc_start(request: Request, parts: Parts) -> Response:
    """Send the browser to the provider."""
    if parts.settings.security.oidc is None:
        raise HTTPException(404, "There is no single sign-on here.")
    if wait := parts.logins.wait(address(request), time.monotonic()):
        raise slow_down(wait)
    started = await oidc.begin(parts.settings.security.oidc, _return_address(request, parts))
    response = RedirectResponse(started.address, 303)
    # Lax: the provider sends the browser back from another site.
    _set_cookie(response, parts, _OIDC_COOKIE, started.sealed(), 600, "lax")
    return response


@router.get("/oidc/back")
async def oidc_back(request: Request, parts: Parts, code: str = "", state: str = "") -> Response:
    """Back from the provider: check what it says, then open a session."""
    if parts.settings.security.oidc is None:
        raise HTTPException(404, "There is no single sign-on here.")
    if wait := parts.logins.wait(address(request), time.monotonic()):
        raise slow_down(wait)
    settings = parts.settings.security.oidc
    try:
        started = oidc.unseal(request.cookies.get(_OIDC_COOKIE, ""))
        person = await oidc.finish(settings, started, code, state, _return_address(request, parts))
        account = await run_in_threadpool(oidc.account_of, parts.store, settings, person)
    except InputError as error:
        await run_in_threadpool(audit.record, parts.store, "", "login refused")
        return _form(request, parts, error.what, 401)
    response = await run_in_threadpool(_opened, request, parts, account, "single sign-on")
    response.delete_cookie(_OIDC_COOKIE)
    # The browser came from another site: a page of ours asks again, with the strict cookie.
    body = page(request, "go.html", None)
    for name, value in response.raw_headers:
        if name == b"set-cookie":
            body.raw_headers.append((name, value))
    return body


def _return_address(request: Request, parts: Web) -> str:
    base = parts.settings.web.public_url or str(request.base_url)
    return base.rstrip("/") + "/oidc/back"


def _set_cookie(
    response: Response, parts: Web, name: str, value: str, seconds: int, same_site: str = "strict"
) -> None:
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, path="/",
        secure=parts.settings.web.secure_cookies,
        samesite="lax" if same_site == "lax" else "strict",
    )  # fmt: skip
