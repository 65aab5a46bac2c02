"""`radloop label` from the terminal: what it prints where, its files, and how it ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.labelling.log import LOG, writing

run = CliRunner()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rows = []
    for k in range(12):
        (tmp_path / f"c{k:02}.png").touch()
        rows.append(f"c{k:02},p{k},c{k:02}.png,{k % 2}")
    text = "\n".join(["case_id,patient_id,image,label:broken", *rows]) + "\n"
    (tmp_path / "cases.csv").write_text(text)
    # c00 and c01 are called the other way
    said = [f"c{k:02},{0.9 if (k % 2) != (k < 2) else 0.1}" for k in range(12)]
    (tmp_path / "p.csv").write_text("\n".join(["case_id,probability", *said]) + "\n")
    outcome = label(
        "start", tmp_path / "project", "--cases", tmp_path / "cases.csv", "--label", "broken",
        "--reader", "anna", "--reader", "ben", "--adjudicator", "chief",
    )  # fmt: skip
    assert "12 items, 12 with a label (v0-" in outcome.stderr
    return tmp_path / "project"


def label(*words: object, code: int = 0):  # type: ignore[no-untyped-def]
    outcome = run.invoke(app, ["label", *map(str, words)])
    assert outcome.exit_code == code, outcome.output
    assert "Traceback" not in outcome.output
    return outcome


def answer(sheet: Path, *changed: str) -> None:
    """Everyone confirms the table's labels, except of the items named here."""
    with sheet.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        number = int(row["item"][1:])
        row["answer"] = str((number + (row["item"] in changed)) % 2)
    with sheet.open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_round(project: Path) -> None:
    said = project.parent / "p.csv"
    drawn = json.loads(
        label("next", project, "--predictions", said, "-n", 4, "--no-pages", "--json").stdout
    )
    assert [(one["queue"], one["reader"], one["left"], one["new"]) for one in drawn] == [
        ("q001", "anna", 3, True), ("q001", "ben", 3, True),
    ]  # fmt: skip
    sheets = [Path(one["sheet"]) for one in drawn]
    answer(sheets[0], "c00", "c01")
    answer(sheets[1], "c00")
    told = label("import", project, *sheets).stderr
    assert "q001, anna: 3 new answers, 0 known already, 0 still empty" in told
    again = label("next", project, "--no-pages", "--json")
    (settling,) = json.loads(again.stdout)
    assert (settling["reader"], settling["left"]) == ("chief", 1)
    answer(Path(settling["sheet"]))
    label("import", project, settling["sheet"], "--reader", "chief")
    found = json.loads(label("status", project, "--json").stdout)
    assert found["counts"]["corrected"] == 1
    assert found["audit"] == {"read": 1, "wrong": 0}
    printed = label("status", project).stdout
    assert "asked about     3 (25.0%); corrected 1, newly labelled 0" in printed
    assert "hours" in printed
    agreed = json.loads(label("agree", project, "--json").stdout)
    assert agreed["pairs"][0]["agreement"]["value"] == pytest.approx(2 / 3)
    assert "anna and ben: kappa" in label("agree", project).stdout
    out = project.parent / "new.csv"
    told = label("export", project, "--out", out).stderr
    assert f"version {found['version']}" in told
    with out.open() as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    assert rows["c00"]["label:broken"] == "1"
    assert (rows["c01"]["label:broken"], rows["c01"]["reader:anna:broken"]) == ("1", "0")
    label("export", project, "--out", out, "--at", "v0")
    with out.open() as file:
        assert next(csv.DictReader(file))["label:broken"] == "0"


def test_an_open_queue_is_said_to_be_open(project: Path) -> None:
    label("next", project, "--random", "-n", 2, "--no-pages")
    told = label("next", project, "--random", "-n", 2, "--no-pages")
    assert "q001 is still open: nothing new was drawn" in told.stderr
    assert "left as they are" in told.stderr


def test_nothing_left(project: Path) -> None:
    label("next", project, "--random", "-n", 12, "--no-pages")
    for reader in ("anna", "ben"):
        sheet = project / f"queues/q001/{reader}.csv"
        answer(sheet)
        label("import", project, sheet)
    assert "nothing is left" in label("next", project, "--random", "--no-pages").stderr


def test_noise_lists_and_draws_nothing(project: Path) -> None:
    before = (project / LOG).read_bytes()
    rows = json.loads(
        label("noise", project, "--predictions", project.parent / "p.csv", "--json").stdout
    )
    assert {row["item"] for row in rows} == {"c00", "c01"}
    assert rows[0]["given_by"] == "table"
    assert rows[0]["probability"] == pytest.approx(0.1)
    assert (project / LOG).read_bytes() == before


def test_mistakes_end_in_a_sentence(project: Path) -> None:
    said = project.parent / "p.csv"
    assert "Give --predictions" in label("next", project, code=2).stderr
    assert (
        "Leave out one" in label("next", project, "--random", "--predictions", said, code=2).stderr
    )
    wrong = label("next", project, "--predictions", said, "--review", "badge", code=2)
    assert "errors, noise" in wrong.stderr
    assert "no labelling project" in label("status", project.parent / "typo", code=2).stderr
    assert "nothing to add" in label("add", project, code=2).stderr
    assert "no weights" in label("agree", project, "--weights", "cubic", code=2).stderr
    assert "no label version" in label("status", project, "--at", "v9", code=2).stderr
    empty = project.parent / "empty.csv"
    empty.write_text("queue,reader,item,answer\nq,anna,c00,1\n")
    assert "nothing of it was taken" in label("import", project, empty, code=2).stderr


def test_a_busy_project(project: Path) -> None:
    with writing(project):
        assert "Another command" in label("next", project, "--random", code=1).stderr
        label("status", project)  # reading is always possible


def test_a_cut_off_line_is_told(project: Path) -> None:
    with (project / LOG).open("ab") as file:
        file.write(b'{"n":2,"ki')
    assert "cut off (10 bytes)" in label("status", project).stderr
    assert "cut off" in label("next", project, "--random", "-n", 2, "--no-pages").stderr
    assert "cut off" not in label("status", project).stderr


def test_a_model_is_promoted(tmp_path: Path) -> None:
    rows, said = [], []
    for k in range(20):
        (tmp_path / f"c{k:02}.png").touch()
        rows.append(f"c{k:02},p{k},{'test' if k > 1 else 'train'},c{k:02}.png,{k % 2}")
        said.append(f"c{k:02},0.{k % 2}{k:02}")
    text = "\n".join(["case_id,patient_id,split,image,label:broken", *rows]) + "\n"
    (tmp_path / "cases.csv").write_text(text)
    (tmp_path / "p.csv").write_text("\n".join(["case_id,probability", *said]) + "\n")
    begun = label(
        "start", tmp_path / "p", "--cases", tmp_path / "cases.csv", "--label", "broken",
        "--reader", "anna",
    )  # fmt: skip
    assert "'test' is locked" in begun.stderr
    told = label("promote", tmp_path / "p", "--new", tmp_path / "p.csv").stdout
    assert "the new one is taken, AUC 1.000 on 18 locked cases of 18 patients" in told
    assert "model           p.csv in force" in label("status", tmp_path / "p").stdout
    again = ("promote", tmp_path / "p", "--new", tmp_path / "p.csv")
    assert "model in force is" in label(*again, code=2).stderr
    data = json.loads(label(*again, "--old", tmp_path / "p.csv", "--json").stdout)
    assert (data["promoted"], data["decision"]["verdict"]) == (True, "non-inferior")
