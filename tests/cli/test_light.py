"""Help is quick because nothing heavy is imported before a command needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "numpy", "cv2", "torch", "scipy", "sklearn", "pydicom", "matplotlib", "openvino", "PIL",
    "jinja2", "lightning",
]  # fmt: skip
COMMANDS = [
    "", "systems", "import", "import masks", "import table", "split", "check", "train", "evaluate",
    "predict", "pool", "compare", "worklist", "export", "model", "model show", "demo",
]  # fmt: skip


def test_no_help_imports_anything_heavy() -> None:
    program = f"""
import sys
from typer.testing import CliRunner
from radloop.cli.main import app
for command in {COMMANDS!r}:
    outcome = CliRunner().invoke(app, [*command.split(), "--help"])
    assert outcome.exit_code == 0 and "Usage" in outcome.output, (command, outcome.output)
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_systems_are_known_without_what_learns() -> None:
    program = """
import sys
from radloop.systems.registry import system_names
assert len(system_names()) >= 7
loaded = {"torch", "lightning", "monai", "timm", "transformers", "SimpleITK"} & set(sys.modules)
print(*sorted(loaded))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_as_a_program(option: str) -> None:
    command = [sys.executable, "-m", "radloop.cli.main", option]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "radloop" in done.stdout
    assert done.stderr == ""
