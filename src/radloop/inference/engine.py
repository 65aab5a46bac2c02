"""Engines: run a deployed network on prepared films, uint8 `(n, 1, y, x)`, from several threads;
or on patches of volumes, float32 `(n, channels, z, y, x)`.

`openvino` (the default on a processor) computes in float32 unless told otherwise: left alone,
OpenVINO picks bfloat16 by itself on some processors. `torch` is the fallback, and the way to CUDA.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.systems.model import Model

if TYPE_CHECKING:
    from radloop.networks.detection.detector import Parts

Array = npt.NDArray[Any]
ENGINES = ("auto", "openvino", "openvino-bf16", "torch")
_CONVERSION = 2
"""Raised when networks are converted in another way, so that no cached one is taken for new."""


class Engine(Protocol):
    """What runs a network. `batch`: films a call; fewer are padded where the engine needs it.
    Scans `(1, 1, z, y, x)` are run one by one; patches come in any number."""

    name: str
    batch: int

    def run(self, films: Array, stage: str = "") -> Array:
        """films `(n, 1, y, x)` with `n <= batch`; the deployed network's output, `(n, ...)`.

        stage: of a network in several (`networks.two_stage`), which one.
        """
        ...


def open_engine(
    model: Model, engine: str = "auto", device: str = "auto", batch: int | None = None,
    threads: int | None = None,
) -> Engine:  # fmt: skip
    """The engine for a model.

    engine: "openvino", "openvino-bf16" (bfloat16: about twice as fast on processors that have it,
    probabilities differ in the second digit), "torch", or "auto" (torch for CUDA, OpenVINO in
    float32 otherwise). device: "cpu", "cuda" or "auto". threads: processor threads, all by default.
    Raises InputError for an unknown name or a device that is not there.
    """
    if engine not in ENGINES:
        raise InputError(f"There is no engine '{engine}'.", f"Known: {', '.join(ENGINES)}.")
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"There is no device '{device}'.", "Known: auto, cpu, cuda.")
    if model.system.reads_scans and not model.system.in_patches:
        batch = 1  # scans differ in length
    cores = os.cpu_count() or 1
    threads = min(threads or cores, cores)
    cuda = device == "cuda" or (device == "auto" and _cuda_driver())
    if cuda and not engine.startswith("openvino"):
        return TorchEngine(model, "cuda", batch or 16, threads)
    if engine == "torch":
        return TorchEngine(model, "cpu", batch or 4, threads)
    precision = "bf16" if engine == "openvino-bf16" else "f32"
    if model.system.in_parts:
        return OpenVinoPartsEngine(model, threads, precision)
    return OpenVinoEngine(model, batch or 1, threads, precision)


def _cuda_driver() -> bool:
    """Whether it is worth importing torch to ask for CUDA."""
    if not Path("/proc/driver/nvidia/version").exists() and os.name == "posix":
        return False
    import torch

    return torch.cuda.is_available()


class TorchEngine:
    """PyTorch in float32."""

    name = "torch"

    def __init__(self, model: Model, device: str, batch: int, threads: int) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("No CUDA device was found.", "Use --device cpu, or auto.")
        self._torch = torch
        self.device, self.batch = device, batch
        torch.set_num_threads(threads)
        self._network = model.system.deploy(model.network()).eval().to(device)
        self._lock = threading.Lock()

    def run(self, films: Array, stage: str = "") -> Array:
        with self._lock, self._torch.inference_mode():
            outputs = [
                self._batch(films[k : k + self.batch], stage)
                for k in range(0, len(films), self.batch)
            ]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _batch(self, films: Array, stage: str) -> Array:
        moved = self._torch.from_numpy(films).to(self.device)
        answer = self._network(moved, stage) if stage else self._network(moved)
        output: Array = answer.cpu().numpy()
        return output


class OpenVinoEngine:
    """OpenVINO on the processor, one stream a thread. precision: "f32" or "bf16".

    It keeps threads of its own, as many as streams: callers may be more, and do something else
    while they wait. Streams are not tied to cores, so that the callers' work finds the free one.
    The converted network is kept in the user's cache folder under the hash of its weights, so that
    later runs need not import torch.
    """

    name = "openvino"

    def __init__(self, model: Model, batch: int, threads: int, precision: str = "f32") -> None:
        self.batch = batch
        converted = openvino_network(model)
        converted.reshape([batch, *model.system.input_shape(model.size)])
        self._compiled = compiled(converted, threads, precision)
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="openvino")
        # Once from one thread alone: OpenVINO builds its table of number types at the first call,
        # and two first calls at once can wait for each other for ever.
        self.run(example_input(model, batch))

    def run(self, films: Array, stage: str = "") -> Array:
        batches = [films[k : k + self.batch] for k in range(0, len(films), self.batch)]
        outputs = [one.result() for one in [self._threads.submit(self._infer, b) for b in batches]]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _infer(self, films: Array) -> Array:
        if not hasattr(self._local, "request"):  # one request a thread: none waits for another
            self._local.request = self._compiled.create_infer_request()
        count = len(films)
        if count < self.batch:
            films = np.concatenate([films, np.repeat(films[-1:], self.batch - count, axis=0)])
        output: Array = self._local.request.infer([films], share_inputs=True)[0]
        return output[:count].copy()


class OpenVinoPartsEngine:
    """OpenVINO for networks in parts (`detector.Parts`): each part compiled, what joins them run
    by PyTorch in float32. One film at a time, on all threads."""

    name = "openvino"
    batch = 1

    def __init__(self, model: Model, threads: int, precision: str = "f32") -> None:
        import torch

        self._torch = torch
        torch.set_num_threads(threads)
        self._network = cast("Parts", model.system.deploy(model.network()).eval())
        self._compiled = {
            name: compiled(openvino_part(model, name, self._network), threads, precision, streams=1)
            for name in self._network.parts()
        }
        self._lock = threading.Lock()
        self.run(example_input(model))

    def run(self, films: Array, stage: str = "") -> Array:
        with self._lock, self._torch.inference_mode():
            rows = [
                self._network.run(self._torch.from_numpy(film[None]), self._call, stage)
                for film in films
            ]
            output: Array = self._torch.cat(rows).numpy()
        return output

    def _call(self, name: str, inputs: Sequence[Any]) -> tuple[Any, ...]:
        answers = self._compiled[name]([one.numpy() for one in inputs])
        return tuple(self._torch.from_numpy(answers[k]) for k in range(len(answers)))


def compiled(network: Any, threads: int, precision: str = "f32", streams: int | None = None) -> Any:
    """An OpenVINO network for the processor, one stream a thread unless told otherwise."""
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": str(streams or threads),
        "INFERENCE_NUM_THREADS": str(threads),
        "ENABLE_CPU_PINNING": "NO",
    }
    return openvino.Core().compile_model(network, "CPU", options)


def openvino_part(model: Model, name: str, network: Any) -> Any:
    """One part of a network in parts, as an OpenVINO model of the shapes it was traced with."""
    inputs = network.examples(model.size)[name]

    def convert(written: Path) -> None:
        _convert(network.parts()[name].eval(), inputs, written, fixed=True)

    return _cached(model, f"-{name}", convert)


def example_input(model: Model, batch: int = 1) -> Array:
    """Zeros of an input's shape and type: films, a scan with a few slices, or patches."""
    patches = model.system.in_patches
    few = model.size if patches else 4
    shape = [few if side < 0 else side for side in model.system.input_shape(model.size)]
    return np.zeros((batch, *shape), np.float32 if patches else np.uint8)


def openvino_network(model: Model) -> Any:
    """The model's deployed network as an OpenVINO model, from the cache where possible."""

    def convert(written: Path) -> None:
        import torch

        network = model.system.deploy(model.network()).eval()
        _convert(network, (torch.from_numpy(example_input(model)),), written)

    return _cached(model, "", convert)


def _cached(model: Model, part: str, convert: Callable[[Path], None]) -> Any:
    import openvino

    from radloop.systems.model import file_sha256

    version = openvino.__version__.split("-")[0]
    cached = _cache_folder() / f"{model.sha256[:32]}{part}-{version}-{_CONVERSION}.xml"
    intact = file_sha256(model.folder / "weights.safetensors") == model.sha256
    if intact and cached.is_file() and cached.with_suffix(".bin").is_file():
        return openvino.Core().read_model(cached)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        written = Path(temporary, cached.name)
        convert(written)
        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": False})  # the file is about to go
        network = core.read_model(written)
        with contextlib.suppress(OSError):  # no cache is no harm: the next run converts again
            _keep(written, cached)
    return network


def _convert(network: Any, inputs: tuple[Any, ...], written: Path, fixed: bool = False) -> None:
    """Write the network as OpenVINO's `.xml` and `.bin`. fixed: for inputs of these shapes alone.

    It is run from these alone: what `convert_model` returns gave, compiled as it is, logits of a
    head CT that were off by 0.8, and read back from its file was exact (OpenVINO 2026.4).
    """
    import openvino
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, on the tracing that OpenVINO asks of it
        shapes = [tuple(one.shape) for one in inputs] if fixed else None
        converted = openvino.convert_model(network, example_input=inputs, input=shapes)
    openvino.save_model(converted, written, compress_to_fp16=False)


def _keep(written: Path, cached: Path) -> None:
    """Copy a network into the cache. The .xml is renamed last: it is what makes an entry."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".bin", ".xml"):
        own = cached.with_name(f"{os.getpid()}-{cached.name}").with_suffix(suffix)
        shutil.copyfile(written.with_suffix(suffix), own)
        own.replace(cached.with_suffix(suffix))


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "radloop" / "openvino"
