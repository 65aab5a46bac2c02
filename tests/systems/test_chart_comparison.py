"""Scores of two charts: what must hold whatever a collection holds, and names as they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from radloop.cli.console import Commands
from radloop.cli.teeth import teeth as commands
from radloop.images.write import write_text
from radloop.systems.jaw.chart import DentalChart, ExtraTooth, ToothState, chart_to_json
from radloop.systems.jaw.chart_picture import mark_film
from radloop.systems.jaw.comparison import (
    STATES,
    State,
    base_rates,
    compare_charts,
    judge_change,
    rank_charts,
)
from radloop.systems.jaw.numbers import DECIDUOUS, NUMBERS, PERMANENT

CONDITION = {"restored": "restoration", "root-treated": "root_canal", "carious": "caries"}
CHARTS = st.dictionaries(st.sampled_from(NUMBERS), st.sampled_from(STATES), max_size=12)


def tooth(number: str, state: State) -> ToothState:
    if state == "missing" or state == "implant":
        return ToothState(number, state, 0.9)
    conditions = {CONDITION[state]: 0.7} if state in CONDITION else {}
    return ToothState(number, "present", 0.9, None, conditions)


def chart(states: dict[str, State]) -> DentalChart:
    return DentalChart("", {n: tooth(n, s) for n, s in states.items()})


@given(CHARTS, st.lists(CHARTS, max_size=6), st.integers(1, 300), st.data())
@settings(max_examples=60, deadline=None)
def test_impossible_changes_score_less_than_none(
    states: dict[str, State], others: list[dict[str, State]], times: int, data: st.DataObject
) -> None:
    rates = base_rates([chart(other) for other in others] * times)
    changed = dict(states)
    for number, before in states.items():
        impossible = [s for s in STATES if judge_change(number, before, s)[0] == "impossible"]
        changed[number] = data.draw(st.sampled_from([before, *impossible]))
    same = compare_charts(chart(states), chart(states), rates)
    other = compare_charts(chart(states), chart(changed), rates)
    assert {t.kind for t in same.teeth} <= {"concordant", "unknown"}
    assert other.score <= same.score + 1e-9


def test_what_nobody_has_does_not_speak_for_one_person() -> None:
    # Half of 1000 people lack the tooth, in nobody it is root treated.
    rates = base_rates([chart({"16": "missing"}), chart({"16": "sound"})] * 500)
    before = chart({"16": "missing"})
    regrown = compare_charts(before, chart({"16": "root-treated"}), rates)
    assert regrown.score < 0 < compare_charts(before, before, rates).score


def test_shares_follow_the_rates() -> None:
    own: dict[State, float] = {
        "sound": 0.4, "carious": 0.1, "restored": 0.2, "root-treated": 0.1, "missing": 0.1,
        "implant": 0.1,
    }  # fmt: skip
    rates = dict.fromkeys(NUMBERS, own)
    # Of a filled tooth: root-treated, missing, implant (.3) are explainable, the others (.5) not.
    for after, score in (
        ("restored", math.log(0.93 / 0.2)),
        ("missing", math.log(0.05 / 0.3)),
        ("sound", math.log(0.02 / 0.5)),
    ):
        later = chart({"26": after})  # type: ignore[dict-item]
        compared = compare_charts(chart({"26": "restored"}), later, rates)
        assert compared.score == pytest.approx(score)


@pytest.mark.parametrize("shares", [(0.0, 0.02), (0.05, 0.0), (0.9, 0.5), (-0.1, 0.02)])
def test_rates_of_change_that_leave_nothing(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="leave nothing"):
        compare_charts(chart({}), chart({}), None, *shares)


def test_order_in_time_matters() -> None:
    sound, filled = chart({"16": "sound"}), chart({"16": "restored"})
    assert compare_charts(sound, filled).count("explainable") == 1
    assert compare_charts(filled, sound).count("impossible") == 1


def test_deciduous_teeth_are_compared_when_one_chart_has_them() -> None:
    compared = compare_charts(chart({"55": "sound"}), chart({"55": "missing"}))
    assert len(compared.teeth) == len(PERMANENT) + 1
    assert compared.teeth[-1].reason == "shed since then"
    assert "55" in DECIDUOUS


def test_ties_are_ranked_by_name() -> None:
    same = chart({"16": "sound"})
    assert [name for name, _ in rank_charts(same, {"b": same, "a": same})] == ["a", "b"]


def test_an_extra_tooth_of_the_lower_jaw_is_marked_below() -> None:
    film = np.full((400, 400), 90, np.uint8)
    extra = ExtraTooth((100.0, 200.0, 140.0, 260.0), 0.5, "41")
    shown = mark_film(film, DentalChart("", {}, (extra,)))
    scale = shown.shape[0] // 400
    above, below = shown[: 196 * scale], shown[265 * scale :]
    assert (above == 90).all()
    assert not (below == 90).all()


def test_names_are_printed_as_they_are_and_refusals_are_never_quiet(tmp_path: Path) -> None:
    app = typer.Typer(cls=Commands)
    app.add_typer(commands, name="teeth")
    text = json.dumps(chart_to_json(chart({"16": "sound"})))
    write_text(tmp_path / "charts/film[b].json", text)
    write_text(tmp_path / "charts/broken.json", "{")
    first = str(tmp_path / "charts/film[b].json")
    outcome = CliRunner().invoke(app, ["teeth", "compare", first, str(tmp_path), "--quiet"])
    assert outcome.exit_code == 3
    assert "film[b]" in outcome.stdout
    assert "broken.json" in outcome.stderr
