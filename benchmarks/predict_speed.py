"""`radloop predict` against the plain script that anyone would write, on the same weights.

    python benchmarks/predict_speed.py [--films DIR] [--count 200] [--rounds 3]

The plain script reads a film with Pillow, runs the network in eager PyTorch float32, enlarges the
probabilities to the film's grid, takes the most probable class and writes a PNG, film by film. Both
run as processes of their own, in turn; a warm-up round fills caches and is not counted. Start-up
(imports, loading, compiling) is left out of the films per second and printed beside them.
Also printed: the processor time beside the network, and the peak memory at 50 and at all films.
Without `--films`, the package's own demonstration films are copied as often as needed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "cardiomegaly"
TURNED = "film-05.png"
"""The demonstration's film that lies on its side: `predict` also tries it upright, which is work
that the plain script does not do."""


def plain(films: list[Path], out: Path) -> dict[str, float]:
    """Read, infer and write in turn, as a user's own script does."""
    import numpy as np
    import torch
    from PIL import Image

    from radloop.systems.model import load_model

    model = load_model(MODEL)
    network, size = model.network(), model.size
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with torch.inference_mode():
        for path in films:
            film = torch.from_numpy(np.array(Image.open(path).convert("L"))).float()[None, None]
            small = torch.nn.functional.interpolate(film, (size, size), mode="area")
            probability = network(small).softmax(1)
            large = torch.nn.functional.interpolate(probability, film.shape[-2:], mode="bilinear")
            labels = large.argmax(1)[0].byte().numpy()
            Image.fromarray(labels).save(out / path.name)
    return {"seconds": time.perf_counter() - start}


def radloop(films: list[Path], out: Path) -> dict[str, float]:
    """`radloop predict`, as the command does it."""
    from radloop.inference.predict import PredictOptions, predict
    from radloop.systems.model import load_model

    before = _cpu()
    summary = predict(load_model(MODEL), films, out, PredictOptions())
    return {"seconds": summary.seconds, "cpu": _cpu() - before}


def network(films: list[Path], out: Path) -> dict[str, float]:
    """The network alone, in the engine that `predict` uses, from as many threads."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from radloop.inference.engine import open_engine
    from radloop.systems.model import load_model

    model = load_model(MODEL)
    engine = open_engine(model)
    film = np.zeros((1, 1, model.size, model.size), np.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda _: engine.run(film), range(8)))
        start, before = time.perf_counter(), _cpu()
        list(pool.map(lambda _: engine.run(film), films))
        return {"seconds": time.perf_counter() - start, "cpu": _cpu() - before}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _measure(role: str, films: Path, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--role", role, "--films", str(films)]
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--count", str(count), "--out", out], check=True, capture_output=True
        )
        whole = time.perf_counter() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "whole": whole}


def _beside(many: dict[str, float], few: dict[str, float], network: dict[str, float]) -> float:
    """Processor time of a further film beside the network, as a multiple of the network's own.

    The difference of two runs leaves out loading and compiling, which no film pays for.
    """
    a_film = (many["cpu"] - few["cpu"]) / max(1, many["n"] - few["n"])
    return a_film / (network["cpu"] / network["n"]) - 1


def _films(folder: Path, count: int) -> None:
    import radloop as package

    bundled = sorted((Path(package.__file__).parent / "demo" / "films").glob("*.png"))
    bundled = [film for film in bundled if film.name != TURNED]
    for k in range(count):
        shutil.copy(bundled[k % len(bundled)], folder / f"{k:04d}.png")


def main() -> None:
    """Run the roles in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=("plain", "radloop", "network"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.role:
        films = sorted(options.films.glob("*.png"))[: options.count]
        result = {"plain": plain, "radloop": radloop, "network": network}[options.role](
            films, options.out
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**result, "n": len(films), "mib": peak}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.films or Path(temporary)
        if options.films is None:
            _films(folder, options.count)
        _measure("radloop", folder, 8)
        rounds = [
            {
                role: _measure(role, folder, options.count)
                for role in ("plain", "radloop", "network")
            }
            for _ in range(options.rounds)
        ]
        few = _measure("radloop", folder, min(50, options.count))
    for role in ("plain", "radloop", "network"):
        speeds = [r[role]["n"] / r[role]["seconds"] for r in rounds]
        starts = [r[role]["whole"] - r[role]["seconds"] for r in rounds]
        print(
            f"{role:8} {statistics.median(speeds):7.1f} films/s"
            f"  ({min(speeds):.1f} to {max(speeds):.1f}), start {statistics.median(starts):.1f} s,"
            f" peak {max(r[role]['mib'] for r in rounds):.0f} MiB"
        )
    ratios = [r["plain"]["seconds"] / r["radloop"]["seconds"] for r in rounds]
    beside = [_beside(r["radloop"], few, r["network"]) for r in rounds]
    print(f"radloop / plain, films per second: {statistics.median(ratios):.2f}")
    print(f"processor time beside the network / of it: {statistics.median(beside):.2f}")
    more = statistics.median(r["radloop"]["mib"] for r in rounds)
    print(
        f"peak memory: {few['mib']:.0f} MiB at {few['n']} films, {more:.0f} MiB at {options.count}"
    )


if __name__ == "__main__":
    main()
