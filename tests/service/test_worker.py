"""The worker with a shipped model: files in, findings out; nothing that a file does ends it."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import shutil
import threading
from pathlib import Path

import pydicom
import pytest
from made_store import Receive, dicom
from sqlalchemy import select

import radloop
from radloop.errors import InputError, WriteError
from radloop.service import logs
from radloop.service.settings import load_settings
from radloop.service.store import intake, jobs, results, studies
from radloop.service.store.database import Store
from radloop.service.store.schema import Instance, Job
from radloop.service.worker import loop, reading
from radloop.service.worker.reading import Readers

DEMO = Path(radloop.__file__).parent / "demo" / "films"


@pytest.fixture
def database() -> str:
    """The database makes no difference here."""
    return ""


@pytest.fixture(scope="module")
def opened() -> Readers:
    """One open model for all tests: it is the same whatever the home folder."""
    return Readers(load_settings(Path("unused")))


def claimed(store: Store, study: str) -> Job:
    studies.complete(store, study)
    job = jobs.claim(store, "w")
    assert job is not None
    return job


def test_a_film_is_read_and_stored_with_its_files(store: Store, opened: Readers) -> None:
    films = sorted(DEMO.glob("*.png"))
    study = intake.add_file(store, films[0]).study_id
    assert loop.work_on(store, opened, claimed(store, study)) == "done"
    view = results.of_study(store, study)
    (result,) = view.results
    outputs = {output.kind: output for output in view.outputs[result.id]}
    assert outputs.keys() >= {"mask", "picture", "fhir"}
    assert json.loads(store.blobs.read(outputs["fhir"].blob))["resourceType"] == "Bundle"
    assert store.blobs.read(outputs["mask"].blob)[:8] == b"\x89PNG\r\n\x1a\n"
    assert result.prediction["findings"][0]["name"] == "cardiomegaly"
    assert not any((store.settings.home / reading.WORK).iterdir())


def test_objects_of_a_dicom_film_are_the_same_when_it_is_read_again(
    store: Store, opened: Readers
) -> None:
    films = sorted(DEMO.glob("*.dcm"))
    study = intake.add_file(store, films[0]).study_id
    job = claimed(store, study)
    first = {o.kind: o.sop_uid for o in reading.read(store, opened, job)[1] if o.sop_uid}
    again = {o.kind: o.sop_uid for o in reading.read(store, opened, job)[1] if o.sop_uid}
    assert first == again and {"sr", "sc"} <= first.keys()
    jobs.finish(store, job, *reading.read(store, opened, job))
    (result,) = results.of_study(store, study).results
    for output in results.of_study(store, study).outputs[result.id]:
        if output.kind == "sr":
            content = store.blobs.read(output.blob)
            report = pydicom.dcmread(io.BytesIO(content))
            film = pydicom.dcmread(films[0], stop_before_pixels=True)
            assert report.StudyInstanceUID == film.StudyInstanceUID
            assert intake.facts_of(content).own  # and so would not be read when it came back


def test_the_film_that_tells_most_speaks_for_its_series(
    store: Store, receive: Receive, opened: Readers
) -> None:
    chest = pydicom.dcmread(sorted(DEMO.glob("*.dcm"))[0])
    noise = dicom(
        StudyInstanceUID=chest.StudyInstanceUID, SeriesInstanceUID=chest.SeriesInstanceUID,
        PatientID=str(chest.PatientID), Modality=chest.Modality, InstanceNumber=0,
    )  # fmt: skip
    receive(noise)
    study = receive(chest).study_id
    assert loop.work_on(store, opened, claimed(store, study)) == "done"
    (result,) = results.of_study(store, study).results
    with store.reading() as session:
        spoke = session.scalar(select(Instance.sop_uid).where(Instance.id == result.instance_id))
    assert (result.status, spoke) != ("refused", str(noise.SOPInstanceUID))
    assert spoke == str(chest.SOPInstanceUID)


def test_what_is_no_chest_is_refused_and_in_the_list(
    store: Store, receive: Receive, opened: Readers
) -> None:
    study = receive(dicom()).study_id
    assert loop.work_on(store, opened, claimed(store, study)) == "done"
    (row,) = results.worklist(store)
    assert (row.group, row.stage, row.models) == ("not read", "read", ("cardiomegaly",))
    assert row.why


def test_a_lost_file_is_a_verdict_or_a_failure_and_never_the_workers_end(
    store: Store, receive: Receive, opened: Readers
) -> None:
    study = receive(dicom()).study_id
    for name in store.blobs:
        store.blobs.path(name).unlink()
    assert loop.work_on(store, opened, claimed(store, study)) in ("done", "waiting")
    (row,) = results.worklist(store)
    assert row.stage in ("read", "waiting")


@pytest.mark.parametrize(
    ("error", "state", "says"),
    [
        (ValueError("Doe^Jane has 3 ribs"), "waiting", "ValueError while it was worked on."),
        (MemoryError(), "waiting", "MemoryError while it was worked on."),
        (InputError("It cannot be read."), "quarantined", "It cannot be read."),
        (WriteError("The store is full."), "waiting", "The store is full."),
    ],
)
def test_an_error_ends_in_the_jobs_reason(
    store: Store, receive: Receive, opened: Readers, monkeypatch: pytest.MonkeyPatch,
    error: BaseException, state: str, says: str,
) -> None:  # fmt: skip
    def fails(*_: object) -> None:
        raise error

    job = claimed(store, receive(dicom()).study_id)
    monkeypatch.setattr(loop, "read", fails)
    assert loop.work_on(store, opened, job) == state
    with store.reading() as session:
        row = session.scalars(select(Job)).one()
    assert (row.state, row.reason) == (state, says)
    assert row.attempts == (0 if isinstance(error, WriteError) else 1)


def test_a_full_disk_keeps_the_job_for_later(
    store: Store, receive: Receive, opened: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = claimed(store, receive(dicom()).study_id)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        assert loop.work_on(store, opened, job) == "waiting"
    with store.session() as session:
        row = session.scalars(select(Job)).one()
        assert row.attempts == 0
        row.not_before = row.created_at
    again = jobs.claim(store, "w")
    assert again is not None and loop.work_on(store, opened, again) == "done"


def test_a_worker_completes_reads_and_stops(
    store: Store, receive: Receive, opened: Readers
) -> None:
    store.settings = store.settings.model_copy(update={"quiet_films": 0.01})
    receive(dicom())
    stop = threading.Event()
    worker = threading.Thread(target=loop.run, args=(store, "w", stop), kwargs={"readers": opened})
    worker.start()
    try:
        for _ in range(600):
            if [row.stage for row in results.worklist(store)] == ["read"]:
                break
            stop.wait(0.05)
    finally:
        stop.set()
        worker.join()
    assert [row.stage for row in results.worklist(store)] == ["read"]


def test_logs_hold_no_text_of_a_file(
    store: Store, opened: Readers, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    logging.getLogger("radloop.service").setLevel(logging.INFO)
    study = receive(dicom(PatientID="secret-7", PatientName="Doe^Jane")).study_id
    loop.work_on(store, opened, claimed(store, study))
    logging.getLogger("another.library").warning("Doe^Jane is not a valid name")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {"job_done", "library"} <= {line["event"] for line in lines}
    assert not any(word in stream.getvalue() for word in ("secret", "Doe", "/tmp", "1.2."))
    with pytest.raises(ValueError, match="patient"):
        logs.event("worker", "x", patient="secret-7")


def test_leftovers_of_killed_workers_are_cleared(store: Store) -> None:
    work = store.settings.home / reading.WORK / "1-x"
    work.mkdir(parents=True)
    reading.clear_work(store.settings)
    assert not work.exists()
    shutil.rmtree(store.settings.home, ignore_errors=True)
