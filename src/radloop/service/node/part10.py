"""The head of a DICOM file for a data set as it came: preamble, meta group (PS3.10 7.1).

Nothing of the connection goes in, so that the same object gives the same file whoever sends it.
"""

from __future__ import annotations

import struct

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID

_LONG = (b"OB",)


def file_head(sop_class: str, sop_uid: str, syntax: str) -> bytes:
    """Preamble, "DICM" and meta group for a data set in transfer syntax `syntax`."""
    body = (
        _element(0x0001, b"OB", b"\0\1")
        + _uid(0x0002, sop_class)
        + _uid(0x0003, sop_uid)
        + _uid(0x0010, syntax)
        + _uid(0x0012, str(PYNETDICOM_IMPLEMENTATION_UID))
        + _element(0x0013, b"SH", b"RADLOOP ")
    )
    return b"\0" * 128 + b"DICM" + _element(0, b"UL", struct.pack("<L", len(body))) + body


def _uid(element: int, value: str) -> bytes:
    raw = value.encode("ascii")
    return _element(element, b"UI", raw + b"\0" * (len(raw) % 2))


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr in _LONG:
        return struct.pack("<HH2s2xL", 2, element, vr, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
