"""nnU-Net's side of the benchmarks against it; run by the Python of an environment that holds
nnunetv2.

    python nnunet_side.py train DATASET CONFIGURATION MINUTES
    python nnunet_side.py predict DATASET CONFIGURATION IMAGES OUT

The environment names nnU-Net's three folders. Its own trainer, plans, augmentation and loss, all of
the training cases, on the processor; only the schedule is cut: the polynomial learning rate follows
the clock, as it would have followed the epochs, and there is no validation in between.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch


def train(dataset: str, configuration: str, minutes: float) -> dict[str, float]:
    """Train for `minutes`, data loading and augmentation included; planning is not counted."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    folder = Path(os.environ["nnUNet_preprocessed"], dataset)  # noqa: SIM112 - its own name
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["continue_training"] = False
    facts = json.loads((folder / "dataset.json").read_text())
    trainer = nnUNetTrainer(plans, configuration, "all", facts, torch.device("cpu"))
    trainer.initialize()
    trainer.on_train_start()
    trainer.network.train()
    start, steps, done = time.monotonic(), 0, 0.0
    while done < 1.0:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - done) ** 0.9
        trainer.train_step(next(trainer.dataloader_train))
        steps += 1
        done = (time.monotonic() - start) / (60 * minutes)
    trainer.current_epoch = 1
    trainer.on_train_end()
    patch, batch = trainer.configuration_manager.patch_size, trainer.batch_size
    return {"steps": steps, "minutes": minutes * done, "patch": patch, "batch": batch}


def predict(dataset: str, configuration: str, images: Path, out: Path) -> dict[str, float]:
    """From files to masks, without test-time mirroring, which costs four (2D) or eight times (3D)
    as much."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    results = Path(
        os.environ["nnUNet_results"],  # noqa: SIM112 - its own name
        dataset,
        f"nnUNetTrainer__nnUNetPlans__{configuration}",
    )
    predictor.initialize_from_trained_model_folder(str(results), ("all",))
    start = time.perf_counter()
    predictor.predict_from_files(
        str(images), str(out), num_processes_preprocessing=1, num_processes_segmentation_export=1
    )
    return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    role, dataset, configuration, *rest = sys.argv[1:]
    if role == "train":
        print(json.dumps(train(dataset, configuration, float(rest[0]))))
    else:
        print(json.dumps(predict(dataset, configuration, Path(rest[0]), Path(rest[1]))))
