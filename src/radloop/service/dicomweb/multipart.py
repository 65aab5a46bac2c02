"""multipart/related bodies (RFC 2387, PS3.18 8.6.1.2), part by part, within limits.

Bytes are fed as they come; a part's bytes are handed on at once, so that memory holds one piece of
the stream however large the parts are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from radloop.errors import InputError

_BOUNDARY = re.compile(r"""boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))""", re.IGNORECASE)
_ALLOWED = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{1,70}")
_HEAD = 8192


class MultipartError(InputError):
    """The body is not what its content type says, or goes beyond a limit."""


@dataclass(frozen=True)
class Begin:
    """A part begins. kind: its content type in lower case, without parameters."""

    kind: str


@dataclass(frozen=True)
class Piece:
    """Bytes of the part at hand."""

    data: bytes


@dataclass(frozen=True)
class End:
    """The part at hand is whole."""


Event = Begin | Piece | End


def boundary_of(content_type: str) -> str:
    """The boundary of a multipart/related content type. Raises MultipartError."""
    found = _BOUNDARY.search(content_type)
    value = (found.group(1) or found.group(2)) if found else ""
    related = content_type.strip().lower().startswith("multipart/related")
    if not related or not _ALLOWED.fullmatch(value) or value.endswith(" "):
        raise MultipartError("The content type is not multipart/related with a boundary.")
    return value


class Parser:
    """Feed it bytes, and `close` it at the end. Both raise MultipartError."""

    def __init__(self, boundary: str, parts: int) -> None:
        self._mark = b"\r\n--" + boundary.encode("ascii")
        self._buffer = bytearray(b"\r\n")  # so that the first boundary is like the others
        self._left = parts
        self._state = "preamble"

    def feed(self, data: bytes) -> Iterator[Event]:
        """What these bytes bring."""
        self._buffer += data
        while True:
            if self._state == "end":
                self._buffer.clear()
                return
            if self._state == "head":
                event = self._head()
                if event is None:
                    return
                yield event
                continue
            if self._state == "mark":
                if not self._after_mark():
                    return
                continue
            at = self._buffer.find(self._mark)
            if at < 0:
                keep = len(self._mark) - 1
                piece = bytes(self._buffer[:-keep])
                del self._buffer[:-keep]
                if piece and self._state == "body":
                    yield Piece(piece)
                return
            piece = bytes(self._buffer[:at])
            del self._buffer[: at + len(self._mark)]
            if self._state == "body":
                if piece:
                    yield Piece(piece)
                yield End()
            self._state = "mark"

    def close(self) -> None:
        """The body ended: so must its last part have."""
        if self._state != "end":
            raise MultipartError("The multipart body is cut off.")

    def _after_mark(self) -> bool:
        """Whether it could be told what follows a boundary: a part, or the end."""
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] == b"--":
            self._state = "end"
            return True
        line = self._buffer.find(b"\r\n")
        if line < 0:
            if len(self._buffer) > _HEAD:
                raise MultipartError("The multipart body is broken.")
            return False
        if self._buffer[:line].strip(b" \t"):
            raise MultipartError("The multipart body is broken.")
        if self._left <= 0:
            raise MultipartError("The request has too many parts.")
        self._left -= 1
        del self._buffer[:line]  # the line's end stays: a head may be empty
        self._state = "head"
        return True

    def _head(self) -> Begin | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > _HEAD:
            if len(self._buffer) > _HEAD:
                raise MultipartError("The head of a part is too long.")
            return None
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        kind = ""
        for line in filter(None, lines):
            name, colon, value = line.partition(":")
            if not colon:
                raise MultipartError("The head of a part is broken.")
            if name.strip().lower() == "content-type":
                kind = value.partition(";")[0].strip().lower()
        self._state = "body"
        return Begin(kind)


def join(parts: Iterable[tuple[str, Iterable[bytes]]], boundary: str) -> Iterator[bytes]:
    """A body of `(content type, pieces)`, piece by piece."""
    for kind, pieces in parts:
        yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode("ascii")
        yield from pieces
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def new_boundary() -> str:
    """A boundary that no part contains, but for a chance of 2^-128."""
    return secrets.token_hex(16)
