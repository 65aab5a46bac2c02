"""The queue: complete studies are read exactly once in effect, whatever dies in between."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from made_store import Receive, dicom
from pydicom.uid import generate_uid
from sqlalchemy import func, select, update

from radloop.findings.codes import private_code
from radloop.findings.finding import Finding, ModelRef, Prediction
from radloop.service.store import intake, jobs, results, studies
from radloop.service.store.database import Store
from radloop.service.store.jobs import NewOutput, NewResult
from radloop.service.store.schema import Job, Output, Result, Study

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=31)


def after(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)


def said(probability: float = 0.9, name: str = "cardiomegaly") -> NewResult:
    finding = Finding(
        name, private_code("X", name.capitalize()), probability, probability >= 0.5, 0.5
    )
    model = ModelRef("cardiomegaly", "1", "0" * 64)
    return NewResult(Prediction("c", "p", name, model, findings=(finding,)))


@pytest.fixture
def job(store: Store, receive: Receive) -> Job:
    """A job of one film, claimed by worker "w"."""
    receive(dicom(), now=NOW)
    studies.complete_quiet(store, LATER)
    claimed = jobs.claim(store, "w", now=LATER)
    assert claimed is not None
    return claimed


def states(store: Store) -> list[str]:
    with store.reading() as session:
        return list(session.scalars(select(Job.state).order_by(Job.id)))


def current(store: Store) -> list[float]:
    with store.reading() as session:
        return list(session.scalars(select(Result.score).where(Result.current.is_(True))))


def test_a_study_is_complete_when_nothing_came_for_the_quiet_time(
    store: Store, receive: Receive
) -> None:
    study = receive(dicom(), now=NOW).study_id
    assert studies.complete_quiet(store, NOW + timedelta(seconds=29)) == []
    assert studies.complete_quiet(store, LATER) == [study]
    assert studies.complete_quiet(store, LATER) == []
    assert states(store) == ["waiting"]


def test_films_are_complete_sooner_than_scans(store: Store, receive: Receive) -> None:
    store.settings = store.settings.model_copy(update={"quiet_films": 2.0})
    film, scan = receive(dicom(), now=NOW), receive(dicom("CT"), now=NOW)
    assert studies.complete_quiet(store, NOW + timedelta(seconds=1)) == []
    assert studies.complete_quiet(store, NOW + timedelta(seconds=2)) == [film.study_id]
    assert studies.complete_quiet(store, LATER) == [scan.study_id]


def test_a_study_is_complete_at_once_with_the_expected_count(
    store: Store, receive: Receive
) -> None:
    study = generate_uid()
    receive(dicom(StudyInstanceUID=study), now=NOW)
    studies.expect(store, study, 2)
    assert studies.complete_quiet(store, NOW) == []
    receive(dicom(StudyInstanceUID=study), now=NOW)
    assert len(studies.complete_quiet(store, NOW)) == 1


def test_late_images_make_a_revision_of_their_series_alone(store: Store, receive: Receive) -> None:
    study, series = generate_uid(), generate_uid()
    receive(dicom(StudyInstanceUID=study), now=NOW)
    receive(dicom(StudyInstanceUID=study, SeriesInstanceUID=series), now=NOW)
    studies.complete_quiet(store, LATER)
    first = jobs.claim(store, "w", now=LATER)
    assert first is not None
    jobs.finish(store, first, said(), now=LATER)
    receive(dicom(StudyInstanceUID=study, SeriesInstanceUID=series), now=LATER)
    assert studies.complete_quiet(store, after(10)) == []
    studies.complete_quiet(store, after(40))
    with store.reading() as session:
        assert session.scalar(select(Study.revision)) == 2
        made = session.execute(select(Job.revision, Job.state).order_by(Job.id)).all()
    # the waiting job of the series that grew was replaced
    assert [tuple(row) for row in made] == [(1, "done"), (1, "done"), (2, "waiting")]


def test_a_result_of_an_older_revision_is_not_current(store: Store, receive: Receive) -> None:
    study, series = generate_uid(), generate_uid()
    receive(dicom(StudyInstanceUID=study, SeriesInstanceUID=series), now=NOW)
    studies.complete_quiet(store, LATER)
    slow = jobs.claim(store, "slow", now=LATER)
    receive(dicom(StudyInstanceUID=study, SeriesInstanceUID=series), now=LATER)
    studies.complete_quiet(store, after(40))
    quick = jobs.claim(store, "quick", now=after(40))
    assert slow is not None and quick is not None
    jobs.finish(store, quick, said(1.0), now=after(41))
    jobs.finish(store, slow, said(0.1), now=after(42))
    assert current(store) == [pytest.approx(0.4)]


def test_a_job_is_claimed_by_one_worker(store: Store, receive: Receive) -> None:
    for _ in range(6):
        receive(dicom(), now=NOW)
    studies.complete_quiet(store, LATER)
    got: list[int] = []

    def work(name: str) -> None:
        while (mine := jobs.claim(store, name, now=LATER)) is not None:
            got.append(mine.id)

    threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 6


def test_what_is_finished_twice_counts_once(store: Store, job: Job) -> None:
    blob = store.blobs.put(b"mask")
    output = NewOutput("mask", blob, 4, "m.png")
    first = jobs.finish(store, job, said(), [output], LATER)
    assert jobs.finish(store, job, said(0.2), [output], LATER) == first
    with store.reading() as session:
        assert session.scalar(select(func.count(Result.id))) == 1
        assert session.scalar(select(func.count(Output.id))) == 1


def test_a_claim_that_runs_out_is_taken_over_and_the_first_result_counts(
    store: Store, job: Job
) -> None:
    assert jobs.claim(store, "other", now=after(59)) is None
    taken = jobs.claim(store, "other", now=after(61))
    assert taken is not None and (taken.id, taken.attempts) == (job.id, 2)
    assert not jobs.extend(store, job, after(62))
    jobs.finish(store, job, said(0.5), now=after(63))
    jobs.finish(store, taken, said(0.9), now=after(64))
    assert current(store) == [pytest.approx(0.2)]


def test_a_heartbeat_holds_a_claim(store: Store, job: Job) -> None:
    assert jobs.extend(store, job, after(50))
    assert jobs.claim(store, "other", now=after(100)) is None


def test_failures_back_off_and_end_in_quarantine(store: Store, job: Job) -> None:
    assert jobs.fail(store, job, "It broke.", LATER) == "waiting"
    assert jobs.claim(store, "w", now=after(9)) is None
    again = jobs.claim(store, "w", now=after(10))
    assert again is not None
    assert jobs.fail(store, again, "It broke.", after(10)) == "waiting"
    assert jobs.claim(store, "w", now=after(29)) is None
    last = jobs.claim(store, "w", now=after(30))
    assert last is not None
    assert jobs.fail(store, last, "It broke.", after(30)) == "quarantined"
    assert jobs.claim(store, "w", now=after(1e6)) is None
    (row,) = results.worklist(store, after(40))
    assert (row.stage, row.group, row.failed) == ("failed", "not read", 1)
    assert "It broke." in row.why


def test_a_job_that_kills_its_worker_ends_in_quarantine_too(store: Store, job: Job) -> None:
    for attempt in (2, 3):
        taken = jobs.claim(store, f"w{attempt}", now=after(100 * attempt))
        assert taken is not None and taken.attempts == attempt
    assert jobs.claim(store, "w4", now=after(1000)) is None
    assert states(store) == ["quarantined"]
    (row,) = results.worklist(store, after(1000))
    assert "stopped 3 times" in row.why


def test_a_poisoned_study_holds_up_nobody(store: Store, job: Job, receive: Receive) -> None:
    jobs.fail(store, job, "It broke.", LATER)
    receive(dicom(), now=LATER)
    studies.complete_quiet(store, after(40))
    other = jobs.claim(store, "w", now=after(40))  # the broken one is due, too
    assert other is not None and other.id != job.id


def test_a_dead_workers_claims_are_free_at_once(store: Store, job: Job) -> None:
    assert jobs.release(store, "w", LATER) == 1
    again = jobs.claim(store, "w2", now=LATER)
    assert again is not None and again.attempts == 2
    assert jobs.release(store, "w2", LATER) == 1
    assert jobs.claim(store, "w3", now=after(9)) is None  # from then on with the back-off
    assert jobs.claim(store, "w3", now=after(10)) is not None


def test_a_full_disk_costs_no_attempt(store: Store, job: Job) -> None:
    jobs.postpone(store, job, "The disk is full.", 30, LATER)
    assert jobs.claim(store, "w", now=after(29)) is None
    again = jobs.claim(store, "w", now=after(30))
    assert again is not None and again.attempts == 1


def test_a_job_may_be_let_out_of_quarantine(store: Store, job: Job) -> None:
    assert not jobs.retry(store, job.id, LATER)
    jobs.fail(store, job, "It broke.", LATER, for_good=True)
    assert jobs.retry(store, job.id, LATER)
    again = jobs.claim(store, "w", now=LATER)
    assert again is not None and again.attempts == 1
    assert results.worklist(store, LATER)[0].failed == 0


def test_a_failure_of_a_claim_that_was_lost_changes_nothing(store: Store, job: Job) -> None:
    taken = jobs.claim(store, "other", now=after(61))
    assert taken is not None
    assert jobs.fail(store, job, "Too late.", after(62)) == "running"


def test_sending_follows_a_result_once_a_peer(store: Store, job: Job) -> None:
    report = NewOutput("sr", store.blobs.put(b"sr"), 2, "sr.dcm", "2.25.1")
    jobs.finish(store, job, replace(said(), send_to=("pacs",)), [report], LATER)
    jobs.finish(store, job, replace(said(), send_to=("pacs",)), [report], LATER)
    with store.reading() as session:
        rows = session.scalars(select(Job).where(Job.kind == "send")).all()
    assert [row.data["outputs"] for row in rows] == [["2.25.1"]]
    assert rows[0].key == f"{job.key}>pacs"


def test_a_transaction_that_fails_leaves_nothing(store: Store, job: Job) -> None:
    missing = NewOutput("mask", "0" * 64, 4)
    broken = replace(said(), instance_id=10**9)  # no such film: the last row cannot be written
    with pytest.raises(Exception, match="refused"):
        jobs.finish(store, job, broken, [missing], LATER)
    assert states(store) == ["running"] and current(store) == []


def test_an_own_or_unknown_series_makes_no_job_and_says_so(store: Store, receive: Receive) -> None:
    receive(dicom(BodyPartExamined="KNEE"), now=NOW)
    studies.complete_quiet(store, LATER)
    assert states(store) == []
    (row,) = results.worklist(store, LATER)
    assert (row.group, row.stage) == ("not read", "read")
    assert "No model reads this study" in row.why


def test_two_stores_make_the_same_key(store: Store, receive: Receive, job: Job) -> None:
    with store.session() as session:
        session.execute(update(Study).values(state="receiving"))
    studies.complete_quiet(store, after(100))
    assert states(store) == ["running"]  # nothing new came: no second job
    assert job.key.count(":") == 3


def test_recovering_while_workers_run_doubles_nothing(store: Store, job: Job) -> None:
    jobs.finish(store, job, said(), now=LATER)
    assert intake.recover(store) == (0, 0)
    assert states(store) == ["done"]
