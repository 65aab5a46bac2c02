"""The verdict: what a reader says of its input instead of guessing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["accepted", "warned", "refused"]
_RANK: dict[str, int] = {"accepted": 0, "warned": 1, "refused": 2}


@dataclass(frozen=True)
class Verdict:
    """Accepted, accepted with warnings, or refused.

    `code` is stable and meant for programs ("ok", "truncated", "too_many_pixels", ...); `messages`
    are plain sentences for people, each saying what was found and what to do.
    """

    status: Status = "accepted"
    code: str = "ok"
    messages: tuple[str, ...] = field(default=())

    @property
    def refused(self) -> bool:
        return self.status == "refused"

    def merge(self, other: Verdict) -> Verdict:
        """The graver of the two statuses and its code (the first one's on a tie), all messages."""
        graver = other if _RANK[other.status] > _RANK[self.status] else self
        return Verdict(graver.status, graver.code, self.messages + other.messages)

    def to_json(self) -> dict[str, Any]:
        return {"status": self.status, "code": self.code, "messages": list(self.messages)}


ACCEPTED = Verdict()


def warned(code: str, message: str) -> Verdict:
    """Accepted, with a warning that the reader should see."""
    return Verdict("warned", code, (message,))


def refused(code: str, message: str) -> Verdict:
    """Not read, and why."""
    return Verdict("refused", code, (message,))


class Refusal(Exception):  # noqa: N818
    """Raised deep inside a reader, which catches it at its door and returns the verdict."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.verdict = refused(code, message)


def noted(message: str) -> Verdict:
    """Accepted, with something the reader of the result should know."""
    return Verdict(messages=(message,))
