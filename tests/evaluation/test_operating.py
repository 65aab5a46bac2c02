"""Operating points: chosen with a promise, given to a copy of the model, told by the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from asked import FIGURES, MEASURES, asked
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.errors import InputError
from radloop.evaluation.about import About
from radloop.evaluation.evaluate import operating_point_of
from radloop.evaluation.operating import choose_point, give_point
from radloop.evaluation.report import write_report
from radloop.measures.conformal import lowest_of_patients, threshold_with_confidence
from radloop.systems.film_classification import FilmClassification
from radloop.systems.model import load_model
from radloop.systems.registry import get_system

SYSTEM = get_system("bone_fracture")
run = CliRunner()


def write(folder: Path, rows=None, system: str = SYSTEM.name, **options) -> Path:
    write_report(folder, system=system, model={"name": "m"}, rows=asked() if rows is None else rows,
                 measures=MEASURES, figures=FIGURES, resamples=20, **options)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("points") / "report")


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "card.md").write_text("# A model\n")
    info = {"format": 1, "name": "m", "version": "1", "sha256": "00", "system": SYSTEM.name,
            "settings": {"threshold": 0.4, "other": 1}, "recipe": {"size": 64}}  # fmt: skip
    (folder / "model.json").write_text(json.dumps(info))
    return folder


def positives(rows):
    """Scores and patients of the judged positive cases."""
    rows = [row for row in rows if row["verdict"] == "accepted" and row["positive"]]
    return [row["probability"] for row in rows], [str(row["patient_id"]) for row in rows]


def test_the_point_is_the_promised_one_of_the_reports_patients(report):
    chosen = choose_point(report, SYSTEM, 0.9, 0.8)
    lowest = lowest_of_patients(*positives(asked()))
    exact = threshold_with_confidence(lowest, 0.9, 0.8)
    promise = chosen.guarantee
    assert exact.threshold * (1 - 1e-3) < promise.threshold <= exact.threshold
    assert promise.missed == np.sum(lowest < promise.threshold)
    assert (promise.aim, promise.confidence, promise.positives) == (0.9, 0.8, lowest.size)
    assert chosen.by_patient
    assert "patients with positive cases" in chosen.sentence()
    negative = [r for r in asked() if r["verdict"] == "accepted" and not r["positive"]]
    spared = np.mean([row["probability"] < promise.threshold for row in negative])
    assert chosen.specificity.value == pytest.approx(spared)


def test_single_cases_are_promised_as_cases(tmp_path):
    rows = [row | {"patient_id": row["case_id"]} for row in asked()]
    chosen = choose_point(write(tmp_path / "report", rows), SYSTEM, 0.9, None)
    assert not chosen.by_patient
    scores, _ = positives(rows)
    # At most a tenth of (n + 1), one of them the new case, may lie below.
    assert chosen.guarantee.missed == math.floor(0.1 * (len(scores) + 1)) - 1
    assert "on average" in chosen.sentence()


def test_too_few_say_how_many_are_needed(report):
    # 0.995 ** 459 is still more than 0.1: with 459 positives all found, nothing is sure.
    assert 0.995**460 <= 0.1 < 0.995**459
    with pytest.raises(InputError, match="460 are the fewest"):
        choose_point(report, SYSTEM, 0.995, 0.9)
    none = [row | {"positive": 0.0} for row in asked(20)]
    with pytest.raises(InputError, match="0 positive cases cannot promise"):
        choose_point(write(report.parent / "none", none), SYSTEM, 0.9, 0.9)


@pytest.mark.parametrize(("sensitivity", "confidence"), [(1.0, 0.9), (0.0, 0.9), (0.9, 1.0)])
def test_what_is_no_share_is_refused(report, sensitivity, confidence):
    with pytest.raises(InputError, match="shares between 0 and 1"):
        choose_point(report, SYSTEM, sensitivity, confidence)


def test_training_cases_promise_nothing(tmp_path):
    own = write(tmp_path / "own", about=About("cases.csv", 200, 180, "train"))
    with pytest.raises(InputError, match="trained on: they promise nothing"):
        choose_point(own, SYSTEM, 0.9)


def test_a_question_that_was_not_asked(report, tmp_path):
    with pytest.raises(InputError, match="has no question 'Heart'") as caught:
        choose_point(report, SYSTEM, 0.9, question="Heart")
    assert "Film" in str(caught.value)
    with pytest.raises(InputError, match="asks no yes-or-no question"):
        choose_point(report, get_system("multiple_sclerosis"), 0.9)
    with pytest.raises(InputError, match=r"no readable report\.json"):
        choose_point(tmp_path, SYSTEM, 0.9)


def test_a_copy_of_the_model_gets_the_point_and_remembers_the_old_one(report, model, tmp_path):
    before = (model / "model.json").read_text()
    chosen = choose_point(report, SYSTEM, 0.9)
    changed = give_point(load_model(str(model)), chosen, tmp_path / "changed")
    assert (model / "model.json").read_text() == before
    assert (tmp_path / "changed/weights.safetensors").read_bytes() == b"weights"
    assert changed.settings == {"threshold": chosen.guarantee.threshold, "other": 1}
    point = operating_point_of(changed)
    assert (point["before"], point["setting"]) == (0.4, "threshold")
    assert point["aim"] == chosen.sentence()
    card = (tmp_path / "changed/card.md").read_text()
    assert card.startswith("# A model")
    assert chosen.sentence() in card
    with pytest.raises(InputError, match="exists already"):
        give_point(changed, chosen, model)


def test_a_definition_cannot_be_changed(report, model, tmp_path):
    chosen = choose_point(report, SYSTEM, 0.9)
    info = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(info | {"system": "cardiomegaly"}))
    with pytest.raises(InputError, match="no threshold that can be set for 'Film'"):
        give_point(load_model(str(model)), chosen, tmp_path / "changed")
    assert not (tmp_path / "changed").exists()


def test_every_settable_threshold_is_of_a_question():
    films = FilmClassification({"questions": {"worn.out": [], "view": ["front", "side"]}})
    assert films.threshold_settings == {"worn.out_truth": ("questions", "worn.out", "threshold")}
    for name in ("bone_fracture", "wrist_fracture", "hip_fracture", "hemorrhage"):
        system = get_system(name)
        truths = {getattr(figure, "truth", "") for figure in system.figures}
        assert set(system.threshold_settings) <= truths, name


def test_the_command_prints_the_promise_and_writes_the_model(report, model, tmp_path):
    arguments = ["operating-point", str(report), "--sensitivity", "0.9"]
    out = tmp_path / "changed"
    shown = run.invoke(app, [*arguments, "--model", str(model), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    chosen = choose_point(report, SYSTEM, 0.9)
    assert f"positive from {chosen.guarantee.threshold:.6g}" in shown.stdout
    assert chosen.sentence() in shown.stdout.replace("\n", " ")
    assert load_model(str(out)).settings["threshold"] == chosen.guarantee.threshold
    outcome = run.invoke(app, [*arguments, "--average", "--json"])
    assert json.loads(outcome.stdout)["confidence"] is None


def test_the_command_says_what_is_missing(report, model, tmp_path):
    for extra, says in (
        (["--model", str(model)], "go together"),
        (["--sensitivity", "0.9999"], "are the fewest"),
    ):
        outcome = run.invoke(app, ["operating-point", str(report), *extra])
        assert outcome.exit_code == 2, outcome.output
        assert says in outcome.stderr.replace("\n", " ")
    info = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(info | {"system": "wrist_fracture"}))
    outcome = run.invoke(
        app, ["operating-point", str(report), "--sensitivity", "0.9", "--model", str(model),
              "--out", str(tmp_path / "out")],
    )  # fmt: skip
    assert outcome.exit_code == 2
    assert "of 'bone_fracture', the model of 'wrist_fracture'" in outcome.stderr.replace("\n", " ")
