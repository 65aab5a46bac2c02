"""The demonstration: the shipped model on the real films that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import radloop
from radloop.errors import InputError
from radloop.findings.forms import read_predictions
from radloop.findings.page import write_page
from radloop.service.worklist import WorklistItem, order

FILMS = Path(radloop.__file__).parent / "demo" / "films"


def run_demo(
    out: Path,
    *,
    films: Path = FILMS,
    model: str = "cardiomegaly",
    progress: Callable[[int, int], None] | None = None,
) -> list[WorklistItem]:
    """Read the bundled films and write findings, pictures and `index.html` to `out`.

    films: PNG and DICOM files. progress: called with (done, total). Returns the worklist, most
    urgent first. Raises InputError when the films are missing.
    """
    from radloop.inference.predict import PredictOptions, predict
    from radloop.systems.model import load_model

    if not films.is_dir():
        raise InputError(
            "The films of the demonstration are not part of this installation.",
            "Install Radloop again from its wheel or repository.",
        )
    predict(load_model(model), [films], out, PredictOptions(pictures=True), progress)
    items = order(read_predictions(out))
    write_page(out, items)
    return items
