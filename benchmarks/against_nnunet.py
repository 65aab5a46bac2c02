"""`cardiomegaly` against nnU-Net v2 (2D): same training films, same minutes, same processor.

    python benchmarks/against_nnunet.py --cases folds.csv --fold 0 --minutes 14 \
        --nnunet PYTHON [--ours MODEL] [--out DIR]

PYTHON is that of an environment with nnunetv2 (`pip install nnunetv2`). Both train on all folds but
one and are judged on that one: Dice of the heart and of both lungs together, on the films' grid,
and films a second from file to mask, loading of the model not counted. `--ours` takes a model that
`radloop train --fold K --minutes M` made before, instead of training one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from radloop.cases.case import Case
from radloop.cases.table import CaseTable, read_cases
from radloop.images.masks import read_mask
from radloop.images.read import read_radiograph
from radloop.images.write import write_png
from radloop.inference.predict import PredictOptions, predict
from radloop.measures.overlap import dice
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.model import Model, load_model
from radloop.systems.registry import get_system

SYSTEM = get_system("cardiomegaly")
SIDE = Path(__file__).with_name("nnunet_side.py")
WHERE = ("Dataset001_Chest", "2d")


def write_dataset(cases: list[Case], raw: Path) -> None:
    """nnU-Net's raw data set: grey films, and the label maps that `radloop train` learns from."""
    dataset = raw / WHERE[0]
    for case in cases:
        image = read_radiograph(case.image).image
        assert image is not None, case.case_id
        write_png(dataset / "imagesTr" / f"{case.case_id}_0000.png", image.as_uint8())
        labels = SYSTEM.target(case, image, image.array.shape[0])
        write_png(dataset / "labelsTr" / f"{case.case_id}.png", labels)
    names = ("background", *SYSTEM.structures)
    facts = {
        "channel_names": {"0": "radiograph"},
        "labels": {name: k for k, name in enumerate(names)},
        "numTraining": len(cases),
        "file_ending": ".png",
    }
    (dataset / "dataset.json").write_text(json.dumps(facts))


def nnunet(
    python: Path, train: list[Case], held_out: list[Case], minutes: float, work: Path
) -> tuple[dict[str, object], Path]:
    """Plan, train and predict; returns the figures and the folder of masks."""
    folders = {
        name: work / name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    }
    env = {
        **os.environ,
        **{name: str(folder) for name, folder in folders.items()},
        "nnUNet_n_proc_DA": "1",  # beside the training on two cores, more only get in the way
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    write_dataset(train, folders["nnUNet_raw"])
    films, masks = work / "films", work / "masks"
    for case in held_out:
        image = read_radiograph(case.image).image
        assert image is not None, case.case_id
        write_png(films / f"{case.case_id}_0000.png", image.as_uint8())
    plan = ["nnUNetv2_plan_and_preprocess", "-d", "1", "-c", "2d", "-np", "2", "-npfp", "2"]
    subprocess.run(plan, env=env, check=True, stdout=subprocess.DEVNULL)

    def side(*arguments: str) -> dict[str, object]:
        done = subprocess.run(
            [str(python), str(SIDE), *arguments], env=env, check=True, stdout=subprocess.PIPE
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))

    trained = side("train", *WHERE, str(minutes))
    return trained | side("predict", *WHERE, str(films), str(masks)), masks


def radloop(model: Model, held_out: list[Case], work: Path) -> tuple[dict[str, object], Path]:
    """Predict the held-out films; returns the figures and the folder of masks."""
    films = [case.image for case in held_out]
    summary = predict(model, films, work / "ours", PredictOptions())
    return {"seconds": summary.seconds, **model.info["training"]}, work / "ours" / "masks"


def judge(held_out: list[Case], masks: Path) -> dict[str, float]:
    """Mean Dice of heart and lungs; a film without a mask (refused) counts as zero."""
    values: dict[str, list[float]] = {"heart": [], "lungs": []}
    for case in held_out:
        image = read_radiograph(case.image).image
        assert image is not None, case.case_id
        shape = (image.array.shape[0], image.array.shape[1])
        truth = {s: read_mask(f, shape) for s, f in case.reference.masks.items()}
        path = masks / f"{case.case_id}.png"
        found = read_labels(path) if path.is_file() else np.zeros(shape, np.uint8)
        values["heart"].append(dice(found == 1, truth["heart"]))
        lungs = truth["left_lung"] | truth["right_lung"]
        values["lungs"].append(dice((found == 2) | (found == 3), lungs))
    return {name: float(np.mean(scores)) for name, scores in values.items()}


def read_labels(path: Path) -> np.ndarray:
    """A label map as both sides write it."""
    import cv2

    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


def split(table: CaseTable, fold: int) -> tuple[list[Case], list[Case]]:
    """(training cases, held-out cases)."""
    held_out = [case for case in table.cases if case.split == f"fold{fold}"]
    return [case for case in table.cases if case.split != f"fold{fold}"], held_out


def show(name: str, scores: Mapping[str, float], speed: float, trained: str) -> None:
    """A row of the table."""
    print(f"{name:9} {scores['heart']:11.4f} {scores['lungs']:11.4f} {speed:9.2f}   {trained}")


def main() -> None:
    """Run both sides, one after the other, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--nnunet", type=Path, required=True)
    parser.add_argument("--ours")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    train, held_out = split(read_cases(options.cases), options.fold)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.out or Path(temporary)
        if options.ours is None:
            settings = TrainOptions(minutes=options.minutes, fold=options.fold)
            fit(SYSTEM, read_cases(options.cases), work / "model", settings)
        model = load_model(options.ours or str(work / "model"))
        ours, our_masks = radloop(model, held_out, work)
        started = time.monotonic()
        theirs, their_masks = nnunet(options.nnunet, train, held_out, options.minutes, work)
        whole = (time.monotonic() - started) / 60
        ours_scores, their_scores = judge(held_out, our_masks), judge(held_out, their_masks)
    our_speed = len(held_out) / float(str(ours["seconds"]))
    their_speed = len(held_out) / float(str(theirs["seconds"]))
    print(
        f"{len(train)} training films, {len(held_out)} held out, {options.minutes:g} minutes each"
    )
    print(f"{'':9} {'heart Dice':>11} {'lungs Dice':>11} {'films/s':>9}   training")
    show("radloop", ours_scores, our_speed, f"{ours['epochs']} epochs in {ours['minutes']} minutes")
    show(
        "nnU-Net",
        their_scores,
        their_speed,
        f"{theirs['steps']} steps, batch {theirs['batch']}, patch {theirs['patch']};"
        f" {whole:.0f} minutes with planning and prediction",
    )
    print(f"heart Dice, radloop - nnU-Net: {ours_scores['heart'] - their_scores['heart']:+.4f}")
    print(f"films per second, radloop / nnU-Net: {our_speed / their_speed:.1f}")


if __name__ == "__main__":
    main()
