"""Figures: drawn for any cases, and matplotlib is asked exactly what the cases say."""

import numpy as np
import pytest
from made_up import FIGURES, judged
from PIL import Image

from radloop.evaluation import figures
from radloop.evaluation.rows import numeric_columns
from radloop.measures.spec import Agreement, Distribution, Roc


@pytest.fixture
def sheets(monkeypatch):
    """The drawn matplotlib sheets, for a look at what is on them."""
    made, make = [], figures._sheet
    monkeypatch.setattr(figures, "_sheet", lambda figure: made.append(make(figure)) or made[-1])
    return made


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: type(figure).__name__)
def test_writes_a_picture_that_is_not_blank(tmp_path, figure):
    figures.draw(figure, numeric_columns(judged()), tmp_path / "plot.png")
    assert np.ptp(np.asarray(Image.open(tmp_path / "plot.png").convert("L"))) > 100
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


def test_drawing_is_reproducible(tmp_path):
    for name in ("a.png", "b.png"):
        figures.draw(FIGURES[0], numeric_columns(judged()), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_bland_altman_lines(tmp_path, sheets):
    rows = {"m": np.array([1.0, 2.0, 3.0, np.nan]), "r": np.array([1.0, 1.0, 1.0, 1.0])}
    figures.draw(Agreement("A", "m", "r", "mm"), rows, tmp_path / "plot.png")
    _, axes = sheets[0].axes
    # Differences 0, 1, 2: bias 1, standard deviation 1.
    heights = {round(line.get_ydata()[0], 2) for line in axes.lines[1:]}
    assert heights == {1.0, -0.96, 2.96, 0.0}
    assert "[mm]" in axes.get_ylabel()


def test_roc_marks_the_operating_point(tmp_path, sheets):
    rows = {"s": np.array([0.1, 0.6, 0.4, 0.9]), "t": np.array([0.0, 0.0, 1.0, 1.0])}
    figures.draw(Roc("R", "s", "t", 0.5), rows, tmp_path / "plot.png")
    point = sheets[0].axes[0].lines[-1]
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        (Roc("R", "s", "t"), "0 of 2 cases are positive"),
        (Roc("R", "missing", "t"), "0 of 0 cases"),
        (Agreement("A", "s", "unknown"), "Fewer than two"),
    ],
)
def test_says_why_there_is_nothing_to_draw(tmp_path, sheets, figure, says):
    rows = {"s": np.array([0.1, 0.2]), "t": np.zeros(2), "unknown": np.full(2, np.nan)}
    figures.draw(figure, rows, tmp_path / "plot.png")
    assert says in sheets[0].texts[0].get_text()


def test_distribution_tells_infinite_and_unknown(tmp_path, sheets):
    rows = {"hd95_heart": np.array([1.0, np.inf, np.nan, 2.0])}
    figures.draw(Distribution("D", ("hd95_heart", "absent")), rows, tmp_path / "plot.png")
    labels = [label.get_text() for label in sheets[0].axes[0].get_yticklabels()]
    assert labels == ["hd95 heart\nn = 3, 1 infinite", "absent\nn = 0"]
