"""Files come in once, whatever is sent; what does not belong is refused; a crash loses nothing."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_store import Receive, dicom, written
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from sqlalchemy import func, select

from radloop.errors import WriteError
from radloop.images.write import write_png
from radloop.service.store import intake, studies
from radloop.service.store.database import Store
from radloop.service.store.facts import IntakeError, checked_uid, clean_text, facts_of, made_uid
from radloop.service.store.schema import Blob, Instance, Series, Study


def rows(store: Store, table: type) -> int:
    with store.reading() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def test_a_file_is_registered_once(store: Store, receive: Receive) -> None:
    film = dicom()
    first, again = receive(film), receive(film)
    assert first.new
    assert (again.new, again.differs, again.study_id) == (False, False, first.study_id)
    assert [rows(store, table) for table in (Study, Series, Instance, Blob)] == [1, 1, 1, 1]


def test_the_same_uid_with_other_content_keeps_the_first(store: Store, receive: Receive) -> None:
    film = dicom()
    receive(film)
    with store.reading() as session:
        kept = session.scalar(select(Instance.blob))
    film.PatientComments = "another"
    assert receive(film).differs
    with store.reading() as session:
        assert session.scalars(select(Instance.blob)).all() == [kept]


def test_files_that_come_at_once_make_one_study(store: Store, receive: Receive) -> None:
    study, series = generate_uid(), generate_uid()
    slices = [
        dicom("CT", StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=k)
        for k in range(12)
    ]
    threads = [threading.Thread(target=receive, args=(one,)) for one in [*slices, *slices]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rows(store, table) for table in (Study, Series, Instance)] == [1, 1, 12]


def test_a_study_names_the_modalities_of_its_series(store: Store, receive: Receive) -> None:
    study = generate_uid()
    for modality in ("CT", "CR", "CT"):
        receive(dicom(modality, StudyInstanceUID=study))
    with store.reading() as session:
        assert session.scalar(select(Study.modality)) == "CR/CT"


def test_another_patient_in_a_study_is_refused(store: Store, receive: Receive) -> None:
    study = generate_uid()
    receive(dicom(StudyInstanceUID=study))
    with pytest.raises(IntakeError, match="another patient"):
        receive(dicom(StudyInstanceUID=study, PatientID="p2"))
    assert rows(store, Instance) == 1


def test_a_series_in_two_studies_is_refused(store: Store, receive: Receive) -> None:
    series = generate_uid()
    receive(dicom(SeriesInstanceUID=series))
    with pytest.raises(IntakeError, match="another study"):
        receive(dicom(SeriesInstanceUID=series))
    assert [rows(store, table) for table in (Study, Instance)] == [1, 1]


def test_what_we_made_ourselves_opens_no_study_again(store: Store, receive: Receive) -> None:
    study = generate_uid()
    known = receive(dicom(StudyInstanceUID=study))
    studies.complete(store, known.study_id)
    ours = {"SOPClassUID": SecondaryCaptureImageStorage, "Manufacturer": "Radloop"}
    receive(dicom("OT", StudyInstanceUID=study, **ours))
    with store.reading() as session:
        assert session.scalar(select(Study.state)) == "complete"
        assert session.scalars(select(Series.own).order_by(Series.own)).all() == [False, True]


@pytest.mark.parametrize("uid", ["", "../../etc", "1..2", "1.2/3", "1." * 32 + "1", "1.2\n", "a.b"])
def test_a_uid_that_is_none_is_refused(uid: str) -> None:
    if uid == "1.2\n":
        assert checked_uid(uid, "study") == "1.2"  # padding is stripped, as DICOM pads
        return
    with pytest.raises(IntakeError, match="no valid study UID"):
        checked_uid(uid, "study")


@given(st.text())
def test_a_checked_uid_is_digits_and_dots(text: str) -> None:
    try:
        uid = checked_uid(text, "study")
    except IntakeError:
        return
    assert set(uid) <= {*"0123456789."} or uid.replace(".", "").isdigit()
    assert ".." not in uid and len(uid) <= 64


@given(st.text(max_size=600))
def test_a_clean_text_is_one_line_that_any_database_takes(text: str) -> None:
    clean = clean_text(text)
    assert len(clean) <= 256 and clean == clean.strip()
    assert all(c.isprintable() for c in clean)
    clean.encode("utf-8")


def test_texts_of_a_header_are_cleaned() -> None:
    film = dicom(PatientName="<script>alert(1)</script>\0\x1b[2J", StudyDescription="a\r\nb\tc")
    facts = facts_of(film)
    assert facts.patient_name == "<script>alert(1)</script> [2J"
    assert facts.study_description == "a b c"


def test_a_header_is_read_from_bytes_and_from_the_dataset_alike() -> None:
    film = dicom(ViewPosition="pa", NumberOfStudyRelatedInstances=3)
    from_file = facts_of(written(film))
    assert asdict(from_file) == asdict(facts_of(film))
    assert (from_file.view, from_file.expected, from_file.modality) == ("PA", 3, "CR")


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_what_is_no_dicom_is_said(content: bytes) -> None:
    with pytest.raises(IntakeError):
        facts_of(content)


def test_made_uids_follow_from_their_parts() -> None:
    assert made_uid("a", "b") == made_uid("a", "b")
    assert made_uid("a", "b") != made_uid("ab", "")
    assert made_uid("a").startswith("2.25.") and len(made_uid("a")) <= 64


def test_a_folder_is_taken_in_with_its_odd_files_told(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    (folder / "one.dcm").write_bytes(written(dicom()))
    (folder / "below" / "no-suffix").write_bytes(written(dicom()))
    write_png(folder / "film.png", np.zeros((64, 64), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden").write_text("not looked at")
    added = intake.add_folder(store, folder)
    assert (added.new, added.known, len(added.studies)) == (3, 0, 3)
    assert [name for name, _ in added.refused] == ["notes.txt"]
    again = intake.add_folder(store, folder)
    assert (again.new, again.known) == (0, 3)


def test_a_crash_between_file_and_row_loses_nothing(store: Store) -> None:
    film = dicom()
    blob = store.blobs.put(written(film))  # and no row: killed here
    assert intake.recover(store) == (1, 0)
    assert intake.recover(store) == (0, 0)
    with store.reading() as session:
        assert session.scalar(select(Instance.blob)) == blob


def test_a_torn_file_without_a_row_is_never_registered(store: Store) -> None:
    blob = store.blobs.put(written(dicom()))
    path = store.blobs.path(blob)
    path.write_bytes(path.read_bytes()[:-100])  # the disk lost the end of it
    os.utime(path, (0, 0))
    assert intake.recover(store) == (0, 1)
    assert rows(store, Instance) == 0 and not path.exists()


def test_a_full_disk_is_said_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(WriteError, match="no room"):
        store.blobs.put(b"abc")
    assert store.blobs.unfinished() == [] and list(store.blobs) == []


def test_a_file_that_is_stored_twice_is_there_once(store: Store) -> None:
    assert store.blobs.put(b"abc") == store.blobs.put(b"abc")
    assert len(list(store.blobs)) == 1
    # of FIPS 180-2, appendix B.1
    assert next(iter(store.blobs)).startswith("ba7816bf8f01cfea414140de5dae2223")
