"""Slow checks of the shipped model on real images, outside the repository (`make check-real`).

`RADLOOP_DATA` names a folder with `chest/{jsrt,nih,wingspan}`, `bone`, `teeth` and `head_ct`.
"""

import os
import random
from pathlib import Path

import pytest

from radloop.cases.importing import import_masks
from radloop.cases.table import read_cases
from radloop.evaluation.evaluate import evaluate
from radloop.inference.predict import predict
from radloop.systems.model import load_model

pytestmark = pytest.mark.real
SUFFIXES = {".png", ".jpg", ".jpeg"}


@pytest.fixture(scope="module")
def data():
    folder = os.environ.get("RADLOOP_DATA")
    if not folder:
        pytest.skip("RADLOOP_DATA is not set: no real images to read")
    return Path(folder)


def some(folder: Path, count: int) -> list[Path]:
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not among the real images")
    films = [
        p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and "masks" not in p.parts
    ]
    return sorted(random.Random(0).sample(sorted(films), min(count, len(films))))


@pytest.mark.parametrize("name", ["bone/images", "teeth", "head_ct/images"])
def test_what_is_no_chest_is_refused(data, tmp_path, name):
    summary = predict(load_model("cardiomegaly"), some(data / name, 300), tmp_path)
    assert summary.refused >= 0.95 * summary.n


def test_chest_films_are_read(data, tmp_path):
    films = some(data / "chest/jsrt/images", 500) + some(data / "chest/nih/images", 500)
    summary = predict(load_model("cardiomegaly"), films, tmp_path)
    assert summary.refused <= 0.02 * summary.n


def test_jsrt_which_was_never_trained_on(data, tmp_path):
    folder = data / "chest/jsrt"
    some(folder, 1)
    masks = {s: folder / "masks" / s for s in ("heart", "left_lung", "right_lung")}
    table = tmp_path / "cases.csv"
    import_masks(folder / "images", masks, out=table)
    measures = evaluate(load_model("cardiomegaly"), read_cases(table), None, tmp_path / "report")[
        "measures"
    ]
    value = {name: measure["value"] for name, measure in measures.items()}
    # Below what the card states, so that only a real change for the worse is caught.
    assert value["heart_dice"] >= 0.915
    assert value["lungs_dice"] >= 0.965
    assert value["ctr_mae"] <= 0.020
    assert value["auc"] >= 0.95
