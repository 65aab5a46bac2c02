"""The model folder: what cannot be trusted is not loaded."""

import json
import shutil

import pytest
import torch

from radloop.errors import InputError, ModelError
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.model import load_model, save_model, shipped_models
from radloop.systems.registry import get_system, system_names


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


def change(folder, **values):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_model_round_trips(tiny_model, tmp_path):
    model = load_model(tiny_model)
    again = save_model(tmp_path / "again", model.network().state_dict(), model.info)
    assert again.sha256 == model.sha256
    for a, b in zip(
        model.network().state_dict().values(), again.network().state_dict().values(), strict=True
    ):
        assert torch.equal(a, b)


def test_the_folder_holds_card_report_and_no_pickle(tiny_model):
    names = {p.name for p in tiny_model.iterdir()}
    assert {"model.json", "weights.safetensors", "card.md", "training.png"} <= names
    assert "not a medical device" in (tiny_model / "card.md").read_text()


def test_altered_weights_are_refused(copy):
    weights = copy / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="not those"):
        load_model(copy).network()


def test_a_newer_model_is_refused(copy):
    change(copy, format=99)
    with pytest.raises(ModelError, match="newer"):
        load_model(copy)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model\.json"):
        load_model(tmp_path)


def test_a_broken_description_is_refused(copy):
    (copy / "model.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(copy)


def test_unknown_systems_are_suggested():
    assert "cardiomegaly" in system_names()
    with pytest.raises(InputError, match="cardiomegaly"):
        get_system("cardiomegally")


def test_training_refuses_what_it_cannot_do(phantoms, tiny_model, tmp_path):
    system = get_system("cardiomegaly")
    with pytest.raises(InputError, match="no preset 'huge'"):
        fit(system, phantoms, tmp_path / "m", TrainOptions(preset="huge"))
    with pytest.raises(InputError, match="holds a model already"):
        fit(system, phantoms, tiny_model, TrainOptions(preset="tiny"))
    with pytest.raises(InputError, match="no training to resume"):
        fit(system, phantoms, tmp_path / "m", TrainOptions(preset="tiny", resume=True))
    with pytest.raises(InputError, match="fold3"):
        fit(system, phantoms, tmp_path / "m", TrainOptions(preset="tiny", fold=3))


def test_the_shipped_models_load():
    assert {"cardiomegaly", "cardiomegaly-fcdensenet"} <= set(shipped_models())
    for name in shipped_models():
        assert load_model(name).network() is not None
        assert "not a medical device" in load_model(name).card()
