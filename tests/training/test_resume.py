"""A training that is killed and resumed ends where an uninterrupted one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from radloop.cases.table import CaseTable

EPOCHS = 12
COMMAND = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from radloop.cases.table import read_cases
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.registry import get_system
fit(get_system("cardiomegaly"), read_cases(Path(sys.argv[1])), Path(sys.argv[2]),
    TrainOptions(preset="tiny", epochs=EPOCHS, device="cpu", resume=len(sys.argv) > 3))
""".replace("EPOCHS", str(EPOCHS))


def command(table: CaseTable, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, str(table.path), str(out), *more]


def curve(folder: Path) -> list[dict[str, float]]:
    return json.loads((folder / "training.json").read_text())["history"]


def test_killed_and_resumed_equals_uninterrupted(phantoms, tmp_path):
    subprocess.run(command(phantoms, tmp_path / "whole"), check=True, capture_output=True)
    with subprocess.Popen(
        command(phantoms, tmp_path / "cut"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as training:
        lines = 0
        while lines < 4:  # a line a validation, and one of those an epoch
            line = training.stderr.readline()
            assert line, "the training ended before it could be killed"
            lines += b"epoch" in line
        time.sleep(0.05)
        os.kill(training.pid, signal.SIGKILL)
    assert not (tmp_path / "cut" / "model.json").exists()
    subprocess.run(command(phantoms, tmp_path / "cut", "resume"), check=True, capture_output=True)
    whole, resumed = curve(tmp_path / "whole"), curve(tmp_path / "cut")
    assert [row["epoch"] for row in resumed] == list(range(1, EPOCHS + 1))
    for a, b in zip(whole, resumed, strict=True):
        for name in ("train_loss", "val_loss", "val_score"):
            assert b[name] == pytest.approx(a[name], abs=1e-6), (a["epoch"], name)
