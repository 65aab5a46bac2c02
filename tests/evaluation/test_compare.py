"""Two reports compared: the same cases or a clear error, and the right winner."""

import io
import json
import math

import numpy as np
import pytest
from made_up import MEASURES, judged, without
from rich.console import Console

from radloop.errors import InputError
from radloop.evaluation.compare import compare
from radloop.evaluation.differences import EVERY
from radloop.evaluation.report import write_report
from radloop.evaluation.rows import numeric_columns
from radloop.measures.bootstrap import paired_bootstrap
from radloop.measures.delong import auc_difference, delong
from radloop.measures.multiplicity import holm
from radloop.measures.paired_tests import clustered_mcnemar, permutation_p


def report(folder, rows, **changes):
    options = {"system": "cardiomegaly", "model": {"name": folder.name}, "measures": MEASURES[:1]}
    write_report(folder, rows=rows, **(options | changes), resamples=20)
    return folder


@pytest.fixture
def good(tmp_path):
    return report(tmp_path / "good", judged(seed=1, noise=0.005))


@pytest.fixture
def poor(tmp_path):
    return report(tmp_path / "poor", judged(seed=2, noise=0.03))


def by_name(comparison):
    return {item.spec.name: item for item in comparison.differences}


def test_the_better_model_wins_whichever_comes_first(good, poor):
    for a, b, winner in ((poor, good, "B"), (good, poor, "A")):
        found = by_name(compare(a, b, MEASURES, resamples=200))
        assert found["dice_heart"].favours == winner  # higher is better
        assert found["ctr_mae"].favours == winner  # lower is better
        assert found["ctr_bias"].favours == ""
        assert found["ctr_mae"].paired.p < 0.05


def test_numbers_are_those_of_the_reports(good, poor):
    item = by_name(compare(good, poor, MEASURES, resamples=50))["dice_heart"]
    a, b = (
        json.loads((folder / "report.json").read_text())["measures"]["dice_heart"]["value"]
        for folder in (good, poor)
    )
    assert (item.paired.a, item.paired.b) == (a, b)
    assert item.paired.difference == b - a


def test_a_model_equals_itself(good):
    for item in compare(good, good, MEASURES, resamples=50).differences:
        assert (item.paired.difference, item.paired.p, item.favours) == (0.0, 1.0, "")


def test_cases_and_measures_that_only_one_has_are_listed(tmp_path, good):
    rows = without(judged(seed=2)[2:], "hd95_heart")
    other = report(tmp_path / "other", [*reversed(rows), {**rows[0], "case_id": "extra"}])
    found = compare(good, other, MEASURES, resamples=50)
    assert found.n == 38
    assert found.only_a == ("film-000", "film-001")
    assert found.only_b == ("extra",)
    assert found.left_out == ("hd95_heart",)
    # The order of the rows does not matter: cases are joined by their names.
    straight = report(tmp_path / "straight", rows)
    again = compare(good, straight, MEASURES, resamples=50)
    assert again.differences == found.differences


def test_written_and_printed(tmp_path, good, poor):
    found = compare(good, poor, MEASURES, tmp_path / "out", resamples=50)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == found.to_json()
    page = (tmp_path / "out" / "comparison.html").read_text()
    console = Console(width=140, file=io.StringIO())
    console.print(found.to_table())
    printed = console.file.getvalue()
    for text in (page, printed):
        for spec in MEASURES:
            assert spec.title in text
        assert "paired patient bootstrap" in " ".join(text.split())
    for said in ("DeLong", "McNemar, clustered by patient", "paired bootstrap"):
        assert f"<td>{said}</td>" in page


def test_each_measure_has_the_test_that_is_made_for_it(good, poor):
    a, b = judged(seed=1, noise=0.005), judged(seed=2, noise=0.03)
    patients = [row["patient_id"] for row in a]
    numbers = compare(good, poor, MEASURES, resamples=100).to_json()["measures"]
    truth = [row["large"] for row in a]
    area = auc_difference(
        delong([[row["ctr"] for row in rows] for rows in (a, b)], truth, patients)
    )
    found = numbers["auc"]
    assert (found["test"], found["p"]) == ("DeLong", pytest.approx(area.p))
    assert (found["low"], found["high"]) == (pytest.approx(area.low), pytest.approx(area.high))
    called = [np.array([row["ctr"] >= 0.5 for row in rows])[truth] for rows in (a, b)]
    expected = clustered_mcnemar(*called, np.array(patients)[truth])
    found = numbers["sensitivity"]
    assert (found["test"], found["p"]) == ("McNemar, clustered by patient", expected.p)
    assert (found["only_a"], found["only_b"]) == (expected.only_a, expected.only_b)
    found = numbers["ctr_mae"]
    columns = numeric_columns(a), numeric_columns(b)
    plain = paired_bootstrap(*columns, MEASURES[2], patients, n=100)
    assert (found["test"], found["p"]) == ("paired bootstrap", plain.p)
    assert (found["low"], found["high"]) == (plain.low, plain.high)
    assert found["permutation_p"] == permutation_p(*columns, MEASURES[2], patients, n=100)
    p = [one["p"] for one in numbers.values()]
    assert [one["holm_p"] for one in numbers.values()] == pytest.approx(holm(p))


def test_what_was_written_before_is_still_there(good, poor):
    for one in compare(good, poor, MEASURES, resamples=50).to_json()["measures"].values():
        old = {"title", "unit", "a", "b", "difference", "low", "high", "p", "n", "skipped"}
        assert old | {"favours"} <= set(one)
        assert set(one["bootstrap"]) == {"low", "high", "p"}


def test_margins(good, poor):
    wide = compare(poor, good, MEASURES, margins={EVERY: 0.2}, resamples=100)
    verdicts = {item.spec.name: item.margin for item in wide.differences}
    assert verdicts["hd95_heart"] is None  # it has a unit, so it needs a margin of its own
    assert verdicts["ctr_bias"] is None  # and this no better side
    assert verdicts["dice_heart"].verdict == "superior"
    assert "Heart, Dice: B is better than A (B − A 0." in " ".join(wide.sentences())
    turned = by_name(
        compare(
            good, poor, MEASURES, resamples=100,
            margins={"dice_heart": 0.001, "hd95_heart": 50.0, "ctr_mae": 0.2, "auc": 0.05},
        )
    )  # fmt: skip
    assert (
        turned["dice_heart"]
        .sentence()
        .startswith("Heart, Dice: B is worse than A by more than 0.001 (B − A −0.")
    )
    assert "is not worse than A by 50 mm or more, though worse beyond" in (
        turned["hd95_heart"].sentence()
    )
    assert "not worse than A by 0.2 or more, though worse" in turned["ctr_mae"].sentence()
    assert "whether B is worse than A by 0.05 or more remains open" in turned["auc"].sentence()
    assert turned["sensitivity"].sentence() == ""
    assert turned["auc"].to_json()["non_inferiority"] == {
        "verdict": "inconclusive",
        "margin": 0.05,
        "worse": True,
        "sentence": turned["auc"].sentence(),
    }


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        ({EVERY: 0.0}, "positive number, not 0"),
        ({"auc": -0.1}, "positive number, not -0.1"),
        ({EVERY: math.nan}, "positive number, not nan"),
        ({"ctr_bias": 0.1}, "no measure 'ctr_bias' of both reports with a better side"),
        ({"unheard": 0.1}, "no measure 'unheard'"),
    ],
)
def test_margins_that_cannot_be(good, poor, margins, said):
    with pytest.raises(InputError, match=said):
        compare(good, poor, MEASURES, margins=margins, resamples=20)


def test_one_class_only_is_not_tested(tmp_path):
    rows = [[{**row, "large": True} for row in judged(seed=seed)] for seed in (1, 2)]
    folders = [report(tmp_path / name, own) for name, own in zip("ab", rows, strict=True)]
    found = compare(*folders, MEASURES[4:], resamples=50)
    area, sensitivity = found.differences
    assert all(math.isnan(x) for x in (area.p, area.low, area.holm_p, area.permutation_p))
    assert area.favours == "" and area.to_json()["p"] is None
    assert sensitivity.holm_p == sensitivity.p  # one test is left
    assert "for the 1 tests made" in found.method


def test_few_patients_are_told(tmp_path):
    folders = [report(tmp_path / name, judged(n=12, seed=k)) for k, name in enumerate("ab")]
    found = compare(*folders, MEASURES, resamples=50)
    assert any("8 patients bootstrap intervals are too narrow" in one for one in found.remarks())


def test_not_the_same_cases(tmp_path, good):
    strangers = [{**row, "case_id": f"other-{i}"} for i, row in enumerate(judged())]
    with pytest.raises(InputError, match="no case in common"):
        compare(good, report(tmp_path / "b", strangers), MEASURES)
    moved = [{**row, "patient_id": f"x{i}"} for i, row in enumerate(judged())]
    with pytest.raises(InputError, match="different patients"):
        compare(good, report(tmp_path / "c", moved), MEASURES)


def test_clear_errors(tmp_path, good):
    stroke = report(tmp_path / "stroke", judged(), system="stroke")
    with pytest.raises(InputError, match="different systems: cardiomegaly and stroke"):
        compare(good, stroke, MEASURES)
    with pytest.raises(InputError, match="no readable"):
        compare(good, tmp_path / "nowhere", MEASURES)
    (stroke / "report.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        compare(good, stroke, MEASURES)
    (stroke / "report.json").write_text("[]")
    with pytest.raises(InputError, match="not a report"):
        compare(good, stroke, MEASURES)
    (good / "cases.csv").unlink()
    with pytest.raises(InputError, match=r"cases\.csv cannot be read"):
        compare(good, good, MEASURES)
