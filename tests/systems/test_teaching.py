"""Distillation: the teachers' mean answer softens the masks, and refusals are clear."""

from pathlib import Path

import numpy as np
import pytest

from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.images.read import read_radiograph
from radloop.inference.engine import TorchEngine
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.model import load_model
from radloop.systems.registry import get_system
from radloop.systems.teaching import SHARE, teacher


def test_soft_labels_lie_between_mask_and_answer(phantoms: CaseTable, tiny_model: Path) -> None:
    model = load_model(str(tiny_model))
    case = phantoms.cases[0]
    image = read_radiograph(case.image).image
    assert image is not None
    labels = model.system.target(case, image, model.size)
    soft = teacher(model.system, [str(tiny_model)] * 2)(image, labels)
    film = model.system.prepare(image, model.size)[None, None]
    answer = TorchEngine(model, "cpu", 1, 1).run(film)[0].astype(float)
    masks = np.stack([255.0 * (labels == k) for k in (1, 2, 3)])
    expected = SHARE * answer + (1 - SHARE) * masks
    assert np.abs(soft - expected).max() <= 1


def test_a_taught_model_knows_its_teachers(
    phantoms: CaseTable, tiny_model: Path, tmp_path: Path
) -> None:
    options = TrainOptions(
        preset="tiny", epochs=1, quiet=True, device="cpu", teachers=(str(tiny_model),)
    )
    report = fit(get_system("cardiomegaly"), phantoms, tmp_path / "pupil", options)
    assert report.model.info["training"]["teachers"] == [load_model(str(tiny_model)).sha256]


def test_what_cannot_teach_is_refused(tiny_model: Path) -> None:
    class Other(type(get_system("cardiomegaly"))):  # type: ignore[misc]
        name = "other"

    class Numbers(Other):
        structures = ()

    with pytest.raises(InputError, match="a model of 'cardiomegaly', not of 'other'"):
        teacher(Other(), [str(tiny_model)])
    with pytest.raises(InputError, match="has no masks to teach"):
        teacher(Numbers(), [str(tiny_model)])
    with pytest.raises(InputError, match="is not a model"):
        teacher(get_system("cardiomegaly"), ["nobody"])
