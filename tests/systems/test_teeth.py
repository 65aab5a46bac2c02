"""`teeth` from boxes to chart, on phantom jaws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.importing import import_voc
from radloop.cases.boxes.voc import voc_text
from radloop.cases.case import Case, Reference
from radloop.cases.split import split_cases
from radloop.cases.table import CaseTable, read_cases, write_cases
from radloop.errors import InputError
from radloop.evaluation.evaluate import evaluate
from radloop.images.image import Geometry, Image
from radloop.images.write import write_png, write_text
from radloop.inference.engine import open_engine
from radloop.inference.predict import PredictOptions, predict
from radloop.systems.base import FoundBox
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.jaw.calibration import best_rule, best_threshold
from radloop.systems.jaw.chart import read_chart
from radloop.systems.jaw.conditions import (
    Condition,
    assign_conditions,
    boxes_of_mask,
    condition_of,
)
from radloop.systems.jaw.gaps import MOST
from radloop.systems.jaw.measures import MEASURES, f1, judge_conditions, judge_teeth
from radloop.systems.jaw.numbers import NUMBERS, PERMANENT, mirrored
from radloop.systems.jaw.phantom import COLUMNS, draw_jaw, write_jaws
from radloop.systems.jaw.reading import draw_up, findings_of
from radloop.systems.jaw.reference import FIRST_CONDITION, true_conditions, true_teeth
from radloop.systems.jaw.tooth import Tooth
from radloop.systems.model import Model
from radloop.systems.registry import get_system
from radloop.training.augmentation import training_transforms
from radloop.training.data import Films, Sample

TINY = TrainOptions(preset="tiny", epochs=35, quiet=True, device="cpu")


def table_of(folder: Path) -> CaseTable:
    path = folder / "jaws.csv"
    import_voc(folder / "images", folder / "boxes", out=path)
    write_cases(split_cases(read_cases(path), fractions=(0.6, 0.2, 0.2), seed=0), path)
    return read_cases(path)


@pytest.fixture(scope="module")
def jaws(tmp_path_factory: pytest.TempPathFactory) -> CaseTable:
    return table_of(write_jaws(tmp_path_factory.mktemp("jaws"), 30))


@pytest.fixture(scope="module")
def model(jaws: CaseTable, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return fit(get_system("teeth"), jaws, tmp_path_factory.mktemp("m") / "teeth", TINY).model


def teeth_of(jaw) -> list[Tooth]:
    return [Tooth(b.corners, 0.9, b.label) for b in jaw.boxes if b.label in NUMBERS]


def conditions_of(jaw) -> list[Condition]:
    return [Condition(b.label, b.corners, 0.8) for b in jaw.boxes if b.label not in NUMBERS]


# --- what a table says


def case_with(folder: Path, labels: list[str]) -> Case:
    film = FilmBoxes(200, 100, tuple(Box(10.0 * k, 5, 10.0 * k + 8, 60, label)
                                     for k, label in enumerate(labels)))  # fmt: skip
    write_png(folder / "images/a.png", np.full((100, 200), 90, np.uint8))
    write_text(folder / "boxes/a.xml", voc_text(film, "a.png"))
    import_voc(folder / "images", folder / "boxes", out=folder / "a.csv")
    return read_cases(folder / "a.csv").cases[0]


def test_boxes_are_teeth_or_conditions(tmp_path: Path) -> None:
    case = case_with(tmp_path, ["16", "Filling/Crown", "unclear", "75"])
    assert [t.number for t in true_teeth(case)] == ["16", "75"]
    assert [c.name for c in true_conditions(case)] == ["restoration"]
    image = Image(np.zeros((100, 200), np.uint8), Geometry((100, 200)))
    target = get_system("teeth").target(case, image, 100)
    assert target[:, 4].tolist() == [5, NUMBERS.index("75"), FIRST_CONDITION + 1]
    np.testing.assert_allclose(target[0, :4], [0, 5, 4, 60])  # squeezed to a square


def test_a_word_that_nobody_knows_is_named(tmp_path: Path) -> None:
    case = case_with(tmp_path, ["16", "spleen"])
    with pytest.raises(InputError, match="'spleen' is neither a tooth nor a condition"):
        true_conditions(case)


def test_a_case_without_boxes_and_masks_is_left_out_and_named(jaws: CaseTable) -> None:
    bare = replace(jaws.cases[0], reference=Reference())
    image = Image(np.zeros((9, 9), np.uint8), Geometry((9, 9)))
    with pytest.raises(InputError, match="neither boxes nor masks"):
        get_system("teeth").target(bare, image, 64)


def test_masks_of_caries_become_boxes(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[20:30, 40:60] = mask[70:90, 5:15] = 255
    mask[0, 0] = 255  # a slip of the pen
    assert boxes_of_mask(mask > 0) == [(40, 20, 60, 30), (5, 70, 15, 90)]
    write_png(tmp_path / "m.png", mask)
    write_png(tmp_path / "i.png", mask // 2)
    case = Case("a", "a", "val", {"": tmp_path / "i.png"},
                Reference(masks={"caries": tmp_path / "m.png"}))  # fmt: skip
    assert [c.name for c in true_conditions(case)] == ["caries", "caries"]
    assert true_teeth(case) is None


@pytest.mark.parametrize(
    "label, name",
    [("Caries", "caries"), ("deep decay", "caries"), ("Dental Implant", "implant"),
     ("root canal treatment", "root_canal"), ("Root_Canal", "root_canal"), ("RCT", "root_canal"),
     ("filling", "restoration"), ("Crown", "restoration"), ("unclear", "unclear"),
     ("molar", None)],
)  # fmt: skip
def test_conditions_by_the_words_people_use(label: str, name: str | None) -> None:
    assert condition_of(label) == name


# --- augmentation: left is left


def test_a_mirrored_film_shows_the_other_sides_teeth() -> None:
    system = get_system("teeth")
    jaw = draw_jaw(3, missing=(), conditions={})
    rows = [[*(v / 2.5 for v in b.corners), NUMBERS.index(b.label)] for b in jaw.boxes]
    film = system.prepare(Image(jaw.film, Geometry(jaw.film.shape)), 256)
    config = replace(system.presets["tiny"].recipe.augmentation, mirror=1.0, gamma=1, noise=0)
    films = Films([Sample(film, np.array(rows, np.float32))],
                  training_transforms(config, 256, system.swaps), 0)  # fmt: skip
    _, moved = films[0]
    for (x0, _, x1, _, label), before in zip(moved.tolist(), rows, strict=True):
        assert NUMBERS[int(label)] == mirrored(NUMBERS[int(before[4])])
        assert (x0, x1) == pytest.approx((256 - before[2], 256 - before[0]), abs=1e-3)


# --- conditions on their teeth, and the chart


@pytest.mark.parametrize("seed", range(12))
def test_the_chart_of_a_perfect_reading_is_the_phantom(seed: int) -> None:
    jaw = draw_jaw(seed)
    teeth, conditions = teeth_of(jaw), conditions_of(jaw)
    chart = draw_up(teeth, conditions, {"whole": True, "missing": {"between": 0.9, "end": 0.7}})
    there = {t.number for t in teeth}
    assert {n for n, s in chart.teeth.items() if s.status == "present"} == there
    assert set(chart.teeth) == set(PERMANENT)
    drawn = sum(c.name == "implant" for c in conditions)
    placed = [n for n, s in chart.teeth.items() if s.status == "implant"]
    # Neighbouring implants may compete for a place; one alone is never lost.
    assert len(placed) >= min(drawn, 1) and set(placed).isdisjoint(there)
    for one in conditions:
        on = [n for n in there if one.name in chart.teeth[n].conditions]
        assert one.name == "implant" or on


def test_an_implant_stands_in_the_place_between_its_neighbours() -> None:
    jaw = draw_jaw(5, missing={"25", "46", "18"}, conditions={"25": "implant", "46": "implant"})
    placed = assign_conditions(conditions_of(jaw), teeth_of(jaw), ("18", "25", "46"))
    assert sorted(c.tooth for c in placed) == ["25", "46"]
    alone = assign_conditions(conditions_of(jaw), [], ())
    assert {c.tooth for c in alone} == {""}


def test_findings_say_which_tooth_with_its_code() -> None:
    jaw = draw_jaw(2, missing={"36", "18"}, conditions={"16": "caries", "36": "implant"})
    settings = {"whole": True, "missing": {"between": 0.9, "end": 0.7}, "found": 0.4}
    extra = Tooth((1, 1, 9, 20), 0.6, "")
    findings = findings_of(draw_up([*teeth_of(jaw), extra], conditions_of(jaw), settings), settings)
    by_name: dict[str, list] = {}
    for finding in findings:
        by_name.setdefault(finding.name, []).append(finding)
    assert {name: len(f) for name, f in by_name.items()} == {
        "caries": 1, "implant": 1, "missing_tooth": 1, "extra_tooth": 1, "tooth": 30,
    }  # fmt: skip
    caries = by_name["caries"][0]
    assert caries.where["tooth"] == "16"
    assert caries.where["tooth_code"]["value"] == "865995000"  # upper right first molar
    assert by_name["missing_tooth"][0].where["tooth"] == "18"
    assert by_name["missing_tooth"][0].probability == 0.7 and by_name["missing_tooth"][0].positive
    assert by_name["implant"][0].where["tooth"] == "36"
    assert findings[-1].name == "tooth"  # what is there comes last


def test_of_part_of_an_arch_nothing_beyond_it_is_missing() -> None:
    jaw = draw_jaw(2, missing={"15"}, conditions={})
    part = [t for t in teeth_of(jaw) if t.number in ("17", "16", "14", "13")]
    chart = draw_up(part, [], {"whole": False})
    assert {n: s.status for n, s in chart.teeth.items() if s.status == "missing"} == {
        "15": "missing"
    }


# --- measures


def test_numbering_is_counted_by_hand() -> None:
    true = [
        Tooth((20.0 * k, 0, 20.0 * k + 18, 60), 1.0, n) for k, n in enumerate(("18", "17", "15"))
    ]

    def box(k: int, label: str) -> FoundBox:
        return FoundBox(true[k].corners, 0.9, score=0.9, label=label)

    steps = {"filtered": (box(0, "18"), box(1, "16")), "charted": (box(0, "18"), box(1, "17"))}
    row = judge_teeth(true, [Tooth(true[0].corners, 0.9, "18")], steps, ["16", "28"])
    assert row["filtered_right"] == 1 and row["filtered_said"] == 2 and row["teeth"] == 3
    assert row["charted_right"] == 2 and row["gained"] == 1
    assert row["tooth_18"] == 1 and row["tooth_15"] == 0 and "tooth_11" not in row
    assert row["overlap_sum"] == pytest.approx(2) and row["overlap_count"] == 2
    # Of 32 places 3 are not missing; 16 and 28 are, and 27 others were not said.
    assert row["missing_hit"] == 2 and row["missing_true"] == 29 and row["missing_right"] == 5
    assert row["f1"] == pytest.approx(2 * 2 / (2 + 3))
    assert f1(np.array([]), np.array([]), np.array([])) != f1(np.array([1.0]), np.array([1.0]),
                                                              np.array([1.0]))  # fmt: skip
    found = np.array(row["found_tooth"])
    assert found.shape == (1, 9) and int(found[0, 2]) == 2**10 - 1  # a hit at every overlap


def test_conditions_are_counted_by_name() -> None:
    true = [Condition("caries", (0, 0, 10, 10), 1.0), Condition("implant", (50, 0, 60, 40), 1.0)]
    near = FoundBox((0, 0, 10, 9), 0.7, score=0.7, label="caries")
    wrong = FoundBox((50, 0, 60, 40), 0.6, score=0.6, label="caries")
    row = judge_conditions(true, [near, wrong], [near, wrong])
    assert (row["caries_hit"], row["caries_said"], row["caries_true"]) == (1, 2, 1)
    assert (row["implant_hit"], row["implant_said"], row["implant_true"]) == (0, 0, 1)


def test_gaps_count_only_where_they_help() -> None:
    """An upper arch that lost its second molar, so that the third stands beside the first."""
    jaw = draw_jaw(2, missing={"17"}, conditions={})
    true = [t for t in teeth_of(jaw) if t.number[0] in "12"]
    mistaken = [replace(t, number="17") if t.number == "18" else t for t in true]

    def look(missing: int) -> Any:
        def gaps(rows: np.ndarray, *stage: str) -> np.ndarray:
            logits = np.full((len(rows), MOST + 1), -9.0)
            logits[:, 0] = 9.0
            logits[0] = -9.0
            logits[0, missing] = 9.0
            return logits

        return gaps

    assert best_rule([(true, mistaken, 640.0)], "align", look(missing=1)) == "align"
    assert best_rule([(true, true, 640.0)], "align", look(missing=0)) == "align_alone"
    assert best_rule([(true, true, 640.0)], "slide", look(missing=0)) == "slide"


def test_the_threshold_is_where_f1_peaks() -> None:
    true = [(0.0, 0.0, 10.0, 10.0)]
    films = [([(true[0], 0.62), ((50.0, 0.0, 60.0, 9.0), 0.33)], true)] * 3
    assert 0.33 < best_threshold(films) <= 0.62
    assert best_threshold([([], [])]) == 0.5


# --- end to end


def test_a_trained_model_charts_a_jaw(jaws: CaseTable, model: Model, tmp_path: Path) -> None:
    assert model.settings["whole"] is True and model.settings["rule"].startswith("align")
    assert set(model.settings["conditions"]) <= {"caries", "restoration", "root_canal", "implant"}
    tests = jaws.only("test").cases
    summary = predict(model, [c.image for c in tests], tmp_path, PredictOptions(pictures=True))
    assert summary.refused == 0
    for line in (tmp_path / "predictions.jsonl").read_text().splitlines():
        case = json.loads(line)
        chart = read_chart(tmp_path / case["files"]["chart"])
        assert chart.case_id == case["case_id"]
        assert (tmp_path / case["files"]["picture"]).is_file()
        assert (tmp_path / case["files"]["chart_picture"]).is_file()
        teeth = [f for f in case["findings"] if f["name"] == "tooth"]
        numbers = [f["where"]["tooth"] for f in teeth]
        assert len(numbers) == len(set(numbers)) > 5
        assert all(f["code"]["scheme"] == "SCT" and "box" in f["where"] for f in teeth)


def test_the_report_compares_the_rules(jaws: CaseTable, model: Model, tmp_path: Path) -> None:
    report = evaluate(model, jaws, "test", tmp_path)
    measures = report["measures"]
    assert {m.name for m in MEASURES if m.name.startswith("ap_")} - {"ap_diagnosis"} <= set(
        measures
    )
    assert measures["ap50_tooth"]["value"] > 0.3
    for step in ("detected", "filtered", "slid", "aligned_alone", "aligned", "charted"):
        assert 0 <= measures[f"precision_{step}"]["value"] <= 1
    assert "gained" in measures and "missing_accuracy" in measures and "found_11" in measures
    assert (tmp_path / "report.html").is_file()


def test_both_engines_say_the_same(jaws: CaseTable, model: Model) -> None:
    system = get_system("teeth")
    reading = system.read(jaws.cases[0].image)
    film = system.prepare(reading.image, model.size)[None, None]
    answers = [open_engine(model, name, "cpu").run(film)[0] for name in ("torch", "openvino")]
    np.testing.assert_allclose(*answers, atol=1e-3)
    side = model.settings["side"]
    small = film[..., :side, :side]
    both = [open_engine(model, n, "cpu").run(small, "conditions") for n in ("torch", "openvino")]
    np.testing.assert_allclose(*both, atol=1e-3)


def test_stages_train_alone(jaws: CaseTable, model: Model, tmp_path: Path) -> None:
    options = replace(TINY, weights=str(model.folder), epochs=1)
    gaps = fit(get_system("teeth"), jaws, tmp_path / "gaps", replace(options, stage="gaps"))
    assert set(gaps.model.settings) == set(model.settings)
    before, after = model.network().state_dict(), gaps.model.network().state_dict()
    same = {name: bool((before[name] == after[name]).all()) for name in before}
    assert all(same[name] for name in same if name.startswith(("teeth.", "conditions.")))
    with pytest.raises(InputError, match="no stage 'roots'"):
        fit(get_system("teeth"), jaws, tmp_path / "x", replace(options, stage="roots"))
    with pytest.raises(InputError, match="no detector of conditions"):
        fit(
            get_system("teeth"), jaws, tmp_path / "y",
            replace(TINY, preset="strong", epochs=1, stage="conditions"),
        )  # fmt: skip


def test_a_film_without_teeth_is_for_a_reader(model: Model, tmp_path: Path) -> None:
    grain = np.random.default_rng(0).integers(0, 3, (64, 128)).astype(np.uint8)
    write_png(tmp_path / "black.png", grain)
    predict(model, [tmp_path / "black.png"], tmp_path / "out", PredictOptions(pictures=True))
    case = json.loads((tmp_path / "out/predictions.jsonl").read_text())
    if not [f for f in case["findings"] if f["name"] == "tooth"]:
        assert case["verdict"]["code"] == "no_teeth_found"


def test_phantoms_are_marked_and_fit_their_film() -> None:
    for seed in range(20):
        jaw = draw_jaw(seed)
        assert jaw.film.shape == (320, COLUMNS)
        assert all(0 <= b.x0 < b.x1 <= COLUMNS and 0 <= b.y0 < b.y1 <= 320 for b in jaw.boxes)
        numbers = [b.label for b in jaw.boxes if b.label in NUMBERS]
        assert len(numbers) == len(set(numbers))
        assert (jaw.film[290:315, 5:110] > 250).sum() > 200  # the word PHANTOM
    assert (draw_jaw(4).film == draw_jaw(4).film).all()


def test_a_stage_keeps_what_was_measured_of_the_others(
    jaws: CaseTable, model: Model, tmp_path: Path
) -> None:
    only = tmp_path / "conditions"
    for k in range(6):  # another collection: fillings alone
        jaw = draw_jaw(900 + k)
        fillings = tuple(b for b in jaw.boxes if b.label == "restoration")
        write_png(only / f"images/f{k}.png", jaw.film)
        film = FilmBoxes(COLUMNS, 320, fillings)
        write_text(only / f"boxes/f{k}.xml", voc_text(film, f"f{k}.png"))
    options = replace(TINY, weights=str(model.folder), epochs=1, stage="conditions")
    table = table_of(only)
    settings = fit(get_system("teeth"), table, tmp_path / "m", options).model.settings
    assert settings["found"] == model.settings["found"]
    assert settings["missing"] == model.settings["missing"] and settings["whole"] is True
    assert set(settings["conditions"]) <= {"restoration"}
