"""Structured logs: one JSON object a line, with names of events and numbers, and nothing of a
patient.

`event(component, "job_done", job=12)` writes `{"time", "level", "component", "event", ...}`. What
other libraries log is reduced to the library's name and its level: their texts may quote a header.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_LOGGER = logging.getLogger("radloop.service")
ALLOWED = frozenset(
    (
        "attempts",
        "bytes",
        "code",
        "count",
        "error",
        "failed",
        "free",
        "host",
        "instances",
        "job",
        "kind",
        "model",
        "new",
        "peer",
        "pid",
        "port",
        "process",
        "reason",
        "removed",
        "revision",
        "role",
        "seconds",
        "series",
        "signal",
        "state",
        "status",
        "study",
        "worker",
    )
)
"""The fields an event may have: tokens of our own, numbers, and names from the settings."""


def event(component: str, name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event. Raises ValueError for a field that is not allowed."""
    unknown = fields.keys() - ALLOWED
    if unknown:
        raise ValueError(f"a log may not hold {', '.join(sorted(unknown))}")
    _LOGGER.log(level, name, extra={"radloop": {"component": component, **fields}})


class JsonLines(logging.Formatter):
    """Formats a record of `event` whole, and of another library without its text."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "radloop", None)
        if fields is not None:
            line |= {"event": record.getMessage(), **fields}
        else:
            line |= {"event": "library", "component": record.name}
            if record.exc_info and record.exc_info[0]:
                line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def set_up(level: int = logging.INFO) -> None:
    """Send every log of this process to stderr as JSON lines; other libraries only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "pynetdicom", "alembic"):
        other = logging.getLogger(name)
        other.handlers[:] = []
        other.propagate = True
        other.setLevel(logging.WARNING)
