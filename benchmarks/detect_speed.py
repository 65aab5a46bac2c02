"""Faster R-CNN through Radloop's predictor against torchvision's own call, on the same weights.

    python benchmarks/detect_speed.py [--films DIR] [--count 12] [--side 640] [--rounds 3]
                                      [--engine openvino-bf16]

`fasterrcnn_resnet50_fpn`, random weights. torchvision: Pillow reads the film, the model is called
on it in eager PyTorch float32. Radloop: the pipeline of `predict`, file to findings.
Both see the film in the middle of a square of `side` px. One process, in turn, after a warm-up of
each; the boxes must agree (IoU above .99, scores within 1e-3). Without `--films`, the package's own
demonstration films. Prints films per second, the ratio of the medians, agreement, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

BUILDER = "fasterrcnn_resnet50_fpn"


def make_model(folder: Path, side: int):  # type: ignore[no-untyped-def]
    """A one-stage model of `bone_fracture` with torchvision's detector, weights as they are drawn,
    its box head spread so that boxes come out."""
    import torch

    from radloop.systems.model import save_model
    from radloop.systems.registry import get_system

    torch.manual_seed(0)
    network = get_system("bone_fracture").build(f"torchvision:{BUILDER}", {})
    torch.nn.init.normal_(network.detector.model.roi_heads.box_predictor.cls_score.weight, std=0.05)
    info = {
        "name": "benchmark", "version": "1", "system": "bone_fracture", "preset": "paper",
        "network": f"torchvision:{BUILDER}", "options": {}, "recipe": {"size": side},
        "structures": [], "settings": {},
    }  # fmt: skip
    return save_model(folder, network.state_dict(), info)


def torchvisions_own(model, films: list[Path], side: int):  # type: ignore[no-untyped-def]
    """Its boxes of every film, and the seconds they took."""
    import numpy as np
    import torch
    from PIL import Image

    from radloop.systems.regions.film import letterbox

    network = model.network().detector.model.eval()
    network.transform.min_size, network.transform.max_size = (side,), side

    def run() -> tuple[list[dict], float]:
        start, answers = time.perf_counter(), []
        with torch.inference_mode():
            for path in films:
                film = letterbox(np.array(Image.open(path).convert("L")), side)
                image = torch.from_numpy(film)[None].expand(3, -1, -1) / 255
                answers += network([image])
        return answers, time.perf_counter() - start

    return run


def radloops(model, films: list[Path], name: str):  # type: ignore[no-untyped-def]
    """Its boxes of every film through the pipeline, and the seconds they took."""
    from radloop.inference.engine import open_engine
    from radloop.inference.pipeline import Item, run_pipeline

    engine = open_engine(model, name, "cpu")
    items = [Item(path.name, path.name, path) for path in films]

    def run() -> tuple[list, float]:
        start = time.perf_counter()
        results = list(run_pipeline(model, engine, items, lambda result: result))
        return [r.interpretation.boxes for r in results], time.perf_counter() - start

    return run


def agreement(theirs: list[dict], ours: list, films: list[Path], side: int) -> tuple[float, float]:
    """The lowest IoU of torchvision's boxes with the nearest of ours, the largest difference of
    score; only boxes whose score is not tied with the last one that was kept."""
    import numpy as np
    from PIL import Image

    from radloop.measures.detection import box_overlap
    from radloop.systems.regions.film import to_film, within

    overlaps, differences = [1.0], [0.0]
    for answer, boxes, path in zip(theirs, ours, films, strict=True):
        width, height = Image.open(path).size
        corners = to_film(answer["boxes"].numpy(), (height, width), side)
        places = [within(c, (height, width)) for c in corners]
        overlap = box_overlap(places, [b.corners for b in boxes])
        if not overlap.size:
            continue
        best = overlap.argmax(1)
        overlaps.append(float(overlap.max(1).min()))
        scores = np.array([b.found for b in boxes])[best]
        differences.append(float(np.abs(scores - answer["scores"].numpy()).max()))
    return min(overlaps), max(differences)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="openvino")
    arguments = parser.parse_args()

    import radloop

    folder = arguments.films or Path(radloop.__file__).parent / "demo"
    pictures = (p for p in sorted(folder.rglob("*")) if p.suffix in (".png", ".jpg"))
    films = list(islice(pictures, arguments.count))
    with tempfile.TemporaryDirectory() as temporary:
        model = make_model(Path(temporary, "model"), arguments.side)
        runs = {
            "torchvision": torchvisions_own(model, films, arguments.side),
            "radloop": radloops(model, films, arguments.engine),
        }
        answers, seconds = {}, {name: [] for name in runs}
        for number in range(arguments.rounds + 1):
            for name, run in runs.items():
                answers[name], took = run()
                if number:
                    seconds[name].append(took)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    overlap, difference = agreement(
        answers["torchvision"], answers["radloop"], films, arguments.side
    )
    print(
        json.dumps(
            {
                "engine": arguments.engine,
                "films": len(films),
                "boxes": sum(len(a["boxes"]) for a in answers["torchvision"]),
                **{f"{name} films/s": round(len(films) / m, 2) for name, m in medians.items()},
                "ratio": round(medians["torchvision"] / medians["radloop"], 2),
                "lowest IoU": round(overlap, 4),
                "largest difference of score": round(difference, 6),
                "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
