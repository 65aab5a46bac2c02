"""The DICOM node as a peer sees it: echo, store, commitment, who may come in, what is kept."""

from __future__ import annotations

import datetime
import errno
import io
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from made_dicom import associated, ct, file_of, running, with_meta
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context, evt
from sqlalchemy import select

from radloop.service.node import client
from radloop.service.node.contexts import COMMITMENT, COMMITMENT_INSTANCE, VERIFICATION
from radloop.service.node.options import NodeOptions, Peer, PeerTls
from radloop.service.store import intake
from radloop.service.store.blobs import BlobWriter
from radloop.service.store.database import Store
from radloop.service.store.schema import Blob, Instance, Series, Study

CT = "1.2.840.10008.5.1.4.1.1.2"
DCMTK = pytest.mark.skipif(not shutil.which("storescu"), reason="DCMTK is not installed")


def kept(store: Store) -> list[Instance]:
    with store.reading() as session:
        return list(session.scalars(select(Instance).order_by(Instance.id)))


def send(node: Any, *data: Dataset) -> list[int]:
    wanted = sorted({(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in data})
    with associated(node, *(build_context(uid, [s]) for uid, s in wanted)) as link:
        return [link.send_c_store(one).Status for one in data]


def test_echo(tmp_path: Path) -> None:
    with running(tmp_path) as (node, _), associated(node, VERIFICATION) as link:
        assert link.send_c_echo().Status == 0


def test_what_is_stored_is_the_file_that_was_sent(tmp_path: Path) -> None:
    data = [ct(number=number) for number in (1, 2, 3)]
    with running(tmp_path) as (node, store):
        assert send(node, *data) == [0, 0, 0]
        rows = kept(store)
        assert [row.number for row in rows] == [1, 2, 3]
        for row, sent in zip(rows, data, strict=True):
            path = store.blobs.path(row.blob)
            assert store.blobs.whole(row.blob) and path.stat().st_size == row.bytes
            back = pydicom.dcmread(path)
            assert back.file_meta.MediaStorageSOPInstanceUID == sent.SOPInstanceUID
            del back.file_meta, sent.file_meta
            assert back == sent
        with store.reading() as session:
            study = session.scalars(select(Study)).one()
            assert (study.study_uid, study.state, study.source) == ("1.2.3", "receiving", "dicom")
            assert session.scalars(select(Blob.bytes)).all() == [row.bytes for row in rows]


def test_same_object_twice_is_one_and_another_content_is_told(tmp_path: Path) -> None:
    other = ct(PixelData=b"\1" * 512)
    with running(tmp_path) as (node, store):
        assert send(node, ct(), ct(), other) == [0, 0, 0xB000]
        (row,) = kept(store)
        assert pydicom.dcmread(store.blobs.path(row.blob)).PixelData == ct().PixelData


def test_late_instance_opens_its_study_again(tmp_path: Path) -> None:
    with running(tmp_path) as (node, store):
        send(node, ct(number=1))
        with store.session() as session:
            session.scalars(select(Study)).one().state = "complete"
        send(node, ct(number=2))
        with store.reading() as session:
            assert session.scalars(select(Study.state)).one() == "receiving"


def test_own_objects_are_kept_and_open_nothing(tmp_path: Path) -> None:
    own = ct(number=2, SeriesInstanceUID="1.2.3.9", Manufacturer="Radloop", Modality="OT")
    own.SOPClassUID = SecondaryCaptureImageStorage
    with running(tmp_path) as (node, store):
        send(node, ct())
        with store.session() as session:
            session.scalars(select(Study)).one().state = "complete"
        assert send(node, with_meta(own)) == [0]
        with store.reading() as session:
            assert session.scalars(select(Study.state)).one() == "complete"
            assert set(session.scalars(select(Series.own))) == {False, True}


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_transfer_syntax_stays(tmp_path: Path, syntax: str) -> None:
    data = [ct(number=number) for number in (1, 2)]
    for one in data:
        if syntax == ExplicitVRBigEndian:
            one.PixelData = np.arange(256, dtype=">i2").tobytes()
        with_meta(one, syntax)
    sent = [pydicom.dcmread(io.BytesIO(_in_syntax(one, syntax))) for one in data]
    with running(tmp_path) as (node, store):
        assert send(node, *sent) == [0, 0]
        rows = kept(store)
        assert [(row.transfer_syntax, row.number) for row in rows] == [(syntax, 1), (syntax, 2)]
        back = pydicom.dcmread(store.blobs.path(rows[1].blob))
        assert (back.PatientID, back.InstanceNumber) == ("P1", 2)
        assert (back.pixel_array == np.arange(256).reshape(16, 16)).all()


def _in_syntax(data: Dataset, syntax: str) -> bytes:
    buffer = io.BytesIO()
    little = syntax != ExplicitVRBigEndian
    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(
        buffer,
        data,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=little,
        enforce_file_format=True,
    )
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_stays_compressed(tmp_path: Path, syntax: str) -> None:
    data = ct()
    data.compress(syntax, generate_instance_uid=False)
    with running(tmp_path) as (node, store):
        assert send(node, data) == [0]
        (row,) = kept(store)
        assert row.transfer_syntax == syntax
        assert pydicom.dcmread(store.blobs.path(row.blob)).PixelData == data.PixelData


def test_an_object_larger_than_any_buffer(tmp_path: Path) -> None:
    data = ct(side=700)
    with running(tmp_path, limits={"pdu_bytes": 4096}) as (node, store):
        assert send(node, data) == [0]
        (row,) = kept(store)
        assert pydicom.dcmread(store.blobs.path(row.blob)).PixelData == data.PixelData


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def full(*_: Any) -> int:
        raise OSError(code, "full")

    with running(tmp_path) as (node, store):
        with monkeypatch.context() as patch:
            patch.setattr(f"radloop.service.store.blobs.os.{call}", full)
            assert send(node, ct()) == [0xA700]
        assert kept(store) == []
        assert store.blobs.unfinished() == []
        with store.reading() as session:
            assert session.scalars(select(Study)).all() == []
        assert send(node, ct()) == [0]  # and works again when there is room
        assert len(kept(store)) == 1


def test_database_down_is_told_and_recovered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from radloop.service.store import intake_fast
    from radloop.service.store.database import StoreError

    def down(*_: Any, **__: Any) -> Any:
        raise StoreError("The database cannot be reached.")

    with running(tmp_path) as (node, store):
        with monkeypatch.context() as patch:
            patch.setattr(intake_fast, "register", down)
            assert send(node, ct()) == [0xA700]
        assert kept(store) == []
        intake.recover(store)
        assert len(kept(store)) == 1  # its file was whole: nothing that came is lost
        assert send(node, ct()) == [0]
        assert len(kept(store)) == 1


def test_killed_between_file_and_row_is_registered_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as (node, store):
        finish = BlobWriter.finish
        monkeypatch.setattr(BlobWriter, "finish", lambda self: finish(self) and 1 / 0)
        with associated(node, CT) as link:
            assert not link.send_c_store(ct())  # the association breaks, no success is told
        monkeypatch.undo()
        assert kept(store) == []
        assert intake.recover(store)[0] == 1
        assert [row.sop_uid for row in kept(store)] == ["1.2.3.1.1"]


# --- commitment -----------------------------------------------------------------------------


def commit(node: Any, *asked: tuple[str, str], uid: str = "1.2.77") -> tuple[int, list[Any]]:
    """The status of the N-ACTION, and the reports that came."""
    reports: list[Any] = []

    def report(event: Any) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0, None

    data = Dataset()
    data.TransactionUID = uid
    data.ReferencedSOPSequence = Sequence()
    for kind, instance in asked:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, instance
        data.ReferencedSOPSequence.append(item)
    handlers = [(evt.EVT_N_EVENT_REPORT, report)]
    with associated(node, COMMITMENT, evt_handlers=handlers) as link:
        status, _ = link.send_n_action(data, 1, COMMITMENT, COMMITMENT_INSTANCE)
        deadline = time.monotonic() + 5
        while not reports and status.Status == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
    return status.Status, reports


def test_commitment_of_what_is_here(tmp_path: Path) -> None:
    with running(tmp_path) as (node, _):
        send(node, ct(number=1), ct(number=2))
        status, reports = commit(node, (CT, "1.2.3.1.1"), (CT, "1.2.3.1.2"))
    ((kind, data),) = reports
    assert (status, kind, data.TransactionUID) == (0, 1, "1.2.77")
    found = [item.ReferencedSOPInstanceUID for item in data.ReferencedSOPSequence]
    assert found == ["1.2.3.1.1", "1.2.3.1.2"] and "FailedSOPSequence" not in data


def test_commitment_says_what_is_missing_and_why(tmp_path: Path) -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    with running(tmp_path) as (node, store):
        send(node, ct(number=1), ct(number=2), ct(number=3))
        store.blobs.path(kept(store)[2].blob).unlink()
        asked = [(CT, "1.2.3.1.1"), (mr, "1.2.3.1.2"), (CT, "1.2.3.1.3"), (CT, "9.9")]
        _, ((kind, data),) = commit(node, *asked)
    assert kind == 2
    assert [item.ReferencedSOPInstanceUID for item in data.ReferencedSOPSequence] == ["1.2.3.1.1"]
    failed = {i.ReferencedSOPInstanceUID: i.FailureReason for i in data.FailedSOPSequence}
    assert failed == {"1.2.3.1.2": 0x0119, "1.2.3.1.3": 0x0112, "9.9": 0x0112}


def test_commitment_of_nonsense_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as (node, _):
        assert commit(node)[0] == 0x0115
        assert commit(node, (CT, "../../etc"))[0] == 0x0115


def test_unanswered_report_comes_over_an_association_of_its_own(tmp_path: Path) -> None:
    from pynetdicom import AE

    came: list[Any] = []

    def report(event: Any) -> tuple[int, None]:
        came.append(event.event_information.TransactionUID)
        return 0, None

    entity = AE("PEER")
    entity.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)]
    )
    peer = {"name": "peer", "ae_title": "PEER", "port": server.server_address[1]}
    data = Dataset()
    data.TransactionUID = "1.2.78"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "9.9"
    data.ReferencedSOPSequence = Sequence([item])
    with running(tmp_path, peers=[peer]) as (node, _):
        with associated(node, COMMITMENT) as link:
            # Never answered: the peer leaves as soon as it heard that it was understood.
            link.bind(evt.EVT_N_EVENT_REPORT, lambda event: time.sleep(1) or (0x0110, None))
            link.send_n_action(data, 1, COMMITMENT, COMMITMENT_INSTANCE)
            link.abort()
        deadline = time.monotonic() + 5
        while not came and time.monotonic() < deadline:
            time.sleep(0.01)
    server.shutdown()
    assert came == ["1.2.78"]


# --- who may come in ------------------------------------------------------------------------


def test_allow_list_by_title_and_address() -> None:
    ward = Peer(name="ward", ae_title="WARD", addresses=("10.1.0.0/16",))
    pacs = Peer(name="pacs", ae_title="PACS", host="192.168.7.7", port=104)
    named = Peer(name="named", ae_title="NAMED", host="pacs.example", port=104)
    options = NodeOptions(peers=(ward, pacs, named))
    assert options.admits("WARD", "10.1.2.3") and options.admits("WARD ", "::ffff:10.1.2.3")
    assert not options.admits("WARD", "10.2.0.1") and not options.admits("PACS", "10.1.2.3")
    assert options.admits("PACS", "192.168.7.7") and not options.admits("pacs", "192.168.7.7")
    assert not options.admits("NAMED", "192.168.7.7")  # a name admits no address but loopback
    assert not options.admits_address("8.8.8.8")
    assert NodeOptions().admits("ANY", "127.0.0.1") and not NodeOptions().admits("ANY", "10.1.1.1")
    assert NodeOptions(open_to_all=True).admits("ANY", "8.8.8.8")


@pytest.mark.parametrize("title", ["", "SEVENTEEN_SIGNS_X", "BACK\\SLASH", "ÜBER", "A\nB"])
def test_titles_that_are_none(title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        NodeOptions(ae_title=title)


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with (
        running(tmp_path / "a") as (node, _),
        pytest.raises(client.NodeError, match="cannot listen"),
        running(tmp_path / "b", port=node.address[1]),
    ):
        pass


def test_stop_lets_no_association_linger(tmp_path: Path) -> None:
    with running(tmp_path) as (node, _), associated(node, VERIFICATION) as link:
        begun = time.monotonic()
        node.stop(grace=5)
        assert time.monotonic() - begun < 4 and node.associations == 0
        time.sleep(0.1)
        assert not link.is_established


# --- TLS ------------------------------------------------------------------------------------


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for loopback that signed itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    import ipaddress

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_tls_with_certificates_of_both_sides(tmp_path: Path) -> None:
    ours, peers = make_certificate(tmp_path, "node"), make_certificate(tmp_path, "peer")
    stranger = make_certificate(tmp_path, "stranger")
    tls = {"certificate": ours[0], "key": ours[1], "client_ca": peers[0]}
    with running(tmp_path / "home", tls=tls) as (node, store):

        def peer(**changes: Any) -> Peer:
            return Peer(
                name="node",
                ae_title="RADLOOP",
                port=node.address[1],
                tls=PeerTls(**({"ca": ours[0]} | changes)),
            )

        good = peer(certificate=peers[0], key=peers[1])
        client.echo(good, "PEER")
        assert [one.status for one in client.send(good, [ct(side=300)], "PEER")] == [0]
        assert len(kept(store)) == 1
        for bad in (peer(), peer(certificate=stranger[0], key=stranger[1])):
            with pytest.raises(client.NodeError):
                client.echo(bad, "PEER")
        with pytest.raises(client.NodeError):  # without TLS
            client.echo(Peer(name="n", ae_title="RADLOOP", port=node.address[1]), "PEER")
        with pytest.raises(client.NodeError):  # the node's certificate is not the one expected
            client.echo(peer(ca=stranger[0], certificate=peers[0], key=peers[1]), "PEER")


def test_a_silent_tls_connection_keeps_nobody_waiting(tmp_path: Path) -> None:
    import socket

    ours = make_certificate(tmp_path, "node")
    tls = {"certificate": ours[0], "key": ours[1]}
    with running(tmp_path / "home", tls=tls) as (node, _):
        silent = [socket.create_connection(node.address) for _ in range(5)]
        peer = Peer(name="n", ae_title="RADLOOP", port=node.address[1], tls=PeerTls(ca=ours[0]))
        client.echo(peer, "PEER")
        for one in silent:
            one.close()


def test_wrong_certificate_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    tls = {"certificate": tmp_path / "x.pem", "key": tmp_path / "x.pem"}
    with pytest.raises(Exception, match="cannot be read"), running(tmp_path / "home", tls=tls):
        pass


# --- the client -----------------------------------------------------------------------------


def test_send_objects_of_two_classes_and_one_that_is_not_taken(tmp_path: Path) -> None:
    capture = ct(number=2)
    capture.SOPClassUID = SecondaryCaptureImageStorage
    private = ct(number=3)
    private.SOPClassUID = "1.2.3.4.5"
    data = [ct(number=1), with_meta(capture), with_meta(private)]
    path = tmp_path / "a.dcm"
    path.write_bytes(file_of(data[0]))
    with running(tmp_path / "home") as (node, store):
        peer = Peer(name="n", ae_title="RADLOOP", port=node.address[1])
        sent = client.send(peer, [path, file_of(data[1]), data[2]], "PEER")
        assert [one.status for one in sent] == [0, 0, 0x0122]
        assert [one.taken for one in sent] == [True, True, False]
        assert len(kept(store)) == 2


def test_peer_that_is_not_there() -> None:
    with pytest.raises(client.NodeError, match="pacs cannot be reached"):
        client.echo(Peer(name="pacs", ae_title="PACS", port=1), "ME")


def test_query_move_and_get_from_a_pacs(tmp_path: Path) -> None:
    """Against pynetdicom's own services as the PACS: the node receives what was moved."""
    from pynetdicom import AE

    answer = ct()
    answer.QueryRetrieveLevel = "STUDY"

    def found(event: Any) -> Any:
        assert event.identifier.QueryRetrieveLevel == "STUDY"
        if event.identifier.StudyInstanceUID in ("", "1.2.3"):
            yield 0xFF00, answer

    def moved(event: Any) -> Any:
        yield node.address[0], node.address[1], {"contexts": [build_context(CT)]}
        yield 2
        yield 0xFF00, ct(number=1)
        yield 0xFF00, ct(number=2)

    def got(event: Any) -> Any:
        yield 1
        yield 0xFF00, ct(number=3)

    pacs = AE("PACS")
    for uid in (client.FIND, client.MOVE, client.GET):
        pacs.add_supported_context(uid)
    pacs.add_supported_context(CT, scu_role=True, scp_role=True)
    pacs.add_requested_context(CT)
    handlers = [(evt.EVT_C_FIND, found), (evt.EVT_C_MOVE, moved), (evt.EVT_C_GET, got)]
    server = pacs.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    peer = Peer(name="pacs", ae_title="PACS", port=server.server_address[1])
    files: list[bytes] = []
    with running(tmp_path) as (node, store):
        (one,) = client.find(peer, "RADLOOP", "STUDY", {"StudyInstanceUID": "", "PatientID": ""})
        assert one.StudyInstanceUID == "1.2.3"
        assert client.find(peer, "RADLOOP", "STUDY", {"StudyInstanceUID": "7"}) == []
        done = client.move(peer, "RADLOOP", "STUDY", {"StudyInstanceUID": "1.2.3"})
        assert done == client.Moved(completed=2, failed=0, warnings=0)
        assert len(kept(store)) == 2
        query = {"StudyInstanceUID": "1.2.3"}
        done = client.get(peer, "RADLOOP", "STUDY", query, [CT], lambda f: files.append(f) or 0)
        assert done.completed == 1
    server.shutdown()
    assert pydicom.dcmread(io.BytesIO(files[0])).InstanceNumber == 3


# --- DCMTK ----------------------------------------------------------------------------------


@DCMTK
def test_dcmtk_echoes_and_stores(tmp_path: Path) -> None:
    paths = []
    for number in (1, 2, 3):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(file_of(ct(number=number, side=300)))
    with running(tmp_path / "home") as (node, store):
        where = ["-aec", "RADLOOP", "127.0.0.1", str(node.address[1])]
        assert subprocess.run(["echoscu", *where], check=False).returncode == 0
        wrong = ["echoscu", "-aec", "OTHER", *where[2:]]
        assert subprocess.run(wrong, check=False, capture_output=True).returncode != 0
        subprocess.run(["storescu", *where, *map(str, paths)], check=True)
        assert [row.number for row in kept(store)] == [1, 2, 3]


REAL = Path(os.environ.get("RADLOOP_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.real
@DCMTK
def test_real_files_in_every_transfer_syntax(tmp_path: Path) -> None:
    folder = REAL / "dicom" / "transfer_syntaxes"
    if not folder.is_dir():
        pytest.skip("no real images here")
    sent = {}
    for path in sorted(folder.rglob("*.dcm")):
        data = pydicom.dcmread(path, stop_before_pixels=True)
        data.SOPInstanceUID = f"1.2.9.{len(sent)}"
        whole = pydicom.dcmread(path)
        whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        whole.StudyInstanceUID = whole.SeriesInstanceUID = f"1.2.8.{len(sent)}"
        sent[data.SOPInstanceUID] = whole
    assert len(sent) >= 25
    with running(tmp_path) as (node, store):
        peer = Peer(name="n", ae_title="RADLOOP", port=node.address[1])
        done = client.send(peer, list(sent.values()), "PEER")
        assert {one.status for one in done} == {0}
        for row in kept(store):
            back, original = pydicom.dcmread(store.blobs.path(row.blob)), sent[row.sop_uid]
            assert back.get("PixelData") == original.get("PixelData")
            assert row.transfer_syntax == original.file_meta.TransferSyntaxUID
