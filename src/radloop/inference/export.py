"""Export: the deployed network for other programs, as ONNX or OpenVINO."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

from radloop.errors import InputError
from radloop.images.write import atomic_path, write_text
from radloop.inference.engine import example_shape, openvino_network
from radloop.systems.model import Model


def export_model(model: Model, format: str, out: Path) -> Path:
    """Write the deployed network to `out` and return its file.

    Input `film`, uint8 `(n, 1, size, size)`, or `(n, 1, z, size, size)` for a scan; output as the
    system's deployment head gives it, for segmentation uint8 probabilities `(n, structures, size,
    size)`. `model.json` is put beside it: it says how films are prepared and what the output means.
    """
    if format not in ("onnx", "openvino"):
        raise InputError(f"There is no export format '{format}'.", "Known: onnx, openvino.")
    out.mkdir(parents=True, exist_ok=True)
    path = _onnx(model, out) if format == "onnx" else _openvino(model, out)
    write_text(out / "model.json", json.dumps(model.info, indent=1) + "\n")
    return path


def _onnx(model: Model, out: Path) -> Path:
    import torch

    network = model.system.deploy(model.network()).eval()
    film = torch.zeros(example_shape(model), dtype=torch.uint8)
    axes = {0: "n", 2: "z"} if model.system.reads_scans else {0: "n"}
    final = out / "model.onnx"
    with atomic_path(final) as temporary, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, on its older exporter
        torch.onnx.export(
            network, (film,), str(temporary), input_names=["film"], output_names=["output"],
            dynamic_axes={"film": axes, "output": {0: "n"}}, dynamo=False,
        )  # fmt: skip
    return final


def _openvino(model: Model, out: Path) -> Path:
    import openvino

    with tempfile.TemporaryDirectory(dir=out) as temporary:
        written = Path(temporary, "model.xml")
        openvino.save_model(openvino_network(model), written, compress_to_fp16=False)
        written.with_suffix(".bin").replace(out / "model.bin")
        return written.replace(out / "model.xml")
