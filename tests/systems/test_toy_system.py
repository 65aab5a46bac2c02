"""Rule of the house: a new system is one file, and touches nothing else.

This file is that one file: a system that asks whether a film holds a bright square, by
classification, unlike any shipped system. It trains, predicts, evaluates and exports.
"""

from pathlib import Path

import numpy as np
import pytest

from radloop.cases.table import read_cases
from radloop.errors import InputError
from radloop.evaluation.evaluate import evaluate
from radloop.findings.codes import private_code
from radloop.findings.finding import Finding
from radloop.images.operations import resize
from radloop.images.write import write_png
from radloop.inference.predict import predict
from radloop.measures.classification import auc
from radloop.measures.spec import MeasureSpec, Roc
from radloop.systems.base import Interpretation, Preset, System
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.registry import get_system, register
from radloop.training.recipe import Augmentation, Recipe

STILL = Augmentation(
    rotation=0, shear=0, elastic=0, gamma=1, bias=0, blocks=0, negatives=0, equalise=0
)


@register
class BrightSquare(System):
    """Does the film hold a bright square?"""

    name = "bright_square"
    title = "Bright square"
    question = "Is there a bright square on this film?"
    presets = {
        "strong": Preset(
            "strong", "four numbers", "linear",
            recipe=Recipe(size=32, batch=8, epochs=30, learning_rate=0.05, bfloat16=False,
                          validate_every=5, cache_scale=1.0, ema=0, augmentation=STILL),
        )
    }  # fmt: skip
    measures = (MeasureSpec("auc", ("probability", "truth"), auc),)
    figures = (Roc("Square", "probability", "truth", 0.5),)

    def prepare(self, image, size):
        return resize(image.with_array(image.as_uint8()), (size, size)).array

    def target(self, case, image, size):
        if "square" not in case.reference.labels:
            raise InputError(f"Case '{case.case_id}' has no label 'square'.")
        return np.int64(case.reference.labels["square"])

    def build(self, network, options):
        import torch
        from torch import nn

        class Brightest(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Linear(1, 2)

            def forward(self, x):
                return self.scale(torch.amax(x.float() / 255.0, (2, 3)))

        return Brightest()

    def deploy(self, network):
        from torch import nn

        return nn.Sequential(network, nn.Softmax(1))

    def loss(self, logits, target):
        from torch.nn import functional

        return functional.cross_entropy(logits.float(), target)

    def score(self, logits, target):
        return (logits.argmax(1) == target).float()

    def interpret(self, image, output, settings, look):
        p = float(output[1])
        code = private_code("SQUARE", "Bright square")
        found = Finding("bright_square", code, p, p >= 0.5, 0.5)
        return Interpretation(findings=(found,), values={"probability": p})

    def judge(self, case, image, interpretation):
        truth = case.reference.labels.get("square")
        return {**interpretation.values, "truth": float("nan") if truth is None else float(truth)}


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["case_id,patient_id,split,image,label:square"]
    for k in range(40):
        film = rng.integers(0, 120, (48, 48), dtype=np.uint8)
        if k % 2:
            film[10:20, 10:20] = 240
        write_png(tmp_path / f"{k}.png", film)
        lines.append(f"c{k},p{k},{'val' if k >= 28 else 'train'},{k}.png,{k % 2}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    return read_cases(tmp_path / "cases.csv")


def test_a_new_system_is_one_file(table, tmp_path):
    trained = fit(get_system("bright_square"), table, tmp_path / "model", TrainOptions(quiet=True))
    assert trained.best_score == 1.0
    summary = predict(trained.model, [Path(table.path)], tmp_path / "out")
    assert (summary.n, summary.refused) == (40, 0)
    report = evaluate(trained.model, table, "val", tmp_path / "report")
    assert report["measures"]["auc"]["value"] == 1.0
    assert (tmp_path / "report" / "report.html").is_file()
