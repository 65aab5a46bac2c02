"""Filling templates: every value escaped, an unknown one an error."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import radloop
from radloop.service.web.access import Who

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["words"] = lambda name: str(name).replace("_", " ")
    made.filters["time"] = _time
    made.globals["version"] = radloop.__version__
    return made


def page(
    request: Request, name: str, who: Who | None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """The page of a template. It knows who looks (None: nobody), and the theme they chose."""
    theme = request.cookies.get("radloop_theme", "")
    text = (
        environment()
        .get_template(name)
        .render(who=who, theme=theme if theme in ("dark", "light") else "dark", **values)
    )
    return HTMLResponse(text, status)


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
