"""Dental charts: their file, their pictures, and one against another."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from radloop.cli.console import Commands
from radloop.cli.teeth import teeth as commands
from radloop.errors import InputError
from radloop.images.write import write_text
from radloop.systems.jaw.chart import (
    DentalChart,
    ExtraTooth,
    ToothState,
    chart_to_json,
    read_chart,
)
from radloop.systems.jaw.chart_picture import draw_chart, mark_film
from radloop.systems.jaw.comparison import (
    STATES,
    State,
    base_rates,
    compare_charts,
    judge_change,
    rank_charts,
    state_of,
)
from radloop.systems.jaw.comparison_page import meaning, side_by_side
from radloop.systems.jaw.numbers import NUMBERS, PERMANENT, WISDOM

BOX = (10.0, 20.0, 30.5, 80.0)
OF_STATE = {"restored": "restoration", "root-treated": "root_canal", "carious": "caries"}


def tooth(number: str, state: State) -> ToothState:
    if state == "missing":
        return ToothState(number, "missing", 0.9)
    if state == "implant":
        return ToothState(number, "implant", 0.9, BOX, {"implant": 0.9})
    conditions = {OF_STATE[state]: 0.7} if state in OF_STATE else {}
    return ToothState(number, "present", 0.9, BOX, conditions)


def chart(states: dict[str, State], name: str = "") -> DentalChart:
    return DentalChart(name, {n: tooth(n, s) for n, s in states.items()})


CHARTS = st.dictionaries(st.sampled_from(PERMANENT), st.sampled_from(STATES)).map(chart)


# --- the file


@given(
    CHARTS,
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["", "11", "48"])), max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_a_chart_survives_its_file(tmp_path_factory, whole: DentalChart, extra) -> None:
    whole = replace(
        whole, case_id="film-1",
        extra=tuple(ExtraTooth(BOX, round(p, 4), near) for p, near in extra),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("chart") / "film-1.json"
    write_text(path, json.dumps(chart_to_json(whole)))
    assert read_chart(path) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"teeth": [{"number": "19", "status": "present", "probability": 1, "box": None,
                    "conditions": {}}]},
        {"teeth": [{"number": "11", "status": "gone", "probability": 1, "box": None,
                    "conditions": {}}]},
        {"teeth": [{"number": "11", "status": "missing", "probability": 1.5, "box": None,
                    "conditions": {}}]},
        {"teeth": [{"number": "11", "status": "missing", "probability": 1, "box": None,
                    "conditions": {"plague": 1}}]},
        {"teeth": [{"number": "11", "status": "missing", "probability": 1, "box": None,
                    "conditions": {}}] * 2},
        {"teeth": 3},
        {"extra": [{"box": [1, 2], "probability": 1}]},
        {"format": "new"},
    ],
)  # fmt: skip
def test_what_is_no_chart_is_refused(tmp_path: Path, change) -> None:
    path = tmp_path / "x.json"
    write_text(path, json.dumps({**chart_to_json(chart({"11": "sound"})), **change}))
    with pytest.raises(InputError, match=r"x\.json is not a dental chart"):
        read_chart(path)


def test_newer_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(InputError, match="not a dental chart") as caught:
        read_chart(path)
    assert str(tmp_path) not in str(caught.value)
    write_text(path, "{")
    with pytest.raises(InputError, match="not a dental chart"):
        read_chart(path)
    write_text(path, json.dumps({**chart_to_json(chart({})), "format": 9}))
    with pytest.raises(InputError, match="newer Radloop"):
        read_chart(path)


# --- pictures


def test_each_state_looks_different() -> None:
    pictures = [draw_chart(chart({"16": state})) for state in STATES]
    assert {p.shape for p in pictures} == {pictures[0].shape} and pictures[0].shape[1] == 1024
    for k, one in enumerate(pictures):
        for other in pictures[k + 1 :]:
            changed = (one.astype(int) != other).any(-1)
            # 16 is the third place from the left of the upper row; nothing else changes.
            assert changed.sum() > 60
            assert changed[: len(one) // 2].any() and not changed[:, 300:].any()


def test_deciduous_teeth_add_rows() -> None:
    permanent, mixed = draw_chart(chart({"16": "sound"})), draw_chart(chart({"55": "sound"}))
    assert mixed.shape[0] > 1.5 * permanent.shape[0]


def test_the_film_keeps_its_proportions() -> None:
    film = np.full((300, 500), 90, np.uint8)
    whole = replace(chart({"16": "sound", "36": "carious"}), extra=(ExtraTooth(BOX, 0.5, "16"),))
    shown = mark_film(film, whole)
    assert shown.shape == (600, 1000, 3) and (shown != 90).any()
    assert mark_film(np.zeros((1400, 2800), np.uint8), whole, "caption").shape[1] == 1400
    assert side_by_side(whole, chart({"55": "sound"})).ndim == 3


# --- two charts


@pytest.mark.parametrize(
    "number, before, after, kind",
    [
        ("16", "sound", "sound", "concordant"), ("16", "sound", "missing", "explainable"),
        ("16", "sound", "restored", "explainable"), ("16", "sound", "carious", "explainable"),
        ("16", "carious", "restored", "explainable"), ("16", "carious", "sound", "explainable"),
        ("16", "restored", "root-treated", "explainable"),
        ("16", "missing", "implant", "explainable"), ("16", "implant", "missing", "explainable"),
        ("16", "missing", "sound", "impossible"), ("18", "missing", "sound", "explainable"),
        ("16", "missing", "restored", "impossible"), ("16", "implant", "sound", "impossible"),
        ("16", "restored", "sound", "impossible"), ("16", "restored", "carious", "impossible"),
        ("16", "root-treated", "restored", "impossible"),
        ("55", "sound", "missing", "explainable"), ("55", "missing", "sound", "impossible"),
    ],
)  # fmt: skip
def test_what_a_tooth_can_become(number, before, after, kind) -> None:
    assert judge_change(number, before, after)[0] == kind


@given(st.sampled_from(NUMBERS), st.sampled_from(STATES), st.sampled_from(STATES))
def test_every_change_has_a_reason(number, before, after) -> None:
    kind, reason = judge_change(number, before, after)
    assert reason and (kind == "concordant") == (before == after)


def test_the_score_of_a_small_case_by_hand() -> None:
    rates = {n: dict.fromkeys(STATES, 1 / 6) for n in NUMBERS}
    earlier, later = (
        chart({"16": "sound", "26": "restored"}),
        chart({"16": "missing", "26": "sound"}),
    )
    compared = compare_charts(earlier, later, rates, changed=0.05, misread=0.02)
    # 16: a sound tooth has five explainable ends, .05 between them. 26: a filled one has three
    # explainable ends and two impossible ones (sound, carious), .02 between these.
    assert compared.score == pytest.approx(math.log(0.01 * 6) + math.log(0.01 * 6))
    assert compared.count("impossible") == 1 and compared.count("explainable") == 1
    assert compared.count("unknown") == 30
    assert "cannot have become" in meaning(compared)


@given(CHARTS)
@settings(deadline=None)
def test_a_chart_agrees_with_itself(whole: DentalChart) -> None:
    compared = compare_charts(whole, whole)
    assert {t.kind for t in compared.teeth} <= {"concordant", "unknown"}
    assert compared.score >= 0


@given(CHARTS, st.sampled_from(PERMANENT))
@settings(deadline=None)
def test_an_impossible_change_lowers_the_score(whole: DentalChart, number: str) -> None:
    if number in WISDOM:
        number = "16"
    before = replace(whole, teeth={**whole.teeth, number: tooth(number, "missing")})
    after = replace(whole, teeth={**whole.teeth, number: tooth(number, "sound")})
    same, other = compare_charts(before, before), compare_charts(before, after)
    assert other.count("impossible") == 1 and other.score < same.score


def test_rates_are_counted_and_sum_to_one() -> None:
    rates = base_rates([chart({"16": "restored"})] * 30)
    assert rates["16"]["restored"] > 0.85 > rates["26"]["restored"]
    assert all(sum(own.values()) == pytest.approx(1) for own in rates.values())


def made_up(rng: np.random.Generator, name: str) -> DentalChart:
    chances = [0.55, 0.05, 0.18, 0.06, 0.14, 0.02]
    return chart({n: STATES[rng.choice(6, p=chances)] for n in PERMANENT}, name)


@pytest.mark.parametrize("seed", range(5))
def test_the_same_person_is_ranked_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person = made_up(rng, "then")
    sound = [n for n in PERMANENT if state_of(person, n) == "sound"][:3]
    changed: dict[str, State] = dict(zip(sound, ("restored", "missing", "carious"), strict=True))
    now = replace(
        person,
        case_id="now",
        teeth={**person.teeth, **{n: tooth(n, s) for n, s in changed.items()}},
    )
    candidates = {f"other{k}": made_up(rng, f"other{k}") for k in range(40)} | {"now": now}
    ranking = rank_charts(person, candidates)
    assert ranking[0][0] == "now" and ranking[0][1].count("impossible") == 0
    assert [one.score for _, one in ranking] == sorted((c.score for _, c in ranking), reverse=True)


# --- the command


@pytest.fixture
def run():
    app = typer.Typer(cls=Commands)
    app.add_typer(commands, name="teeth")

    def invoke(*arguments: object):
        return CliRunner().invoke(app, ["teeth", *map(str, arguments)])

    return invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(3):
        one = made_up(np.random.default_rng(k), f"film-{k}")
        write_text(tmp_path / f"out/charts/film-{k}.json", json.dumps(chart_to_json(one)))
    return tmp_path / "out"


def test_the_command_compares_and_ranks(run, folder: Path, tmp_path: Path) -> None:
    first = folder / "charts/film-0.json"
    pair = run("compare", first, folder / "charts/film-1.json", "--out", tmp_path / "page")
    assert pair.exit_code == 0, pair.output
    assert (tmp_path / "page/comparison.html").is_file()
    assert (tmp_path / "page/comparison.png").is_file()
    ranked = run("compare", first, folder, "--json", "--quiet")
    assert ranked.exit_code == 0
    listed = json.loads(ranked.stdout)
    assert listed[0]["name"] == "film-0" and len(listed) == 3
    assert listed[0]["impossible"] == listed[0]["explainable"] == 0
    assert "film-2" in run("compare", first, folder).stdout


def test_the_command_names_what_is_no_chart(run, folder: Path, tmp_path: Path) -> None:
    write_text(folder / "charts/broken.json", "{}")
    ranked = run("compare", folder / "charts/film-0.json", folder)
    assert ranked.exit_code == 3 and "broken.json" in ranked.output
    (tmp_path / "empty").mkdir()
    nothing = run("compare", folder / "charts/film-0.json", tmp_path / "empty")
    assert nothing.exit_code == 2 and "no chart in empty" in nothing.output
    assert run("compare", tmp_path / "none.json", folder).exit_code == 2


def test_phantoms_are_drawn_with_boxes(run, tmp_path: Path) -> None:
    assert run("phantom", "--out", tmp_path / "jaws", "--count", 2).exit_code == 0
    assert len(list((tmp_path / "jaws/images").glob("*.png"))) == 2
    assert len(list((tmp_path / "jaws/boxes").glob("*.xml"))) == 2


def test_the_sentence_fits_the_score() -> None:
    full = chart(dict.fromkeys(PERMANENT, "sound"))
    emptied = chart(dict.fromkeys(PERMANENT, "missing"))
    assert "Nothing speaks against" in meaning(compare_charts(full, full))
    assert "likelier between two people" in meaning(compare_charts(full, emptied))
    assert "cannot have become" in meaning(compare_charts(emptied, full))
    assert "no tooth in common" in meaning(compare_charts(full, chart({})))
