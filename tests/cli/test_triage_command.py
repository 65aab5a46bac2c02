"""`radloop triage-benefit`: scenarios from files and options, what it prints and writes."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.evaluation.report import write_report
from radloop.evaluation.triage.operating_point import operating_point
from radloop.evaluation.triage.scenario import ScenarioError
from radloop.evaluation.triage.scenario_file import (
    EXAMPLE,
    parse_scenario,
    read_scenario,
    read_times,
)
from radloop.measures.classification import at_threshold, sensitivity, specificity
from radloop.measures.spec import MeasureSpec

run = CliRunner()
SMALL = ["--days", "4", "--replications", "2"]
ONE = ["--load", "0.7", "--prevalence", "0.1", "--sensitivity", "0.9", "--specificity", "0.8"]


def stream(**changes):
    return {"name": "head CT", "per_hour": 2, "reading": 10} | changes


@pytest.fixture
def report(tmp_path):
    """A report of 40 cases: sensitivity 15 of 20, specificity 16 of 20."""
    truth = np.repeat([1.0, 0.0], 20)
    called = np.concatenate([np.arange(20) < 15, np.arange(20) < 4]).astype(float)
    rows = [
        {
            "case_id": f"c{k}",
            "patient_id": f"p{k}",
            "scan_any_truth": truth[k],
            "scan_any_called": called[k],
            "scan_any_probability": (called[k] + k / 40) / 2,
        }
        for k in range(40)
    ]
    columns = ("scan_any_called", "scan_any_truth")
    measures = [
        MeasureSpec("scan_any_sensitivity", columns, at_threshold(sensitivity, 0.5)),
        MeasureSpec("scan_any_specificity", columns, at_threshold(specificity, 0.5)),
    ]
    folder = tmp_path / "report"
    write_report(folder, system="hemorrhage", model={"name": "toy"}, rows=rows, measures=measures,
                 resamples=50)  # fmt: skip
    return folder


def test_the_example_is_a_scenario(tmp_path):
    printed = run.invoke(app, ["triage-benefit", "--example"])
    assert printed.exit_code == 0
    (tmp_path / "room.yaml").write_text(printed.stdout)
    room = read_scenario(tmp_path / "room.yaml")
    assert room.readers == 2 and room.load < 1
    assert room.streams[0].models[0].sensitivity == 0.808
    assert room.streams[0].diseases[0].reading.mean == 14
    assert room.streams[2].emergency and printed.stdout.strip() == EXAMPLE.strip()


def test_a_room_of_options(tmp_path):
    out = tmp_path / "out"
    outcome = run.invoke(app, ["triage-benefit", *ONE, *SMALL, "--out", str(out)])
    assert outcome.exit_code == 0, outcome.output
    assert "diseased" in outcome.stdout and "load 0.70" in outcome.stdout
    page = (out / "triage.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "Against queueing theory" in page
    written = json.loads((out / "triage.json").read_text())
    assert written["load"] == pytest.approx(0.7)
    assert written["groups"]["diseased"]["expected"]["without"] == pytest.approx(70 / 3)
    assert len(written["by_load"]) == 9


def test_json_and_options_over_a_file(tmp_path, report):
    (tmp_path / "room.yaml").write_text(EXAMPLE)
    options = ["--scenario", str(tmp_path / "room.yaml"), "--report", str(report), *SMALL]
    outcome = run.invoke(
        app, ["triage-benefit", *options, "--readers", "3", "--head-start", "30", "--json"]
    )
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    (model,) = found["room"]["streams"][0]["models"]
    assert (model["sensitivity"], model["specificity"]) == (0.75, 0.8)
    assert model["scored_cases"] == 40
    assert found["room"]["readers"] == 3
    assert found["reach_of_overtaking"]["with"] <= 30
    assert "Starvation bound" in found["remarks"][0]
    assert set(found["at_ends_of_the_intervals"]) == {"lower", "upper"}


def test_overload_is_said():
    outcome = run.invoke(app, ["triage-benefit", *ONE[2:], "--load", "1.3", *SMALL])
    assert outcome.exit_code == 0
    assert "grows without end" in " ".join(outcome.stdout.split())


def test_several_systems_in_one_room(tmp_path):
    ranks = [
        stream(name=name, diseases=[{"name": name, "prevalence": 0.2}],
               models=[{"disease": name, "sensitivity": 0.9, "specificity": 0.9, "rank": rank}])
        for rank, name in ((1, "bleed"), (2, "embolism"))
    ]  # fmt: skip
    content = {"by": "ranks", "load": 0.8, "days": 5, "replications": 2, "streams": ranks}
    (tmp_path / "room.json").write_text(json.dumps(content))
    outcome = run.invoke(
        app, ["triage-benefit", "--scenario", str(tmp_path / "room.json"), "--json"]
    )
    assert outcome.exit_code == 0, outcome.output
    found = json.loads(outcome.stdout)
    assert found["load"] == pytest.approx(0.8)
    assert {"bleed: bleed", "embolism: embolism"} <= set(found["groups"])
    outcome = run.invoke(
        app, ["triage-benefit", "--scenario", str(tmp_path / "room.json"), "--sensitivity", "0.5"]
    )
    assert outcome.exit_code == 2 and "has 2 models" in outcome.stderr


def test_arrivals_of_a_file(tmp_path):
    (tmp_path / "times.csv").write_text(
        "arrived,kind\n2026-03-04T08:00:00,a\n2026-03-05T23:59:00,a\n2026-03-04T09:30:00,b\n"
    )
    room = parse_scenario({"streams": [stream(arrivals="times.csv", per_hour=0)]}, tmp_path)
    assert sorted(room.streams[0].times) == [480.0, 570.0, 2 * 1440 - 1.0]
    assert (room.days, room.run_in, room.first_weekday) == (2, 0, 2)  # a Wednesday
    (tmp_path / "minutes.csv").write_text("arrived\n5\n1500.5\n")
    assert read_times(tmp_path / "minutes.csv") == (5.0, 1500.5)
    mixed = [stream(arrivals="times.csv", per_hour=0),
             stream(name="b", arrivals="minutes.csv", per_hour=0)]  # fmt: skip
    with pytest.raises(ScenarioError, match="some are minutes"):
        parse_scenario({"streams": mixed}, tmp_path)
    with pytest.raises(ScenarioError, match="run_in to 0"):
        parse_scenario({"run_in": 2, "streams": mixed[1:]}, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time\n5\n", "no column 'arrived'"),
        ("arrived\n", "no column 'arrived' with times"),
        ("arrived\n5\nlater\n", "Line 3 of t.csv"),
        ("arrived\n-5\n", "Line 2"),
        ("arrived\n5\n2026-01-01T00:00\n", "mixes"),
        ("arrived\n2026-01-01T00:00\n2026-01-01T00:00+01:00\n", "mixes"),
    ],
)
def test_bad_arrivals(tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ScenarioError, match=says):
        read_times(tmp_path / "t.csv")


def test_the_operating_point_of_a_report(report):
    point = operating_point(report)
    assert (point.sensitivity, point.specificity, point.finding) == (0.75, 0.8, "scan_any")
    assert point.sensitivity_interval[0] < 0.75 < point.sensitivity_interval[1]
    assert point.model == "toy" and point.cases == 40
    assert point.scores.diseased.size == point.scores.healthy.size == 20
    (report / "cases.csv").unlink()
    assert operating_point(report, "scan_any").scores is None
    with pytest.raises(InputError, match="no finding 'leg'"):
        operating_point(report, "leg")


def test_reports_without_an_operating_point(tmp_path, report):
    with pytest.raises(InputError, match="no readable"):
        operating_point(tmp_path)
    content = json.loads((report / "report.json").read_text())
    content["measures"]["scan_any_sensitivity"]["value"] = None
    (report / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="could not be measured"):
        operating_point(report)
    del content["measures"]["scan_any_specificity"]
    (report / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no sensitivity together"):
        operating_point(report)
    (report / "report.json").write_text("[]")
    with pytest.raises(InputError, match="not a report"):
        operating_point(report)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "must hold names"),
        ({}, "streams must be a list"),
        ({"streams": "x"}, "streams must be a list"),
        ({"streams": [{"name": "a", "per_hour": 1}]}, r"streams\[0\] has no 'reading'"),
        ({"streams": [{"reading": 5, "per_hour": 1}]}, r"streams\[0\] lacks 'name'"),
        ({"streams": [stream(colour=1)]}, r"streams\[0\] has no field 'colour'"),
        ({"streams": [stream(per_hour="two")]}, r"streams\[0\].per_hour must be a number"),
        ({"streams": [stream(reading={"mean": True})]}, "must be a number"),
        ({"streams": [stream(reading={"values": []})]}, "is empty"),
        ({"streams": [stream(emergency="no")]}, "must be true or false"),
        ({"streams": [stream(hours=3)]}, "must be a list"),
        ({"streams": [stream(name=7)]}, "must be text"),
        ({"streams": [stream()], "readers": 1.5}, "must be a whole number"),
        ({"streams": [stream()], "load": "high"}, "load must be a number"),
        ({"streams": [stream(diseases=[{"name": "x", "prevalence": 2}])]}, "prevalence of 'x', 2"),
    ],
)
def test_bad_scenarios(content, says):
    with pytest.raises(ScenarioError, match=says):
        parse_scenario(content)


def test_values_make_an_empirical_reading_time():
    room = parse_scenario({"streams": [stream(reading={"values": [4, 8, 12]})]})
    assert room.streams[0].reading.mean == 8 and math.isclose(room.load, 8 * 2 / 60)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "lacks --prevalence"),
        (ONE[2:], "lacks --per-hour or --load"),
        (ONE[:4], "lacks --sensitivity, or --report"),
        (ONE[:6], "lacks --specificity, or --report"),
        ([*ONE, "--per-hour", "3"], "--per-hour and --load"),
        ([*ONE[:6], "--specificity", "1.2"], "specificity for 'disease', 1.2, is not between"),
        ([*ONE, "--readers", "0"], "'readers' is 0"),
        ([*ONE, "--by", "luck"], "cannot be 'luck'"),
        (["--scenario", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_clear_errors(options, says):
    outcome = run.invoke(app, ["triage-benefit", *options])
    assert outcome.exit_code == 2
    assert says in outcome.stderr


def test_a_file_that_is_no_yaml(tmp_path):
    path = tmp_path / "room.yaml"
    path.write_text("streams: [\n")
    outcome = run.invoke(app, ["triage-benefit", "--scenario", str(path)])
    assert outcome.exit_code == 2 and "neither YAML nor JSON (line" in outcome.stderr
    path.write_text(EXAMPLE)
    outcome = run.invoke(app, ["triage-benefit", "--scenario", str(path), "--per-hour", "3"])
    assert outcome.exit_code == 2 and "said by the scenario file" in outcome.stderr
