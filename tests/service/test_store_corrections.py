"""What people say: appended, checked, and out again as labels for the next model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_store import Receive, dicom

from radloop.cases.boxes.coco import case_boxes
from radloop.cases.table import read_cases
from radloop.errors import InputError
from radloop.findings.codes import private_code
from radloop.findings.finding import Finding, ModelRef, Prediction
from radloop.images.masks import read_mask
from radloop.images.write import write_png
from radloop.service.store import corrections, jobs, results, studies
from radloop.service.store.corrections import Correction
from radloop.service.store.database import Store
from radloop.service.store.schema import Result

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def finding(name: str, probability: float, **where: Any) -> Finding:
    positive = probability >= 0.5
    return Finding(name, private_code("X", name), probability, positive, 0.5, where)


@pytest.fixture
def read_film(store: Store, receive: Receive):
    """Take a film in and read it with these findings; its current result."""

    def read(*findings: Finding, **header: Any) -> Result:
        study = receive(dicom(**header), now=NOW).study_id
        studies.complete(store, study, NOW)
        job = jobs.claim(store, "w", now=NOW)
        assert job is not None
        prediction = Prediction("c", "p", "s", ModelRef("m", "1", "0" * 64), findings=findings)
        film = results.of_study(store, study).instances[job.series_id][0].id
        jobs.finish(store, job, jobs.NewResult(prediction, film), now=NOW)
        return results.of_study(store, study).results[0]

    return read


def say(store: Store, result: Result, kind: str, who: str = "ada", blob: str | None = None, **data):
    return corrections.add(store, Correction(result.study_id, who, kind, data, result.id, blob))


def test_a_judged_study_leaves_the_list_and_a_comment_does_not(store: Store, read_film) -> None:
    result = read_film(finding("cardiomegaly", 0.9))
    say(store, result, "comment", text="Look at the left apex.")
    assert results.count(store) == 1
    say(store, result, "agree")
    assert results.count(store) == 0
    assert results.count(store, results.Filters(reviewed=True)) == 1
    assert [c.kind for c in corrections.of_study(store, result.study_id)] == ["comment", "agree"]


def test_new_images_bring_a_judged_study_back(store: Store, read_film, receive: Receive) -> None:
    film = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    say(store, read_film(finding("cardiomegaly", 0.9), **film), "agree")
    receive(dicom(**film), now=NOW + timedelta(hours=1))
    studies.complete_quiet(store, NOW + timedelta(hours=2))
    assert results.count(store) == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("label", {}),
        ("label", {"labels": {}}),
        ("label", {"labels": {"a b": True}}),
        ("label", {"labels": {"a": 1}}),
        ("label", {"labels": {"a": "yes"}}),
        ("box", {"boxes": [{"box": [0, 0, 0, 5], "name": "a"}]}),
        ("box", {"boxes": [{"box": [0, 0, float("nan"), 5], "name": "a"}]}),
        ("box", {"boxes": [{"box": [0, 0, True, 5], "name": "a"}]}),
        ("box", {"boxes": [{"box": [-1, 0, 4, 5], "name": "a"}]}),
        ("box", {"boxes": [{"box": [0, 0, 4], "name": "a"}]}),
        ("box", {"boxes": [{"box": [0, 0, 4, 5], "name": "<script>"}]}),
        ("tooth", {"from": "19", "to": "11"}),
        ("tooth", {"from": "11", "to": "90"}),
        ("mask", {"labels": {"heart": 0}, "suffix": ".png"}),
        ("mask", {"labels": {"heart": 1}, "suffix": "/../x"}),
        ("comment", {"text": "  "}),
        ("vote", {}),
    ],
)
def test_a_correction_that_does_not_fit_is_refused(kind: str, data: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        corrections.checked(kind, data)


def test_a_correction_names_a_result_of_its_study(store: Store, read_film) -> None:
    mine, other = read_film(finding("a", 0.9)), read_film(finding("a", 0.9))
    with pytest.raises(InputError, match="no such result"):
        corrections.add(store, Correction(mine.study_id, "ada", "agree", {}, other.id))
    with pytest.raises(InputError, match="which result"):
        corrections.add(store, Correction(mine.study_id, "ada", "agree"))
    with pytest.raises(InputError, match="no such study"):
        corrections.add(store, Correction("nothing", "ada", "agree", {}, mine.id))


def test_labels_come_out_as_a_case_table(store: Store, read_film, tmp_path: Path) -> None:
    wrong = read_film(finding("cardiomegaly", 0.9), PatientID="secret-7")
    right = read_film(finding("cardiomegaly", 0.1), PatientID="secret-7")
    read_film(finding("cardiomegaly", 0.1))  # nobody judged it
    say(store, wrong, "agree", who="ben")
    say(store, wrong, "label", who="ada", labels={"cardiomegaly": False, "fracture": None})
    say(store, right, "agree")
    done = corrections.export(store, tmp_path / "out")
    table = read_cases(done.path)
    assert [case.reference.labels for case in table.cases] == [{"cardiomegaly": False}] * 2
    assert len({case.patient_id for case in table.cases}) == 1
    assert "secret-7" not in done.path.read_text() + (tmp_path / "out/judgements.jsonl").read_text()
    said = [case.reference.readers for case in table.cases]
    assert {("ben", "cardiomegaly"): 1.0, ("ada", "cardiomegaly"): 0.0} in said
    assert done.version.startswith("v3-")
    assert all(case.image.is_file() for case in table.cases)


def test_the_version_follows_from_the_labels(store: Store, read_film, tmp_path: Path) -> None:
    result = read_film(finding("cardiomegaly", 0.9))
    say(store, result, "agree")
    first = corrections.export(store, tmp_path / "a").version
    assert corrections.export(store, tmp_path / "b").version == first
    say(store, result, "label", labels={"cardiomegaly": False})
    assert corrections.export(store, tmp_path / "a").version.split("-")[1] != first.split("-")[1]


def test_a_tooth_gets_another_number(store: Store, read_film, tmp_path: Path) -> None:
    teeth = [
        finding("tooth", 0.9, tooth="16", box=[1, 2, 11, 22]),
        finding("tooth", 0.9, tooth="15", box=[12, 2, 22, 22]),
    ]
    result = read_film(*teeth)
    say(store, result, "tooth", **{"from": "16", "to": "17"})
    say(store, result, "tooth", **{"from": "15", "to": None})
    done = corrections.export(store, tmp_path / "out")
    (case,) = read_cases(done.path).cases
    boxes = case_boxes(case)
    assert boxes is not None
    assert [(box.label, box.corners) for box in boxes] == [("17", (1, 2, 11, 22))]


def test_drawn_boxes_replace_the_models(store: Store, read_film, tmp_path: Path) -> None:
    result = read_film(finding("fracture", 0.9, box=[1, 2, 11, 22]))
    say(store, result, "box", boxes=[{"box": [3, 4, 13.5, 24], "name": "fracture"}])
    (case,) = read_cases(corrections.export(store, tmp_path / "out").path).cases
    boxes = case_boxes(case)
    assert boxes is not None and [box.corners for box in boxes] == [(3, 4, 13.5, 24)]


def test_a_drawn_mask_comes_out_by_structure(store: Store, read_film, tmp_path: Path) -> None:
    drawn = np.zeros((64, 64), np.uint8)
    drawn[10:20, 30:50], drawn[40:44, 5:9] = 1, 2
    write_png(tmp_path / "mask.png", drawn)
    blob = store.blobs.put_file(tmp_path / "mask.png").sha256
    result = read_film(finding("cardiomegaly", 0.9))
    say(store, result, "mask", blob=blob, labels={"heart": 1, "left_lung": 2}, suffix=".png")
    done = corrections.export(store, tmp_path / "out")
    (case,) = read_cases(done.path).cases
    for name, value in (("heart", 1), ("left_lung", 2)):
        assert np.array_equal(read_mask(case.reference.masks[name]), drawn == value)


def test_nothing_judged_is_said(store: Store, read_film, tmp_path: Path) -> None:
    read_film(finding("cardiomegaly", 0.9))
    with pytest.raises(InputError, match="judged"):
        corrections.export(store, tmp_path / "out")


def test_an_override_moves_a_study_and_back(store: Store, read_film) -> None:
    urgent = read_film(finding("intracranial_hemorrhage", 0.9))
    other = read_film(finding("cardiomegaly", 0.6))
    listed = lambda: [row.study.id for row in results.worklist(store, NOW)]  # noqa: E731
    assert listed() == [urgent.study_id, other.study_id]
    results.override(store, other.study_id, "ada", "first", "asked by phone", NOW)
    assert listed() == [other.study_id, urgent.study_id]
    assert "Put first by ada" in results.worklist(store, NOW)[0].why
    results.override(store, other.study_id, "ada", None, now=NOW)
    assert listed() == [urgent.study_id, other.study_id]
    with pytest.raises(InputError):
        results.override(store, other.study_id, "ada", "middle")


def test_the_list_is_filtered_and_searched(store: Store, read_film) -> None:
    read_film(finding("cardiomegaly", 0.9), PatientName="Doe^Jane", PatientID="100%")
    read_film(finding("cardiomegaly", 0.05), PatientName="Roe^Max", PatientID="7")
    count = lambda **f: results.count(store, results.Filters(**f))  # noqa: E731
    assert (count(), count(group="positive"), count(group="negative")) == (2, 1, 1)
    assert (count(text="jane"), count(text="%"), count(text="_"), count(text="' OR 1=1 --")) == (
        1, 1, 0, 0,
    )  # fmt: skip
    assert (count(modality="CR"), count(modality="CT")) == (2, 0)
    rows = results.worklist(store, NOW, limit=1, offset=1)
    assert [row.rank for row in rows] == [2]
    assert results.group_counts(store) == {"positive": 1, "negative": 1}


def test_an_unknown_study_is_said(store: Store) -> None:
    with pytest.raises(InputError, match="no such study"):
        results.of_study(store, "nothing")
