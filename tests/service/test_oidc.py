"""Single sign-on against a small provider of our own."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from made_room import Room

from radloop.service.security import accounts, oidc


class Provider:
    """Answers as an OpenID provider does; `change` spoils what it says."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = RSAKey.generate_key(2048, parameters={"kid": "k1"})
        self.claims: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.signed_with = self.key

    def answer(self, path: str, body: str) -> tuple[int, dict[str, Any]]:
        at = self.issuer
        if path.endswith("openid-configuration"):
            return 200, {
                "issuer": at,
                "authorization_endpoint": f"{at}/authorize",
                "token_endpoint": f"{at}/token",
                "jwks_uri": f"{at}/keys",
            }
        if path == "/keys":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        form = {k: v[0] for k, v in parse_qs(body).items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != self.asked["code_challenge"] or form["code"] != "good":
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": at, "aud": "radloop", "sub": "42", "iat": now, "exp": now + 60,
            "nonce": self.asked["nonce"], "preferred_username": "Dr. Jones", "groups": ["rad"],
            **self.claims,
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.signed_with)
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider on loopback; without TLS, which the OAuth library has to be told."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            status, content = made.answer(self.path, self.rfile.read(length).decode())
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.issuer = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def sso(make_room: Callable[..., Room], provider: Provider) -> Room:
    settings = {
        "issuer": provider.issuer,
        "client_id": "radloop",
        "client_secret": "s",
        "roles": {"rad": "reviewer", "boss": "admin"},
        "sites": {"rad": ("north",)},
    }
    return make_room(security={"oidc": settings})


def come_back(room: Room, provider: Provider, code: str = "good", **changes: str) -> Any:
    client = room.client()
    sent = client.get("/oidc")
    assert sent.status_code == 303
    asked = {k: v[0] for k, v in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    provider.asked = asked
    back = client.get("/oidc/back", params={"code": code, "state": asked["state"], **changes})
    return client, back


def test_a_person_with_a_role_gets_an_account_with_it(sso: Room, provider: Provider) -> None:
    for _ in range(2):
        client, back = come_back(sso, provider)
        assert back.status_code == 200
        assert client.get("/numbers").status_code == 200
    (account,) = accounts.all_accounts(sso.store)
    assert (account.name, account.role, account.sites) == ("dr.jones", "reviewer", ["north"])
    assert account.password == "" and accounts.authenticate(sso.store, "dr.jones", "") is None
    provider.claims = {"groups": ["boss"]}
    come_back(sso, provider)
    (account,) = accounts.all_accounts(sso.store)
    assert (account.role, account.sites) == ("admin", [])


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "old"}, {"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1},
     {"groups": ["nobody"]}, {"groups": []}],
)  # fmt: skip
def test_what_the_provider_says_must_fit(
    sso: Room, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    client, back = come_back(sso, provider)
    assert back.status_code == 401 and client.get("/numbers").status_code == 401
    assert accounts.all_accounts(sso.store) == []


def test_a_forged_signature_code_or_state_opens_nothing(sso: Room, provider: Provider) -> None:
    provider.signed_with = RSAKey.generate_key(2048, parameters={"kid": "k1"})
    assert come_back(sso, provider)[1].status_code == 401
    provider.signed_with = provider.key
    assert come_back(sso, provider, code="bad")[1].status_code == 401
    assert come_back(sso, provider, state="other")[1].status_code == 401
    assert sso.client().get("/oidc/back?code=good&state=x").status_code == 401


def test_a_disabled_person_stays_out(sso: Room, provider: Provider) -> None:
    come_back(sso, provider)
    (account,) = accounts.all_accounts(sso.store)
    accounts.change(sso.store, account.id, "boss", disabled=True)
    assert come_back(sso, provider)[1].status_code == 401


def test_without_a_provider_there_is_no_such_page(room: Room) -> None:
    assert room.client().get("/oidc").status_code == 404
    assert oidc  # the page is off, not the module
