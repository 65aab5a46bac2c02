"""`create_app`: the routes put together, and what holds for all of them."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import RequestResponseEndpoint

from radloop.errors import InputError, RadloopError
from radloop.service.dicomweb.server import make_router
from radloop.service.security.headers import security_headers
from radloop.service.security.limits import RateLimit
from radloop.service.settings import Settings
from radloop.service.store.database import Store
from radloop.service.web import about, admin, entry, pictures, reading, uploads, worklist
from radloop.service.web.access import LoginNeededError, Web, Who, needs
from radloop.service.web.imaging import ImageCache
from radloop.service.web.numbers import Numbers
from radloop.service.web.pages import page

_STATIC = Path(__file__).parent / "static"
_FORM_BYTES = 1024**2
_LARGE = ("/upload/file", "/mask", "/dicomweb")  # these count their bytes themselves
_log = logging.getLogger("radloop.web")


def create_app(store: Store, settings: Settings) -> FastAPI:
    """The application. It owns no thread and no file; the store is closed by who opened it."""
    app = FastAPI(title="Radloop", docs_url=None, redoc_url=None, openapi_url=None)
    security = settings.security
    app.state.web = Web(store, settings, RateLimit(security.requests), RateLimit(security.logins))
    app.state.images = ImageCache(store.blobs)
    app.state.numbers = Numbers()
    for part in (entry, worklist, reading, pictures, uploads, admin, about):
        app.include_router(part.router)
    app.include_router(
        make_router(store, settings.dicomweb, needs("reader"), needs("reviewer"), sites=_sites),
        prefix="/dicomweb",
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _answers(app)
    _guard(app, settings)
    return app


def _sites(who: Who) -> tuple[str, ...] | None:
    return tuple(who.account.sites) or None


def _guard(app: FastAPI, settings: Settings) -> None:
    hosts = {*settings.security.hosts, urlsplit(settings.web.public_url).hostname or ""}
    tls = settings.web.secure_cookies

    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        started = time.perf_counter()
        response = _refused(request, hosts) or await call_next(request)
        static = request.url.path.startswith("/static/")
        for name, value in security_headers(tls=tls, private=not static).items():
            response.headers.setdefault(name, value)
        if static:
            response.headers["Cache-Control"] = "no-cache"
        route = getattr(request.scope.get("route"), "path", "/static" if static else "unknown")
        seconds = time.perf_counter() - started
        app.state.numbers.count(request.method, route, response.status_code, seconds)
        # The route's pattern, never the address: nothing of a request is written down.
        _log.info(
            "request",
            extra={"method": request.method, "route": route, "status": response.status_code,
                   "ms": round(1000 * seconds, 1), "account": getattr(request.state, "who", "")},
        )  # fmt: skip
        return response


def _refused(request: Request, hosts: set[str]) -> Response | None:
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if "*" not in hosts and host not in {name.strip("[]") for name in hosts}:
        return JSONResponse({"detail": "This host is not served here."}, 400)
    if request.method in ("GET", "HEAD") or any(part in request.url.path for part in _LARGE):
        return None
    length = request.headers.get("content-length")
    if length is None and request.headers.get("transfer-encoding"):
        return JSONResponse({"detail": "Say how long the request is."}, 411)
    if length is not None and (not length.isdecimal() or int(length) > _FORM_BYTES):
        return JSONResponse({"detail": "The request is too large."}, 413)
    return None


def _answers(app: FastAPI) -> None:
    @app.exception_handler(LoginNeededError)
    async def login_needed(request: Request, error: LoginNeededError) -> Response:
        if not _wants_page(request):
            text = "Change the password first." if error.change else "Log in."
            target = "/password" if error.change else "/login"
            return JSONResponse({"detail": text}, 401, {"HX-Redirect": target})
        return RedirectResponse("/password" if error.change else "/login", 303)

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return _said(request, error.status_code, str(error.detail), "", error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # FastAPI's own answer repeats what was sent, which may be about a patient.
        return _said(request, 422, "The request is not one that this page makes.")

    @app.exception_handler(RadloopError)
    async def ours(request: Request, error: RadloopError) -> Response:
        status = 422 if isinstance(error, InputError) else 500
        return _said(request, status, error.what, error.remedy)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        _log.error("unexpected error", extra={"kind": type(error).__name__})
        return _said(request, 500, "Something went wrong here.", "The administrator can see what.")


def _said(
    request: Request, status: int, what: str, remedy: str = "", headers: object = None
) -> Response:
    more = dict(headers) if isinstance(headers, dict) else {}
    if not _wants_page(request):
        return JSONResponse({"detail": f"{what} {remedy}".strip()}, status, more)
    response = page(request, "error.html", None, status=status, what=what, remedy=remedy)
    response.headers.update(more)
    return response


def _wants_page(request: Request) -> bool:
    accepts = request.headers.get("accept", "")
    return "text/html" in accepts and "hx-request" not in request.headers
