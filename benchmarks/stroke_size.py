"""Memory and time of `radloop predict` with `stroke` over the size of the case: seven channels.

    python benchmarks/stroke_size.py [--preset strong] [--finest 1.0]

The same phantom head on grids of 128 x 128 x 75, 256 x 256 x 150 and 512 x 512 x 300 voxels, as
NIfTI; the weights are those of a training of one epoch, since neither memory nor time depends on
what they say. Each size is one process; its memory includes the interpreter and the engine. The
time is that of the case, without start and loading of the model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from radloop.cases.case import Case
from radloop.cases.table import table_of, write_cases
from radloop.images.image import Geometry
from radloop.images.nifti import write_nifti
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.lesions.phantom import draw_brain, write_phantoms
from radloop.systems.registry import get_system
from stroke_against_peers import measured

DRAWN = ("dwi", "adc", "flair", "t1", "t2")
COPIED = {"cbf": "t1", "tmax": "t2"}
SIZES = ((75, 128, 128), (150, 256, 256), (300, 512, 512))


def write_case(size: tuple[int, int, int], folder: Path) -> Path:
    """The phantom in a field of view of 150 x 230 x 230 mm, and its table."""
    brain = draw_brain(1, DRAWN, 4.0)
    spacing = tuple(side / n for side, n in zip((150, 230, 230), size, strict=True))
    files = {}
    for name in (*DRAWN, *COPIED):
        small = brain.channels[COPIED.get(name, name)]
        zoom = [4.0 / s for s in spacing]
        large = np.zeros(size, np.float32)
        fine = ndimage.zoom(small, zoom, order=1)
        take = tuple(slice(0, min(a, b)) for a, b in zip(fine.shape, size, strict=True))
        large[take] = fine[take]
        geometry = Geometry(
            size, spacing, "patient", (0.0, 0.0, 0.0),
            ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
        )  # fmt: skip
        files[name] = folder / f"{name}.nii"
        write_nifti(large.astype(np.int16), geometry, files[name])
    table = table_of([Case("case", "case", files)], folder / "cases.csv")
    write_cases(table, table.path)
    return table.path


def main() -> None:
    """Print a row a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="strong")
    parser.add_argument("--finest", type=float, default=1.0)
    options = parser.parse_args()
    print(f"{'voxels a channel':>17} {'s':>7} {'s / million':>12} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        model = trained(work, options.preset, options.finest)
        for size in SIZES:
            folder = work / "x".join(map(str, size))
            folder.mkdir()
            table = write_case(size, folder)
            program = str(Path(sys.executable).with_name("radloop"))
            command = [program, "predict", str(model), str(table), "--out", str(folder / "out"),
                       "--workers", "1", "--json", "--quiet"]  # fmt: skip
            figures = measured(command)
            seconds, millions = float(str(figures["seconds"])), np.prod(size) / 1e6
            print(
                f"{'x'.join(map(str, size)):>17} {seconds:7.2f} {seconds / millions:12.3f}"
                f" {float(str(figures['peak_mib'])):9.0f}",
                flush=True,
            )
            for file in folder.glob("*.nii"):
                file.unlink()


def trained(work: Path, preset: str, finest: float) -> Path:
    table = write_phantoms(2, 1, work / "phantoms", DRAWN, 4.0)
    cases = []
    for k, case in enumerate(table.cases):
        more = {name: case.images[like] for name, like in COPIED.items()}
        split = "train" if k == 0 else "val"
        cases.append(replace(case, images={**case.images, **more}, split=split))
    system = get_system("stroke")
    table = replace(table, cases=tuple(cases))
    fit(system, table, work / "model", TrainOptions(preset=preset, epochs=1, quiet=True))
    info = json.loads((work / "model" / "model.json").read_text())
    info["options"]["spacing"] = [finest] * 3  # as fine as the largest case asks for
    (work / "model" / "model.json").write_text(json.dumps(info))
    return work / "model"


if __name__ == "__main__":
    main()
