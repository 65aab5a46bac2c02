"""The reading page: a study with what the models say, and what a reader says to that."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from radloop.errors import InputError
from radloop.findings.codes import STOCK
from radloop.findings.finding import Prediction
from radloop.findings.forms import prediction_from_json
from radloop.service.security import audit
from radloop.service.store import corrections
from radloop.service.store.corrections import Correction
from radloop.service.store.results import StudyView
from radloop.service.store.schema import Result
from radloop.service.web import grids
from radloop.service.web.access import Web, Who, check_visible, needs, visible, web
from radloop.service.web.imaging import ImageCache, labels_of_png, png, volume_bytes
from radloop.service.web.pages import page
from radloop.systems.jaw.numbers import NUMBERS

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
_MASK_BYTES = 64 * 1024**2
_SMALL = 256 * 1024


@router.get("/study/{study_id}")
def study_page(
    request: Request,
    parts: Parts,
    who: Annotated[Who, Depends(needs())],
    study_id: str,
    result: str = "",
) -> Response:
    """The page of one study, at one of its results (the most pressing when none is named)."""
    view = visible(parts, who, study_id)
    audit.record(parts.store, who.name, "study seen", study_id)
    current = [one for one in view.results if one.current]
    chosen = next((one for one in current if one.id == result), current[0] if current else None)
    said = corrections.of_study(parts.store, study_id)
    prediction = prediction_from_json(chosen.prediction) if chosen else None
    cache: ImageCache = request.app.state.images
    shown = grids.shown(view, chosen, cache)
    labels = grids.structures(view, chosen, said) if chosen else {}
    data = {
        "study": view.study.id,
        "result": chosen.id if chosen else None,
        "csrf": who.csrf,
        "may": who.may("reviewer"),
        "image": shown.to_json() if shown else None,
        "structures": labels,
        "findings": _findings(prediction),
        "chart": _chart(parts, view, chosen),
        "boxes": _boxes(prediction, chosen, said),
    }
    return page(
        request, "study.html", who, view=view, results=current, chosen=chosen,
        prediction=prediction, said=said, shown=shown, data=data, numbers=NUMBERS,
        renumbered=_renumbered(chosen, said),
        calling=[f for f in prediction.findings if f.name not in STOCK] if prediction else [],
        failed=[job for job in view.jobs if job.state == "quarantined"],
    )  # fmt: skip


def _findings(prediction: Prediction | None) -> list[dict[str, Any]]:
    return [
        {"name": f.name, "meaning": f.code.meaning, "probability": round(f.probability, 3),
         "positive": f.positive, "where": dict(f.where)}
        for f in (prediction.findings if prediction else ())
    ]  # fmt: skip


def _boxes(prediction: Prediction | None, chosen: Result | None, said: Any) -> list[dict[str, Any]]:
    """The boxes in force: a reader's where there are any, else the model's (teeth have a chart)."""
    for one in reversed(said):
        if one.kind == "box" and chosen is not None and one.result_id == chosen.id:
            return list(one.data["boxes"])
    return [
        {"name": f.name, "box": [float(v) for v in f.where["box"]]}
        for f in (prediction.findings if prediction else ())
        if "box" in f.where and "tooth" not in f.where
    ]


def _chart(parts: Web, view: StudyView, chosen: Result | None) -> dict[str, Any] | None:
    """The dental chart of the result, as its file has it."""
    if chosen is None:
        return None
    for output in view.outputs[chosen.id]:
        if output.kind == "chart":
            return dict(json.loads(parts.store.blobs.read(output.blob)))
    return None


def _renumbered(chosen: Result | None, said: Any) -> dict[str, str | None]:
    """The numbers that readers gave, by the model's."""
    return {
        one.data["from"]: one.data["to"]
        for one in said
        if one.kind == "tooth" and chosen is not None and one.result_id == chosen.id
    }


@router.post("/study/{study_id}/correction")
async def correct(
    request: Request, parts: Parts, who: Annotated[Who, Depends(needs())], study_id: str
) -> JSONResponse:
    """Add what a reader says: JSON `{"kind", "result", "data"}`; a reader may only comment."""
    from starlette.concurrency import run_in_threadpool

    body = await _json(request, _SMALL)
    kind, result = str(body.get("kind", "")), body.get("result")
    if kind == "mask" or (kind != "comment" and not who.may("reviewer")):
        raise HTTPException(403, "This needs the role of reviewer.")
    data = body.get("data")
    made = Correction(
        study_id, who.name, kind, data if isinstance(data, dict) else {},
        str(result) if result else None,
    )  # fmt: skip
    return await run_in_threadpool(_add, parts, who, made)


def _add(parts: Web, who: Who, correction: Correction) -> JSONResponse:
    check_visible(parts, who, correction.study_id)
    number = corrections.add(parts.store, correction)
    detail = {"kind": correction.kind, "number": number}
    audit.record(parts.store, who.name, "correction", correction.study_id, detail)
    return JSONResponse({"number": number, "said": f"Saved: {correction.kind}."}, 201)


@router.post("/study/{study_id}/mask")
async def correct_mask(
    request: Request,
    parts: Parts,
    who: Annotated[Who, Depends(needs("reviewer"))],
    study_id: str,
) -> JSONResponse:
    """Add a mask drawn on the page: JSON `{"result", "planes": {"0": PNG in base64}}`, the label
    maps of the planes that changed; the others stay as they were."""
    from starlette.concurrency import run_in_threadpool

    body = await _json(request, _MASK_BYTES)
    cache: ImageCache = request.app.state.images
    return await run_in_threadpool(_add_mask, parts, who, cache, study_id, body)


def _add_mask(
    parts: Web, who: Who, cache: ImageCache, study_id: str, body: Mapping[str, Any]
) -> JSONResponse:
    view = visible(parts, who, study_id)
    chosen = next((one for one in view.results if one.id == body.get("result")), None)
    planes = body.get("planes")
    if chosen is None or not isinstance(planes, dict) or not planes:
        raise InputError("The mask names no result of this study, or holds no plane.")
    shown = grids.shown(view, chosen, cache)
    if shown is None or shown.image is None:
        raise InputError("The image of this result cannot be read.")
    said = corrections.of_study(parts.store, study_id)
    structures = grids.structures(view, chosen, said)
    labels = grids.labels(parts.store, view, chosen, said, shown.image).copy()
    for place, text in planes.items():
        k = int(place) if str(place).isdecimal() else -1
        if not 0 <= k < shown.planes:
            raise InputError("The mask names a slice that is not there.")
        target = labels if labels.ndim == 2 else labels[k]
        target[...] = labels_of_png(_decoded(text), target.shape)
    if not set(labels.ravel()[labels.ravel() > 0].tolist()) <= set(structures.values()):
        raise InputError("The mask holds values that no structure has.")
    if labels.ndim == 2:
        content, suffix = png(labels), ".png"
    else:
        source = parts.store.blobs.path(shown.nifti) if shown.nifti else None
        content, suffix = volume_bytes(shown.image, labels, source), ".nii.gz"
    blob = parts.store.blobs.put(content)
    data = {"labels": structures, "suffix": suffix}
    return _add(parts, who, Correction(study_id, who.name, "mask", data, chosen.id, blob))


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("The mask is not a PNG.") from None


async def _json(request: Request, most: int) -> dict[str, Any]:
    """The body as an object; not more bytes of it are read than may be."""
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > most:
            raise HTTPException(413, "The request is too large.")
    try:
        body = json.loads(bytes(received))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise InputError("The request is not JSON.")
    return body
