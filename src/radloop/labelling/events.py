"""The events of a labelling project: one JSON line each, chained so that no past line can change.

A line is `{"n", "kind", "when", "who", "why", "before", "data"}`: its number (1, 2, ...), what
happened, when (UTC), who ran the command and why, the digest of the line before it, and what
belongs to the kind. The digest of a line covers `before`, so it stands for the whole log up to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radloop.errors import InputError

FORMAT = 1
"""The version of the log; a project with a larger number was made by a newer Radloop."""
KINDS = ("started", "added", "drawn", "answered", "promoted")
_KEYS = ("n", "kind", "when", "who", "why", "before", "data")


class LogError(InputError):
    """A project's log that cannot be used: damaged, edited, or made by a newer version."""


@dataclass(frozen=True)
class Event:
    """One line. digest: 16 hexadecimal digits of its SHA-256; "" before it is written."""

    number: int
    kind: str
    when: str
    who: str
    why: str
    data: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    digest: str = ""


def event_line(event: Event) -> bytes:
    """The event as its line, with the line end."""
    content = {
        "n": event.number,
        "kind": event.kind,
        "when": event.when,
        "who": event.who,
        "why": event.why,
        "before": event.before,
        "data": event.data,
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def digest_of(line: bytes) -> str:
    """What the next line calls this one."""
    return hashlib.sha256(line).hexdigest()[:16]


def parse_log(content: bytes) -> tuple[tuple[Event, ...], int]:
    """The events of a log, and how many bytes at its end belong to a line that was cut off.

    A line is written at once and ends with its line end, so a program killed while it writes can
    only leave an incomplete *last* line. Anything else that does not fit is no accident of that
    kind: LogError names the line.
    """
    whole = content.rfind(b"\n") + 1
    events: list[Event] = []
    before = ""
    for number, line in enumerate(content[:whole].splitlines(keepends=True), start=1):
        event = _parsed(line, number)
        if event.before != before or event.number != number:
            raise LogError(
                f"Line {number} of the log does not follow from the line before it: a line was"
                " changed, removed or moved.",
                "Restore the log from a copy; Radloop itself only ever appends to it.",
            )
        before = event.digest
        events.append(event)
    return tuple(events), len(content) - whole


def _parsed(line: bytes, number: int) -> Event:
    try:
        content = json.loads(line)
        n, kind, when, who, why, before, data = (content[key] for key in _KEYS)
        texts = (kind, when, who, why, before)
        if not (isinstance(n, int) and isinstance(data, dict)) or not all(
            isinstance(text, str) for text in texts
        ):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise LogError(
            f"Line {number} of the log is damaged.", "Restore the log from a copy."
        ) from None
    if kind not in KINDS:
        raise LogError(
            f"Line {number} of the log is of the unknown kind '{kind}'.",
            "The project was used with a newer Radloop: upgrade this one.",
        )
    return Event(n, kind, when, who, why, data, before, digest_of(line))
