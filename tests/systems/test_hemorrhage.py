"""Hemorrhage from folders of slices to findings: training, reading, judging, combining folds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from heads import KINDS, SLICES, draw_head, write_heads

from radloop.cases.case import Reference
from radloop.cases.slices import import_slices
from radloop.cases.table import CaseTable, read_cases
from radloop.errors import InputError
from radloop.evaluation.compare import compare
from radloop.evaluation.evaluate import evaluate
from radloop.evaluation.pool import judge_folds, pool
from radloop.images.image import Geometry, Image
from radloop.images.nifti import write_nifti
from radloop.inference.engine import OpenVinoEngine, TorchEngine
from radloop.inference.predict import PredictOptions, predict
from radloop.measures.classification import auc
from radloop.systems.ensemble import ensemble
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.head.labels import LABELS
from radloop.systems.model import load_model
from radloop.systems.registry import get_system
from radloop.training.data import Sample
from radloop.training.recipe import Recipe
from radloop.training.trainer import TrainingRun

LABEL_COLUMNS = {kind: kind for kind in KINDS}
TINY = TrainOptions(preset="tiny", epochs=70, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> CaseTable:
    """Twelve phantom heads in two folds, half of them with a bleed."""
    folder = tmp_path_factory.mktemp("heads")
    labels = write_heads(folder, 12)
    report = import_slices(
        folder / "scans", labels, "Patient", "Slice", LABEL_COLUMNS,
        any_label="any", out=folder / "cases.csv",
    )  # fmt: skip
    cases = [replace(c, split=f"fold{k // 2 % 2}") for k, c in enumerate(report.table.cases)]
    return replace(report.table, cases=tuple(cases))


@pytest.fixture(scope="module")
def models(folds, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    system = get_system("hemorrhage")
    for fold in (0, 1):
        fit(system, folds, folder / f"fold{fold}", replace(TINY, fold=fold))
    return folder


def test_the_importer_makes_scans_of_folders(folds):
    read = read_cases(folds.path)
    assert len(read.cases) == 12
    assert read.cases[1].reference.labels == {
        "any": True, **{kind: kind == "intraparenchymal" for kind in KINDS}
    }  # fmt: skip
    assert read.cases[0].reference.labels["any"] is False
    image = get_system("hemorrhage").read(read.cases[1].image).image
    target = get_system("hemorrhage").target(read.cases[1], image, 64)
    _, shown = draw_head(1, bleed=True)
    assert target.shape == (1 + SLICES, len(LABELS))
    assert (target[1:, 0] == shown).all() and target[0, 0] == 1


def test_it_learns_phantoms_and_the_report_has_both_levels(folds, models, tmp_path):
    reports = []
    for fold in (0, 1):
        report = tmp_path / f"report{fold}"
        evaluate(
            load_model(str(models / f"fold{fold}")), folds, f"fold{fold}", report,
            PredictOptions(pictures=fold == 0, workers=2),
        )  # fmt: skip
        reports.append(report)
    pooled = pool(reports, get_system("hemorrhage"), tmp_path / "pooled")
    assert pooled["n"] == 12 and pooled["n_slices"] == 12 * SLICES
    assert pooled["measures"]["slice_any_auc"]["value"] > 0.75
    assert pooled["measures"]["scan_any_auc"]["value"] > 0.75
    assert (tmp_path / "pooled" / "slices.csv").is_file()
    assert len(list((reports[0] / "pictures").glob("*.jpg"))) > 0
    system = get_system("hemorrhage")
    same = compare(
        reports[0], reports[0], system.measures, tmp_path / "c", slice_specs=system.slice_measures
    )
    by_name = {item.spec.name: item.paired for item in same.differences}
    assert by_name["slice_any_auc"].n == 6 * SLICES and by_name["slice_any_auc"].difference == 0


def test_findings_point_at_the_slices_with_the_bleed(folds, models, tmp_path):
    positive = folds.cases[1]  # fold 0 held it out
    summary = predict(
        load_model(str(models / "fold0")), [positive.image], tmp_path, PredictOptions(pictures=True)
    )
    assert summary.n == 1 and summary.refused == 0
    line = json.loads((tmp_path / "predictions.jsonl").read_text())
    names = [finding["name"] for finding in line["findings"]]
    assert names[:6] == ["intracranial_hemorrhage", *(f"{kind}_hemorrhage" for kind in KINDS)]
    any_bleed = line["findings"][0]
    assert any_bleed["positive"]
    _, shown = draw_head(1, bleed=True)
    first, last = np.flatnonzero(shown)[[0, -1]]
    assert first - 2 <= any_bleed["where"]["slice"] <= last + 2  # so small a training blurs them
    assert {"picture", "heat_picture", "slices"} <= set(line["files"])
    rows = (tmp_path / line["files"]["slices"]).read_text().splitlines()
    assert rows[0] == "slice,file," + ",".join(LABELS) and len(rows) == 1 + SLICES


def test_a_nifti_scan_is_read_like_the_pictures(folds, models, tmp_path):
    stack, _ = draw_head(1, bleed=True)
    hounsfield = np.where(stack == 0, -1000, stack.astype(np.float32) * 80 / 255).astype(np.int16)
    # NIfTI axes of our arrays: z up (S), y to the back (P), x to the left (L).
    geometry = Geometry(
        stack.shape, (5.0, 1.2, 1.2), "patient", (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    )
    write_nifti(hounsfield, geometry, tmp_path / "scan.nii.gz")
    system, model = get_system("hemorrhage"), load_model(str(models / "fold0"))
    from_nifti = system.read(tmp_path / "scan.nii.gz").image
    from_pictures = system.read(folds.cases[1].image).image
    engine = TorchEngine(model, "cpu", 1, 1)
    a, b = (
        engine.run(system.prepare(image, model.size)[None, None])
        for image in (from_nifti, from_pictures)
    )
    assert np.abs(a - b).max() < 0.5


def test_engines_agree_on_scans_of_any_length(models):
    model = load_model(str(models / "fold0"))
    torch_engine, openvino = TorchEngine(model, "cpu", 1, 1), OpenVinoEngine(model, 1, 1)
    for z in (3, 11):
        scan = np.random.default_rng(z).integers(
            0, 255, (1, 1, z, model.size, model.size), np.uint8
        )
        a, b = torch_engine.run(scan), openvino.run(scan)
        assert a.shape == (1, 1 + z, len(LABELS))
        assert np.abs(a - b).max() < 1e-3


def test_folds_become_one_model(folds, models, tmp_path):
    names = [str(models / f"fold{fold}") for fold in (0, 1)]
    parts = ensemble(names, folds, tmp_path / "both")
    made = parts.model
    assert parts.apart[0]["calibration_cases"] == 6
    report = judge_folds(parts, folds, tmp_path / "report")
    assert report["n"] == 12 and report["measures"]["scan_any_auc"]["value"] > 0.75
    assert made.info["members"] == 2 and made.info["training"]["folds"] == [0, 1]
    assert made.settings["calibration_cases"] == 12
    scan = np.random.default_rng(0).integers(0, 255, (1, 1, 5, made.size, made.size), np.uint8)
    single = [TorchEngine(load_model(name), "cpu", 1, 1).run(scan) for name in names]
    both = TorchEngine(load_model(str(tmp_path / "both")), "cpu", 1, 1).run(scan)
    assert np.abs(both - np.mean(single, axis=0)).max() < 0.05  # half precision
    for wrong, reason in (
        (names[:1], "at least two"),
        ([names[0], names[0]], "same fold"),
    ):
        with pytest.raises(InputError, match=reason):
            ensemble(wrong, folds, tmp_path / "wrong")


def test_it_trains_from_the_scans_labels_alone(folds, tmp_path):
    cases = tuple(
        replace(c, reference=Reference(labels=dict(c.reference.labels))) for c in folds.cases
    )
    weak = replace(folds, cases=cases)
    report = fit(get_system("hemorrhage"), weak, tmp_path / "weak", replace(TINY, epochs=2, fold=0))
    assert report.model.settings["calibration_cases"] == 6
    assert "slice" not in report.model.settings["scaling"] or report.model.settings["scaling"]


def test_a_3d_network_says_nothing_of_slices(folds, tmp_path):
    options = replace(TINY, preset="tiny-3d", epochs=1, fold=0)
    model = fit(get_system("hemorrhage"), folds, tmp_path / "volume", options).model
    predict(model, [folds.cases[1].image], tmp_path / "out", PredictOptions(pictures=True))
    line = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    assert len(line["findings"]) == 6
    assert all(finding["where"] == {} for finding in line["findings"])
    assert "slices" not in line["files"] and "picture" in line["files"]


def test_a_case_without_labels_is_left_out_and_named(folds):
    bare = replace(folds.cases[0], reference=Reference())
    image = Image(np.zeros((SLICES, 64, 64), np.uint8), Geometry((SLICES, 64, 64)))
    with pytest.raises(InputError, match="neither a label 'any' nor slices"):
        get_system("hemorrhage").target(bare, image, 64)


def test_heads_are_fitted_on_a_frozen_encoder(folds):
    torch.manual_seed(0)
    system = get_system("hemorrhage")
    network = system.build("cnn_rnn", {"encoder": "test_efficientnet", "neighbours": True})
    before = {k: v.clone() for k, v in network.encoder.state_dict().items()}
    samples = []
    for case in folds.cases:
        image = system.read(case.image).image
        samples.append(Sample(system.prepare(image, 64), system.target(case, image, 64)))
    recipe = Recipe(size=64, probe=True, learning_rate=5e-3)
    trained = system.learn(
        network, samples[:8], samples[8:], recipe, TrainingRun(Path(), quiet=True)
    )
    assert all(torch.equal(v, before[k]) for k, v in network.encoder.state_dict().items())
    logits, truth = [], []
    for sample in samples[8:]:
        with torch.inference_mode():
            output = network.eval()(torch.from_numpy(sample.film)[None, None].float())
        logits.append(output[0, 1:, 0].numpy())
        truth.append(sample.target[1:, 0])
    assert auc(np.concatenate(logits), np.concatenate(truth)) > 0.75
    assert trained.epochs == 1 and trained.best_score < 0


def test_a_frozen_encoder_must_start_from_something(folds, tmp_path):
    with pytest.raises(InputError, match="starts from nothing"):
        fit(get_system("hemorrhage"), folds, tmp_path / "m", TrainOptions(fold=0, quiet=True))
