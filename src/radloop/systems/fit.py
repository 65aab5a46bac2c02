"""`fit`: from a case table to a model folder, for any system.

Reads and prepares the films of the `train` and `val` splits once, trains, measures the model's
settings (`System.calibrate`) on what it says of them, and writes the model with its training
report. The folder can be resumed after a kill.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radloop.cases.boxes.coco import case_boxes
from radloop.cases.case import Case
from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.images.image import Image
from radloop.systems.base import Array, Look, Preset, System
from radloop.systems.card import training_card
from radloop.systems.model import Model, file_sha256, load_model, save_model
from radloop.systems.teaching import teacher

if TYPE_CHECKING:
    from torch import nn

    from radloop.training.data import Sample


@dataclass(frozen=True)
class TrainOptions:
    """The options of `radloop train`.

    fold: validate on split `fold<K>`, train on the others. teachers: models whose mean answer
    softens the targets (see `teaching`). stage: train only one network of a
    system that has several (`System.learn`); the others come from `weights`.
    """

    preset: str = "strong"
    network: str | None = None
    weights: str = "none"
    freeze: int = 0
    minutes: float | None = None
    epochs: int | None = None
    seed: int = 0
    resume: bool = False
    device: str = "auto"
    fold: int | None = None
    teachers: Sequence[str] = ()
    stage: str = ""
    quiet: bool = False


@dataclass(frozen=True)
class TrainReport:
    """What `fit` did: the model, the best validation score, and the cases it could not use."""

    model: Model
    best_score: float
    epochs: int
    minutes: float
    skipped: Mapping[str, str]


def fit(system: System, table: CaseTable, out: Path, options: TrainOptions) -> TrainReport:
    """Train `system` on the table's splits and write the model to `out`.

    Raises InputError for an unknown preset or network, a table without splits, a folder that
    holds a model already (without `resume`), and when too few cases can be used.
    """
    parts = _parts(table, options.fold)
    preset = system.declared(_preset(system, options), parts["train"])
    system = system.configured(preset.options)
    if (out / "model.json").is_file() and not options.resume:
        raise InputError(f"'{out.name}' holds a model already.", "Choose another --out.")
    if options.resume and not any(out.glob("**/log/last.ckpt")):
        raise InputError(f"'{out.name}' holds no training to resume.", "Leave --resume away.")

    import torch

    from radloop.training.curves import write_training_report
    from radloop.training.trainer import TrainingRun, train_network
    from radloop.training.weights import freeze_first, load_weights

    torch.manual_seed(options.seed)  # the first weights are drawn here
    network = system.build(preset.network, preset.options)
    fresh = load_weights(network, options.weights)
    recipe = preset.recipe
    gentle = recipe.freeze if options.weights != "none" else 0
    if recipe.probe and options.weights == "none":
        raise InputError(
            f"Preset '{preset.name}' leaves the encoder as it starts, and it starts from nothing.",
            "Give --weights imagenet, or a file.",
        )
    frozen = freeze_first(system.trunk(network), options.freeze or gentle)
    skipped: dict[str, str] = {}
    soften = teacher(system, options.teachers) if options.teachers else None
    large = round(recipe.size * recipe.cache_scale)
    train = _samples(system, parts["train"], large, skipped, soften)
    val = _samples(system, parts["val"], recipe.size, skipped)
    if not train or not val:
        raise InputError(
            f"{len(train)} training and {len(val)} validation cases can be used.",
            "Both are needed: run `radloop check` on the table to see why cases were left out.",
        )
    if skipped and not options.quiet:
        print(f"left out {len(skipped)} cases: {'; '.join(skipped.values())}", file=sys.stderr)
    run = TrainingRun(
        out, options.minutes, options.epochs, options.seed, options.resume, options.device,
        options.quiet, options.stage,
    )  # fmt: skip
    trained = system.learn(network, train, val, recipe, run) or train_network(
        network, train, val, loss=system.loss, score=system.score, swaps=system.swaps,
        recipe=recipe, run=run, augment=system.augment(recipe), examine=system.examine(recipe),
    )  # fmt: skip
    network.load_state_dict(trained.weights)
    network.float().cpu().eval()
    settings = {
        **_settings_of_others(system, options),
        **_calibrated(system, preset, network, [*parts["train"], *parts["val"]], skipped),
    }
    info = {
        "name": out.name,
        "version": "1",
        "system": system.name,
        "preset": preset.name,
        "network": preset.network,
        "options": dict(preset.options),
        "recipe": asdict(recipe),
        "structures": list(system.structures),
        "settings": settings,
        "training": {
            "seed": options.seed,
            "fold": options.fold,
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "minutes": round(trained.minutes, 2),
            "validation_score": round(trained.best_score, 5),
            "cases": {name: len(cases) for name, cases in parts.items()},
            "patients": {name: len({c.patient_id for c in cases}) for name, cases in parts.items()},
            "weights": Path(options.weights).name,
            "teachers": [load_model(name).sha256 for name in options.teachers],
            "fresh_tensors": len(fresh) if options.weights != "none" else None,
            "frozen_layers": len(frozen),
            "data_sha256": _fingerprint([*parts["train"], *parts["val"]]),
        },
    }
    write_training_report(out, trained, info)
    model = save_model(out, network.state_dict(), info, training_card(system, info))
    return TrainReport(model, trained.best_score, trained.epochs, trained.minutes, skipped)


def _preset(system: System, options: TrainOptions) -> Preset:
    if options.preset not in system.presets:
        raise InputError(
            f"System '{system.name}' has no preset '{options.preset}'.",
            f"Its presets: {', '.join(system.presets)}.",
        )
    preset = system.presets[options.preset]
    # A preset's network options mean nothing to another network.
    return replace(preset, network=options.network, options={}) if options.network else preset


def _parts(table: CaseTable, fold: int | None) -> dict[str, list[Case]]:
    held_out = f"fold{fold}" if fold is not None else "val"
    if held_out not in table.splits:
        known = ", ".join(table.splits) or "none"
        raise InputError(
            f"{table.path.name} has no split '{held_out}' to validate on (it has: {known}).",
            "Run `radloop split`, with --fractions for train/val or --folds and train --fold K.",
        )
    if fold is None:
        train = [c for c in table.cases if c.split == "train"]
    else:
        folds = [c for c in table.cases if c.split.startswith("fold") and c.split != held_out]
        train = [replace(c, split="train") for c in folds]
    val = [replace(c, split="val") for c in table.cases if c.split == held_out]
    return {"train": train, "val": val}


def _samples(
    system: System,
    cases: Sequence[Case],
    size: int,
    skipped: dict[str, str],
    soften: Callable[[Image, Array], Array] | None = None,
) -> list[Sample]:
    """Prepared films and targets of the usable cases; the others go to `skipped` with a reason."""
    from radloop.training.data import Sample

    def one(case: Case) -> Sample | None:
        reading = system.read_case(case.images)
        if reading.image is None:
            skipped[case.case_id] = " ".join(reading.verdict.messages)
            return None
        try:
            target = system.target(case, reading.image, size)
        except InputError as error:
            skipped[case.case_id] = str(error)
            return None
        if soften is not None:
            target = soften(reading.image, target)
        prepared = system.prepare(reading.image, size)
        return Sample(prepared, target, _reread(system, case) if system.keeps_originals else None)

    with ThreadPoolExecutor() as pool:
        return [sample for sample in pool.map(one, cases) if sample is not None]


def _reread(system: System, case: Case) -> Callable[[], Array]:
    def original() -> Array:
        image = system.read_case(case.images).image
        if image is None:
            raise InputError(f"Case '{case.case_id}' can no longer be read.", "Check its file.")
        return image.as_uint8()

    return original


def _settings_of_others(system: System, options: TrainOptions) -> Mapping[str, Any]:
    """Where one stage alone is trained: what was measured of the others, as their model has it."""
    if not options.stage or not (Path(options.weights) / "model.json").is_file():
        return {}
    known = load_model(options.weights).settings
    return {name: known[name] for name in system.settings_of_stages if name in known}


def _calibrated(
    system: System,
    preset: Preset,
    network: nn.Module,
    cases: Sequence[Case],
    skipped: Mapping[str, str],
) -> Mapping[str, Any]:
    usable = [c for c in cases if c.case_id not in skipped and c.split in system.calibrated_on]
    look = _look(system, network)
    judged = judged_cases(system, network, usable, preset.recipe.size)
    return system.calibrate(judged, preset, look)


def judged_cases(
    system: System, network: nn.Module, cases: Sequence[Case], size: int
) -> list[tuple[Case, Image, Array]]:
    """Every readable case with its image and the deployed network's output."""
    look = _look(system, network)
    judged = []
    for case in cases:
        reading = system.read_case(case.images)
        if reading.image is not None:
            film = system.prepare(reading.image, size)
            judged.append((case, _light(reading.image), look(film)))
    return judged


def _look(system: System, network: nn.Module) -> Look:
    import torch

    deployed = system.deploy(network).eval()

    def run(inputs: Array, *stage: str) -> Array:
        with torch.inference_mode():
            output: Array = deployed(torch.from_numpy(inputs).float(), *stage).numpy()
        return output

    return lambda film, *stage: system.answer(film, run, *stage)


def _light(image: Image) -> Image:
    """8-bit films as they are; deeper ones reduced, since all of them are held at once, and scans
    without their voxels."""
    if image.array.ndim == 3:
        nothing = np.broadcast_to(np.zeros((), np.uint8), image.array.shape)
        return image.with_array(nothing)
    return image if image.array.dtype == np.uint8 else image.with_array(
        image.as_uint8(), display_range=(0.0, 255.0)
    )  # fmt: skip


def _files(case: Case) -> list[Path]:
    """The files of a case, those in its folders one by one."""
    given = [*case.images.values(), *case.reference.masks.values(), case.reference.slices]
    paths = [path for path in given if path is not None]
    inside = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths]
    return [path for files in inside for path in files if path.is_file()]


def _fingerprint(cases: Sequence[Case]) -> str:
    """Hash over the cases' identifiers, splits, and the bytes of their images and masks,
    and their boxes."""
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda c: c.case_id):
        boxes = case_boxes(case) or ()  # by value: a table's cases share one file of boxes
        row = [case.case_id, case.split, *(file_sha256(f) for f in _files(case)), *map(str, boxes)]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
