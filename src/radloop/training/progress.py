"""Progress of a training on stderr: a bar on a terminal, a line a validation in a log file."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress(Callback):
    """Shows how much of the budget is used, the losses and the best score so far."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self.bar = Bar(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% {task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=1.0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.bar.update(self.task, completed=pl_module.fraction())

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        if not pl_module.history:
            return
        row = pl_module.history[-1]
        text = (
            f"epoch {row['epoch']:.0f}  loss {row['train_loss']:.4f}  "
            f"validation {row['val_loss']:.4f}  score {row['val_score']:.4f}  "
            f"best {pl_module.best_score:.4f}"
        )
        if self.bar.disable:
            self.console.print(f"[{row['minutes']:.1f} min] {text}", highlight=False, markup=False)
        else:
            self.bar.update(self.task, description=text)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self.bar.stop()
