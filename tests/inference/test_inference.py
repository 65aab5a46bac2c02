"""Engines agree, the pipeline keeps order and bounds, and no input is lost."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import draw_phantom
from radloop.errors import InputError
from radloop.findings.forms import read_predictions
from radloop.images.read import read_radiograph
from radloop.images.write import write_png
from radloop.inference.engine import OpenVinoEngine, TorchEngine, open_engine
from radloop.inference.export import export_model
from radloop.inference.pipeline import Item, run_pipeline
from radloop.inference.predict import PredictOptions, list_items, predict
from radloop.systems.model import load_model


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def films(model, n=5):
    return np.stack([draw_phantom(200 + k, 64).film for k in range(n)])[:, None]


@pytest.mark.parametrize("batch", [1, 4])
def test_openvino_equals_torch(model, batch):
    fast, slow = OpenVinoEngine(model, batch, 1), TorchEngine(model, "cpu", batch, 1)
    for start in range(0, 5, batch):
        chunk = films(model)[start : start + batch]
        a, b = fast.run(chunk), slow.run(chunk)
        assert a.shape == b.shape == (len(chunk), 3, 64, 64)
        # Both compute in float32; a byte may round the other way.
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_the_cached_network_gives_the_same_answer(model, tmp_path):
    first = OpenVinoEngine(model, 1, 1).run(films(model, 1))
    assert list((tmp_path / "cache").rglob("*.xml"))
    assert np.array_equal(OpenVinoEngine(model, 1, 1).run(films(model, 1)), first)


def test_the_first_run_of_a_scan_model_is_exact():
    """OpenVINO's own conversion in memory, run without its file, was off by 0.8."""
    shipped = load_model("hemorrhage")
    scan = np.random.default_rng(0).integers(60, 120, (1, 1, 3, shipped.size, shipped.size))
    scan = scan.astype(np.uint8)
    expected = TorchEngine(shipped, "cpu", 1, 2).run(scan)
    for _ in ("converted", "from the cache"):
        assert np.abs(OpenVinoEngine(shipped, 1, 2).run(scan) - expected).max() < 1e-3


def test_without_a_place_for_the_cache_it_converts_again(model, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = OpenVinoEngine(model, 1, 1).run(films(model, 1))
    expected = TorchEngine(model, "cpu", 1, 1).run(films(model, 1))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_an_exported_onnx_gives_the_same_answer(model, tmp_path):
    import openvino

    path = export_model(model, "onnx", tmp_path / "onnx")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = TorchEngine(model, "cpu", 2, 1).run(films(model, 2))
    assert np.abs(compiled([films(model, 2)])[0].astype(int) - expected).max() <= 1
    assert json.loads((tmp_path / "onnx" / "model.json").read_text())["system"] == "cardiomegaly"


def test_bfloat16_says_nearly_the_same(model):
    exact = open_engine(model, "openvino", "cpu").run(films(model, 1)).astype(int)
    engine = open_engine(model, "openvino-bf16", "cpu")
    assert np.abs(engine.run(films(model, 1)) - exact).mean() < 3  # of 255


def test_unknown_engines_devices_and_formats_are_named(model, tmp_path):
    with pytest.raises(InputError, match="openvino"):
        open_engine(model, "tensorflow")
    with pytest.raises(InputError, match="cuda"):
        open_engine(model, "auto", "tpu")
    with pytest.raises(InputError, match="onnx"):
        export_model(model, "tflite", tmp_path)


class Slow:
    """An engine that counts, standing in for none: outputs come from the real one."""

    def __init__(self, engine):
        self.engine, self.batch, self.name = engine, 2, "slow"
        self.seen = 0
        self.lock = threading.Lock()

    def run(self, chunk):
        with self.lock:
            self.seen += len(chunk)
        time.sleep(0.005)
        return np.concatenate([self.engine.run(film[None]) for film in chunk])


def test_results_come_in_order_and_few_are_under_way(model, tmp_path):
    write_png(tmp_path / "film.png", draw_phantom(1).film)
    pulled = 0

    def items():
        nonlocal pulled
        for k in range(60):
            pulled += 1
            yield Item(str(k), "p", tmp_path / "film.png")

    engine = Slow(OpenVinoEngine(model, 1, 1))
    ahead, order = [], []
    for name in run_pipeline(model, engine, items(), lambda r: r.item.case_id, workers=2):
        order.append(name)
        ahead.append(pulled - len(order))
    assert order == [str(k) for k in range(60)]
    assert max(ahead) <= (2 + 2) * 2


def test_nothing_is_lost(model, tmp_path):
    """Good and bad films in one folder: each has its line, in order, and its own reason."""
    folder = tmp_path / "films"
    write_png(folder / "a_good.png", draw_phantom(3).film)
    whole = (folder / "a_good.png").read_bytes()
    (folder / "b_empty.png").write_bytes(b"")
    (folder / "c_cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "d_text.png").write_text("not a picture")
    write_png(folder / "e_small.png", np.zeros((1, 1), np.uint8))
    write_png(
        folder / "f_noise.png", np.random.default_rng(0).integers(0, 255, (96, 96)).astype(np.uint8)
    )
    write_png(folder / "sub" / "a_good.png", draw_phantom(4).film)
    out = tmp_path / "out"
    summary = predict(model, [folder], out, PredictOptions(pictures=True))
    predictions = read_predictions(out)
    assert summary.n == len(predictions) == 7
    assert summary.refused == sum(p.verdict.refused for p in predictions) == 5
    codes = [p.verdict.code for p in predictions]
    assert codes[1:5] == ["empty_file", "truncated", "not_an_image", "too_small"]
    assert len({p.case_id for p in predictions}) == 7
    assert all(p.verdict.messages for p in predictions if p.verdict.refused)
    assert all((out / name).is_file() for p in predictions for name in p.files.values())


def test_masks_lie_on_the_grid_of_the_film(model, tmp_path):
    phantom = draw_phantom(5, side=150)
    write_png(tmp_path / "film.png", phantom.film)
    predict(model, [tmp_path / "film.png"], tmp_path / "out")
    labels = read_radiograph(tmp_path / "out" / "masks" / "film.png").image.array
    mapping = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels.shape == (150, 150)
    for structure, mask in phantom.masks.items():
        found = labels == mapping[structure]
        assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.85


def test_a_case_table_gives_identifiers_and_patients(phantoms):
    items = list_items([Path(phantoms.path)])
    assert [i.case_id for i in items] == [c.case_id for c in phantoms.cases]
    assert [i.patient_id for i in items] == [c.patient_id for c in phantoms.cases]


def test_an_empty_folder_is_an_error(model, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError):
        predict(model, [tmp_path / "nothing"], tmp_path / "out")


def test_a_full_disk_keeps_what_was_done(model, tmp_path, monkeypatch):
    import errno

    from radloop.errors import WriteError
    from radloop.inference import files as module

    for k in range(6):
        write_png(tmp_path / "films" / f"{k}.png", draw_phantom(k).film)
    real, written = module.write_png, []

    def limited(path, array):
        if len(written) >= 2:
            raise WriteError(f"{path.name} could not be written: the disk is full.") from OSError(
                errno.ENOSPC, "full"
            )
        written.append(path)
        real(path, array)

    monkeypatch.setattr(module, "write_png", limited)
    with pytest.raises(WriteError, match="disk is full"):
        predict(model, [tmp_path / "films"], tmp_path / "out", PredictOptions(workers=1))
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
    assert len(read_predictions(tmp_path / "out" / "predictions.jsonl.partial")) == 2
