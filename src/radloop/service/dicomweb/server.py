"""DICOMweb's routes (PS3.18): STOW-RS, QIDO-RS and WADO-RS as a router of the web application.

Who may do what is not decided here: `reader` and `writer` are the application's dependencies, and
every route has one of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from radloop.errors import RadloopError, WriteError
from radloop.service.dicomweb import multipart, query, retrieving
from radloop.service.dicomweb.multipart import Begin, End, MultipartError, Parser, Piece
from radloop.service.dicomweb.options import DicomWebOptions
from radloop.service.dicomweb.storing import FileReceiver, Outcome
from radloop.service.store.database import Store
from radloop.service.store.facts import IntakeError, checked_uid

JSON = "application/dicom+json"
DICOM = "application/dicom"
_BATCH = 1 << 20


class _TooMuchError(RadloopError):
    """The request is larger than the limit."""


def make_router(
    store: Store,
    options: DicomWebOptions,
    reader: Callable[..., Any],
    writer: Callable[..., Any],
    sites: Callable[[Any], tuple[str, ...] | None] = lambda who: None,
) -> APIRouter:
    """The routes below `/studies`, to be included under a prefix such as `/dicom-web`.

    reader, writer: dependencies that give who asks, or raise; sites: whose studies this may see,
    None for all.
    """
    router = APIRouter()
    reading, writing = Depends(reader), Depends(writer)

    def search(level: query.Level, request: Request, who: Any, **fixed: str) -> Response:
        try:
            asked = query.parse(level, request.query_params.multi_items(), options.answers, **fixed)
            found = query.run(store, asked, sites(who))
        except query.QueryError as error:
            return _error(400, error)
        return Response(json.dumps(found), media_type=JSON) if found else Response(status_code=204)

    @router.get("/studies")
    def studies(request: Request, who: Any = reading) -> Response:
        return search("studies", request, who)

    @router.get("/series")
    def all_series(request: Request, who: Any = reading) -> Response:
        return search("series", request, who)

    @router.get("/instances")
    def all_instances(request: Request, who: Any = reading) -> Response:
        return search("instances", request, who)

    @router.get("/studies/{study}/series")
    def series_of(request: Request, study: str, who: Any = reading) -> Response:
        return search("series", request, who, StudyInstanceUID=study)

    @router.get("/studies/{study}/instances")
    def instances_of(request: Request, study: str, who: Any = reading) -> Response:
        return search("instances", request, who, StudyInstanceUID=study)

    @router.get("/studies/{study}/series/{series}/instances")
    def instances_of_series(
        request: Request, study: str, series: str, who: Any = reading
    ) -> Response:
        fixed = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        return search("instances", request, who, **fixed)

    def found(who: Any, *uids: str) -> list[retrieving.Found]:
        return retrieving.instances(store, *uids, sites=sites(who))

    def whole(who: Any, *uids: str) -> Response:
        try:
            files = found(who, *uids)
        except retrieving.NotThereError as error:
            return _error(404, error)
        mark = multipart.new_boundary()
        body = multipart.join(((_kind(f), retrieving.pieces(store, f)) for f in files), mark)
        return StreamingResponse(body, media_type=_related(DICOM, mark))

    def described(who: Any, *uids: str) -> Response:
        try:
            files = found(who, *uids)
        except retrieving.NotThereError as error:
            return _error(404, error)
        return StreamingResponse(_listed(store, files), media_type=JSON)

    @router.get("/studies/{study}")
    def study(study: str, who: Any = reading) -> Response:
        return whole(who, study)

    @router.get("/studies/{study}/metadata")
    def study_metadata(study: str, who: Any = reading) -> Response:
        return described(who, study)

    @router.get("/studies/{study}/series/{series}")
    def series(study: str, series: str, who: Any = reading) -> Response:
        return whole(who, study, series)

    @router.get("/studies/{study}/series/{series}/metadata")
    def series_metadata(study: str, series: str, who: Any = reading) -> Response:
        return described(who, study, series)

    below = "/studies/{study}/series/{series}/instances/{instance}"

    @router.get(below)
    def instance(study: str, series: str, instance: str, who: Any = reading) -> Response:
        return whole(who, study, series, instance)

    @router.get(below + "/metadata")
    def instance_metadata(study: str, series: str, instance: str, who: Any = reading) -> Response:
        return described(who, study, series, instance)

    @router.get(below + "/frames/{numbers}")
    def frames(
        study: str, series: str, instance: str, numbers: str, who: Any = reading
    ) -> Response:
        try:
            wanted = [_frame(number) for number in numbers.split(",")[:1000]]
            (file,) = found(who, study, series, instance)
            data = retrieving.frames(store, file, wanted, options.frame_pixels)
        except retrieving.NotThereError as error:
            return _error(404, error)
        except retrieving.NotAnImageError as error:
            return _error(406, error)
        mark, kind = multipart.new_boundary(), "application/octet-stream"
        body = multipart.join(((kind, [one]) for one in data), mark)
        return StreamingResponse(body, media_type=_related(kind, mark))

    def picture(who: Any, request: Request, number: str, *uids: str) -> Response:
        kind = "jpeg" if "image/jpeg" in request.headers.get("accept", "") else "png"
        try:
            (file,) = found(who, *uids)
            window = _window(request.query_params.get("window", ""))
            data = retrieving.rendered(
                store, file, _frame(number), options.frame_pixels, kind, window
            )
        except retrieving.NotThereError as error:
            return _error(404, error)
        except retrieving.NotAnImageError as error:
            return _error(406, error)
        except query.QueryError as error:
            return _error(400, error)
        return Response(data, media_type=f"image/{kind}")

    @router.get(below + "/rendered")
    def rendered(
        request: Request, study: str, series: str, instance: str, who: Any = reading
    ) -> Response:
        return picture(who, request, "1", study, series, instance)

    @router.get(below + "/frames/{number}/rendered")
    def rendered_frame(
        request: Request,
        study: str,
        series: str,
        instance: str,
        number: str,
        who: Any = reading,
    ) -> Response:
        return picture(who, request, number, study, series, instance)

    @router.post("/studies")
    async def stow(request: Request, who: Any = writing) -> Response:
        return await _stow(store, options, request, "")

    @router.post("/studies/{study}")
    async def stow_study(request: Request, study: str, who: Any = writing) -> Response:
        try:
            checked_uid(study, "study")
        except IntakeError as error:
            return _error(400, error)
        return await _stow(store, options, request, study)

    return router


async def _stow(store: Store, options: DicomWebOptions, request: Request, study: str) -> Response:
    """Store the parts of a request. What was stored before a broken part stays stored."""
    outcomes: list[Outcome] = []
    receiver: FileReceiver | None = None

    def take(data: bytes) -> None:
        nonlocal receiver
        for event in parser.feed(data):
            if isinstance(event, Begin):
                if event.kind not in (DICOM, ""):
                    raise MultipartError("Only parts of application/dicom are stored.")
                receiver = FileReceiver(store, options.object_bytes, options.request_bytes, study)
            elif isinstance(event, Piece) and receiver is not None:
                receiver.write(event.data)
            elif isinstance(event, End) and receiver is not None:
                outcomes.append(receiver.finish())
                receiver = None

    try:
        parser = Parser(
            multipart.boundary_of(request.headers.get("content-type", "")), options.parts
        )
        async for batch in _batches(request, options.request_bytes):
            await run_in_threadpool(take, batch)
        parser.close()
    except MultipartError as error:
        return _error(415 if not outcomes and "content type" in error.what else 400, error)
    except _TooMuchError as error:
        return _error(413, error)
    except WriteError as error:
        return _error(503, error)
    finally:
        if receiver is not None:
            receiver.discard()
    return _answer(outcomes)


async def _batches(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body in pieces of about a megabyte. Raises _TooMuchError."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _TooMuchError("The request is larger than this server takes.")
    total, batch = 0, bytearray()
    async for piece in request.stream():
        total += len(piece)
        if total > most:
            raise _TooMuchError("The request is larger than this server takes.")
        batch += piece
        if len(batch) >= _BATCH:
            yield bytes(batch)
            batch.clear()
    yield bytes(batch)


def _answer(outcomes: list[Outcome]) -> Response:
    """The answer of PS3.18 10.5.3: 200 all stored, 202 some, 409 none."""
    good = [one for one in outcomes if not one.failure]
    bad = [one for one in outcomes if one.failure]
    body: dict[str, Any] = {}
    if good:
        body["00081199"] = {"vr": "SQ", "Value": [_item(one) for one in good]}
    if bad:
        body["00081198"] = {"vr": "SQ", "Value": [_item(one) for one in bad]}
    if not outcomes:
        return _error(400, MultipartError("The request has no part."))
    warned = any(one.warning for one in good)
    status = 409 if not good else 202 if bad or warned else 200
    return JSONResponse(body, status_code=status, media_type=JSON)


def _item(one: Outcome) -> dict[str, Any]:
    item: dict[str, Any] = {
        "00081150": {"vr": "UI", "Value": [one.sop_class]} if one.sop_class else {"vr": "UI"},
        "00081155": {"vr": "UI", "Value": [one.sop_uid]} if one.sop_uid else {"vr": "UI"},
    }
    if one.failure:
        item["00081197"] = {"vr": "US", "Value": [one.failure]}
    if one.warning:
        item["00081196"] = {"vr": "US", "Value": [one.warning]}
    return item


def _listed(store: Store, files: list[retrieving.Found]) -> Iterator[bytes]:
    """A JSON list, one instance at a time."""
    for number, file in enumerate(files):
        yield b"," if number else b"["
        yield json.dumps(retrieving.metadata(store, file)).encode()
    yield b"]"


def _frame(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise retrieving.NotThereError("There is no such frame.")
    return int(text)


def _window(text: str) -> tuple[float, float] | None:
    """Centre and width of `window=c,w[,function]` (PS3.18 8.3.5.1.4). Raises QueryError."""
    if not text:
        return None
    try:
        center, width = (float(part) for part in text.split(",")[:2])
    except ValueError as error:
        raise query.QueryError("The window is not two numbers.") from error
    if not (abs(center) < 1e9 and 0 < width < 1e9):
        raise query.QueryError("The window is not two numbers.")
    return center, width


def _kind(file: retrieving.Found) -> str:
    return f"{DICOM}; transfer-syntax={file.syntax}" if file.syntax else DICOM


def _related(kind: str, boundary: str) -> str:
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def _error(status: int, error: RadloopError) -> Response:
    return JSONResponse({"error": error.what}, status_code=status)
