"""Drift between two sets of cases: tables of films, predictions, reports; the page; the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from asked import FIGURES, MEASURES, asked
from pypdf import PdfReader
from scipy import stats
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.evaluation.drift import CaseSet, drift, read_set
from radloop.evaluation.drift_page import write_drift
from radloop.evaluation.image_facts import image_facts
from radloop.evaluation.report import write_report
from radloop.findings.finding import Code, Finding, Measurement, ModelRef, Prediction
from radloop.findings.forms import PredictionLog
from radloop.images.write import write_png

run = CliRunner()


def films(folder: Path, level: float, seed: int, n: int = 30, old: float = 50.0) -> Path:
    """A case table of `n` films of `n - 1` patients, of a mean grey, with age, sex and a label."""
    rng = np.random.default_rng(seed)
    rows = ["case_id,patient_id,image,label:effusion,age,sex,read_by"]
    for k in range(n):
        grey = rng.normal(level, 8, (40, 32))
        write_png(folder / f"{k}.png", np.clip(grey, 0, 255).astype(np.uint8))
        age, sex = round(rng.normal(old, 9)), "FM"[rng.integers(2)]
        rows.append(f"c{k},p{max(1, k)},{k}.png,{int(rng.random() < 0.3)},{age},{sex},reader-{k}")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift")
    return (films(folder / "a", 100, 0), films(folder / "same", 100, 1),
            films(folder / "darker", 85, 2, old=70))  # fmt: skip


def by_name(found):
    return {tested.name: tested for tested in found.tests}


def test_a_darker_site_of_older_patients_is_told_from_one_alike(tables):
    a, same, darker = (read_set(table) for table in tables)
    assert (a.cases, a.patients) == (30, 29)
    alike = drift(a, same)
    assert min(t.corrected for t in alike.tests if not math.isnan(t.corrected)) > 0.05
    assert alike.together["input"][1] > 0.05
    moved = by_name(drift(a, darker))
    assert {"grey p50", "age"} <= {name for name, t in moved.items() if t.corrected < 0.001}
    assert moved["sex"].corrected > 0.05
    assert moved["label effusion"].kind == "input"
    assert "read_by" not in moved  # names are compared by no test


def test_the_test_is_scipys_on_one_row_a_patient(tables):
    first, _, darker = tables
    a, b = read_set(first), read_set(darker)
    ages = [list(a.columns["age"].cells), list(b.columns["age"].cells)]
    tested = by_name(drift(a, b))["age"]
    theirs = stats.ks_2samp(*ages)
    assert tested.shift.p == pytest.approx(theirs.pvalue)
    told = np.genfromtxt(first, delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert ages[0][0] == pytest.approx(np.mean(told["age"][:2]))  # two films of patient p1


def test_a_limit_spreads_over_the_table(tables):
    seen = []
    some = read_set(tables[0], 10, lambda done, all_: seen.append((done, all_)))
    assert (some.cases, seen[-1]) == (10, (10, 10))


def test_image_facts_by_hand(tmp_path):
    film = np.full((64, 48), 50, np.uint8)
    film[:, ::2] = 150
    write_png(tmp_path / "film.png", film)
    facts = image_facts(tmp_path / "film.png")
    assert (facts["height"], facts["width"]) == (64, 48)
    assert (facts["grey p1"], facts["grey p99"], facts["grey sd"]) == (50, 150, 50)
    assert facts["sharpness"] == pytest.approx(100 / 50)
    assert facts["verdict"] == "ok"
    (tmp_path / "film.png").write_bytes(b"no film")
    refused = image_facts(tmp_path / "film.png")
    assert list(refused) == ["verdict"]
    assert refused["verdict"] != "ok"


def predictions(folder: Path, shift: float) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(int(10 * shift))
    with PredictionLog(folder) as log:
        for k in range(40):
            p = float(1 / (1 + np.exp(-rng.normal(shift, 1))))
            measured = Measurement("volume", float(rng.gamma(2)), "ml")
            findings = tuple(
                Finding("bleed", Code("X", "99RADLOOP", "Bleed"), q, q >= 0.5, 0.5, {}, measured)
                for q in (p, 0.99)  # the first of a name counts
            )
            log.append(
                Prediction(f"c{k}", f"p{k}", "any", ModelRef("m", "1", "0"), findings=findings)
            )
    return folder


def test_outputs_are_compared_by_name(tmp_path):
    a, b = (read_set(predictions(tmp_path / name, shift)) for name, shift in (("a", 0), ("b", 2)))
    moved = by_name(drift(a, b))
    assert moved["bleed probability"].corrected < 0.001
    assert moved["bleed probability"].kind == "output"
    assert moved["volume"].corrected > 0.05
    assert moved["bleed called"].shift.test.startswith("chi-squared")
    assert max(a.columns["bleed probability"].cells) < 0.99


def test_reports_are_compared_by_their_questions(tmp_path):
    sets = []
    for name, rows in (("a", asked()), ("b", asked(seed=1, worse_in="north"))):
        write_report(tmp_path / name, system="bone_fracture", model={"name": "m"}, rows=rows,
                     measures=MEASURES, figures=FIGURES, resamples=10)  # fmt: skip
        sets.append(read_set(tmp_path / name))
    found = by_name(drift(*sets))
    assert found["probability"].kind == "output"
    assert {"site", "sex", "age", "verdict", "truth positive"} <= found.keys()
    assert found["site"].kind == "input"


def test_page_and_pdf_and_json_say_the_same(tables, tmp_path):
    found = drift(read_set(tables[0]), read_set(tables[2]))
    write_drift(tmp_path, found)
    files = {"drift.json", "drift.html", "drift.pdf", "drift.png"}
    assert {path.name for path in tmp_path.iterdir()} == files
    data = json.loads((tmp_path / "drift.json").read_text())
    assert data["a"] == {"name": "cases.csv", "cases": 30, "patients": 29}
    age = next(t for t in data["tests"] if t["column"] == "age")
    assert age["p_holm"] >= age["p"]
    page = (tmp_path / "drift.html").read_text()
    pages = PdfReader(tmp_path / "drift.pdf").pages
    printed = " ".join(" ".join(p.extract_text() for p in pages).split())
    for text in (f"{age['psi']:.3f}", "columns differ", "grey p50", "corrected (Holm)"):
        assert text in page
        assert text in printed


def test_nothing_to_compare_is_told(tables, tmp_path):
    with pytest.raises(InputError, match="nothing in common"):
        drift(read_set(tables[0]), CaseSet("none", 2, 2, {}))
    with pytest.raises(InputError, match="no case table, no folder of predictions and no report"):
        read_set(tmp_path)
    table = tmp_path / "one.csv"
    table.write_text(f"case_id,patient_id,image\na,p,{tables[0].parent}/0.png\n")
    with pytest.raises(InputError, match="fewer than two patients"):
        read_set(table)


def test_degenerate_columns(tmp_path, tables):
    """One value everywhere is no shift; a column of which one side knows nothing has no test."""
    lines = tables[0].read_text().splitlines()
    head, rows = lines[0] + ",ward,unknown", lines[1:]
    a, b = tables[0].parent / "a2.csv", tables[0].parent / "b2.csv"
    a.write_text("\n".join([head, *(f"{row},1,x" for row in rows)]) + "\n")
    b.write_text("\n".join([head, *(f"{row},1," for row in rows)]) + "\n")
    found = drift(read_set(a), read_set(b))
    tests = by_name(found)
    assert tests["ward"].shift.p == 1.0
    assert "unknown" in found.only
    assert all(t.shift.p == 1.0 for t in found.tests)  # the same films
    assert found.together["input"][0].p > 0.05


def test_the_command(tables, tmp_path):
    a, _, darker = map(str, tables)
    outcome = run.invoke(app, ["drift", a, darker, "--out", str(tmp_path / "out"), "--limit", "0"])
    assert outcome.exit_code == 0, outcome.output
    assert "columns differ" in outcome.stdout
    assert (tmp_path / "out" / "drift.html").is_file()
    outcome = run.invoke(app, ["drift", a, darker, "--json", "--quiet"])
    assert json.loads(outcome.stdout)["b"]["cases"] == 30
    outcome = run.invoke(app, ["drift", a, str(tmp_path)])
    assert outcome.exit_code == 2
    assert "no case table" in outcome.stderr
