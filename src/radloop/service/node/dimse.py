"""Command sets of DIMSE messages (PS3.7 6.3, E.1): read and written without a data set class.

They are always implicit VR little endian, all elements are of group 0000, and a node sees one an
object: this is a tenth of the time that a general parser takes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from radloop.service.node.pdu import ProtocolError, Reason

NO_DATA_SET = 0x0101
"""CommandDataSetType of a message without a data set; any other value announces one."""


class Field(IntEnum):
    """The command field of the messages that the node knows (PS3.7 E.1)."""

    STORE_RQ = 0x0001
    FIND_RQ = 0x0020
    ECHO_RQ = 0x0030
    EVENT_REPORT_RQ = 0x0100
    ACTION_RQ = 0x0130
    CANCEL_RQ = 0x0FFF


class Status(IntEnum):
    """Statuses that the node answers (PS3.7 C, PS3.4 B.2.3)."""

    SUCCESS = 0x0000
    PENDING = 0xFF00
    CANCELLED = 0xFE00
    COERCED = 0xB000
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_ACTION = 0x0123
    INVALID_ARGUMENT = 0x0115
    NOT_AUTHORISED = 0x0124
    UNRECOGNISED_OPERATION = 0x0211


_NUMBERS = {  # element -> name: 16-bit numbers
    0x0100: "CommandField",
    0x0110: "MessageID",
    0x0120: "MessageIDBeingRespondedTo",
    0x0700: "Priority",
    0x0800: "CommandDataSetType",
    0x0900: "Status",
    0x1002: "EventTypeID",
    0x1008: "ActionTypeID",
    0x1031: "MoveOriginatorMessageID",
}
_TEXTS = {  # element -> name, and what pads it
    0x0002: ("AffectedSOPClassUID", b"\0"),
    0x0003: ("RequestedSOPClassUID", b"\0"),
    0x0902: ("ErrorComment", b" "),
    0x1000: ("AffectedSOPInstanceUID", b"\0"),
    0x1001: ("RequestedSOPInstanceUID", b"\0"),
    0x1030: ("MoveOriginatorApplicationEntityTitle", b" "),
}
_BY_NAME: dict[str, tuple[int, bytes | None]] = {
    **{name: (element, None) for element, name in _NUMBERS.items()},
    **{name: (element, pad) for element, (name, pad) in _TEXTS.items()},
}

Command = dict[str, int | str]


def decode(data: bytes | bytearray | memoryview) -> Command:
    """The elements of a command set that the node uses, by keyword; others are passed over.

    Raises ProtocolError where an element is of another group, does not fit, or the command field
    is missing.
    """
    found: Command = {}
    at, end = 0, len(data)
    while at < end:
        if end - at < 8:
            raise _broken()
        group, element, length = struct.unpack_from("<HHL", data, at)
        at += 8
        if group != 0 or length > end - at:
            raise _broken()
        if element in _NUMBERS:
            if length != 2:
                raise _broken()
            found[_NUMBERS[element]] = struct.unpack_from("<H", data, at)[0]
        elif element in _TEXTS:
            text = bytes(data[at : at + length]).rstrip(b"\0 ")
            found[_TEXTS[element][0]] = text.decode("ascii", "replace").strip()
        at += length
    if "CommandField" not in found or "CommandDataSetType" not in found:
        raise _broken()
    return found


def encode(command: Mapping[str, int | str]) -> bytes:
    """A command set of these elements (keyword to number or text), with its group length."""
    body = b""
    for name, value in sorted(command.items(), key=lambda item: _BY_NAME[item[0]][0]):
        element, pad = _BY_NAME[name]
        if pad is None:
            raw = struct.pack("<H", value)
        else:
            raw = str(value).encode("ascii", "replace")
            raw += pad * (len(raw) % 2)
        body += struct.pack("<HHL", 0, element, len(raw)) + raw
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def answer(request: Command, status: Status, comment: str = "") -> Command:
    """The answer to `request` (PS3.7 9.3, 10.3), without a data set.

    comment: a sentence for the peer's log, cut to the 64 characters of its element.
    """
    reply: Command = {
        "CommandField": int(request["CommandField"]) | 0x8000,
        "MessageIDBeingRespondedTo": request.get("MessageID", 0),
        "CommandDataSetType": NO_DATA_SET,
        "Status": int(status),
    }
    for name in ("AffectedSOPClassUID", "AffectedSOPInstanceUID", "ActionTypeID"):
        if name in request:
            reply[name] = request[name]
    for kind in ("Class", "Instance"):  # N-ACTION asks with Requested, is answered with Affected
        if f"RequestedSOP{kind}UID" in request:
            reply[f"AffectedSOP{kind}UID"] = request[f"RequestedSOP{kind}UID"]
    if comment:
        reply["ErrorComment"] = comment[:64]
    return reply


def _broken() -> ProtocolError:
    return ProtocolError("The peer sent a broken command set.", Reason.INVALID_PARAMETER)
