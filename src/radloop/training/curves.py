"""The training report: curves as a PNG, the numbers as CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radloop.images.write import atomic_path, write_text

if TYPE_CHECKING:
    from radloop.training.trainer import Trained


def write_training_report(out: Path, trained: Trained, info: Mapping[str, Any]) -> None:
    """`training.json`, `training.csv` (a row a validation) and `training.png` in `out`."""
    rows = list(trained.history)
    summary = {**info["training"], "recipe": info["recipe"], "history": rows}
    write_text(out / "training.json", json.dumps(summary, indent=1) + "\n")
    columns = ["epoch", "minutes", "train_loss", "val_loss", "val_score"]
    lines = [",".join(columns), *(",".join(f"{row[c]:.8g}" for c in columns) for row in rows)]
    write_text(out / "training.csv", "\n".join(lines) + "\n")
    _draw(out / "training.png", trained)


def _draw(path: Path, trained: Trained) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in trained.history]
    left.plot(epochs, [row["train_loss"] for row in trained.history], label="training")
    left.plot(epochs, [row["val_loss"] for row in trained.history], label="validation")
    left.set(xlabel="epoch", ylabel="loss")
    left.legend()
    right.plot(epochs, [row["val_score"] for row in trained.history], color="tab:green")
    right.axvline(trained.best_epoch, color="0.6", linestyle="--")
    right.set(
        xlabel="epoch",
        ylabel="validation score",
        title=f"best {trained.best_score:.4f} at epoch {trained.best_epoch}",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
