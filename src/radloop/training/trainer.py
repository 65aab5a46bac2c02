"""The one trainer, for all systems, on Lightning.

It knows a network, a loss, a validation score, samples and a recipe, and nothing clinical. A
training can be killed at any time: `last.ckpt` holds the end of the latest epoch (weights, moving
average, optimiser, schedule, clock), and since every film of every epoch is drawn under its own
seed (`data.py`), a resumed training follows the course of an uninterrupted one.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from radloop.training.augmentation import training_transforms
from radloop.training.data import EpochSampler, Films, Sample, Scans, StackTransform, collate
from radloop.training.precision import keep_depthwise_precise
from radloop.training.progress import Progress
from radloop.training.recipe import Recipe

_LOOKS = 4
"""How many patches of a validation case are validated."""
Loss = Callable[[Any, Tensor], Tensor]
"""Of the network's answer and the target."""


@dataclass(frozen=True)
class TrainingRun:
    """How long and where: `minutes` or `epochs` bounds the run (both: whichever is first).

    stage: which of several networks, for systems that train more than one; "" for all.
    """

    folder: Path
    minutes: float | None = None
    epochs: int | None = None
    seed: int = 0
    resume: bool = False
    device: str = "auto"
    quiet: bool = False
    stage: str = ""


@dataclass(frozen=True)
class Trained:
    """What came of it: the weights of the best validation, and the curves.

    history: one row a validation: epoch, minutes, train_loss, val_loss, val_score.
    """

    weights: Mapping[str, Tensor]
    best_score: float
    best_epoch: int
    epochs: int
    minutes: float
    history: Sequence[Mapping[str, float]] = field(default_factory=tuple)


class Module(L.LightningModule):
    """Network, loss, schedule and the moving average of the weights."""

    def __init__(
        self, network: nn.Module, loss: Loss, score: Loss, recipe: Recipe, run: TrainingRun
    ) -> None:
        super().__init__()
        self.network, self.loss, self.score = network, loss, score
        self.recipe, self.run = recipe, run
        self.average: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.best_score, self.best_epoch = -math.inf, -1
        self.elapsed = 0.0
        self._clock = time.monotonic()
        self._train_loss: list[float] = []
        self._val: list[tuple[float, float, int]] = []
        self._kept: dict[str, Tensor] = {}

    def fraction(self) -> float:
        """How much of the budget is used, in [0, 1]; the learning rate follows it."""
        epochs = self.run.epochs or (None if self.run.minutes else self.recipe.epochs)
        by_epochs = self.global_step / (epochs * self.steps_an_epoch) if epochs else 0.0
        by_time = 0.0
        if self.run.minutes:
            by_time = (self.elapsed + time.monotonic() - self._clock) / (60 * self.run.minutes)
        return min(1.0, max(by_epochs, by_time))

    @property
    def steps_an_epoch(self) -> int:
        return max(1, int(self.trainer.num_training_batches))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # No weight decay on biases and normalisation, where it only harms.
        groups: list[dict[str, Any]] = []
        thaws = self.recipe.thaw > 0
        named = self.network.named_parameters()
        trained = [(n, p) for n, p in named if p.requires_grad or thaws]
        for inside, share in ((False, 1.0), (True, self.recipe.encoder_rate)):
            some = [p for name, p in trained if (".encoder." in f".{name}") == inside]
            groups += [
                {"params": [p for p in some if p.ndim > 1], "share": share},
                {"params": [p for p in some if p.ndim <= 1], "share": share, "weight_decay": 0.0},
            ]
        groups = [group for group in groups if group["params"]]
        if self.recipe.optimizer == "adadelta":
            return torch.optim.Adadelta(groups, lr=self.recipe.learning_rate)
        return torch.optim.AdamW(
            groups,
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
        )

    def on_train_start(self) -> None:
        self._clock = time.monotonic()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        done, warmup = self.fraction(), self.recipe.warmup
        if 0 < self.recipe.thaw <= done:
            self.network.requires_grad_(True)
        if self.recipe.optimizer == "adadelta":
            return  # it finds its own rates
        factor = done / warmup if done < warmup else 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.recipe.learning_rate * group["share"] * max(factor, 1e-3)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        films, target = batch
        loss = self.loss(self.network(_fast(films)), target)
        self._train_loss.append(float(loss.detach()))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.recipe.ema <= 0:
            return
        # Early steps move fast, so the average must forget fast at first.
        decay = min(self.recipe.ema, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if name not in self.average or not value.is_floating_point():
                    self.average[name] = value.detach().clone()
                else:
                    self.average[name].lerp_(value.detach(), 1 - decay)

    def on_validation_epoch_start(self) -> None:
        self._val = []
        if self.average:
            self._kept = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
            self.network.load_state_dict(self.average)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        films, target = batch
        logits = self.network(_fast(films))
        if isinstance(logits, Tensor):  # a detector's answer is more than that
            logits = logits.float()
        score = self.score(logits, target)
        self._val.append((float(self.loss(logits, target)), float(score.mean()), len(films)))

    def on_validation_epoch_end(self) -> None:
        count = sum(n for *_, n in self._val)
        row = {
            "epoch": float(self.current_epoch + 1),
            "minutes": (self.elapsed + time.monotonic() - self._clock) / 60,
            "train_loss": sum(self._train_loss) / max(1, len(self._train_loss)),
            "val_loss": sum(a * n for a, _, n in self._val) / count,
            "val_score": sum(b * n for _, b, n in self._val) / count,
        }
        self._train_loss = []
        self.history.append(row)
        self.log_dict({k: v for k, v in row.items() if k != "epoch"}, logger=True)
        if row["val_score"] > self.best_score or self.recipe.keep == "last":
            self.best_score, self.best_epoch = row["val_score"], self.current_epoch + 1
            state = self.network.state_dict()
            self.best = {k: v.detach().cpu().clone() for k, v in state.items()}
        if self._kept:
            self.network.load_state_dict(self._kept)
            self._kept = {}
        waited = self.current_epoch + 1 - self.best_epoch
        if self.recipe.patience and waited > self.recipe.patience:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        now = time.monotonic()
        self.elapsed, self._clock = self.elapsed + now - self._clock, now
        if self.fraction() >= 1.0:
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["radloop"] = {
            "average": self.average,
            "best": self.best,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "train_loss": self._train_loss,
            "elapsed": self.elapsed,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint["radloop"]
        self.average, self.best = kept["average"], kept["best"]
        self.best_score, self.best_epoch = kept["best_score"], kept["best_epoch"]
        self.history, self.elapsed = kept["history"], kept["elapsed"]
        self._train_loss = kept["train_loss"]


def _fast(films: Tensor) -> Tensor:
    """Films in the memory layout that 2D networks are fastest in; stacks as they are."""
    return films.contiguous(memory_format=torch.channels_last) if films.ndim == 4 else films


def train_network(
    network: nn.Module,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    *,
    loss: Loss,
    score: Loss,
    swaps: Mapping[int, int],
    recipe: Recipe,
    run: TrainingRun,
    augment: StackTransform | None = None,
    examine: StackTransform | None = None,
) -> Trained:
    """Train `network` and return the weights that `recipe.keep` names.

    `train` samples are `recipe.cache_scale` times larger than the input and are warped down to it;
    `validation` samples have the input's size. augment: for scans, instead of the film's
    augmentation; examine: what of a scan is validated, the whole when None. Logs (CSV, TensorBoard)
    and the checkpoint go to `run.folder / "log"`.
    """
    # Lightning's remarks (tips, devices found) are not this program's.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    L.seed_everything(run.seed, workers=True, verbose=False)
    films: Films
    if augment is None:
        films = Films(train, training_transforms(recipe.augmentation, recipe.size, swaps), run.seed)
    else:
        films = Scans(train, augment, run.seed, recipe.repeats)
    sampler = EpochSampler(films, run.seed)
    batch = min(recipe.batch, len(films))
    join = collate if augment is None else None
    loader = DataLoader(
        films, batch_size=batch, sampler=sampler, drop_last=len(films) > batch, collate_fn=join
    )
    looks = 1 if examine is None else _LOOKS
    val_loader = (  # scans differ in length
        DataLoader(Films(validation, None), batch_size=batch, collate_fn=collate)
        if augment is None
        else DataLoader(Scans(validation, examine, repeats=looks), batch_size=1)
    )
    if all(parameter.ndim < 5 for parameter in network.parameters()):
        network = network.to(memory_format=torch.channels_last)  # for 2D convolutions alone
    if recipe.bfloat16:
        keep_depthwise_precise(network)
    module = Module(network, loss, score, recipe, run)
    log = run.folder / "log"
    epochs = run.epochs or (100_000 if run.minutes else recipe.epochs)
    checkpoint = ModelCheckpoint(
        dirpath=log, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    callbacks: list[Callback] = [checkpoint, Progress(quiet=run.quiet)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer = L.Trainer(
            accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[run.device],
            devices=1,
            max_epochs=epochs,
            check_val_every_n_epoch=min(recipe.validate_every, epochs),
            precision="bf16-mixed" if recipe.bfloat16 else "32-true",
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            logger=[
                CSVLogger(run.folder, name="log", version=""),
                TensorBoardLogger(run.folder, name="log", version="tensorboard"),
            ],
            callbacks=callbacks,
        )
        last = log / "last.ckpt"
        resume_from = last if run.resume and last.is_file() else None
        # The checkpoint is this program's own file; weights_only would refuse its plain numbers.
        trainer.fit(module, loader, val_loader, ckpt_path=resume_from, weights_only=False)
    if not module.best or (recipe.keep == "last" and module.best_epoch < trainer.current_epoch):
        trainer.validate(module, val_loader, verbose=False)
        module.best_epoch = min(module.best_epoch, trainer.current_epoch)
    return Trained(
        weights=module.best,
        best_score=module.best_score,
        best_epoch=module.best_epoch,
        epochs=int(trainer.current_epoch),
        minutes=module.elapsed / 60,
        history=tuple(module.history),
    )
