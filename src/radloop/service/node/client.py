"""Towards a PACS: echo, send, find, move and get, on pynetdicom.

Every function opens an association, does one thing and releases it. Raises NodeError where the
peer cannot be reached, refuses, or does not finish; the message names the peer as the settings do.
"""

from __future__ import annotations

import contextlib
import io
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association

from radloop.service.node.contexts import (
    EXPLICIT,
    IMPLICIT,
    STORAGE_SYNTAXES,
    VERIFICATION,
    is_encapsulated,
)
from radloop.service.node.options import Peer
from radloop.service.node.server import NodeError

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
TIMEOUT = 60.0
_CONTEXTS = 128
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True)
class Sent:
    """One object and the peer's status: 0 success, 0xBxxx success with a warning."""

    sop_uid: str
    status: int

    @property
    def taken(self) -> bool:
        """Whether the peer has it."""
        return self.status == 0 or self.status >> 12 == 0xB


@dataclass(frozen=True)
class Moved:
    """What a peer says of a C-MOVE or C-GET: numbers of instances."""

    completed: int
    failed: int
    warnings: int


def echo(peer: Peer, ae_title: str) -> None:
    """C-ECHO: the peer is there and speaks to us."""
    with associate(peer, ae_title, [VERIFICATION]) as link:
        _checked(peer, link.send_c_echo())


def send(peer: Peer, objects: Iterable[Path | bytes | Dataset], ae_title: str) -> list[Sent]:
    """C-STORE each object, in the transfer syntax that it has.

    objects: files, their bytes, or data sets. An uncompressed one is sent as explicit or implicit
    little endian, whichever the peer takes. Returns one `Sent` each, in their order; an object
    whose class or syntax the peer does not take has status 0x0122 (SOP class not supported).
    """
    data = [_read(item) for item in objects]
    found: list[Sent] = []
    for start in range(0, len(data), 100):
        part = data[start : start + 100]
        wanted = {(one.SOPClassUID, _syntax(one)) for one in part}
        contexts = []
        for abstract, syntax in sorted(wanted):
            plain = [EXPLICIT, IMPLICIT] if not is_encapsulated(syntax) else [syntax]
            contexts += [build_context(abstract, item) for item in plain]
        with associate(peer, ae_title, contexts[:_CONTEXTS]) as link:
            found += [_send_one(peer, link, one) for one in part]
    return found


def find(
    peer: Peer, ae_title: str, level: str, query: dict[str, str], most: int = 10_000
) -> list[Dataset]:
    """C-FIND in the study root. level: "STUDY", "SERIES" or "IMAGE"; query: keyword -> value, ""
    for what is to be returned. Raises NodeError for more than `most` answers, too."""
    found: list[Dataset] = []
    with associate(peer, ae_title, [FIND]) as link:
        for status, answer in link.send_c_find(_query(level, query), FIND):
            code = _checked(peer, status, pending=True)
            if code in _PENDING and answer is not None:
                found.append(answer)
            if len(found) > most:
                link.abort()
                raise NodeError(f"{peer.name} finds more than {most}.", "Ask for less at a time.")
    return found


def move(
    peer: Peer, ae_title: str, level: str, query: dict[str, str], to: str | None = None
) -> Moved:
    """C-MOVE in the study root: the peer sends what the query names to `to`, us by default. The
    node has to run, and the peer has to know it under its title."""
    last = Dataset()
    with associate(peer, ae_title, [MOVE]) as link:
        for status, _ in link.send_c_move(_query(level, query), to or ae_title, MOVE):
            _checked(peer, status, pending=True)
            last = status
    return _counts(last)


def get(
    peer: Peer,
    ae_title: str,
    level: str,
    query: dict[str, str],
    classes: Sequence[str],
    store: Callable[[bytes], int],
) -> Moved:
    """C-GET in the study root: what the query names comes over this association.

    classes: storage SOP classes to take, at most 60. store: called with each object as the bytes
    of a file, returns the status for the peer.
    """
    handlers = [(evt.EVT_C_STORE, lambda event: store(_file(event)))]
    contexts = [build_context(GET)]
    contexts += [build_context(uid, list(STORAGE_SYNTAXES)) for uid in classes[:60]]
    roles = [build_role(uid, scp_role=True) for uid in classes[:60]]
    last = Dataset()
    with associate(peer, ae_title, contexts, roles=roles, handlers=handlers) as link:
        for status, _ in link.send_c_get(_query(level, query), GET):
            _checked(peer, status, pending=True)
            last = status
    return _counts(last)


@contextlib.contextmanager
def associate(
    peer: Peer,
    ae_title: str,
    contexts: Sequence[Any],
    *,
    provider: bool = False,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    """An association with `peer`, released at the end, aborted when the block fails.

    contexts: presentation contexts, or abstract syntaxes. provider: we are their SCP though we
    call (the report of a storage commitment).
    """
    entity = AE(ae_title)
    entity.maximum_pdu_size = 131072
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT
    entity.connection_timeout = 10.0
    built = [cx if hasattr(cx, "abstract_syntax") else build_context(cx) for cx in contexts]
    if provider:
        roles = [build_role(str(cx.abstract_syntax), scp_role=True) for cx in built]
    link = entity.associate(
        peer.host,
        peer.port,
        contexts=built,
        ae_title=peer.ae_title,
        ext_neg=list(roles) or None,
        tls_args=_tls(peer),
        evt_handlers=list(handlers) or None,
    )
    if not link.is_established:
        refused = link.is_rejected
        raise NodeError(
            f"{peer.name} {'refused the association' if refused else 'cannot be reached'}.",
            "Check title, address, port and TLS in the settings, and that it knows this node.",
        )
    try:
        yield link
    except BaseException:
        link.abort()
        raise
    link.release()


def _send_one(peer: Peer, link: Association, data: Dataset) -> Sent:
    accepted = [
        cx.transfer_syntax[0]
        for cx in link.accepted_contexts
        if cx.abstract_syntax == data.SOPClassUID
    ]
    syntax = _syntax(data)
    plain = [one for one in accepted if not is_encapsulated(one)]
    uid = str(data.SOPInstanceUID)
    if is_encapsulated(syntax):
        if syntax not in accepted:
            return Sent(uid, 0x0122)
    elif syntax not in plain:
        if not plain:
            return Sent(uid, 0x0122)
        data = _as_syntax(data, plain[0])
    return Sent(uid, _checked(peer, link.send_c_store(data), failures=True))


def _as_syntax(data: Dataset, syntax: str) -> Dataset:
    """The same, uncompressed, in another uncompressed transfer syntax."""
    from pydicom.filewriter import dcmwrite

    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    buffer = io.BytesIO()
    dcmwrite(buffer, data, implicit_vr=syntax == IMPLICIT, little_endian=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def _syntax(data: Dataset) -> str:
    return str(data.file_meta.TransferSyntaxUID)


def _read(item: Path | bytes | Dataset) -> Dataset:
    if isinstance(item, Dataset):
        return item
    try:
        return pydicom.dcmread(io.BytesIO(item) if isinstance(item, bytes) else item)
    except Exception as error:
        raise NodeError("An object to be sent is no DICOM file that can be read.") from error


def _query(level: str, query: dict[str, str]) -> Dataset:
    data = Dataset()
    data.QueryRetrieveLevel = level
    for keyword, value in query.items():
        setattr(data, keyword, value)
    return data


def _checked(peer: Peer, status: Dataset, pending: bool = False, failures: bool = False) -> int:
    """The status as a number. Raises NodeError where there is none, or it tells of a failure."""
    code = status.get("Status") if status else None
    if code is None:
        raise NodeError(f"{peer.name} did not answer in time, or ended the association.")
    good = code == 0 or code >> 12 == 0xB or (pending and code in _PENDING)
    if not good and not failures:
        raise NodeError(f"{peer.name} answered with the failure {code:04X}.")
    return int(code)


def _counts(status: Dataset) -> Moved:
    def number(kind: str) -> int:
        return int(status.get(f"NumberOf{kind}Suboperations") or 0)

    return Moved(number("Completed"), number("Failed"), number("Warning"))


def _file(event: Any) -> bytes:
    return bytes(event.encoded_dataset())


def _tls(peer: Peer) -> tuple[ssl.SSLContext, str] | None:
    if peer.tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(peer.tls.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if peer.tls.certificate is not None:
            context.load_cert_chain(peer.tls.certificate, peer.tls.key)
    except (OSError, ssl.SSLError) as error:
        raise NodeError(f"The certificates for {peer.name} cannot be read.") from error
    return context, peer.host
