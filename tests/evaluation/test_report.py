"""The report folder: its files, their shapes, and a page that stands alone."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up import FIGURES, MEASURES, judged, without
from PIL import Image

from radloop.errors import InputError, WriteError
from radloop.evaluation.page import decimals, show, show_interval
from radloop.evaluation.report import write_report
from radloop.evaluation.rows import numeric_columns, read_rows


def write(out, rows, **changes):
    options = {
        "system": "cardiomegaly",
        "model": {"name": "unet", "version": "1"},
        "measures": MEASURES,
        "operating_point": {"threshold": 0.5},
        "verdicts": {"accepted": len(rows), "refused": 2},
        "resamples": 100,
    }
    return write_report(out, rows=rows, **(options | changes))


def test_files_and_shapes(tmp_path):
    rows = judged()
    report = write(tmp_path / "new" / "report", rows, figures=FIGURES)
    folder = tmp_path / "new" / "report"
    assert json.loads((folder / "report.json").read_text()) == report
    assert {"system", "model", "n", "measures", "operating_point", "cases"} <= set(report)
    assert report["n"] == 40
    assert list(report["measures"]) == [spec.name for spec in MEASURES]
    for measure in report["measures"].values():
        assert {"value", "low", "high", "n", "method"} <= set(measure)
        assert measure["low"] <= measure["value"] <= measure["high"]
    assert report["measures"]["ctr_mae"]["n"] == 39  # one reference is unknown
    files = {"cases.csv", "report.html", "report.pdf", "report.json", "document.json"}
    own = {"flow.png", "abstention_1.png"}
    assert {p.name for p in folder.iterdir()} == files | own | set(report["plots"])


def test_measures_can_be_recomputed_from_the_table(tmp_path):
    report = write(tmp_path, judged())
    columns = numeric_columns(read_rows(tmp_path / report["cases"]))
    assert report["measures"]["dice_heart"]["value"] == np.mean(columns["dice_heart"])


class Page(HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name == "src"]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_escapes(tmp_path):
    for name in ("best.png", "worst.jpg"):
        Image.new("L", (8, 8)).save(tmp_path / name)
    write(
        tmp_path,
        judged(),
        figures=FIGURES,
        model={"name": "<b>unet</b>"},
        galleries={"Worst": [tmp_path / "worst.jpg"], "Best": [Path("best.png")], "None": []},
        notes=["Tested on 40 films & more."],
    )
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert len(page.sources) == len(FIGURES) + 2 + 2  # flow and abstention are always drawn
    assert all(source.startswith("data:image/") for source in page.sources)
    assert not re.search(r"https?://|<b>unet", text)
    assert "films &amp; more" in text
    assert "refused" in text


@pytest.mark.parametrize("rows", [[], judged(1), [{"case_id": "a", "patient_id": "p"}]])
def test_too_little_to_measure_is_reported_as_unknown(tmp_path, rows):
    names = [*(name for spec in MEASURES for name in spec.columns), "dice_lungs"]
    rows = [dict.fromkeys(names) | row for row in rows]
    report = write(tmp_path, rows, figures=FIGURES)
    assert report["measures"]["auc"]["value"] is None
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert "n/a" in (tmp_path / "report.html").read_text()
    for plot in report["plots"]:
        Image.open(tmp_path / plot).verify()


def test_clear_errors(tmp_path):
    with pytest.raises(InputError, match="'ctr'"):
        write(tmp_path, without(judged(), "ctr"))
    write(tmp_path, judged())  # an earlier report must not stand beside newer cases
    with pytest.raises(InputError, match=r"gone\.png of the report cannot be read"):
        write(tmp_path, judged(), galleries={"Best": [Path("gone.png")]})
    with pytest.raises(InputError, match="neither PNG nor JPEG"):
        write(tmp_path, judged(), galleries={"Best": [Path("film.dcm")]})
    assert not (tmp_path / "report.json").exists()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file stands where"):
        write(tmp_path / "file", judged())


def test_json_holds_plain_values_only(tmp_path):
    point = {"threshold": np.float32(0.5), "n": np.int64(3), "bound": math.nan, "why": Path("x")}
    report = write(tmp_path, judged(), operating_point=point)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["operating_point"] == {"threshold": 0.5, "n": 3, "bound": None, "why": "x"}


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.95512, 0.95, 0.96, "0.955 (0.950 to 0.960)"),
        (0.01134, 0.01, 0.0125, "0.0113 (0.0100 to 0.0125)"),
        (-0.0003, -0.002, 0.001, "−0.0003 (−0.0020 to 0.0010)"),
        (1.0, 0.98, 1.0, "1.000 (0.980 to 1.000)"),
        (4.567, 3.2, 6.1, "4.57 (3.20 to 6.10)"),
        (12.34, 9.0, 15.2, "12.3 (9.0 to 15.2)"),
        (1234.5, 1000.0, 1400.0, "1234 (1000 to 1400)"),
        (-0.00001, 0.0, 0.1, "0.000 (0.000 to 0.100)"),
        (float("nan"), float("nan"), 1.0, "n/a (n/a)"),
        (2.0, 1.0, float("inf"), "2.00 (1.00 to ∞)"),
    ],
)
def test_numbers_for_people(value, low, high, shown):
    places = decimals(value, low, high)
    assert f"{show(value, places)} ({show_interval(low, high, places)})" == shown
