"""Two reports compared: the same cases or a clear error, and the right winner."""

import io
import json

import pytest
from made_up import MEASURES, judged, without
from rich.console import Console

from radloop.errors import InputError
from radloop.evaluation.compare import compare
from radloop.evaluation.report import write_report


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
        assert "paired patient bootstrap" in text


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
