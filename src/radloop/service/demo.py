"""The demonstration: the shipped models on what comes with the package, real films and scans and
drawn jaws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import radloop
from radloop.errors import InputError
from radloop.findings.forms import PredictionLog, read_predictions
from radloop.findings.page import write_page
from radloop.service.worklist import WorklistItem, order

FOLDER = Path(radloop.__file__).parent / "demo"


@dataclass(frozen=True)
class DemoPart:
    """A model and the folder of what it reads."""

    model: str
    inputs: Path


PARTS = (
    DemoPart("cardiomegaly", FOLDER / "films"),
    DemoPart("hemorrhage", FOLDER / "scans"),
    DemoPart("phantom-teeth", FOLDER / "jaws"),
)


def run_demo(
    out: Path,
    *,
    parts: Sequence[DemoPart] = PARTS,
    progress: Callable[[int, int], None] | None = None,
) -> list[WorklistItem]:
    """Read the bundled films and scans; write each model's findings and pictures to a folder of
    its name in `out`, and all of them as one worklist: `predictions.jsonl` and `index.html`.

    progress: called with (done, total), for each part. Returns the worklist, most urgent first.
    Raises InputError when the inputs are missing.
    """
    from radloop.inference.predict import PredictOptions, predict
    from radloop.systems.model import load_model

    together = []
    for part in parts:
        if not part.inputs.is_dir():
            raise InputError(
                "The images of the demonstration are not part of this installation.",
                "Install Radloop again from its wheel or repository.",
            )
        model = load_model(part.model)
        folder = out / model.name
        # The bundled CT series has uneven gaps: they may be resampled, and the worklist says so.
        options = PredictOptions(pictures=True, even_out=True)
        predict(model, [part.inputs], folder, options, progress)
        together += [
            replace(p, files={kind: f"{model.name}/{name}" for kind, name in p.files.items()})
            for p in read_predictions(folder)
        ]
    with PredictionLog(out) as log:
        for prediction in together:
            log.append(prediction)
    items = order(together)
    write_page(out, items)
    return items
