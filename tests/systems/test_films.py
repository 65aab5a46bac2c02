"""Whole films: questions of a table, one network for all of them, findings, reports, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films_made import SHAPES, draw_card, write_cards
from typer.testing import CliRunner

from radloop.cases.case import Case, Reference
from radloop.cases.table import CaseTable, read_cases
from radloop.cli.main import app
from radloop.errors import InputError
from radloop.evaluation.compare import compare
from radloop.evaluation.evaluate import evaluate
from radloop.evaluation.pool import columns_of, pool
from radloop.images.image import Geometry, Image
from radloop.images.write import write_png
from radloop.inference.predict import PredictOptions, predict
from radloop.service.worklist import order
from radloop.systems.ensemble import ensemble
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.model import Model, save_model
from radloop.systems.registry import get_system

TINY = TrainOptions(preset="tiny", seed=1, quiet=True, device="cpu", epochs=16)
CPU = PredictOptions("cpu", "torch")
run = CliRunner()


@pytest.fixture(scope="module")
def cards(tmp_path_factory) -> CaseTable:
    return write_cards(tmp_path_factory.mktemp("cards"), 72)


@pytest.fixture(scope="module")
def model(cards, tmp_path_factory) -> Model:
    out = tmp_path_factory.mktemp("cards-model") / "model"
    return fit(get_system("film_classification"), cards, out, TINY).model


def values_of(report) -> dict[str, float]:
    return {name: one["value"] for name, one in report["measures"].items()}


def a_case(**labels: bool) -> Case:
    stated = {name.replace("__", ":"): value for name, value in labels.items()}
    return Case("c", "p", {"image": Path("f.png")}, reference=Reference(labels=stated))


def test_one_network_answers_the_questions_of_a_table(model, cards, tmp_path):
    assert model.info["options"]["questions"] == {
        "crack": [],
        "shape": list(SHAPES),
        "laterality": ["left", "right"],
    }
    report = evaluate(model, cards, "val", tmp_path / "report", CPU)
    values = values_of(report)
    assert values["crack_auc"] > 0.95
    assert values["shape_accuracy"] > 0.9
    assert values["laterality_balanced_accuracy"] > 0.9
    assert report["measures"]["shape_accuracy"]["n"] < report["measures"]["crack_auc"]["n"]
    page = (tmp_path / "report/report.html").read_text()
    assert "Shape, ring: recall" in page
    assert len(report["plots"]) == 4  # ROC and reliability, and two confusion matrices


def test_findings_say_what_was_answered(model, cards, tmp_path):
    film, _ = draw_card(901, True, "ring", left=False)
    write_png(tmp_path / "in/film.png", film)
    predict(model, [tmp_path / "in"], tmp_path / "out", replace(CPU, pictures=True))
    line = json.loads((tmp_path / "out/predictions.jsonl").read_text())
    crack, shape, side = line["findings"]
    assert (crack["name"], crack["positive"], crack["where"]) == ("crack", True, {})
    assert crack["probability"] >= crack["threshold"]
    assert (shape["name"], shape["where"], shape["code"]["value"]) == (
        "shape", {"class": "ring"}, "SHAPE-RING",
    )  # fmt: skip
    assert side["where"] == {"class": "right"}
    assert side["code"] == {"value": "24028007", "scheme": "SCT", "meaning": "Right"}
    for kind in ("film", "film-heat"):
        assert (tmp_path / f"out/pictures/{kind}.jpg").is_file()


def test_which_class_a_film_is_orders_no_worklist(model, cards, tmp_path):
    from radloop.findings.forms import read_predictions

    for name, crack in (("a", False), ("b", True)):
        write_png(tmp_path / f"in/{name}.png", draw_card(77, crack, "bar", left=True)[0])
    predict(model, [tmp_path / "in"], tmp_path / "out", CPU)
    first, second = order(read_predictions(tmp_path / "out"))
    assert (first.prediction.case_id, first.group) == ("b", "positive")
    assert first.finding is not None
    assert first.finding.name == "crack"
    assert second.group != "positive"


def test_folds_are_pooled_compared_and_joined(tmp_path):
    import torch

    table = one_question(write_cards(tmp_path, 24, folds=2))
    system = get_system("film_classification")
    options = replace(TINY, epochs=1)
    models = [
        fit(system, table, tmp_path / f"m{k}", replace(options, fold=k)).model for k in (0, 1)
    ]
    reports = []
    for k, one in enumerate(models):
        reports.append(tmp_path / f"r{k}")
        evaluate(one, table, f"fold{k}", reports[-1], replace(CPU, pictures=False))
    pooled = pool(reports, system, tmp_path / "pooled")
    assert pooled["measures"]["crack_auc"]["n"] == 24
    assert len(pooled["plots"]) == 2
    measures = system.reporting(columns_of(reports[0])).measures
    outcome = compare(reports[0], reports[0], measures, resamples=20)
    assert {d.spec.name: d for d in outcome.differences}["crack_auc"].paired.difference == 0
    made = ensemble([str(tmp_path / f"m{k}") for k in (0, 1)], table, tmp_path / "joined")
    film = torch.zeros(1, 1, 64, 64)
    with torch.inference_mode():
        answers = [m.network()(film).numpy() for m in (*models, made.model)]
    np.testing.assert_allclose(np.mean(answers[:2], axis=0), answers[2], atol=2e-2)
    assert set(made.apart) == {0, 1}


def one_question(table: CaseTable) -> CaseTable:
    """The table with the label of cracks alone."""
    rows = [line.split(",")[:5] for line in table.path.read_text().splitlines()]
    table.path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return read_cases(table.path)


def test_declared_questions_take_their_classes_from_the_table(tmp_path):
    table = write_cards(tmp_path, 12)
    text = table.path.read_text().replace("label:crack", "label:fracture")
    table.path.write_text(text.replace("label:shape:", "label:body_part:"))
    system = get_system("limb_film")
    preset = system.declared(system.presets["tiny"], read_cases(table.path).cases)
    assert preset.options["questions"] == {
        "fracture": [],
        "body_part": list(SHAPES),
        "laterality": ["left", "right"],
    }
    configured = system.configured(preset.options)
    assert configured.swaps == {4: 5, 5: 4}


def test_the_command_checks_the_maps_of_a_model(model, cards):
    command = ["model", "sanity", str(model.folder), str(cards.path), "--count", "6"]
    outcome = run.invoke(app, [*command, "--output", "crack", "--steps", "2", "--json"])
    found = json.loads(outcome.stdout)
    assert (found["output"], found["films"] + found["empty"]) == ("crack", 6)
    assert [step["layer"] for step in found["cascade"]] == [
        "network.head", "network.encoder.conv_stem",
    ]  # fmt: skip
    assert outcome.exit_code == (0 if found["lost"] else 1)
    assert "what was learned" in outcome.stderr or "outlive" in outcome.stderr


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["MODEL", "FILMS", "--output", "ring"], "'ring' is no answer"),
        (["cardiomegaly", "FILMS"], "does not answer questions about whole films"),
        (["MODEL", "BLACK"], "0 have a map of 'crack'"),
    ],
)
def test_what_the_check_cannot_be_asked(words, match, model, cards, tmp_path):
    write_png(tmp_path / "black.png", np.zeros((64, 64), np.uint8))
    stands = {"MODEL": model.folder, "FILMS": cards.path, "BLACK": tmp_path / "black.png"}
    if "BLACK" in words:
        stands["MODEL"] = silenced(model, tmp_path / "silent").folder
    given = [str(stands.get(word, word)) for word in words]
    outcome = run.invoke(app, ["model", "sanity", *given])
    assert (outcome.exit_code, match in outcome.stderr) == (2, True), outcome.stderr


def silenced(model: Model, folder: Path) -> Model:
    """The model with a head of zeros: no place speaks for any answer."""
    import torch

    weights = model.network().state_dict()
    weights["network.head.weight"] = torch.zeros_like(weights["network.head.weight"])
    return save_model(folder, weights, model.info)


def test_labels_that_teach_nothing_are_told(tmp_path):
    cases = [a_case(a=True, b=True, q__x=True), a_case(a=False, b=True, q__y=True)]
    system = get_system("film_classification")
    options = system.declared(system.presets["tiny"], cases).options
    assert options["questions"] == {"a": [], "q": ["x", "y"]}
    assert options["not_asked"] == {"b": "every case is 1"}
    assert "not asked: b (every case is 1)" in system.configured(options).card_notes({})
    with pytest.raises(InputError, match="no label that can be learned"):
        system.declared(system.presets["tiny"], [a_case(b=True)])


def test_a_mirror_is_refused_where_a_side_has_no_counterpart():
    system = get_system("film_classification")
    cases = [a_case(left_effusion=True), a_case(left_effusion=False)]
    system.declared(system.presets["strong"], cases)
    with pytest.raises(InputError, match="'left_effusion' names a side"):
        system.declared(system.presets["mirror"], cases)
    both = [
        a_case(left_effusion=True, right_effusion=False),
        a_case(left_effusion=False, right_effusion=True),
    ]
    preset = system.declared(system.presets["mirror"], both)
    assert system.configured(preset.options).swaps == {0: 1, 1: 0}


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ({"fracture__arm": True}, "labels of 'fracture'"),
        ({"body_part": True}, "labels of 'body_part'"),
        ({"laterality__left": True, "laterality__both": True}, "'both' is no answer"),
        ({"other": True}, "answer none"),
    ],
)
def test_labels_of_another_form_are_errors(labels, match):
    system = get_system("limb_film")
    cases = [a_case(**labels), a_case(**dict.fromkeys(labels, False))]
    cases += [a_case(fracture__leg=True)] if "fracture__arm" in labels else []
    with pytest.raises(InputError, match=match):
        system.declared(system.presets["tiny"], cases)


def test_a_case_without_answers_is_left_out_with_its_reason(model):
    image = Image(draw_card(3, True, "bar", left=True)[0], Geometry((80, 96)))
    with pytest.raises(InputError, match="no answer is known"):
        model.system.target(a_case(other=True), image, 64)
    with pytest.raises(InputError, match="2 answers to 'shape'"):
        model.system.target(a_case(shape__bar=True, shape__ring=True), image, 64)
    known = model.system.target(a_case(crack=False, shape__ring=True, shape__bar=False), image, 64)
    np.testing.assert_array_equal(known, [0, 0, 1, 0, np.nan, np.nan])


def test_contrast_is_part_of_a_preset(cards):
    system = get_system("film_classification")
    film = Image(draw_card(3, True, "bar", left=True)[0], Geometry((80, 96)))
    seen = {}
    for name in ("strong", "equalise", "clahe"):
        preset = system.declared(
            replace(system.presets[name], network="resnet18", options={}), cards.cases
        )
        seen[name] = system.configured(preset.options).prepare(film, 96)
    inside = slice(8, 88)  # the film in its black square
    assert seen["equalise"][inside].std() > 1.3 * seen["strong"][inside].std()
    assert len({s.tobytes() for s in seen.values()}) == 3
