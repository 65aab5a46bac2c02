"""`predict`: a model's findings for many films, as the files of the contract.

Writes `predictions.jsonl`, `labels.json`, `masks/<case>.png` and, if asked for,
`pictures/<case>.jpg`. Nothing is lost: a film that cannot be read has its line, with the reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from radloop.cases.table import read_cases
from radloop.findings.finding import ModelRef, Prediction
from radloop.findings.forms import PredictionLog
from radloop.images.read import find_images
from radloop.images.scans import find_scans
from radloop.images.write import write_text
from radloop.inference.engine import open_engine
from radloop.inference.files import file_name, write_files
from radloop.inference.heatmaps import HeatMaps
from radloop.inference.pipeline import Item, Result, run_pipeline
from radloop.systems.model import Model

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictOptions:
    """The options of `radloop predict`.

    batch: films a network call (None: what suits the engine). pictures: also draw each film with
    its evidence. members: how often each film is read, slightly shifted, for the interval
    (1 to 9; 1 takes the interval from the sharpness of the edges alone). workers: threads.
    even_out: resample scans with uneven gaps, with a warning, instead of refusing them.
    """

    device: str = "auto"
    engine: str = "auto"
    batch: int | None = None
    pictures: bool = False
    members: int = 1
    workers: int | None = None
    even_out: bool = False


@dataclass(frozen=True)
class PredictSummary:
    """How many cases, by verdict, in how many seconds (without the start of the engine)."""

    n: int
    accepted: int
    warned: int
    refused: int
    seconds: float


def predict(
    model: Model,
    inputs: Sequence[Path],
    out: Path,
    options: PredictOptions = PredictOptions(),
    progress: Progress | None = None,
) -> PredictSummary:
    """Read every film of `inputs` (files, folders, or case tables) and write `out`.

    progress: called with (done, all) after each film. Raises InputError for inputs without a
    candidate film, WriteError when the disk is full; what was done until then is kept in
    `predictions.jsonl.partial`.
    """
    items = list_items(inputs, scans=model.system.reads_scans)
    engine = open_engine(model, options.engine, options.device, options.batch, options.workers)
    structures = {"background": 0}
    structures |= {name: k for k, name in enumerate(model.system.structures, start=1)}
    write_text(out / "labels.json", json.dumps(structures, indent=1) + "\n")
    cam = HeatMaps(model)

    def finish(result: Result) -> Prediction:
        return prediction_of(model, result, out, cam if options.pictures else None)

    counts: Counter[str] = Counter()
    start = perf_counter()
    settings = {"members": options.members}
    with PredictionLog(out) as log:
        predictions = run_pipeline(
            model,
            engine,
            items,
            finish,
            workers=options.workers,
            settings=settings,
            even_out=options.even_out,
        )
        for done, prediction in enumerate(predictions, start=1):
            log.append(prediction)
            counts[prediction.verdict.status] += 1
            if progress is not None:
                progress(done, len(items))
    return PredictSummary(
        len(items), counts["accepted"], counts["warned"], counts["refused"], perf_counter() - start
    )


def prediction_of(model: Model, result: Result, out: Path, cam: HeatMaps | None) -> Prediction:
    """What the model says of one case, its files written below `out`, pictures with `cam`."""
    return Prediction(
        result.item.case_id,
        result.item.patient_id,
        model.system.name,
        ModelRef(model.name, model.version, model.sha256),
        result.verdict,
        result.interpretation.findings if result.interpretation else (),
        write_files(model, result, out, cam),
        {key: round(value, 4) for key, value in result.seconds.items()},
    )


def list_items(inputs: Sequence[Path], scans: bool = False) -> list[Item]:
    """The films of files, folders and case tables, in input order, with unique identifiers.

    scans: look for scans instead: NIfTI files, and folders that directly hold slices. A film or
    scan outside a table is named by its file; where that name is taken already, by its path
    below the inputs' common folder, and at last by a number.
    """
    items: list[Item] = []
    taken: set[str] = set()
    for path in inputs:
        if path.suffix.lower() == ".csv":
            found = [
                Item(case.case_id, case.patient_id, case.image, case)
                for case in read_cases(path).cases
            ]
        else:
            films = find_scans(path) if scans else find_images([path])
            found = [Item(name, name, film) for name, film in _named(films, path)]
        for item in found:
            name, count = item.case_id, 2
            while file_name(name) in taken:
                name, count = f"{item.case_id}_{count}", count + 1
            taken.add(file_name(name))
            items.append(replace(item, case_id=name))
    return items


def _named(films: Sequence[Path], folder: Path) -> Iterable[tuple[str, Path]]:
    stems = Counter(_stem(film) for film in films)
    for film in films:
        name = _stem(film)
        if stems[name] > 1:
            name = "_".join([*film.relative_to(folder).parts[:-1], name])
        yield name, film


def _stem(path: Path) -> str:
    """The name without the suffix of a picture; a DICOM file's UID keeps its last part."""
    known = re.fullmatch(r"(.+)\.(png|jpe?g|tiff?|dcm|dicom|nii(\.gz)?)", path.name, re.IGNORECASE)
    return known.group(1) if known else path.name
