"""PDUs of the upper layer protocol (PS3.8 9.3), read from bytes and written to bytes.

Requests and answers of association go through pynetdicom's own classes; what follows an
association is simple and frequent, and is read here without copies.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

from radloop.errors import RadloopError

HEADER = 6
"""Bytes before a PDU's content: type, a reserved byte, length."""

_PDV = struct.Struct(">LBB")  # length of the rest, context, control byte
_ABORT = struct.Struct(">BxL2xBB")


class Kind(IntEnum):
    """The PDU's type (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Reason(IntEnum):
    """Why the provider aborts (PS3.8 9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED = 1
    UNEXPECTED = 2
    INVALID_PARAMETER = 6


class ProtocolError(RadloopError):
    """The peer broke the protocol; the association is aborted with `reason`."""

    def __init__(self, what: str, reason: Reason = Reason.NOT_SPECIFIED) -> None:
        super().__init__(what)
        self.reason = reason


def header(data: bytes | bytearray | memoryview) -> tuple[Kind, int]:
    """Type and content length of the PDU that begins with `data` (at least six bytes).

    Raises ProtocolError for a type that does not exist.
    """
    kind, length = struct.unpack_from(">BxL", data)
    try:
        return Kind(kind), length
    except ValueError as error:
        raise ProtocolError("The peer sent no DICOM PDU.", Reason.UNRECOGNIZED) from error


def values(content: memoryview) -> Iterator[tuple[int, bool, bool, memoryview]]:
    """The presentation data values of a P-DATA-TF's content, as `(context, command, last, data)`.

    command: whether it is part of the command set rather than of the data set; last: whether it
    ends it (PS3.8 E.2). The data are views of `content`, not copies.

    Raises ProtocolError where lengths do not fit.
    """
    at, end = 0, len(content)
    if at == end:
        raise ProtocolError("The peer sent an empty P-DATA.", Reason.INVALID_PARAMETER)
    while at < end:
        if end - at < _PDV.size:
            raise ProtocolError("A data value is cut off.", Reason.INVALID_PARAMETER)
        length, context, control = _PDV.unpack_from(content, at)
        stop = at + 4 + length
        if length < 2 or stop > end:
            raise ProtocolError("A data value's length is wrong.", Reason.INVALID_PARAMETER)
        yield context, bool(control & 1), bool(control & 2), content[at + 6 : stop]
        at = stop


def data_pdus(context: int, data: bytes, command: bool, longest: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs with `data` in pieces, none with more content than `longest` (0: no limit)."""
    room = len(data) if longest == 0 else max(longest - _PDV.size, 1)
    for start in range(0, len(data), max(room, 1)) if data else (0,):
        piece = data[start : start + room]
        control = int(command) | (2 if start + room >= len(data) else 0)
        yield (
            struct.pack(">BxL", Kind.DATA, len(piece) + 6)
            + _PDV.pack(len(piece) + 2, context, control)
            + piece
        )


def release_reply() -> bytes:
    """An A-RELEASE-RP (PS3.8 9.3.7)."""
    return struct.pack(">BxL4x", Kind.RELEASE_RP, 4)


def abort(reason: Reason, by_user: bool = False) -> bytes:
    """An A-ABORT (PS3.8 9.3.8), by the provider unless `by_user`."""
    return _ABORT.pack(Kind.ABORT, 4, 0 if by_user else 2, 0 if by_user else reason)


def reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ with the three numbers of PS3.8 9.3.4."""
    return struct.pack(">BxLxBBB", Kind.ASSOCIATE_RJ, 4, result, source, reason)
