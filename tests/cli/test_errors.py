"""How commands end: one sentence, no traceback, the documented exit code."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from radloop.cli.console import Commands, on_interrupt, pairs
from radloop.cli.main import app
from radloop.errors import InputError, RadloopError, WriteError

run = CliRunner()


def raising(error: BaseException) -> typer.Typer:
    """A program of two commands, the first of which fails."""
    program = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @program.command()
    def fail() -> None:
        raise error

    @program.command()
    def other() -> None: ...

    return program


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RadloopError("It broke.", "Mend it."), 1, "radloop: It broke. Mend it."),
        (InputError("The folder is empty.", "Give films."), 2, "The folder is empty. Give films."),
        (WriteError("The disk is full."), 1, "The disk is full."),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (MemoryError(), 1, "memory is not enough"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "memory is not enough"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "memory is not enough"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b.png"), 1, "'b.png': Permission"),
    ],
)
def test_errors_are_sentences(error: BaseException, code: int, said: str) -> None:
    outcome = run.invoke(raising(error), ["fail"])
    assert outcome.exit_code == code
    assert said in outcome.stderr
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.output
    assert "/a/" not in outcome.output


def test_an_error_of_ours_is_not_hidden() -> None:
    assert isinstance(run.invoke(raising(RuntimeError("a bug")), ["fail"]).exception, RuntimeError)


def test_an_interruption_says_what_was_kept() -> None:
    with pytest.raises(RadloopError, match=r"Interrupted\. Half is kept\.") as caught:  # noqa: SIM117
        with on_interrupt("Half is kept."):
            raise KeyboardInterrupt
    assert caught.value.exit_code == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predicct"], "predict"),
        (["predict"], "MODEL"),
        (["split", "cases.csv", "--folds", "many"], "--folds"),
    ],
)
def test_a_wrong_call_ends_with_2(arguments: list[str], said: str) -> None:
    outcome = run.invoke(app, arguments)
    assert outcome.exit_code == 2
    assert said in outcome.output


def test_an_unknown_system_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"x")
    (tmp_path / "cases.csv").write_text("case_id,patient_id,split,image\na,a,train,film.png\n")
    outcome = run.invoke(
        app,
        ["train", "cardiomegally", "--cases", str(tmp_path / "cases.csv"), "--out", str(tmp_path)],
    )
    assert outcome.exit_code == 2
    assert "Did you mean 'cardiomegaly'?" in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["model", "show", "no-such-model"],
        ["predict", "no-such-model", "film.png", "--out", "out"],
        ["predict", "m", "film.png", "--out", "out", "--engine", "steam"],
        ["export", "m", "--format", "caffe", "--out", "out"],
        ["train", "s", "--cases", "c.csv", "--out", "o", "--minutes", "1", "--epochs", "1"],
        ["compare", "nowhere", "nowhere"],
        ["worklist", "nowhere"],
        ["split", "nowhere.csv", "--folds", "2"],
        ["check", "nowhere.csv"],
        ["evaluate", "no-such-model", "--cases", "nowhere.csv", "--out", "out"],
        ["import", "masks", "--images", "nowhere", "--mask", "heart"],
        ["import", "masks", "--images", "nowhere", "--mask", "heart=nowhere"],
    ],
)
def test_wrong_input_ends_with_2_and_writes_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run.invoke(app, arguments)
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stderr.startswith("radloop: ")
    assert outcome.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["heart", "=DIR", "heart=", ""])
def test_pairs_of_another_form(value: str) -> None:
    with pytest.raises(InputError, match="NAME=DIR"):
        pairs([value], "NAME=DIR")


def test_pairs() -> None:
    assert pairs(["a=b=c", "d=e"], "NAME=X") == {"a": "b=c", "d": "e"}
    with pytest.raises(InputError, match="twice"):
        pairs(["a=b", "a=c"], "NAME=X")
