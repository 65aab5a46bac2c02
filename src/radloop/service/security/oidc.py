"""Single sign-on by OpenID Connect: authorization code flow with PKCE, state and nonce.

What the provider signs is checked: signature (asymmetric algorithms only), issuer, audience, times
and nonce. Accounts are made at the first login, of people to whom a claim gives a role.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import httpx
from sqlalchemy import select

from radloop.errors import InputError
from radloop.service.security import accounts
from radloop.service.security.schema import Account
from radloop.service.security.sessions import hash_of
from radloop.service.security.settings import OidcSettings
from radloop.service.store.database import Store

_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_TIMEOUT = 10.0
_REFUSED = "The single sign-on was not accepted. Please try again."


@dataclass(frozen=True)
class Started:
    """A login that went to the provider; it comes back to the browser that started it."""

    address: str
    state: str
    nonce: str
    verifier: str

    def sealed(self) -> str:
        """For the browser's cookie, which scripts and other sites cannot read."""
        text = json.dumps({**asdict(self), "address": ""})
        return base64.urlsafe_b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Person:
    """Who logged in, as the provider says. subject: issuer and identifier."""

    subject: str
    name: str
    values: tuple[str, ...]


def unseal(cookie: str) -> Started:
    """The way back. Raises InputError."""
    try:
        return Started(**json.loads(base64.urlsafe_b64decode(cookie.encode())))
    except (ValueError, TypeError):
        raise InputError(_REFUSED) from None


def client(settings: OidcSettings) -> Any:
    """The OAuth client of one exchange."""
    from authlib.integrations.httpx_client import (  # type: ignore[import-untyped]
        AsyncOAuth2Client,
    )

    return AsyncOAuth2Client(
        settings.client_id,
        settings.client_secret or None,
        scope="openid profile email",
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if settings.client_secret else "none",
        timeout=_TIMEOUT,
    )


async def begin(settings: OidcSettings, back: str) -> Started:
    """Where to send the browser. Raises InputError when the provider cannot be reached."""
    about = await _about(settings)
    state, nonce, verifier = (secrets.token_urlsafe(n) for n in (24, 24, 48))
    async with client(settings) as oauth:
        address, _ = oauth.create_authorization_url(
            about["authorization_endpoint"],
            state=state,
            nonce=nonce,
            redirect_uri=back,
            code_verifier=verifier,
        )
    return Started(address, state, nonce, verifier)


async def finish(
    settings: OidcSettings, started: Started, code: str, state: str, back: str
) -> Person:
    """Who came back. Raises InputError for everything that does not fit."""
    if not code or not hmac.compare_digest(started.state.encode(), state.encode()):
        raise InputError(_REFUSED)
    about = await _about(settings)
    try:
        async with client(settings) as oauth:
            token = await oauth.fetch_token(
                about["token_endpoint"], code=code, code_verifier=started.verifier,
                redirect_uri=back, grant_type="authorization_code",
            )  # fmt: skip
        keys = await _json(about["jwks_uri"])
        claims = _checked(settings, str(token["id_token"]), keys, started.nonce)
    except InputError:
        raise
    except Exception as error:  # whatever a provider answers and a library makes of it
        raise InputError(_REFUSED) from error
    value = claims.get(settings.claim, ())
    values = (value,) if isinstance(value, str) else tuple(str(v) for v in value)
    name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
    return Person(hash_of(f"{settings.issuer}\0{claims['sub']}"), name, values)


def _checked(
    settings: OidcSettings, token: str, keys: Mapping[str, Any], nonce: str
) -> dict[str, Any]:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    decoded = jwt.decode(token, KeySet.import_key_set(dict(keys)), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
    rules = jwt.JWTClaimsRegistry(
        leeway=60,
        iss={"essential": True, "value": settings.issuer},
        aud={"essential": True, "value": settings.client_id},
        sub={"essential": True},
        exp={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    rules.validate(decoded.claims)
    return dict(decoded.claims)


def account_of(store: Store, settings: OidcSettings, person: Person) -> Account:
    """The person's account, made at the first login; role and sites are those the provider says
    now. Raises InputError for somebody without a role, and for a disabled account."""
    given = [settings.roles[v] for v in person.values if v in settings.roles]
    roles = [role for role in accounts.ROLES if role in given]
    if not roles:
        raise InputError("You have no role here. Ask the administrator.")
    role = roles[-1]
    sites = sorted({site for v in person.values for site in settings.sites.get(v, ())})
    statement = select(Account).where(Account.subject == person.subject)
    with store.reading() as session:
        known = session.scalars(statement).first()
    if known is None:
        accounts.create(store, _free_name(store, person), role, sites=sites, subject=person.subject)
    elif known.disabled:
        raise InputError("The account is disabled. Ask the administrator.")
    elif (known.role, list(known.sites)) != (role, sites):
        accounts.change(store, known.id, "single sign-on", role=role, sites=sites)
    with store.reading() as session:
        return session.scalars(statement).one()


def _free_name(store: Store, person: Person) -> str:
    """The name the provider gives, in our letters; with a number of its own where one has it."""
    kept = "".join(
        c for c in person.name.casefold() if c.isascii() and (c.isalnum() or c in "._@-")
    )
    name = kept.lstrip("._@-")[:48] or "person"
    taken = {account.name for account in accounts.all_accounts(store)}
    return f"{name}-{person.subject[:8]}" if name in taken else name


async def _about(settings: OidcSettings) -> dict[str, Any]:
    found = await _json(settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
    if found.get("issuer") != settings.issuer:
        raise InputError(_REFUSED)
    return found


async def _json(address: str) -> dict[str, Any]:
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT) as http:
            answer = await http.get(address)
            answer.raise_for_status()
            return dict(answer.json())
    except (httpx.HTTPError, ValueError) as error:
        raise InputError("The provider of the single sign-on cannot be reached.") from error
