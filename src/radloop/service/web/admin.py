"""What an administrator does: accounts and the audit log; and everybody's own keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from radloop.errors import RadloopError
from radloop.service.security import accounts, audit, tokens
from radloop.service.web.access import Web, Who, needs, web
from radloop.service.web.pages import page

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
Admin = Annotated[Who, Depends(needs("admin"))]
Anyone = Annotated[Who, Depends(needs())]


def _accounts(
    request: Request, parts: Web, who: Who, said: str = "", secret: str = "", status: int = 200
) -> Response:
    return page(
        request, "accounts.html", who, status=status, accounts=accounts.all_accounts(parts.store),
        roles=accounts.ROLES, said=said, secret=secret,
    )  # fmt: skip


@router.get("/accounts")
def accounts_page(request: Request, parts: Parts, who: Admin) -> Response:
    """All accounts."""
    return _accounts(request, parts, who)


@router.post("/accounts")
def make_account(
    request: Request,
    parts: Parts,
    who: Admin,
    name: Annotated[str, Form(max_length=64)],
    role: Annotated[str, Form(max_length=16)],
    sites: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Make one; its one-time password is shown once."""
    try:
        secret = accounts.create(parts.store, name, role, sites=_sites(sites), by=who.name)
    except RadloopError as error:
        return _accounts(request, parts, who, said=str(error), status=422)
    said = f"One-time password of {name.strip().casefold()}, shown this once:"
    return _accounts(request, parts, who, said=said, secret=secret)


@router.post("/accounts/{account_id}")
def change_account(
    request: Request,
    parts: Parts,
    who: Admin,
    account_id: str,
    role: Annotated[str, Form(max_length=16)],
    sites: Annotated[str, Form(max_length=500)] = "",
    disabled: Annotated[bool, Form()] = False,
) -> Response:
    """Change role and sites, or disable it."""
    try:
        accounts.change(
            parts.store, account_id, who.name, role=role, sites=_sites(sites), disabled=disabled
        )
    except RadloopError as error:
        return _accounts(request, parts, who, said=str(error), status=422)
    return RedirectResponse("/accounts", 303)


@router.post("/accounts/{account_id}/reset")
def reset(request: Request, parts: Parts, who: Admin, account_id: str) -> Response:
    """A new one-time password, shown once."""
    try:
        secret = accounts.reset_password(parts.store, account_id, who.name)
    except RadloopError as error:
        return _accounts(request, parts, who, said=str(error), status=422)
    return _accounts(request, parts, who, said="One-time password, shown this once:", secret=secret)


def _sites(text: str) -> list[str]:
    return [one.strip()[:64] for one in text.split(",") if one.strip()]


@router.get("/audit")
def audit_page(request: Request, parts: Parts, who: Admin, before: int | None = None) -> Response:
    """The newest lines of the audit log, and whether its chain holds."""
    try:
        verified, broken = audit.verify(parts.store), ""
    except audit.AuditError as error:
        verified, broken = audit.Verified(0, ""), str(error)
    lines = audit.entries(parts.store, 100, before)
    return page(request, "audit.html", who, entries=lines, verified=verified, broken=broken)


@router.get("/keys")
def keys_page(request: Request, parts: Parts, who: Anyone) -> Response:
    """One's own keys for programs."""
    return _keys(request, parts, who)


def _keys(request: Request, parts: Web, who: Who, secret: str = "") -> Response:
    mine = tokens.of_account(parts.store, who.account)
    return page(request, "keys.html", who, keys=mine, secret=secret)


@router.post("/keys")
def make_key(
    request: Request,
    parts: Parts,
    who: Anyone,
    name: Annotated[str, Form(max_length=64)] = "",
    scope: Annotated[list[str] | None, Form()] = None,
    days: Annotated[int, Form(ge=1, le=366)] = 90,
) -> Response:
    """Make a key; it is shown once."""
    return _keys(
        request, parts, who, tokens.create(parts.store, who.account, name, scope or [], days)
    )


@router.post("/keys/{token_id}/revoke")
def revoke_key(parts: Parts, who: Anyone, token_id: str) -> Response:
    """End a key."""
    tokens.revoke(parts.store, who.account, token_id)
    return RedirectResponse("/keys", 303)
