"""The report of a yes-or-no question: flow, subgroups, page and PDF alike, added sections."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from asked import FIGURES, MEASURES, asked
from pypdf import PdfReader

from radloop.errors import InputError
from radloop.evaluation.about import About, describe
from radloop.evaluation.checklist import AUTHOR, GUIDELINES
from radloop.evaluation.document import Paragraph, Section, Table, read_document
from radloop.evaluation.pool import pool
from radloop.evaluation.render import add_section
from radloop.evaluation.report import write_report
from radloop.measures.classification import auc
from radloop.measures.interval import wilson
from radloop.systems.registry import get_system

ABOUT = About("cases.csv", 500, 450, "test", {"train": 300, "test": 200}, ("label:fracture",))


def write(folder: Path, rows, **changes):
    options = {
        "system": "bone_fracture", "model": {"name": "m", "version": "1", "sha256": "ab" * 32},
        "measures": MEASURES, "figures": FIGURES, "about": ABOUT, "by": ["site", "age"],
        "verdicts": {"accepted": 195, "refused": 5}, "resamples": 100,
    }  # fmt: skip
    return write_report(folder, rows=rows, **(options | changes))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "report"
    return folder, asked(), write(folder, asked())


def test_the_flow_counts_every_case_once(written):
    _, rows, report = written
    flow = report["flow"]
    assert (flow["table"], flow["chosen"]) == (500, 200)
    assert flow["refused"] == {"cut_off": 5}
    assert flow["judged"] + sum(flow["refused"].values()) == flow["chosen"]
    assert sum(flow["cells"].values()) + flow["unknown"] == flow["judged"]
    known = [row for row in rows if row["verdict"] == "accepted"]
    hits = sum(row["called"] == row["positive"] == 1 for row in known)
    assert flow["cells"]["true_positive"] == hits


def test_the_question_is_measured(written):
    _, rows, report = written
    (question,) = report["questions"]
    known = [row for row in rows if row["verdict"] == "accepted"]
    score, truth = (np.array([row[n] for row in known]) for n in ("probability", "positive"))
    assert question["title"] == "Film"
    assert question["auc"]["value"] == pytest.approx(auc(score, truth))
    assert question["threshold"] == min(row["probability"] for row in known if row["called"])
    found = question["at_operating_point"]["sensitivity"]
    called = np.array([row["called"] for row in known])
    assert found["value"] == pytest.approx(called[truth == 1].mean())
    assert len(question["decision_curve"]["model"]) == 99
    # Promises: higher aims and more confidence never give a higher threshold.
    thresholds = {(t["aim"], t["confidence"]): t["threshold"] for t in question["thresholds"]}
    assert thresholds[0.9, None] >= thresholds[0.9, 0.9] >= (thresholds[0.95, 0.9] or -1)


def test_subgroups_are_the_cases_of_the_group(written):
    _, rows, report = written
    groups = {(g["column"], g["group"], g["measure"]): g for g in report["subgroups"]["groups"]}
    north = [r for r in rows if r["about:site"] == "north" and r["verdict"] == "accepted"]
    positives = [r for r in north if r["positive"]]
    found = groups["site", "north", "Film: sensitivity"]
    assert found["counted"] == len(positives)
    assert found["value"] == pytest.approx(np.mean([r["called"] for r in positives]))
    names = {name for column, name, _ in groups if column == "age"}
    assert names == {"< 18", "18 to < 40", "40 to < 60", "60 to < 80", "≥ 80"}
    assert groups["age", "< 18", "Film: sensitivity"]["few"]
    for test in report["subgroups"]["tests"]:
        assert test["p"] is None or 0 < test["p"] <= test["p_holm"] <= 1


NUMBER = re.compile(r"\d+\.\d{2,}")


def test_page_and_pdf_say_the_same(written):
    folder, _, _ = written
    page = re.sub(r'src="[^"]*"', "", (folder / "report.html").read_text())
    pdf = " ".join(one.extract_text() for one in PdfReader(folder / "report.pdf").pages)
    document = read_document(folder)
    cells = [
        cell for section in document.sections for block in section.blocks
        if isinstance(block, Table) for row in block.rows for cell in row
    ]  # fmt: skip
    numbers = {number for cell in cells for number in NUMBER.findall(cell)}
    assert len(numbers) > 50
    assert numbers <= set(NUMBER.findall(page))
    assert numbers <= set(NUMBER.findall(pdf))
    for section in document.sections:
        assert section.title in pdf
    signs = {sign for cell in cells for sign in cell if not sign.isascii()}
    assert {"≥", "−"} & signs
    assert signs <= set(pdf)  # a font that lacked one would print a box


def test_the_same_report_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, asked(60), by=[])
    for file in ("report.pdf", "report.html", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_checklists_are_answered_where_the_data_can(written):
    folder, _, _ = written
    tables = [b for b in read_document(folder).sections[-1].blocks if isinstance(b, Table)]
    assert [t.caption for t in tables] == [name for name, _ in GUIDELINES]
    # STARD-AI has 40 items, CLAIM 44, TRIPOD+AI 27; letters split some of them.
    for table, count in zip(tables, (40, 44, 27), strict=True):
        assert {re.sub(r"[a-z]", "", row[0]) for row in table.rows} == set(
            map(str, range(1, count + 1))
        )
    answers = {row[1]: row[2] for row in tables[0].rows}
    assert answers["Funding"] == AUTHOR
    assert answers["Flow of participants, with a diagram"] == "Study flow"
    assert "label:fracture" in answers["Reference standard, to replicate it"]


def test_limits_tell_what_the_numbers_hide(written):
    _, _, report = written
    text = " ".join(report["limits"])
    assert "5 of 200 cases (2.5%) were refused" in text
    assert "200 cases are of 180 patients" in text


def test_a_section_is_added_once_and_replaced(tmp_path):
    write(tmp_path, asked(60), by=[])
    for text in ("first 1.111", "second 2.222"):
        add_section(tmp_path, Section("readers", "Beside human readers", (Paragraph(text),)))
    keys = [section.key for section in read_document(tmp_path).sections]
    assert keys.count("readers") == 1
    assert keys.index("readers") == keys.index("limits") - 1
    for text in (
        (tmp_path / "report.html").read_text(),
        " ".join(one.extract_text() for one in PdfReader(tmp_path / "report.pdf").pages),
    ):
        assert "second 2.222" in text
        assert "first 1.111" not in text
    with pytest.raises(InputError, match="no report that a section can be added to"):
        add_section(tmp_path / "elsewhere", Section("a", "A", ()))
    (tmp_path / "document.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="another format"):
        read_document(tmp_path)


def test_pooled_reports_keep_their_groups(tmp_path):
    rows = asked(120)
    for k in range(2):
        write(tmp_path / f"fold{k}", rows[60 * k : 60 * (k + 1)], by=[])
    pooled = pool(
        [tmp_path / "fold0", tmp_path / "fold1"], get_system("bone_fracture"), tmp_path / "cv",
        by=["site", "age=50"],
    )  # fmt: skip
    whole = write(tmp_path / "whole", rows, by=["site", "age=50"], resamples=2000)
    assert pooled["subgroups"]["groups"] == whole["subgroups"]["groups"]
    assert pooled["flow"]["table"] == 500


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        (["scanner"], r"no column 'scanner'"),
        (["age=old"], r"not of the form COLUMN=NUMBER"),
        (["site=3"], r"cannot be cut into bands"),
    ],
)
def test_columns_that_cannot_be_grouped_are_refused(tmp_path, by, sentence):
    with pytest.raises(InputError, match=sentence):
        write(tmp_path, asked(20), by=by)
    assert not (tmp_path / "report.json").exists()


def test_columns_in_a_phrase():
    assert describe(["F", "M", "", "F"]) == "F 2, M 1; unknown 1"
    assert describe([str(k) for k in range(9)]) == "0 to 8, median 4"
    assert describe([f"2020-01-{k:02}" for k in range(1, 20)]) is None


# Degenerate input: a convention or a refusal, never a wrong number.


def only(rows, **values):
    return [{**row, **values} for row in rows]


def test_one_class_only(tmp_path):
    report = write(tmp_path, only(asked(40), positive=0.0), by=["site"])
    (question,) = report["questions"]
    assert question["auc"]["value"] is None
    point = question["at_operating_point"]
    assert point["sensitivity"]["value"] is None
    called = [row["called"] for row in asked(40) if row["verdict"] == "accepted"]
    expected = wilson(called.count(0.0), len(called))
    assert point["specificity"]["value"] == pytest.approx(expected.value)
    assert all(t["threshold"] is None for t in question["thresholds"])
    assert any("all cases are negative" in limit for limit in report["limits"])
    assert "not both positive and negative" in (tmp_path / "report.html").read_text()


def test_a_constant_score(tmp_path):
    report = write(tmp_path, only(asked(40), probability=0.3, called=0.0), by=[])
    (question,) = report["questions"]
    assert question["auc"]["value"] == 0.5
    assert question["calibration"]["slope"] is None
    assert question["calibration"]["brier_parts"]["discrimination"] == pytest.approx(0.0)
    assert any("the same for all cases" in limit for limit in report["limits"])


def test_one_patient(tmp_path):
    report = write(tmp_path, only(asked(40), patient_id="p"), by=[])
    (question,) = report["questions"]
    for one in (question["auc"], *question["at_operating_point"].values()):
        assert one["value"] is not None
        assert one["low"] is None
    assert question["decision_curve"]["low"] == [None] * 99
    assert report["patients"] == 1


def test_ties_everywhere(tmp_path):
    rows = [
        row | {"probability": round(2 * float(row["probability"])) / 2}
        for row in asked(80)
        if row["verdict"] == "accepted"
    ]
    report = write(tmp_path, rows, by=[])
    (question,) = report["questions"]
    score, truth = (np.array([r[n] for r in rows]) for n in ("probability", "positive"))
    pairs = score[truth == 1][:, None] - score[truth == 0][None]
    by_hand = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert question["auc"]["value"] == pytest.approx(by_hand)
    for promise in question["thresholds"]:
        if promise["threshold"] is not None:
            missed = np.sum(score[truth == 1] < promise["threshold"])
            assert promise["missed"] <= missed  # of patients, who may have several cases


def test_nothing_known_and_nothing_at_all(tmp_path):
    unknown = only(asked(10), positive=float("nan"), probability=float("nan"))
    report = write(tmp_path / "unknown", unknown, by=[])
    assert report["flow"]["cells"] == dict.fromkeys(report["flow"]["cells"], 0)
    assert report["questions"][0]["auc"]["value"] is None
    empty = write(tmp_path / "empty", [], measures=[], by=[], about=About())
    assert empty["n"] == 0
    assert json.loads((tmp_path / "empty" / "report.json").read_text()) == empty
