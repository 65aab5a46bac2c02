"""Facts of the instances of a series, one after another, without parsing each header in full.

The first instance of a series goes through `facts_of`. For those that follow only a few elements
are looked up; where those that make a series are byte for byte as they were, the rest of the facts
is the first's. Whatever is unusual goes through `facts_of` again: this is a shorter way to the
same facts, never another reading of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from radloop.service.node.contexts import BIG_ENDIAN, IMPLICIT
from radloop.service.store.facts import InstanceFacts, checked_uid, facts_of

SOP_CLASS, SOP_UID = 0x00080016, 0x00080018
STUDY_UID, SERIES_UID, NUMBER, EXPECTED = 0x0020000D, 0x0020000E, 0x00200013, 0x00201208
# In the order of the file: what must not change from one instance of a series to the next.
_SAME = (
    0x00080005, SOP_CLASS, 0x00080020, 0x00080050, 0x00080060, 0x00080070, 0x00081030, 0x0008103E,
    0x00100010, 0x00100020, 0x00100040, 0x00101010, 0x00180015, 0x00181030, 0x00185101, STUDY_UID,
    SERIES_UID, EXPECTED,
)  # fmt: skip
_WANTED = frozenset((*_SAME, SOP_UID, NUMBER))
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"))  # fmt: skip
_VR = frozenset(
    (
        *_LONG,
        b"AE",
        b"AS",
        b"AT",
        b"CS",
        b"DA",
        b"DS",
        b"DT",
        b"FD",
        b"FL",
        b"IS",
        b"LO",
        b"LT",
        b"PN",
        b"SH",
        b"SL",
        b"SS",
        b"ST",
        b"TM",
        b"UI",
        b"UL",
        b"US",
    )
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SHORT_HEAD = struct.Struct("<HH2sH")
_LONG_HEAD = struct.Struct("<HHL")
_DEPTH = 16


class _UnusualError(Exception):
    """Not to be read the short way."""


class SeriesFacts:
    """Reads facts; remembers the last series, and `size`, the bytes of the last file. For one
    association."""

    def __init__(self) -> None:
        self.size = 0
        self._same: tuple[bytes | None, ...] = ()
        self._first: InstanceFacts | None = None

    def read(self, head: bytes | bytearray, syntax: str, meta: bytes) -> InstanceFacts:
        """As `facts_of(meta + head)`, where `head` is the beginning of a data set in `syntax`.

        Raises IntakeError as it does.
        """
        try:
            if syntax == BIG_ENDIAN:
                raise _UnusualError
            found = scan(head, explicit=syntax != IMPLICIT)
            same = (syntax.encode(), *(found.get(tag) for tag in _SAME))
            if self._first is not None and same == self._same:
                return replace(
                    self._first,
                    sop_uid=checked_uid(_text(found.get(SOP_UID)), "instance"),
                    number=_number(found.get(NUMBER)),
                )
        except (_UnusualError, struct.error):
            return facts_of(meta + head)
        facts = facts_of(meta + head)
        self._same, self._first = same, facts
        return facts


def scan(data: bytes | bytearray, explicit: bool) -> dict[int, bytes]:
    """Tag -> raw value of the wanted elements at the top of a little endian data set.

    Raises _UnusualError or struct.error for what is out of order, cut off, or encoded otherwise.
    """
    found: dict[int, bytes] = {}
    at, before, end = 0, 0, len(data)
    head = _explicit if explicit else _implicit
    while at + 8 <= end:
        tag, length, at = head(data, at)
        if tag <= before:
            raise _UnusualError
        if tag > EXPECTED:
            return found
        before = tag
        if length == _UNDEFINED:
            at = _skip_items(data, at, head, 0)
            continue
        if at + length > end:
            raise _UnusualError
        if tag in _WANTED:
            found[tag] = bytes(data[at : at + length])
        at += length
    raise _UnusualError


_Head = Callable[[bytes | bytearray, int], tuple[int, int, int]]


def _explicit(data: bytes | bytearray, at: int) -> tuple[int, int, int]:
    """Tag and length of the element at `at`, and where its value begins."""
    group, element, vr, length = _SHORT_HEAD.unpack_from(data, at)
    if group == 0xFFFE:
        return group << 16 | element, _LONG_HEAD.unpack_from(data, at)[2], at + 8
    if vr in _LONG:
        return group << 16 | element, struct.unpack_from("<L", data, at + 8)[0], at + 12
    if vr not in _VR:
        raise _UnusualError
    return group << 16 | element, length, at + 8


def _implicit(data: bytes | bytearray, at: int) -> tuple[int, int, int]:
    group, element, length = _LONG_HEAD.unpack_from(data, at)
    return group << 16 | element, length, at + 8


def _skip_items(data: bytes | bytearray, at: int, head: _Head, depth: int) -> int:
    """Where a sequence of undefined length ends."""
    if depth > _DEPTH:
        raise _UnusualError
    while True:
        tag, length, at = head(data, at)
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise _UnusualError
        at = at + length if length != _UNDEFINED else _skip_item(data, at, head, depth + 1)


def _skip_item(data: bytes | bytearray, at: int, head: _Head, depth: int) -> int:
    while True:
        tag, length, at = head(data, at)
        if tag == _ITEM_END:
            return at
        at = at + length if length != _UNDEFINED else _skip_items(data, at, head, depth)


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("ascii", "replace").rstrip("\0 ")


def _number(raw: bytes | None) -> int | None:
    text = _text(raw).strip()
    if text == "":
        return None
    if not text.lstrip("+-").isdecimal():  # facts_of has its own idea of what else is a number
        raise _UnusualError
    number = int(text)
    return number if -(2**31) <= number < 2**31 else None
