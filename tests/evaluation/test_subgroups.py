"""Subgroups: bands, a difference that is found, none that is invented."""

import numpy as np
import pytest
from asked import FIGURES, asked
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radloop.errors import InputError
from radloop.evaluation.question import answers, questions_of
from radloop.evaluation.rows import numeric_columns, patients_of
from radloop.evaluation.subgroups import bands, share_interval, subgroups
from radloop.measures.interval import wilson
from radloop.measures.spec import MeasureSpec


def judged(rows):
    columns, patients = numeric_columns(rows), patients_of(rows)
    asked_of = {q.title: answers(q, columns, patients) for q in questions_of(FIGURES, columns)}
    return asked_of, columns, patients


def of(rows, name="about:site"):
    return {name.removeprefix("about:"): [str(row[name]) for row in rows]}


def test_a_site_where_the_model_fails_is_found():
    rows = asked(400, worse_in="south")
    questions, columns, patients = judged(rows)
    found = subgroups(of(rows) | of(rows, "about:sex"), questions, columns, patients)
    p = {(d.column, d.measure): d.corrected for d in found.differences}
    assert p["site", "Film: AUC"] < 0.01
    assert p["site", "Film: sensitivity"] < 0.02
    assert p["sex", "Film: AUC"] > 0.05
    area = {g.name: g.interval.value for g in found.groups if g.measure == "Film: AUC"}
    assert area["south"] < 0.6 < 0.85 < area["north"]


def test_no_difference_is_invented():
    ps = []
    for seed in range(60):
        rows = asked(120, seed=seed)
        questions, columns, patients = judged(rows)
        found = subgroups(of(rows), questions, columns, patients, seed=seed)
        ps += [[d.p for d in found.differences]]
    small = (np.array(ps) <= 0.05).mean(axis=0)
    assert (small < 0.15).all()  # 5 % of 60, with its scatter


def test_the_test_of_shares_is_that_of_the_margins():
    # One case a patient: dealing is Fisher's exact test, up to the drawn permutations.
    right = np.r_[np.ones(12), np.zeros(3), np.ones(4), np.zeros(9)].astype(bool)
    rows = [
        {"case_id": f"c{k}", "patient_id": f"p{k}", "probability": 0.9 if hit else 0.1,
         "positive": 1.0, "called": float(hit)}
        for k, hit in enumerate(right)
    ]  # fmt: skip
    questions, columns, patients = judged(rows)
    found = subgroups({"site": ["a"] * 15 + ["b"] * 13}, questions, columns, patients)
    p = next(d.p for d in found.differences if "sensitivity" in d.measure)
    assert p == pytest.approx(stats.fisher_exact([[12, 3], [4, 9]]).pvalue, abs=0.01)


def test_measures_without_a_question_have_groups_too():
    rng = np.random.default_rng(0)
    rows = {"dice": np.r_[rng.normal(0.9, 0.02, 40), rng.normal(0.7, 0.02, 40)]}
    spec = MeasureSpec("dice", ("dice",), lambda x: float(np.mean(x)), "Dice")
    patients = [f"p{k}" for k in range(80)]
    cells = {"scanner": ["a"] * 40 + ["b"] * 40}
    found = subgroups(cells, {}, rows, patients, [spec], resamples=200)
    assert [g.name for g in found.groups] == ["all cases", "a", "b"]
    assert found.differences[0].corrected < 0.001


def test_unknown_cells_are_in_no_group_and_small_ones_are_marked():
    rows = asked(100)
    questions, columns, patients = judged(rows)
    cells = ["a"] * 60 + ["b"] * 5 + [""] * 35
    found = subgroups({"site": cells}, questions, columns, patients)
    groups = {g.name: g for g in found.groups if g.column and "specificity" in g.measure}
    assert set(groups) == {"a", "b"}
    assert groups["b"].few
    assert not groups["a"].few


def test_a_share_of_single_cases_is_wilsons_and_of_patients_wider():
    right = np.array([True] * 30 + [False] * 10)
    single = np.array([f"p{k}" for k in range(40)])
    assert share_interval(right, single) == wilson(30, 40)
    clustered = share_interval(right, np.array([f"p{k // 10}" for k in range(40)]))
    assert clustered.high - clustered.low > wilson(30, 40).high - wilson(30, 40).low


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_every_number_is_in_the_band_that_names_it(values):
    cells = ["" if v is None else repr(v) for v in values]
    if len({v for v in values if v is not None}) <= 6:
        assert bands(cells) == cells
        return
    for value, band in zip(values, bands(cells, (-10.0, 0.0, 25.0)), strict=True):
        if value is None:
            assert band == ""
        elif band.startswith("<"):
            assert value < -10
        elif band.startswith("≥"):
            assert value >= 25
        else:
            low, high = map(float, band.split(" to < "))
            assert low <= value < high


def test_ages_and_sizes_are_cut_by_themselves():
    ages = [str(k) for k in range(10, 95, 5)]
    assert set(bands(ages, name="age")) == {
        "< 18", "18 to < 40", "40 to < 60", "60 to < 80", "≥ 80"
    }  # fmt: skip
    thirds = bands([str(k / 7) for k in range(90)], name="volume_ml")
    assert [thirds.count(name) for name in dict.fromkeys(thirds)] == [29, 30, 31]
    assert bands(["1", "2", "1"], name="grade") == ["1", "2", "1"]


def test_names_are_no_groups():
    with pytest.raises(InputError, match="13 different values"):
        bands([f"hospital {k}" for k in range(13)], name="site")
