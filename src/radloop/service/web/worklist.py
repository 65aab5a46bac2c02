"""The worklist: rows, filters, places by hand, failed work tried again, the next study."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from radloop.service.security import audit
from radloop.service.store import jobs, results
from radloop.service.store.results import Filters
from radloop.service.web.access import Web, Who, check_visible, needs, visible, web
from radloop.service.web.pages import environment, page

router = APIRouter()
Parts = Annotated[Web, Depends(web)]
_PAGE = 50
GROUPS = ("positive", "grey zone", "not read", "negative")


@router.get("/")
def worklist(request: Request, parts: Parts, who: Annotated[Who, Depends(needs())]) -> Response:
    """The page. What is looked for is sent in the body of `/worklist/rows`: a patient's name has
    no place in an address."""
    audit.record(parts.store, who.name, "worklist seen")
    return page(request, "worklist.html", who, groups=GROUPS, **_rows(parts, who, Filters(), 1))


@router.post("/worklist/rows")
def rows(
    parts: Parts,
    who: Annotated[Who, Depends(needs(live=True))],
    group: Annotated[str, Form(max_length=32)] = "",
    modality: Annotated[str, Form(max_length=16)] = "",
    text: Annotated[str, Form(max_length=128)] = "",
    reviewed: Annotated[str, Form(max_length=8)] = "no",
    number: Annotated[int, Form(ge=1, le=100_000)] = 1,
    seen: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """The rows that fit, or 204 when they are those that the page shows already."""
    filters = Filters(
        group=group, modality=modality.strip().upper(), text=text.strip(),
        reviewed={"no": False, "yes": True}.get(reviewed),
    )  # fmt: skip
    values = _rows(parts, who, filters, number)
    if seen and seen == values["seen"]:
        return Response(status_code=204)
    return Response(environment().get_template("rows.html").render(who=who, **values),
                    media_type="text/html")  # fmt: skip


def _rows(parts: Web, who: Who, filters: Filters, number: int) -> dict[str, Any]:
    from dataclasses import replace

    filters = replace(filters, sites=who.sites)
    found = results.worklist(parts.store, limit=_PAGE, offset=(number - 1) * _PAGE, filters=filters)
    total = results.count(parts.store, filters)
    counts = results.group_counts(parts.store, Filters(sites=who.sites))
    shown = [
        (
            r.study.id,
            r.stage,
            r.group,
            r.why,
            r.failed,
            r.instances,
            r.override,
            r.study.patient_name,
        )
        for r in found
    ]
    digest = hashlib.sha256(repr((shown, total, sorted(counts.items()))).encode()).hexdigest()
    return {
        "rows": found, "total": total, "counts": counts, "number": number,
        "pages": max(1, -(-total // _PAGE)), "seen": digest[:32],
    }  # fmt: skip


@router.post("/study/{study_id}/place")
def place(
    parts: Parts,
    who: Annotated[Who, Depends(needs("reviewer"))],
    study_id: str,
    rank: Annotated[str, Form(max_length=8)] = "",
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Put a study first or last by hand, or back to the place of the rule."""
    check_visible(parts, who, study_id)
    results.override(parts.store, study_id, who.name, rank or None, reason)
    audit.record(parts.store, who.name, "place changed", study_id, {"rank": rank})
    return Response(status_code=204, headers={"HX-Trigger": "changed"})


@router.post("/study/{study_id}/retry")
def retry(parts: Parts, who: Annotated[Who, Depends(needs("reviewer"))], study_id: str) -> Response:
    """Let the failed readings of a study be tried again."""
    view = visible(parts, who, study_id)
    for job in view.jobs:
        if job.state == "quarantined":
            jobs.retry(parts.store, job.id)
    audit.record(parts.store, who.name, "reading tried again", study_id)
    return Response(status_code=204, headers={"HX-Trigger": "changed"})


@router.get("/next")
def next_study(parts: Parts, who: Annotated[Who, Depends(needs())], after: str = "") -> Response:
    """Open the most pressing study that waits for a reader, other than the one just seen."""
    found = results.worklist(parts.store, limit=_PAGE, filters=Filters(sites=who.sites))
    ids = [row.study.id for row in found if row.results or row.failed]
    # Behind the one just seen, so that skipping walks down the list instead of to and fro.
    place = ids.index(after) + 1 if after in ids else 0
    left = [*ids[place:], *ids[:place]]
    target = next((one for one in left if one != after), None)
    return RedirectResponse(f"/study/{target}" if target else "/", 303)
