"""The node's pure parts, held against pynetdicom and pydicom and fed with anything."""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path

import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dicom import ct, file_of
from made_store import postgres_url  # noqa: F401 (a fixture)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode as pynetdicom_decode
from pynetdicom.dsutils import encode as pynetdicom_encode
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, P_DATA_TF
from sqlalchemy import select, text

from radloop.service.node import dimse, pdu
from radloop.service.node.header import SeriesFacts
from radloop.service.node.part10 import file_head
from radloop.service.node.pdu import ProtocolError, Reason
from radloop.service.settings import Settings
from radloop.service.store import intake
from radloop.service.store.blobs import Stored
from radloop.service.store.database import Store, open_store
from radloop.service.store.facts import IntakeError, facts_of
from radloop.service.store.intake_fast import FastIntake
from radloop.service.store.schema import Base, Instance

CT = "1.2.840.10008.5.1.4.1.1.2"


# --- PDUs and commands ----------------------------------------------------------------------


def test_small_pdus_are_those_of_pynetdicom() -> None:
    abort = A_ABORT_RQ()
    abort.decode(pdu.abort(Reason.UNEXPECTED))
    assert (abort.source, abort.reason_diagnostic) == (2, 2)
    rejection = A_ASSOCIATE_RJ()
    rejection.decode(pdu.reject(1, 1, 7))
    assert (rejection.result, rejection.source, rejection.reason_diagnostic) == (1, 1, 7)
    assert A_RELEASE_RP().encode() == pdu.release_reply()


@given(st.binary(max_size=400), st.integers(7, 60), st.booleans())
def test_data_in_pieces_are_read_back_by_us_and_by_pynetdicom(
    data: bytes, longest: int, command: bool
) -> None:
    ours, theirs = b"", b""
    lasts = []
    for raw in pdu.data_pdus(5, data, command, longest):
        kind, length = pdu.header(raw)
        assert kind is pdu.Kind.DATA and length == len(raw) - 6 <= longest
        for context, is_command, last, piece in pdu.values(memoryview(raw)[6:]):
            assert (context, is_command) == (5, command)
            ours += bytes(piece)
            lasts.append(last)
        item = P_DATA_TF()
        item.decode(raw)
        for value in item.presentation_data_value_items:
            theirs += value.presentation_data_value[1:]
    assert ours == theirs == data
    assert lasts == [False] * (len(lasts) - 1) + [True]


@given(st.binary(max_size=64))
def test_any_bytes_are_values_or_an_error(data: bytes) -> None:
    try:
        total = sum(6 + len(piece) for _, _, _, piece in pdu.values(memoryview(data)))
    except ProtocolError:
        return
    assert total == len(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_command_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert "CommandField" in dimse.decode(data)


@given(st.integers(1, 65535), st.from_regex(r"[1-9](\.[1-9][0-9]{0,5}){1,9}", fullmatch=True))
def test_commands_are_those_of_pynetdicom(number: int, uid: str) -> None:
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = number, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = CT, uid
    primitive.DataSet = io.BytesIO(b"xx")
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    raw = pynetdicom_encode(message.command_set, True, True)
    assert raw is not None
    command = dimse.decode(raw)
    assert command["MessageID"] == number and command["AffectedSOPInstanceUID"] == uid
    assert command["CommandDataSetType"] != dimse.NO_DATA_SET

    reply = dimse.encode(dimse.answer(command, dimse.Status.OUT_OF_RESOURCES, "x" * 99))
    read = pynetdicom_decode(io.BytesIO(reply), True, True)
    response = C_STORE_RSP()
    response.command_set = read
    assert (read.Status, read.MessageIDBeingRespondedTo) == (0xA700, number)
    assert (read.AffectedSOPInstanceUID, read.ErrorComment) == (uid, "x" * 64)
    assert read.CommandField == 0x8001 and read.CommandGroupLength == len(reply) - 12


def test_file_head_is_read_by_pydicom() -> None:
    data = ct()
    body = pynetdicom_encode(data, False, True)
    assert body is not None
    head = file_head(CT, "1.2.3.45", ExplicitVRLittleEndian)
    back = pydicom.dcmread(io.BytesIO(head + body))
    assert back.file_meta.MediaStorageSOPClassUID == CT
    assert back.file_meta.MediaStorageSOPInstanceUID == "1.2.3.45"
    assert back.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert back.file_meta.FileMetaInformationGroupLength == len(head) - 132 - 12
    assert back.PixelData == data.PixelData


# --- the short way to the facts -------------------------------------------------------------


def nested(depth: int) -> Sequence:
    item = Dataset()
    item.ReferencedSOPInstanceUID, item.SeriesInstanceUID = "9.9.9", "9.9"
    if depth:
        item.ReferencedImageSequence = nested(depth - 1)
    found = Sequence([item, Dataset()])
    for one in found:
        one.is_undefined_length_sequence_item = bool(depth % 2)
    return found


@settings(max_examples=60)
@given(
    st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
    st.lists(
        st.tuples(
            st.sampled_from(["1", " 7 ", "-3", "+4", "", "99999999999", "x", "1.5"]),
            st.sampled_from(["P1", "P2", ""]),
            st.integers(0, 3),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_short_way_gives_the_facts_that_the_long_way_gives(
    syntax: str, instances: list[tuple[str, str, int, bool]]
) -> None:
    short = SeriesFacts()
    for k, (number, patient, depth, undefined) in enumerate(instances):
        data = ct(number=k, PatientID=patient)
        data[0x00200013]._value = number
        data.ReferencedImageSequence = nested(depth)
        data["ReferencedImageSequence"].is_undefined_length = undefined
        raw = pynetdicom_encode(data, syntax == ImplicitVRLittleEndian, True)
        assert raw is not None
        head = file_head(CT, str(data.SOPInstanceUID), syntax)
        assert short.read(raw, syntax, head) == facts_of(head + raw)


@given(st.binary(max_size=300), st.integers(0, 600))
def test_short_way_of_damaged_bytes_is_the_long_way(noise: bytes, at: int) -> None:
    short = SeriesFacts()
    good = pynetdicom_encode(ct(), False, True)
    assert good is not None
    head = file_head(CT, "1.2.3.1.1", ExplicitVRLittleEndian)
    short.read(good, ExplicitVRLittleEndian, head)
    bad = good[:at] + noise + good[at + len(noise) :]

    def outcome(read: object) -> object:
        try:
            return read()  # type: ignore[operator]
        except IntakeError:
            return "refused"

    ours = outcome(lambda: short.read(bad, ExplicitVRLittleEndian, head))
    long = outcome(lambda: facts_of(head + bad))
    if ours != "refused" and long != "refused":
        assert ours.sop_uid == long.sop_uid and ours.patient_id == long.patient_id  # type: ignore[attr-defined]


# --- registering fast -----------------------------------------------------------------------


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All rows but random ids and times."""
    random = {"id", "study_id", "series_id", "received_at", "changed_at", "not_before"}
    found = {}
    with store.reading() as session:
        for table in Base.metadata.sorted_tables:
            columns = [c for c in table.columns if c.name not in random]
            lines = [tuple(row) for row in session.execute(select(*columns))]
            found[table.name] = sorted(map(repr, lines))
    return found  # type: ignore[return-value]


def test_fast_registration_leaves_the_same_rows(tmp_path: Path) -> None:
    slow = open_store(Settings(home=tmp_path / "a"))
    fast = open_store(Settings(home=tmp_path / "b"))
    quick = FastIntake(fast)
    data = [ct(number=k) for k in range(5)]
    data += [ct(number=k, SeriesInstanceUID="1.2.3.7", Manufacturer="Radloop") for k in (7, 8, 9)]
    data += [ct(study="1.5", number=k, NumberOfStudyRelatedInstances=4) for k in range(3)]
    data += [ct(number=2)]
    for one in data:
        content = file_of(one)
        facts = facts_of(content)
        said = []
        for store in (slow, fast):
            sha256 = store.blobs.put(content)
            if store is slow:
                done = intake.register(store, facts, sha256, len(content))
            else:
                done = quick.register(facts, Stored(sha256, len(content)))
            said.append((done.new, done.differs))
        assert said[0] == said[1]
    assert rows(slow) == rows(fast)
    with fast.reading() as session:  # times are those that SQLAlchemy reads
        assert all(time.tzinfo for time in session.scalars(select(Instance.received_at)))
    quick.close()


def test_fast_registration_after_its_study_was_removed(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    quick = FastIntake(store)

    def put(number: int) -> bool:
        content = file_of(ct(number=number))
        stored = Stored(store.blobs.put(content), len(content))
        return quick.register(facts_of(content), stored).new

    assert put(1) and put(2)
    with store.session() as session:
        for table in ("instance", "series", "study"):
            session.execute(text(f"DELETE FROM {table}"))
    assert put(3)
    with store.reading() as session:
        assert len(session.scalars(select(Instance)).all()) == 1


def test_fast_registration_from_many_threads(tmp_path: Path) -> None:
    store = open_store(Settings(home=tmp_path))
    failures: list[BaseException] = []

    def work(first: int) -> None:
        quick = FastIntake(store)
        try:
            for number in range(first, first + 12):
                content = file_of(ct(number=number))
                stored = Stored(store.blobs.put(content), len(content))
                quick.register(facts_of(content), stored)
        except BaseException as error:
            failures.append(error)
        finally:
            quick.close()

    # Each number comes from two threads: one of them is first.
    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 0, 6, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.reading() as session:
        found = session.scalars(select(Instance.number)).all()
    assert sorted(n for n in found if n is not None) == list(range(24))


def test_fast_registration_on_postgresql(tmp_path: Path, postgres_url: str) -> None:  # noqa: F811
    store = open_store(Settings(home=tmp_path, database=postgres_url))
    quick = FastIntake(store)
    for number in (1, 2, 3, 2):
        content = file_of(ct(study="1.77", number=number))
        stored = Stored(store.blobs.put(content), len(content))
        quick.register(facts_of(content), stored)
    quick.close()
    with store.reading() as session:
        found = session.scalars(select(Instance.number).where(Instance.sop_uid.like("1.77.%")))
        assert sorted(n or 0 for n in found) == [1, 2, 3]
    store.close()
