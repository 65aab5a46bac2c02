"""What a hostile or broken peer may try. Each attack ends in a refusal, leaves nothing behind, and
the node serves the next peer as before."""

from __future__ import annotations

import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_dicom import Raw, associated, ct, request_pdu, running
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import build_context
from sqlalchemy import select

from radloop.service.node import dimse, pdu
from radloop.service.node.contexts import VERIFICATION
from radloop.service.node.server import Server
from radloop.service.store.database import Store
from radloop.service.store.schema import Instance, Study

CT = "1.2.840.10008.5.1.4.1.1.2"
SMALL: dict[str, Any] = {
    "pdu_timeout": 0.5,
    "request_timeout": 0.5,
    "idle_timeout": 1.0,
    "bytes_a_second": 10_000_000,
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Server, Store]]:
    with running(tmp_path, limits=SMALL) as pair:
        yield pair
        assert_serves(pair[0])
        assert pair[1].blobs.unfinished() == []


def assert_serves(node: Server) -> None:
    with associated(node, VERIFICATION) as link:
        assert link.send_c_echo().Status == 0


def assert_answers(node: Server) -> None:
    """As `assert_serves`, where pynetdicom's `select` has too many descriptors."""
    echo: dimse.Command = {
        "CommandField": 0x30,
        "MessageID": 1,
        "CommandDataSetType": dimse.NO_DATA_SET,
        "AffectedSOPClassUID": str(VERIFICATION),
    }
    with Raw(node) as raw:
        assert raw.ask(VERIFICATION) == 2
        raw.socket.sendall(b"".join(pdu.data_pdus(1, dimse.encode(echo), True, 16384)))
        assert status_of(raw.read()[1]) == 0


def nothing_kept(store: Store) -> bool:
    with store.reading() as session:
        return not session.scalars(select(Instance)).all() and not list(store.blobs)


def store_rq(uid: str = "1.2.3.1.1", sop_class: str = CT) -> bytes:
    command: dimse.Command = {
        "CommandField": 1,
        "MessageID": 1,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPClassUID": sop_class,
        "AffectedSOPInstanceUID": uid,
    }
    return b"".join(pdu.data_pdus(1, dimse.encode(command), True, 16384))


def status_of(content: bytes) -> int:
    """The status in the answer's PDU."""
    ((_, command, last, data),) = pdu.values(memoryview(content))
    assert command and last
    return int(dimse.decode(data)["Status"])


# --- who is let in --------------------------------------------------------------------------


def test_unknown_title_is_rejected(tmp_path: Path) -> None:
    peers = [{"name": "ward", "ae_title": "WARD"}]
    with running(tmp_path, peers=peers) as (node, _):
        with associated(node, VERIFICATION, title="WARD") as link:
            assert link.is_established
        with Raw(node) as raw:
            raw.socket.sendall(request_pdu(VERIFICATION, title="MALLORY"))
            assert raw.read() == (3, bytes((0, 1, 1, 3)))  # calling AE title not recognised


def test_address_that_is_not_allowed_gets_not_a_byte(tmp_path: Path) -> None:
    peers = [{"name": "ward", "ae_title": "WARD", "addresses": ["10.1.0.0/16"]}]
    with running(tmp_path, peers=peers) as (node, _), Raw(node) as raw:
        assert raw.read() == (0, b"")


def test_title_at_the_address_of_another_is_rejected(tmp_path: Path) -> None:
    peers = [
        {"name": "ward", "ae_title": "WARD", "addresses": ["10.1.0.0/16"]},
        {"name": "here", "ae_title": "HERE"},
    ]
    with running(tmp_path, peers=peers) as (node, _), Raw(node) as raw:
        assert raw.ask(VERIFICATION, title="WARD") == 3


def test_one_association_too_many_is_told_to_come_later(tmp_path: Path) -> None:
    with (
        running(tmp_path, limits={"associations": 2}) as (node, _),
        associated(node, VERIFICATION),
        associated(node, VERIFICATION),
        Raw(node) as raw,
    ):
        raw.socket.sendall(request_pdu(VERIFICATION))
        assert raw.read() == (3, bytes((0, 2, 3, 2)))  # transient, local limit exceeded


# --- bytes that are no DICOM ----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"\x01\x00\xff\xff\xff\xff",  # a request of four gigabytes
        b"\x04\x00\x00\x00\x00\x06" + b"\0" * 6,  # data before any request
        b"\x01\x00\x00\x00\x00\x44" + b"\xff" * 0x44,
        b"\x01\x00\x00\x00\x00\x00",
        request_pdu(VERIFICATION)[:-4] + b"\xff\xff\xff\xff",
        request_pdu(VERIFICATION) + b"\x04\x00",  # does not wait for the answer
    ],
)
def test_garbage_instead_of_a_request(node: tuple[Server, Store], data: bytes) -> None:
    with Raw(node[0]) as raw:
        raw.socket.sendall(data)
        kind, _ = raw.read()
        assert kind in (0, 2, 3, 7)
        if kind == 2:  # what pynetdicom makes of a strange user item is an acceptance
            raw.socket.sendall(b"\xff" * 16)
            assert raw.read()[0] in (0, 7)


def test_oversized_pdu_is_refused_by_its_header(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(struct.pack(">BxL", 4, 0xFFFFFFF0))
        assert raw.read()[0] == 7


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0\1\1",
        struct.pack(">LBB", 0xFFFFFFFF, 1, 3),
        struct.pack(">LBB", 2, 1, 3),  # an empty command
        struct.pack(">LBB", 10, 1, 3) + b"\xff" * 8,
        struct.pack(">LBB", 6, 1, 2) + b"\0" * 4,  # data without a command
        struct.pack(">LBB", 6, 99, 3) + b"\0" * 4,
    ],
)
def test_broken_data_values(node: tuple[Server, Store], content: bytes) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(struct.pack(">BxL", 4, len(content)) + content)
        assert raw.read()[0] == 7


def test_context_that_was_not_accepted(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask("1.2.3.4.5") == 2
        raw.socket.sendall(store_rq())
        assert raw.read()[0] == 7


def test_command_without_end(tmp_path: Path) -> None:
    with running(tmp_path, limits={"command_bytes": 4096}) as (node, _), Raw(node) as raw:
        assert raw.ask(CT) == 2
        piece = struct.pack(">BxLLBB", 4, 2006, 2002, 1, 1) + b"\0" * 2000
        for _ in range(4):
            raw.socket.sendall(piece)
        assert raw.read()[0] == 7


# --- objects --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uid", ["../../../etc/passwd", "1.2/../3", "1.2.3\0/x", "", "1" * 65, "1..2", "%2e%2e"]
)
def test_path_in_a_uid_of_the_command(node: tuple[Server, Store], uid: str) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(store_rq(uid) + b"".join(pdu.data_pdus(1, b"\0" * 64, False, 16384)))
        kind, content = raw.read()
        assert (kind, status_of(content)) == (4, 0xC000)
    assert nothing_kept(node[1])


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_path_in_a_uid_of_the_object(
    node: tuple[Server, Store], keyword: str, tmp_path: Path
) -> None:
    with associated(node[0], CT) as link:
        data = ct()
        data[keyword]._value = "../../../../tmp/x"
        assert link.send_c_store(data).Status == 0xC000
    assert nothing_kept(node[1])


def test_command_that_speaks_of_another_object(node: tuple[Server, Store]) -> None:
    from pynetdicom.dsutils import encode

    data = encode(ct(SOPInstanceUID="1.2.3.1.99"), False, True)
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(store_rq() + b"".join(pdu.data_pdus(1, data or b"", False, 16384)))
        assert status_of(raw.read()[1]) == 0xA900
    assert nothing_kept(node[1])


def test_object_that_is_no_data_set(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(store_rq() + b"".join(pdu.data_pdus(1, b"\xff" * 999, False, 16384)))
        assert status_of(raw.read()[1]) == 0xC000
    assert nothing_kept(node[1])


def test_object_larger_than_the_limit(tmp_path: Path) -> None:
    with running(tmp_path, limits={"object_bytes": 50_000}) as (node, store):
        with associated(node, CT) as link:
            assert link.send_c_store(ct(side=180)).Status == 0xA700
            assert link.send_c_store(ct(side=100)).Status == 0  # the association goes on
        with Raw(node) as raw:  # and one without end is cut
            assert raw.ask(CT) == 2
            raw.socket.sendall(store_rq())
            piece = struct.pack(">BxLLBB", 4, 16006, 16002, 1, 0) + b"\0" * 16000
            with pytest.raises(OSError):
                for _ in range(10_000):
                    raw.socket.sendall(piece)
        assert store.blobs.unfinished() == []


def bomb(megabytes: int) -> bytes:
    """A deflated data set of some kilobytes: a header, then zeros without end."""
    from pynetdicom.dsutils import encode

    head = encode(ct(), False, True) or b""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [deflater.compress(head)]
    parts += [deflater.compress(b"\0" * (1 << 20)) for _ in range(megabytes)]
    return b"".join([*parts, deflater.flush()])


def test_deflate_bomb_is_refused_without_the_memory_it_asks_for(tmp_path: Path) -> None:
    data = bomb(250)
    assert len(data) < 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with running(tmp_path, limits={"inflated_bytes": 32 << 20}) as (node, store):
        with Raw(node) as raw:
            assert raw.ask(CT, syntax=DeflatedExplicitVRLittleEndian) == 2
            parts = b"".join(pdu.data_pdus(1, data, False, 16384))
            raw.socket.sendall(store_rq() + parts)
            assert status_of(raw.read()[1]) == 0xA700
        assert nothing_kept(store)
        assert_serves(node)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150 * 1024  # kilobytes


@pytest.mark.parametrize("cut", [10, -5])
def test_deflated_object_that_is_broken_or_cut_off(node: tuple[Server, Store], cut: int) -> None:
    data = bomb(1)[:cut] if cut < 0 else b"\xff" * 64
    with Raw(node[0]) as raw:
        assert raw.ask(CT, syntax=DeflatedExplicitVRLittleEndian) == 2
        raw.socket.sendall(store_rq() + b"".join(pdu.data_pdus(1, data, False, 16384)))
        assert status_of(raw.read()[1]) == 0xC000
    assert nothing_kept(node[1])


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 192", b"M\xc3\xbcller^\xff\xfe\xed\xa0\x80"),
        ("ISO 2022 IR 87", b"\x1b$B\x00\xff^X"),
        ("NO SUCH CHARSET", b"A\xe9B"),
        ("ISO_IR 100", b"<script>alert(1)</script>"),
        ("ISO_IR 192", b"\x00\x07\x1b[31m\xe2\x80\xae^A"),
    ],
)
def test_names_in_broken_charsets(node: tuple[Server, Store], charset: str, name: bytes) -> None:
    from pynetdicom.dsutils import encode

    name += b" " * (len(name) % 2)
    raw = charset.encode() + b" " * (len(charset) % 2)
    plain = encode(ct(SpecificCharacterSet="ISO_IR 100", PatientName="#" * len(name)), False, True)
    assert plain is not None
    encoded = plain.replace(b"#" * len(name), name).replace(
        b"CS\x0a\0ISO_IR 100", b"CS" + struct.pack("<H", len(raw)) + raw
    )
    assert name in encoded and raw in encoded
    with Raw(node[0]) as peer:
        assert peer.ask(CT) == 2
        parts = b"".join(pdu.data_pdus(1, encoded, False, 16384))
        peer.socket.sendall(store_rq() + parts)
        assert status_of(peer.read()[1]) == 0
    with node[1].reading() as session:
        kept = session.scalars(select(Study.patient_name)).one()
    assert kept.isprintable() and len(kept) <= 256


# --- time -----------------------------------------------------------------------------------


def closed(raw: Raw, within: float) -> bool:
    """Whether the node ends the connection within some seconds."""
    raw.socket.settimeout(within)
    try:
        while raw.socket.recv(4096):
            pass
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_connection_that_never_asks(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:
        assert closed(raw, 5)


def test_slow_loris_before_and_within_an_association(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:  # a request, byte by byte
        try:
            for byte in request_pdu(VERIFICATION):
                raw.socket.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
        assert closed(raw, 5)
    with Raw(node[0]) as raw:  # a PDU that never ends
        assert raw.ask(CT) == 2
        raw.socket.sendall(b"\x04\x00\x00\x00\x10\x00" + b"\0" * 10)
        assert closed(raw, 5)
    with Raw(node[0]) as raw:  # whole PDUs, but an object that never ends
        assert raw.ask(CT) == 2
        raw.socket.sendall(store_rq())
        piece = struct.pack(">BxLLBB", 4, 8, 4, 1, 0) + b"\0\0"
        begun = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - begun < 8:
                raw.socket.sendall(piece)
                time.sleep(0.05)
    with Raw(node[0]) as raw:  # an association without a word
        assert raw.ask(CT) == 2
        assert closed(raw, 5)


def test_peer_that_leaves_in_the_middle_of_an_object(node: tuple[Server, Store]) -> None:
    with Raw(node[0]) as raw:
        assert raw.ask(CT) == 2
        raw.socket.sendall(store_rq() + struct.pack(">BxLLBB", 4, 5006, 5002, 1, 0) + b"\0" * 5000)
    deadline = time.monotonic() + 5
    while node[0].associations and time.monotonic() < deadline:
        time.sleep(0.01)
    assert nothing_kept(node[1]) and node[1].blobs.unfinished() == []


# --- crowds ---------------------------------------------------------------------------------


def crowd(node: Server, count: int, at_once: int) -> None:
    """`count` connections that do nothing, `at_once` open at a time, while the node serves."""
    held: list[socket.socket] = []
    for number in range(count):
        held.append(socket.create_connection(node.address, timeout=10))
        if len(held) > at_once:
            held.pop(0).close()
        if number % max(count // 8, 1) == 0:
            assert_answers(node)
    assert node.waiting <= node.options.limits.waiting
    assert_answers(node)
    for one in held:
        one.close()


def test_many_half_open_associations_keep_nobody_out(tmp_path: Path) -> None:
    import threading

    with running(tmp_path, limits={"waiting": 32, "waiting_an_address": 32}) as (node, _):
        before = threading.active_count()
        crowd(node, 300, 200)
        assert threading.active_count() <= before + 2  # they cost no thread


@pytest.mark.real
def test_ten_thousand_half_open_associations(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 21_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    at_once = min(10_000, wanted - 1_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with running(tmp_path) as (node, _):
        crowd(node, 10_000, at_once)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_fast_registration_sees_a_patient_who_changes(tmp_path: Path) -> None:
    with running(tmp_path) as (node, store):
        with associated(node, build_context(CT)) as link:
            assert link.send_c_store(ct(number=1)).Status == 0
            assert link.send_c_store(ct(number=2)).Status == 0
            assert link.send_c_store(ct(number=3, PatientID="OTHER")).Status == 0xC000
        with store.reading() as session:
            assert len(session.scalars(select(Instance)).all()) == 2
