"""How the service and its models do: health, numbers, agreement with readers, model cards."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from markupsafe import Markup
from sqlalchemy import select

from radloop.errors import ModelError
from radloop.service import health
from radloop.service.store import jobs, results
from radloop.service.store.results import Filters
from radloop.service.store.schema import Correction, Result, Study
from radloop.service.web.access import Web, Who, needs, web
from radloop.service.web.pages import page
from radloop.systems.model import Model, load_model

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
Anyone = Annotated[Who, Depends(needs())]


@router.get("/health")
def alive() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/ready")
def ready(parts: Parts) -> JSONResponse:
    """Database, disk and queue can be used; 503 when one cannot. Open, as it names nothing."""
    checks = health.ready(parts.store)
    well = all(check.ok for check in checks)
    said = {check.name: "ok" if check.ok else "failed" for check in checks}
    return JSONResponse({"ready": well, "checks": said}, 200 if well else 503)


@router.get("/metrics")
def prometheus(request: Request, parts: Parts, who: Anyone) -> Response:
    """For Prometheus, which logs in with a key of scope "read"."""
    content = request.app.state.numbers.text() + health.metrics_text(parts.store)
    return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/numbers")
def numbers(request: Request, parts: Parts, who: Anyone) -> Response:
    """How often readers agreed with each model, and how long studies waited."""
    return page(
        request, "numbers.html", who, agreement=agreement(parts, who.sites),
        counts=results.group_counts(parts.store, Filters(sites=who.sites)),
        jobs=sorted(jobs.counts(parts.store).items()), waits=_waits(parts, who.sites),
    )  # fmt: skip


def agreement(parts: Web, sites: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """By model: judged results, those a reader agreed with, those corrected by kind. Of several
    judgements of a result, one that corrects it counts before one that agrees."""
    statement = (
        select(Result.id, Result.model_name, Result.model_version, Correction.kind)
        .join(Correction, Correction.result_id == Result.id)
        .join(Study, Study.id == Result.study_id)
        .where(Correction.kind != "comment")
        .order_by(Correction.id)
    )
    if sites is not None:
        statement = statement.where(Study.site.in_(sites))
    said: dict[str, set[str]] = {}
    model_of: dict[str, str] = {}
    with parts.store.reading() as session:
        for row in session.execute(statement):
            said.setdefault(row.id, set()).add(row.kind)
            model_of[row.id] = f"{row.model_name} {row.model_version}"
    rows = []
    for model in sorted(set(model_of.values())):
        kinds = [said[one] for one in said if model_of[one] == model]
        agreed = sum(k == {"agree"} for k in kinds)
        corrected = Counter(name for k in kinds for name in k - {"agree"})
        rows.append(_with_interval(model, len(kinds), agreed, dict(corrected)))
    return rows


def _with_interval(model: str, n: int, agreed: int, corrected: dict[str, int]) -> dict[str, Any]:
    from radloop.measures.proportions import clustered_wilson

    share = clustered_wilson([1] * agreed + [0] * (n - agreed), [1] * n)
    return {"model": model, "n": n, "agreed": agreed, "share": share, "corrected": corrected}


def _waits(parts: Web, sites: tuple[str, ...] | None) -> dict[str, Any]:
    """Minutes from the last 1000 reviewed studies' arrival to a reader's judgement."""
    statement = select(Study.received_at, Study.reviewed_at).where(Study.reviewed_at.is_not(None))
    if sites is not None:
        statement = statement.where(Study.site.in_(sites))
    with parts.store.reading() as session:
        rows = session.execute(statement.order_by(Study.reviewed_at.desc()).limit(1000)).all()
    minutes = sorted((row[1] - row[0]).total_seconds() / 60 for row in rows if row[1])
    if not minutes:
        return {"n": 0}
    return {"n": len(minutes), "median": minutes[len(minutes) // 2],
            "p95": minutes[min(len(minutes) - 1, int(0.95 * len(minutes)))]}  # fmt: skip


@router.get("/models")
def models(request: Request, parts: Parts, who: Anyone) -> Response:
    """The models that read here, with their cards."""
    found = [(options, _model(options.model)) for options in parts.settings.models]
    return page(request, "models.html", who, models=found)


@router.get("/models/{number}")
def model_card(request: Request, parts: Parts, who: Anyone, number: int) -> Response:
    """The card of one model; its text is not trusted more than any other."""
    if not 0 <= number < len(parts.settings.models):
        raise HTTPException(404, "There is no such model.")
    model = _model(parts.settings.models[number].model)
    if model is None:
        raise HTTPException(404, "The model cannot be read.")
    card = rendered(model.card(), f"/models/{number}/picture/")
    return page(request, "card.html", who, model=model, card=card)


@router.get("/models/{number}/picture/{name}")
def card_picture(parts: Parts, who: Anyone, number: int, name: str) -> Response:
    """A picture beside a card."""
    known = 0 <= number < len(parts.settings.models)
    model = _model(parts.settings.models[number].model) if known else None
    if model is None or not re.fullmatch(r"[\w-]+\.png", name):
        raise HTTPException(404, "There is no such picture.")
    path = model.folder / name
    if not path.is_file():
        raise HTTPException(404, "There is no such picture.")
    return FileResponse(path, media_type="image/png")


def rendered(text: str, pictures: str = "") -> Markup:
    """Markdown as HTML: CommonMark and tables, HTML in it escaped, no links but to web pages, and
    of pictures only those beside the card."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        for inner in token.children or ():
            if inner.type == "image":
                name = str(inner.attrs.get("src", ""))
                inner.attrs["src"] = pictures + name if re.fullmatch(r"[\w-]+\.png", name) else ""
    html = parser.renderer.render(tokens, parser.options, {})
    # Aligned columns come as style attributes, which the page's policy forbids.
    return Markup(re.sub(r' style="text-align:(\w+)"', r' class="\1"', html))


def _model(name: str) -> Model | None:
    try:
        return load_model(name)
    except ModelError:
        return None
