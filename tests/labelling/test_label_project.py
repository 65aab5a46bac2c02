"""Projects as people use them: queues out, sheets in, adjudication, labels by version, export."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from label_films import (
    fill,
    items_of_sheet,
    labels_of,
    make,
    write_cases,
    write_predictions,
    write_scans,
)

from radloop.cases.table import read_cases
from radloop.errors import CaseTableError, InputError
from radloop.labelling.agreement import agreement
from radloop.labelling.candidates import build_pool, read_features, read_predictions
from radloop.labelling.export import export
from radloop.labelling.history import history
from radloop.labelling.outlook import outlook
from radloop.labelling.project import Asking, add, import_sheets, load, next_queues, start
from radloop.labelling.sheet import SheetError
from radloop.labelling.state import Question
from radloop.labelling.status import counts, hours, status
from radloop.labelling.strategies import INFORMATIVE, REVIEW
from radloop.measures.kappa import cohen_kappa

LABELS = [1, 1, 0, 0, 1, 0, None, None, 1, 0]
SAID = [0.1, 0.9, 0.8, 0.1, 0.9, 0.2, 0.5, 0.9, 0.7, 0.3]


def asking(path: Path, k: int = 4, share: float = 0.25) -> Asking:
    said = read_predictions([path], Question("broken"), False)
    return Asking(k, share, REVIEW["errors"], INFORMATIVE["uncertainty"], said)


def predictions(folder: Path, said: list[float] = SAID) -> Path:
    return write_predictions(folder / "p.csv", {f"c{k:02}": p for k, p in enumerate(said)})


def read_alike(project: Path, queue: str, readers: list[str], answers: dict[str, str]) -> None:
    sheets = [project / "queues" / queue / f"{reader}.csv" for reader in readers]
    for sheet in sheets:
        fill(sheet, answers)
    import_sheets(project, sheets)


def test_the_loop_with_one_reader(tmp_path: Path) -> None:
    project = make(tmp_path, LABELS)
    state, (issued,) = next_queues(project, asking(predictions(tmp_path)), pages=False)
    reasons = {task.item: task.reason for task in issued.queue.tasks}
    assert {n: r for n, r in reasons.items() if r != "audit"} == {
        "c00": "false negative", "c02": "false positive", "c06": "uncertainty",
    }  # fmt: skip
    assert set(items_of_sheet(issued.sheet)) == set(reasons)
    text = issued.sheet.read_text()
    assert not any(word in text for word in ("false", "audit", "0.1", "uncertainty"))
    audit = next(name for name, reason in reasons.items() if reason == "audit")
    fill(issued.sheet, {"c00": "0", "c02": "0", "c06": "u", audit: str(1 - LABELS[int(audit[1:])])})  # type: ignore[operator]
    state, (given,) = import_sheets(project, [issued.sheet], who="me")
    assert len(given.answers) == 4
    expected = {f"c{k:02}": label for k, label in enumerate(LABELS)}
    expected |= {"c00": 0, audit: 1 - LABELS[int(audit[1:])]}  # type: ignore[operator]
    assert labels_of(state) == expected
    assert state.labels["c00"][-1].source == "anna"
    assert state.labels["c00"][-1].model["sha256"]
    assert [(a.read, a.wrong, a.population) for a in outlook(state).audits] == [(1, 1, 6)]
    assert counts(state)["corrected"] == 2
    # the second queue asks about none of them again
    state, (second,) = next_queues(project, asking(predictions(tmp_path)), pages=False)
    assert not set(reasons) & set(items_of_sheet(second.sheet))
    assert second.queue.name == "q002"


def test_an_open_queue_is_given_out_again(tmp_path: Path) -> None:
    project = make(tmp_path, LABELS, ("anna", "ben"))
    _, first = next_queues(project, asking(predictions(tmp_path)), pages=False)
    sheet = first[0].sheet
    fill(sheet, "1")
    filled = sheet.read_text()
    first[1].sheet.unlink()
    _, again = next_queues(project, asking(predictions(tmp_path)), pages=False)
    assert [one.queue.name for one in again] == ["q001", "q001"]
    assert sheet.read_text() == filled  # never written over
    assert [one.kept for one in again] == [True, False]
    assert set(items_of_sheet(again[1].sheet)) == set(items_of_sheet(sheet))
    assert items_of_sheet(again[1].sheet) != items_of_sheet(sheet)  # another order
    import_sheets(project, [sheet])
    _, (left,) = next_queues(project, None, pages=False)
    assert left.reader == "ben"


def test_disagreements_go_to_the_adjudicator(tmp_path: Path) -> None:
    project = make(tmp_path, LABELS, ("anna", "ben"))
    names = [f"c{k:02}" for k in range(10)]
    next_queues(project, Asking(10, 0.0), pages=False)
    answers = dict.fromkeys(names, "1")
    fill(project / "queues/q001/anna.csv", answers)
    fill(project / "queues/q001/ben.csv", answers | {"c00": "0", "c03": "u"})
    state, _ = import_sheets(project, [project / f"queues/q001/{r}.csv" for r in ("anna", "ben")])
    assert labels_of(state) == dict.fromkeys(names, 1) | {"c00": 1, "c03": 0}  # as they came
    assert state.labels["c00"][-1].source == "table"
    state, (issued,) = next_queues(project, None, pages=False)
    assert (issued.reader, issued.queue.role) == ("chief", "adjudication")
    assert set(items_of_sheet(issued.sheet)) == {"c00", "c03"}
    fill(issued.sheet, {"c00": "0", "c03": "u"})
    with pytest.raises(SheetError, match="is of 'chief', not of 'anna'"):
        import_sheets(project, [issued.sheet], reader="anna")
    state, _ = import_sheets(project, [issued.sheet])
    assert (state.label("c00"), state.label("c03")) == (0, None)
    assert state.labels["c00"][-1].source == "chief"
    assert state.answers["c00", "anna"].value == 1  # who said what stays
    with pytest.raises(InputError, match="No queue is open"):
        next_queues(project, None, pages=False)


def test_a_correction_needs_a_reason_and_keeps_the_past(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 0])
    next_queues(project, Asking(2, 0.0), pages=False)
    sheet = fill(project / "queues/q001/anna.csv", "1")
    import_sheets(project, [sheet])
    _, (again,) = import_sheets(project, [sheet])
    assert (again.answers, again.unchanged) == ((), 2)  # the same sheet twice adds nothing
    assert load(project)[0].events == 3
    fill(sheet, {"c00": "0", "c01": "1"})
    with pytest.raises(SheetError, match="answered '1' before"):
        import_sheets(project, [sheet])
    state, _ = import_sheets(project, [sheet], correct="typed wrong")
    assert labels_of(state) == {"c00": 0, "c01": 1}
    assert [label.value for label in state.labels["c00"]] == [0, 1, 0]
    assert state.labels["c00"][-1].why == "typed wrong"
    assert labels_of(load(project, "v1")[0]) == {"c00": 1, "c01": 1}
    assert agreement(state, first=True)["answers"] == {"anna": 2}


def test_every_row_that_does_not_fit_is_listed_and_none_is_taken(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 0, 0, 0])
    _, (issued,) = next_queues(project, Asking(3, 0.0), pages=False)
    asked = items_of_sheet(issued.sheet)
    other = next(f"c{k:02}" for k in range(4) if f"c{k:02}" not in asked)
    token = issued.queue.token
    names = [asked[0], asked[0], asked[1], "zz", other, asked[2]]
    answers = ["1", "0", "maybe", "1", "1", "1"]
    lines = [f"{token},anna,{n},{answer}" for n, answer in zip(names, answers, strict=True)]
    sheet = tmp_path / "bad.csv"
    sheet.write_text("\n".join(["queue,reader,item,answer", *lines]) + "\n")
    with pytest.raises(SheetError) as caught:
        import_sheets(project, [sheet])
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        f"row 3, {asked[0]}", f"row 4, {asked[1]}", "row 5, zz", f"row 6, {other}",
    ]  # fmt: skip
    assert "twice" in caught.value.problems[0]
    assert "one of 0, 1, or u" in caught.value.problems[1]
    assert "unknown" in caught.value.problems[2]
    assert "was not asked" in caught.value.problems[3]
    assert load(project)[0].answers == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q009-000000,anna,c00,1", "no queue 'q009-000000'"),
        ("TOKEN,zoe,c00,1", "'zoe' was not asked"),
        ("TOKEN,anna,c00,1\nTOKEN,ben,c01,1", "several readers"),
        ("TOKEN,anna,c00,1\nother,anna,c01,1", "no queue 'other'"),
    ],
)
def test_a_sheet_of_something_else(tmp_path: Path, line: str, said: str) -> None:
    project = make(tmp_path, [0, 0], ("anna", "ben"))
    _, issued = next_queues(project, Asking(2, 0.0), pages=False)
    sheet = tmp_path / "s.csv"
    text = line.replace("TOKEN", issued[0].queue.token)
    sheet.write_text(f"queue,reader,item,answer\n{text}\n")
    with pytest.raises(SheetError, match=said):
        import_sheets(project, [sheet])
    sheet.write_text("item,answer\nc00,1\n")
    with pytest.raises(SheetError, match="no column 'queue'"):
        import_sheets(project, [sheet])
    with pytest.raises(CaseTableError, match="no file"):
        import_sheets(project, [tmp_path / "none.csv"])


def test_of_several_sheets_all_or_none(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 0], ("anna", "ben"))
    _, issued = next_queues(project, Asking(2, 0.0), pages=False)
    sheets = [fill(one.sheet, "1") for one in issued]
    fill(sheets[1], "yes")
    with pytest.raises(SheetError, match=r"ben\.csv was not imported"):
        import_sheets(project, sheets)
    assert load(project)[0].answers == {}
    copy = tmp_path / "copy.csv"
    copy.write_text(sheets[0].read_text())
    with pytest.raises(SheetError, match="sheet of anna for this queue, too"):
        import_sheets(project, [sheets[0], copy])


def test_the_test_split_is_locked(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, [0, 1, 0], ["train", "test", "val"])
    state = start(tmp_path / "p", cases, Question("broken"), readers=["anna"])
    assert set(state.items) == {"c00", "c02"}
    assert state.settings.locked
    state = start(tmp_path / "t", cases, Question("broken"), readers=["anna"], splits=["test"])
    assert set(state.items) == {"c01"}
    assert not state.settings.locked  # what is asked about judges nothing
    with pytest.raises(InputError, match="no split 'gold'"):
        start(tmp_path / "g", cases, Question("broken"), readers=["anna"], splits=["gold"])


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ({"readers": []}, "needs a reader"),
        ({"readers": ["anna", "ben"]}, "adjudicator"),
        ({"readers": ["anna", "anna"], "adjudicator": "c"}, "there twice"),
        ({"readers": ["anna"], "adjudicator": "anna"}, "cannot settle"),
        ({"readers": ["a:b"]}, "no name for a reader"),
    ],
)
def test_people_who_do_not_fit(tmp_path: Path, people: dict[str, object], said: str) -> None:
    cases = write_cases(tmp_path, [0])
    with pytest.raises(InputError, match=said):
        start(tmp_path / "p", cases, Question("broken"), **people)  # type: ignore[arg-type]
    assert not (tmp_path / "p").exists()


def test_a_project_is_made_once_and_grows(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 1])
    with pytest.raises(InputError, match="already"):
        make(tmp_path, [0, 1])
    cases = write_cases(tmp_path, [0, 1, 1])
    state, new = add(project, cases=cases, readers=["ben"], adjudicator="chief")
    assert (new, state.settings.readers) == (1, ("anna", "ben"))
    assert add(project, cases=cases)[1] == 0
    assert load(project)[0].events == 2


def test_export_is_a_case_table_of_any_version(tmp_path: Path) -> None:
    project = make(tmp_path, [0, 1, None], ("anna", "ben"))
    next_queues(project, Asking(3, 0.0), pages=False)
    read_alike(project, "q001", ["anna", "ben"], {"c00": "1", "c01": "1", "c02": "0"})
    state, _ = load(project)
    done = export(state, project, tmp_path / "new.csv")
    table = read_cases(tmp_path / "new.csv")
    assert [case.reference.labels for case in table.cases] == [
        {"broken": True}, {"broken": True}, {"broken": False},
    ]  # fmt: skip
    assert table.cases[0].reference.readers == {("anna", "broken"): 1.0, ("ben", "broken"): 1.0}
    assert {row["label_version"] for row in table.extra} == {done.version} == {state.version.name}
    export(load(project, "v0")[0], project, tmp_path / "old.csv")
    assert [case.reference.labels for case in read_cases(tmp_path / "old.csv").cases] == [
        {"broken": False}, {"broken": True}, {},
    ]  # fmt: skip


def test_classes(tmp_path: Path) -> None:
    rows = ["a,p,f.png,1,0,0", "b,p,f.png,0,0,1", "c,p,f.png,,,"]
    (tmp_path / "f.png").touch()
    cases = tmp_path / "cases.csv"
    header = "case_id,patient_id,image,label:hand,label:wrist,label:elbow"
    cases.write_text("\n".join([header, *rows]) + "\n")
    question = Question("part", ("hand", "wrist", "elbow"))
    project = tmp_path / "p"
    state = start(project, cases, question, readers=["anna"])
    assert labels_of(state) == {"a": 0, "b": 2, "c": None}
    path = tmp_path / "p.csv"
    path.write_text(
        "case_id,probability:hand,probability:wrist,probability:elbow\n"
        "a,.1,.8,.1\nb,.1,.1,.8\nc,.3,.3,.4\n"
    )
    said = read_predictions([path], question, False)
    ask = Asking(2, 0.0, REVIEW["errors"], INFORMATIVE["uncertainty"], said)
    _, (issued,) = next_queues(project, ask, pages=False)
    assert {task.item: task.reason for task in issued.queue.tasks} == {
        "a": "error", "c": "uncertainty",
    }  # fmt: skip
    fill(issued.sheet, {"a": "wrist", "c": "3"})
    state, _ = import_sheets(project, [issued.sheet])
    assert labels_of(state) == {"a": 1, "b": 2, "c": 2}
    export(state, project, tmp_path / "new.csv")
    with (tmp_path / "new.csv").open() as file:
        written = list(csv.DictReader(file))
    assert [row["label:wrist"] for row in written] == ["1", "0", "0"]
    assert written[0]["reader:anna:wrist"] == "1"
    cases.write_text("\n".join([header, "a,p,f.png,1,1,0"]) + "\n")
    with pytest.raises(CaseTableError, match="classes hand and wrist"):
        start(tmp_path / "q", cases, question, readers=["anna"])


def test_slices(tmp_path: Path) -> None:
    cases = write_scans(tmp_path, {"s1": [0, 1, None], "s2": [0, 0]})
    project = tmp_path / "p"
    state = start(project, cases, Question("broken"), readers=["anna"], by_slice=True)
    assert labels_of(state) == {
        "s1/1.png": 0, "s1/2.png": 1, "s1/3.png": None, "s2/1.png": 0, "s2/2.png": 0,
    }  # fmt: skip
    _, (issued,) = next_queues(project, Asking(5, 0.0))
    page = issued.page.read_text() if issued.page else ""
    assert page.count("data:image/jpeg") == 5
    fill(issued.sheet, {"s1/2.png": "0", "s1/3.png": "0", "s2/1.png": "1"})
    state, _ = import_sheets(project, [issued.sheet])
    export(state, project, tmp_path / "new.csv")
    table = read_cases(tmp_path / "new.csv")
    assert [case.reference.labels["broken"] for case in table.cases] == [False, True]
    with (tmp_path / "new-slices" / "s1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["broken"] for row in rows] == ["0", "0", "0"]
    assert [row["reader:anna:broken"] for row in rows] == ["", "0", "0"]
    assert rows[0]["other"] == "0"


def test_the_page_hides_what_the_sheet_hides(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, [0, 1, 1], films=True)
    large = np.full((3000, 1500), 90, np.uint8)
    assert cv2.imwrite(str(tmp_path / "films/c00.png"), large)
    (tmp_path / "films/c01.png").write_bytes(b"no picture")
    project = tmp_path / "p"
    start(project, cases, Question("broken"), readers=["anna"])
    said = write_predictions(tmp_path / "p.csv", {"c00": 0.987, "c01": 0.123, "c02": 0.9})
    _, (issued,) = next_queues(project, asking(said, 3, 0.3))
    assert issued.page is not None
    html = issued.page.read_text()
    assert not any(word in html for word in ("0.987", "0.123", "false positive", "audit", "films/"))
    assert not re.findall(r"""(?:src|href|action)=["'](?!data:)""", html)
    assert not any(word in html for word in ("http:", "https:", "fetch(", "import("))
    assert "cannot be shown" in html
    assert len(html) < 400_000  # the large film was scaled down
    order = [html.index(f'"{name}"') for name in items_of_sheet(issued.sheet)]
    assert order == sorted(order)


def test_hours_and_status(tmp_path: Path) -> None:
    project = make(tmp_path, [0] * 30, seconds=60.0)
    next_queues(project, Asking(10, 0.0), pages=False)
    import_sheets(project, [fill(project / "queues/q001/anna.csv", "0")])
    state, _ = load(project)
    found = hours(state)
    assert found == pytest.approx({"seconds": 60, "spent": 1 / 6, "all": 0.5, "saved": 1 / 3})
    told = status(state)
    assert told["counts"]["asked"] == 10
    assert told["version"] == "v0-" + state.version.name[3:]  # nothing was changed
    assert told["agreement"] is None


def test_agreement_is_that_of_the_answers(tmp_path: Path) -> None:
    project = make(tmp_path, [None] * 12, ("anna", "ben"))
    next_queues(project, Asking(12, 0.0), pages=False)
    names = [f"c{k:02}" for k in range(12)]
    anna = dict(zip(names, "110010110101", strict=True))
    ben = dict(zip(names, "1100101000u1", strict=True))
    for reader, answers in (("anna", anna), ("ben", ben)):
        import_sheets(project, [fill(project / f"queues/q001/{reader}.csv", answers)])
    state, _ = load(project)
    found = agreement(state)
    kept = [n for n in names if ben[n] != "u"]
    expected = cohen_kappa(*(np.array([int(a[n]) for n in kept]) for a in (anna, ben)))
    assert found["items"] == 11
    assert found["pairs"][0]["kappa"]["value"] == pytest.approx(expected.value)
    assert found["unsure"] == {"anna": 0, "ben": 1}
    assert found["specific"]["1"]["value"] == pytest.approx(2 * 5 / (7 + 5))
    assert math.isnan(agreement(state, audited=True)["pairs"][0]["kappa"]["value"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case_id,p\na,.5\n", "no column with the probability"),
        ("name,probability\na,.5\n", "no column 'case_id'"),
        ("case_id,probability\na,.5\na,.6\n", "stands there twice"),
        ("case_id,probability\na,1.5\n", "outside of 0 to 1"),
        ("case_id,probability\na,\n", "say nothing of 'broken'"),
    ],
)
def test_predictions_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_predictions([path], Question("broken"), False)


def test_predictions_of_folds(tmp_path: Path) -> None:
    one = write_predictions(tmp_path / "1.csv", {"a": 0.1})
    two = write_predictions(tmp_path / "2.csv", {"b": 0.2, "c": 0.3})
    said = read_predictions([one, two], Question("broken"), False)
    assert {name: float(p[0]) for name, p in said.probabilities.items()} == {
        "a": 0.1, "b": 0.2, "c": 0.3,
    }  # fmt: skip
    with pytest.raises(InputError, match="another source has too"):
        read_predictions([one, one], Question("broken"), False)
    with pytest.raises(InputError, match="holds neither"):
        read_predictions([tmp_path], Question("broken"), False)
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions([tmp_path / "none.jsonl"], Question("broken"), False)


def test_features(tmp_path: Path) -> None:
    path = tmp_path / "f.npz"
    np.savez(path, case_ids=np.array(["a", "b"]), features=np.eye(2))
    assert read_features(path)["b"].tolist() == [0.0, 1.0]
    np.savez(path, case_ids=np.array(["a"]), features=np.eye(2))
    with pytest.raises(InputError, match="do not fit"):
        read_features(path)
    path.write_text("none")
    with pytest.raises(InputError, match="no features"):
        read_features(path)


def test_predictions_of_other_cases(tmp_path: Path) -> None:
    project = make(tmp_path, LABELS)
    others = write_predictions(tmp_path / "q.csv", {"z00": 0.2, "z01": 0.8})
    with pytest.raises(InputError, match="name none of the 10 items"):
        next_queues(project, asking(others), pages=False)
    assert load(project)[0].queues == ()


def test_a_queue_remembers_what_its_audit_left_out(tmp_path: Path) -> None:
    """Labelled items that the model contradicts or is silent on; not those without a label."""
    project = make(tmp_path, LABELS)
    said = write_predictions(tmp_path / "p.csv", {f"c{k:02}": p for k, p in enumerate(SAID[:9])})
    _, (issued,) = next_queues(project, asking(said), pages=False)
    assert issued.queue.outside == {"c00", "c02", "c09"}
    assert issued.queue.counts == {"agreed": 5, "disputed": 2, "unlabelled": 2, "silent": 1}


@pytest.mark.parametrize(("called_from", "errors"), [(0.65, {"c00", "c01"}), (None, {"c01"})])
def test_a_report_calls_at_its_threshold(
    tmp_path: Path, called_from: float | None, errors: set[str]
) -> None:
    project = make(tmp_path, [1, 0, 1, 0])
    report = tmp_path / "report"
    report.mkdir()
    said = {"c00": 0.6, "c01": 0.7, "c02": 0.9, "c03": 0.1}
    write_predictions(report / "cases.csv", said)
    content = {
        "model": {"name": "m", "version": "2", "sha256": "ab"},
        "questions": [
            {"decides": "probability", "threshold": called_from},
            {"decides": "other", "threshold": 0.05},
        ],
    }
    (report / "report.json").write_text(json.dumps(content))
    for source in (report, report / "cases.csv"):
        read = read_predictions([source], Question("broken"), False)
        assert (read.threshold, read.model["name"]) == (called_from, "m")
    ask = Asking(4, 0.0, REVIEW["errors"], INFORMATIVE["uncertainty"], read)
    _, (issued,) = next_queues(project, ask, pages=False)
    assert set(items_of_sheet(issued.sheet)) == errors


def test_a_threshold_of_zero_calls_everything(tmp_path: Path) -> None:
    project = make(tmp_path, [1, 0])
    said = read_predictions(
        [write_predictions(tmp_path / "p.csv", {"c00": 0.1, "c01": 0.1})], Question("broken"), False
    )
    pool = build_pool(load(project)[0], ["c00", "c01"], replace(said, threshold=0.0))
    assert pool.called.tolist() == [1, 1]


def test_the_history_of_an_item(tmp_path: Path) -> None:
    project = make(tmp_path, LABELS, ("anna", "ben"))
    said = predictions(tmp_path)
    next_queues(project, asking(said), pages=False)
    read_alike(project, "q001", ["anna"], {"c00": "0"})
    read_alike(project, "q001", ["ben"], {"c00": "1"})
    next_queues(project, None, pages=False)
    read_alike(project, "a001", ["chief"], {"c00": "u"})
    told = history(load(project)[0], "c00")
    assert [(row["what"], row["who"], row["value"], row["model"]) for row in told] == [
        ("label", "table", "1", ""),
        ("asked", "q001: anna, ben", "false negative", "p.csv"),
        ("said", "anna", "0", ""),
        ("said", "ben", "1", ""),
        ("asked", "a001: chief", "disagreement", ""),
        ("said", "chief", "u", ""),
        ("label", "chief", "", ""),
    ]
    assert told[4]["why"] == "the readers disagree, or cannot tell"
    assert all(row["when"].endswith("Z") for row in told)
    with pytest.raises(InputError, match="no item 'c77'"):
        history(load(project)[0], "c77")
