"""Fractures in one and two stages, from boxes as drawn to findings, reports and exports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limbs import draw_limb, write_limbs

from radloop.cases.boxes.importing import import_voc
from radloop.cases.case import Case, Reference
from radloop.cases.split import split_cases
from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.evaluation.compare import compare
from radloop.evaluation.evaluate import evaluate
from radloop.images.image import Geometry, Image
from radloop.images.write import write_png
from radloop.inference.engine import open_engine
from radloop.inference.export import export_model
from radloop.inference.predict import PredictOptions, predict
from radloop.systems.ensemble import ensemble
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.model import Model
from radloop.systems.regions.decision import best_threshold, fit_decision, logit, probability
from radloop.systems.regions.film import cut, letterbox, to_film, to_square, within
from radloop.systems.registry import get_system

TINY = TrainOptions(preset="tiny", seed=1, quiet=True, device="cpu", epochs=40)


def table_of_limbs(folder: Path, **options) -> CaseTable:
    write_limbs(folder, 72, **options)
    report = import_voc(folder / "images", folder / "boxes", out=folder / "cases.csv")
    return split_cases(report.table, fractions=[0.5, 0.25, 0.25], seed=3)


@pytest.fixture(scope="module")
def breaks(tmp_path_factory) -> CaseTable:
    return table_of_limbs(tmp_path_factory.mktemp("breaks"), regions=False)


@pytest.fixture(scope="module")
def model(breaks, tmp_path_factory) -> Model:
    out = tmp_path_factory.mktemp("bone") / "model"
    return fit(get_system("bone_fracture"), breaks, out, TINY).model


@pytest.fixture(scope="module")
def wrists(tmp_path_factory) -> CaseTable:
    names = ("normal wrist", "fractured wrist")
    return table_of_limbs(tmp_path_factory.mktemp("wrists"), regions=True, names=names)


@pytest.fixture(scope="module")
def wrist_model(wrists, tmp_path_factory) -> Model:
    out = tmp_path_factory.mktemp("wrist") / "model"
    return fit(get_system("wrist_fracture"), wrists, out, TINY).model


def found_measures(report) -> dict[str, float]:
    return {name: one["value"] for name, one in report["measures"].items()}


def test_two_stages_find_breaks(model, breaks, tmp_path):
    report = evaluate(model, breaks, "test", tmp_path / "report", PredictOptions(device="cpu"))
    values = found_measures(report)
    assert values["auc"] > 0.9
    assert values["ap50"] > 0.5
    assert 0 <= values["map"] <= values["ap50"]
    assert {"froc", "ar", "best_overlap", "youden", "accuracy"} <= values.keys()
    page = (tmp_path / "report/report.html").read_text()
    assert "AP at an overlap of .5" in page
    assert len(report["plots"]) == 3


def test_two_reports_are_compared_by_their_boxes(model, breaks, tmp_path):
    for name in ("a", "b"):
        evaluate(model, breaks, "test", tmp_path / name, PredictOptions(device="cpu"))
    system = model.system
    outcome = compare(tmp_path / "a", tmp_path / "b", system.measures, resamples=50)
    by_name = {d.spec.name: d for d in outcome.differences}
    assert by_name["ap50"].paired.difference == 0
    assert by_name["ap50"].paired.n == 18


def test_findings_have_their_place_in_the_file(model, tmp_path):
    film, box = draw_limb(901, True, scale=3)
    write_png(tmp_path / "in/broken.png", film)
    write_png(tmp_path / "in/whole.png", draw_limb(902, False)[0])
    predict(model, [tmp_path / "in"], tmp_path / "out", PredictOptions("cpu", pictures=True))
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
    broken, whole = (json.loads(line) for line in lines)
    overall, region = broken["findings"][:2]
    assert overall["name"] == region["name"] == "fracture"
    assert overall["where"] == {}
    x0, y0, x1, y1 = region["where"]["box"]
    assert abs((x0 + x1) / 2 - (box[0] + box[2]) / 2) < 40
    assert abs((y0 + y1) / 2 - (box[1] + box[3]) / 2) < 40
    assert 0 <= x0 < x1 <= film.shape[1]
    assert overall["positive"]
    assert not whole["findings"][0]["positive"]
    assert len(whole["findings"]) == 1
    assert (tmp_path / "out/pictures/broken.jpg").is_file()


def test_engines_agree_and_exports_hold_the_parts(model, breaks, tmp_path):
    import openvino

    films = np.stack([draw_limb(k, k % 2 == 1)[0][:96, :96] for k in range(2)])[:, None]
    answers = [open_engine(model, name, "cpu").run(films) for name in ("torch", "openvino")]
    for rows, others in zip(*answers, strict=True):
        real = rows[:, 4] > 0.05
        np.testing.assert_allclose(rows[real], others[real], atol=2e-3)
    crops = films[..., :32, :32]
    judged = [open_engine(model, n, "cpu").run(crops, "regions") for n in ("torch", "openvino")]
    np.testing.assert_allclose(*judged, atol=1e-3)
    for format, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
        first = export_model(model, format, tmp_path / format)
        assert first.name == f"dense{suffix}"
        parts = sorted(p.stem for p in (tmp_path / format).glob(f"*{suffix}"))
        assert parts == ["dense", "regions"]
        core = openvino.Core()
        network = core.compile_model(core.read_model(first), "CPU")
        cells, whole = network([films[:1]])[0], network([films[:1]])[1]
        assert cells.shape[-1] == 6
        np.testing.assert_allclose(1 / (1 + np.exp(-whole[0, 0])), answers[0][0, 0, 4], atol=1e-3)


def test_a_black_film_has_its_answer(model, wrist_model, tmp_path):
    write_png(tmp_path / "black.png", np.zeros((80, 60), np.uint8))
    for one, name in ((model, "fracture"), (wrist_model, "wrist_not_found")):
        predict(
            one, [tmp_path / "black.png"], tmp_path / name, PredictOptions("cpu", pictures=True)
        )
        line = json.loads((tmp_path / name / "predictions.jsonl").read_text())
        assert line["verdict"]["status"] != "refused"
        assert line["findings"][0]["name"] in ("fracture", "wrist_not_found")


def test_wrists_are_judged_where_they_are(wrist_model, wrists, tmp_path):
    report = evaluate(wrist_model, wrists, "test", tmp_path, PredictOptions(device="cpu"))
    values = found_measures(report)
    assert values["auc"] > 0.85
    assert values["region_found"] > 0.8
    assert values["best_overlap"] > 0.5


def test_a_wrist_that_nobody_found_is_a_finding(wrist_model):
    system = get_system("wrist_fracture")
    image = Image(np.zeros((50, 40), np.uint8), Geometry((50, 40)))
    nothing = np.zeros((100, 6), np.float32)
    nothing[:, 5] = -1

    def look(film, stage=""):
        return np.array([5.0])

    for output in (nothing, _one_box(0.05)):
        read = system.interpret(image, output, {"crop": 32}, look)
        assert [f.name for f in read.findings] == ["wrist_not_found"]
        assert read.findings[0].positive
        assert read.verdict.status == "warned"
        row = system.judge(Case("a", "a", {"image": Path("a")}), image, read)
        assert row["region_found"] == 0
        assert "probability" not in row
    read = system.interpret(image, _one_box(0.9), {"crop": 32}, look)
    assert [f.name for f in read.findings] == ["wrist_fracture", "wrist_fracture"]
    assert read.findings[0].probability == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-3)


def _one_box(score: float):
    rows = np.zeros((100, 6), np.float32)
    rows[:, 5] = -1
    rows[0] = [0.3, 0.3, 0.6, 0.6, score, 0]
    return rows


@pytest.mark.parametrize(
    ("label", "broken"),
    [("wrist", None), ("Fractured wrist", True), ("wrist positive", True), ("no fracture", False),
     ("normal", False), ("non-fractured", False), ("distal radius", None), ("negative", False)],
)  # fmt: skip
def test_the_class_of_a_box_may_say_what_it_holds(label, broken):
    assert get_system("wrist_fracture").diseased(label) is broken


def test_training_without_boxes_or_with_one_class_only(breaks, tmp_path):
    system = get_system("bone_fracture")
    quick = replace(TINY, epochs=1)
    empty = [c for c in breaks.cases if int(c.case_id[1:]) % 2 == 0]
    none = replace(breaks, cases=tuple(empty))
    with pytest.raises(InputError, match="0 training and 0 validation regions"):
        fit(system, none, tmp_path / "both", quick)
    model = fit(system, none, tmp_path / "none", replace(quick, stage="detector")).model
    assert "weights" not in model.settings  # nothing to measure thresholds on
    assert (model.folder / "weights.safetensors").is_file()
    every = replace(breaks, cases=tuple(c for c in breaks.cases if c not in empty))
    model = fit(system, every, tmp_path / "all", quick).model
    report = evaluate(model, every, "test", tmp_path / "report", PredictOptions(device="cpu"))
    assert np.isnan(found_measures(report)["auc"] or np.nan)
    assert found_measures(report)["ap50"] is not None


def test_cases_without_known_boxes_are_left_out_and_named(breaks, tmp_path):
    cases = tuple(
        replace(c, reference=Reference()) if c.split == "train" and k % 3 == 0 else c
        for k, c in enumerate(breaks.cases)
    )
    report = fit(
        get_system("bone_fracture"), replace(breaks, cases=cases), tmp_path / "m",
        replace(TINY, epochs=1),
    )  # fmt: skip
    assert report.skipped
    assert all("has no boxes" in why for why in report.skipped.values())


def test_the_second_stage_alone_keeps_the_first(model, breaks, tmp_path):
    options = replace(TINY, epochs=1, stage="classifier", weights=str(model.folder))
    other = fit(get_system("bone_fracture"), breaks, tmp_path / "m", options).model
    ours, theirs = model.network().state_dict(), other.network().state_dict()
    assert all(ours[k].equal(theirs[k]) for k in ours if k.startswith("detector."))
    assert not all(ours[k].equal(theirs[k]) for k in ours if k.startswith("classifier."))


def test_a_broken_training_is_resumed(breaks, tmp_path):
    system, quick = get_system("bone_fracture"), replace(TINY, epochs=4)
    whole = fit(system, breaks, tmp_path / "whole", quick).model
    fit(system, breaks, tmp_path / "part", replace(quick, stage="detector"))
    for name in ("model.json", "weights.safetensors"):
        (tmp_path / "part" / name).unlink()
    resumed = fit(system, breaks, tmp_path / "part", replace(quick, resume=True)).model
    ours, theirs = whole.network().state_dict(), resumed.network().state_dict()
    for name, value in ours.items():
        if name.startswith("detector."):
            np.testing.assert_allclose(value.numpy(), theirs[name].numpy(), atol=1e-5)


def test_models_of_boxes_are_not_averaged(model, breaks, tmp_path):
    with pytest.raises(InputError, match="have no mean"):
        ensemble([str(model.folder)] * 2, breaks, tmp_path / "m")


def test_an_unknown_second_stage_is_refused(breaks, tmp_path):
    with pytest.raises(InputError, match="no classifier"):
        fit(get_system("bone_fracture"), breaks, tmp_path / "m",
            replace(TINY, network="yolox:mobilenetv3_small_050+nothing"))  # fmt: skip


# The pure parts.


@given(st.integers(20, 400), st.integers(20, 400), st.integers(16, 300), st.floats(0, 1),
       st.floats(0, 1))  # fmt: skip
def test_the_letterbox_is_undone(rows, columns, size, x, y):
    box = [[x * columns * 0.5, y * rows * 0.5, columns * 0.9, rows * 0.9]]
    there = to_square(box, (rows, columns), size)
    assert (there >= -1e-6).all()
    assert (there <= size + 1e-6).all()
    np.testing.assert_allclose(to_film(there, (rows, columns), size), box, atol=1e-6)


def test_the_letterbox_puts_pixels_where_it_puts_boxes():
    film = np.zeros((300, 180), np.uint8)
    film[60:120, 45:90] = 200
    square = letterbox(film, 150)
    x0, y0, x1, y1 = to_square([[45, 60, 90, 120]], (300, 180), 150)[0]
    rows, columns = np.nonzero(square > 100)
    np.testing.assert_allclose(
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [x0, y0, x1, y1], atol=1
    )


def test_a_crop_has_the_films_own_resolution_and_black_beyond_it():
    film = np.arange(100, dtype=np.uint8).reshape(10, 10) + 50
    np.testing.assert_array_equal(cut(film, (2, 3, 8, 9), 0.0, 6), film[3:9, 2:8])
    wide = cut(film, (0, 0, 6, 6), 0.5, 12)
    np.testing.assert_array_equal(wide[3:, 3:], film[:9, :9])
    assert (wide[:3] == 0).all()
    assert cut(film, (-50, -50, -40, -40), 0.1, 8).max() == 0
    assert within((-5, 2, 20, 30), (10, 12)) == (0, 2, 12, 10)


def test_the_decision_follows_the_evidence():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=200) < 0.5
    region = np.where(truth, 1.0, -1.0) + rng.normal(0, 1, 200)
    evidence = [
        {"region": r, "film": n} for r, n in zip(region, rng.normal(0, 1, 200), strict=True)
    ]
    settings = fit_decision(evidence, truth.tolist())
    assert settings["weights"]["region"] > 5 * abs(settings["weights"]["film"])
    assert probability({"region": 3.0, "film": 0.0}, settings) > 0.9
    assert fit_decision(evidence[:12], truth[:12].tolist()) == {}
    assert probability({"region": 2.0, "film": 0.0}, {}) == pytest.approx(1 / (1 + np.exp(-1)))
    assert logit(0.0) == -8.0
    scores = np.array([0.1, 0.2, 0.6, 0.9])
    assert best_threshold(scores, np.array([False, False, True, True])) == pytest.approx(0.4)
