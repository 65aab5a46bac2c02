"""Pictures that the server makes: films and slices in a window, outlines, label maps, volumes."""

from __future__ import annotations

import csv
import io
import math
from typing import Annotated

import cv2
import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from radloop.service.security import audit
from radloop.service.store import corrections
from radloop.service.store.results import StudyView
from radloop.service.store.schema import Result
from radloop.service.web import grids
from radloop.service.web.access import Web, Who, needs, visible, web
from radloop.service.web.imaging import (
    ImageCache,
    Labels,
    Window,
    default_window,
    heart_lines,
    outlines,
    png,
    volume_bytes,
    windowed,
)

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
Reader = Annotated[Who, Depends(needs())]
_PRIVATE = {"Cache-Control": "private, max-age=600"}
_PICTURES = {"picture": "image/jpeg", "heat_picture": "image/jpeg", "heatmap": "image/png"}


def _cache(request: Request) -> ImageCache:
    cache: ImageCache = request.app.state.images
    return cache


def _shown(
    request: Request, view: StudyView, series_id: str, instance: int, plane: int
) -> grids.Shown:
    shown = grids.named(view, series_id, instance, _cache(request))
    if shown is None or not 0 <= plane < shown.planes:
        raise HTTPException(404, "There is no such image.")
    return shown


@router.get("/study/{study_id}/image/{series_id}/{instance}/{plane}.png")
def picture(
    request: Request, parts: Parts, who: Reader, study_id: str, series_id: str, instance: int,
    plane: int, c: float | None = None, w: float | None = None,
    side: Annotated[int, Query(ge=64, le=8192)] = 4096,
) -> Response:  # fmt: skip
    """A film or a slice in a window. c, w: its centre and width. side: the longest side, px."""
    shown = _shown(request, visible(parts, who, study_id), series_id, instance, plane)
    if shown.image is None:
        raise HTTPException(404, "The image cannot be read.")
    window = default_window(shown.image)
    if c is not None and w is not None and math.isfinite(c) and math.isfinite(w) and w > 0:
        window = Window(c, w)
    array = shown.image.array
    grey = windowed(array[plane] if array.ndim == 3 else array, window)
    if max(grey.shape) > side:
        scale = side / max(grey.shape)
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Response(png(grey), media_type="image/png", headers=_PRIVATE)


def _labels(
    request: Request, parts: Web, who: Who, study_id: str, result_id: str
) -> tuple[grids.Shown, Labels, dict[str, int], Result]:
    view = visible(parts, who, study_id)
    chosen = next((one for one in view.results if one.id == result_id), None)
    shown = grids.shown(view, chosen, _cache(request)) if chosen else None
    if chosen is None or shown is None or shown.image is None:
        raise HTTPException(404, "There is no such result, or its image cannot be read.")
    said = corrections.of_study(parts.store, study_id)
    found = grids.labels(parts.store, view, chosen, said, shown.image)
    return shown, found, grids.structures(view, chosen, said), chosen


@router.get("/study/{study_id}/result/{result_id}/outlines/{plane}")
def plane_outlines(
    request: Request, parts: Parts, who: Reader, study_id: str, result_id: str, plane: int
) -> JSONResponse:
    """The outlines of structures in a plane, and the lines measured on it."""
    shown, labels, structures, chosen = _labels(request, parts, who, study_id, result_id)
    if not 0 <= plane < shown.planes:
        raise HTTPException(404, "There is no such slice.")
    at = labels[plane] if labels.ndim == 3 else labels
    lines = []
    if chosen.system == "cardiomegaly":
        corrected = any(
            one.kind == "mask" and one.result_id == chosen.id
            for one in corrections.of_study(parts.store, study_id)
        )
        lines = heart_lines(at, structures, "" if corrected else _ratio(chosen))
    return JSONResponse({"outlines": outlines(at, structures), "lines": lines})


def _ratio(chosen: Result) -> str:
    """The cardiothoracic ratio that the result states."""
    for finding in chosen.prediction.get("findings", ()):
        measured = finding.get("measurement", {})
        if measured.get("name") == "cardiothoracic_ratio":
            return f"CTR {float(measured['value']):.3f}"
    return ""


@router.get("/study/{study_id}/result/{result_id}/labels/{plane}.png")
def plane_labels(
    request: Request, parts: Parts, who: Reader, study_id: str, result_id: str, plane: int
) -> Response:
    """The label map of a plane, one grey value a structure, for the brush."""
    shown, labels, _, _ = _labels(request, parts, who, study_id, result_id)
    if not 0 <= plane < shown.planes:
        raise HTTPException(404, "There is no such slice.")
    return Response(png(labels[plane] if labels.ndim == 3 else labels), media_type="image/png")


@router.get("/study/{study_id}/result/{result_id}/mask.nii.gz")
def mask_volume(
    request: Request, parts: Parts, who: Reader, study_id: str, result_id: str
) -> Response:
    """The label map in force, for the view of three planes."""
    shown, labels, _, _ = _labels(request, parts, who, study_id, result_id)
    if labels.ndim != 3 or shown.image is None:
        raise HTTPException(404, "This is no volume.")
    return Response(volume_bytes(shown.image, labels), media_type="application/gzip")


@router.get("/study/{study_id}/volume/{series_id}/volume.nii.gz")
def volume(request: Request, parts: Parts, who: Reader, study_id: str, series_id: str) -> Response:
    """The volume of a series, for the view of three planes."""
    shown = _shown(request, visible(parts, who, study_id), series_id, 0, 0)
    if shown.image is None or not shown.volume:
        raise HTTPException(404, "This is no volume that can be read.")
    audit.record(parts.store, who.name, "volume fetched", study_id)
    return Response(volume_bytes(shown.image), media_type="application/gzip", headers=_PRIVATE)


@router.get("/study/{study_id}/result/{result_id}/slices")
def marked_slices(parts: Parts, who: Reader, study_id: str, result_id: str) -> JSONResponse:
    """The probability of the likeliest finding in every slice, from the result's table, and which
    finding that is; empty without a table."""
    view = visible(parts, who, study_id)
    outputs = view.outputs.get(result_id, ())
    table = next((one for one in outputs if one.kind == "slices"), None)
    if table is None:
        return JSONResponse({"slices": []})
    text = parts.store.blobs.read(table.blob).decode("utf-8-sig")
    rows = []
    for row in csv.DictReader(io.StringIO(text)):
        values = {k: float(v) for k, v in row.items() if k not in ("slice", "file") and _number(v)}
        name = max(values, key=lambda k: values[k], default="")
        rows.append({"p": values.get(name, 0.0), "name": name})
    return JSONResponse({"slices": rows})


def _number(text: str | None) -> bool:
    try:
        return math.isfinite(float(text or ""))
    except ValueError:
        return False


@router.get("/study/{study_id}/result/{result_id}/made/{kind}")
def made_picture(parts: Parts, who: Reader, study_id: str, result_id: str, kind: str) -> Response:
    """A picture that the model's system drew: "picture", "heat_picture"."""
    view = visible(parts, who, study_id)
    for one in view.outputs.get(result_id, ()):
        if one.kind == kind and kind in _PICTURES:
            content = parts.store.blobs.read(one.blob)
            return Response(content, media_type=_PICTURES[kind], headers=_PRIVATE)
    raise HTTPException(404, "There is no such picture.")
