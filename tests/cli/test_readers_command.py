"""`radloop readers` as it is called."""

import json

import pytest
from typer.testing import CliRunner

from radloop.cli.main import app

run = CliRunner()


@pytest.fixture
def files(tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.json").write_text('{"system": "elsewhere", "model": {"name": "m"}}')
    rows = [f"c{k},p{k},{k / 20},{int(k > 9)},{int(k > 7)}" for k in range(20)]
    head = "case_id,patient_id,probability,called,positive"
    (report / "cases.csv").write_text("\n".join([head, *rows]) + "\n")
    table = tmp_path / "readers.csv"
    rows = [f"c{k},{who},{int(k > 8 + who)}" for who in (0, 3) for k in range(20)]
    table.write_text("\n".join(["case_id,reader,answer", *rows]) + "\n")
    return report, table


def test_prints_tables_and_writes_the_page(files, tmp_path):
    report, table = map(str, files)
    out = tmp_path / "out"
    outcome = run.invoke(app, ["readers", report, "--table", table, "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert "Each reader, and the model" in outcome.stdout
    assert "The model against each reader" in outcome.stdout
    assert {path.name for path in out.iterdir()} == {"readers.html", "readers.json", "readers.png"}
    assert "readers.html" in outcome.stderr


def test_json(files):
    report, table = map(str, files)
    outcome = run.invoke(app, ["readers", report, "--table", table, "--margin", "0.1", "--json"])
    found = json.loads(outcome.stdout)
    assert [single["name"] for single in found["singles"]] == ["model", "0", "3"]
    assert found["against"][0]["verdict"] in ("superior", "non-inferior", "inconclusive")


def test_counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("reader,tp,fp,tn,fn\nours,9,1,9,1\nanna,8,2,8,2\n")
    outcome = run.invoke(app, ["readers", "--counts", str(path), "--model", "ours"])
    assert outcome.exit_code == 0 and "unpaired" in outcome.stdout


@pytest.mark.parametrize(
    "options",
    [[], ["REPORT"], ["--table", "t.csv"], ["REPORT", "--counts", "c.csv"],
     ["REPORT", "--table", "t.csv", "--counts", "c.csv"]],
)  # fmt: skip
def test_what_belongs_together(options):
    outcome = run.invoke(app, ["readers", *options])
    assert outcome.exit_code == 2 and "REPORT with --table, or --counts" in outcome.stderr


def test_clear_errors(files, tmp_path):
    report, table = map(str, files)
    for options, says in (
        ([str(tmp_path), "--table", table], "holds no readable report.json"),
        ([report, "--table", str(tmp_path / "no.csv")], "There is no file no.csv"),
        ([report, "--table", table, "--question", "hip"], "no question 'hip'"),
        ([report, "--table", table, "--score", "probability"], "belong together"),
        ([report, "--table", table, "--margin", "5"], "margin 5 is not between"),
    ):
        outcome = run.invoke(app, ["readers", *options])
        assert outcome.exit_code == 2 and says in outcome.stderr, outcome.stderr
