"""Export: the deployed network for other programs, as ONNX or OpenVINO."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radloop.errors import InputError
from radloop.images.write import atomic_path, write_text
from radloop.inference.engine import example_input, openvino_network, openvino_part
from radloop.systems.model import Model


def export_model(model: Model, format: str, out: Path) -> Path:
    """Write the deployed network to `out` and return its file.

    Input `film`, uint8 `(n, 1, size, size)`, or `(n, 1, z, size, size)` for a scan; output as the
    system's deployment head gives it, for segmentation uint8 probabilities `(n, structures, size,
    size)`. `model.json` is put beside it: it says how films are prepared and what the output means.
    A network in parts (`networks.detection.detector.Parts`) becomes a file a part, `<part>.onnx` or
    `<part>.xml`, without what joins them, so that a film on which nothing is proposed is no
    trouble; the first part's file is returned.
    """
    if format not in ("onnx", "openvino"):
        raise InputError(f"There is no export format '{format}'.", "Known: onnx, openvino.")
    out.mkdir(parents=True, exist_ok=True)
    if model.system.in_parts:
        path = _parts(model, format, out)
    else:
        path = _onnx(model, out) if format == "onnx" else _openvino(model, out)
    write_text(out / "model.json", json.dumps(model.info, indent=1) + "\n")
    return path


def _parts(model: Model, format: str, out: Path) -> Path:
    network: Any = model.system.deploy(model.network()).eval()
    files = []
    for name, inputs in network.examples(model.size).items():
        if format == "onnx":
            files.append(out / f"{name}.onnx")
            _export_onnx(network.parts()[name].eval(), inputs, files[-1], {})
        else:
            part = openvino_part(model, name, network)
            files.append(_save(part, name, out))
    return files[0]


def _onnx(model: Model, out: Path) -> Path:
    import torch

    network = model.system.deploy(model.network()).eval()
    film = torch.from_numpy(example_input(model))
    shape = model.system.input_shape(model.size)
    free = [k for k, side in enumerate(shape, start=1) if side < 0]
    axes = {0: "n"} | {k: "nczyx"[k] for k in free}
    final = out / "model.onnx"
    named = {"input_names": ["film"], "output_names": ["output"]}
    _export_onnx(
        network, (film,), final, {**named, "dynamic_axes": {"film": axes, "output": {0: "n"}}}
    )
    return final


def _export_onnx(network: Any, inputs: Any, final: Path, options: Mapping[str, Any]) -> None:
    import torch

    with atomic_path(final) as temporary, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, on its older exporter
        torch.onnx.export(network, inputs, str(temporary), dynamo=False, **options)


def _openvino(model: Model, out: Path) -> Path:
    return _save(openvino_network(model), "model", out)


def _save(network: Any, name: str, out: Path) -> Path:
    """Write both files of a network, the `.xml`, which makes the pair, last."""
    import openvino

    with tempfile.TemporaryDirectory(dir=out) as temporary:
        written = Path(temporary, f"{name}.xml")
        openvino.save_model(network, written, compress_to_fp16=False)
        written.with_suffix(".bin").replace(out / f"{name}.bin")
        return written.replace(out / f"{name}.xml")
