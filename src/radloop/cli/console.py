"""What every command shares: its common options, where it writes, and how it ends.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 the work failed, 2 the
call or its input is wrong, 3 finished but some cases were refused, 130 interrupted.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from radloop.errors import InputError, RadloopError

if TYPE_CHECKING:
    from rich.console import RenderableType

REFUSED = 3
Progress = Callable[[int, int], None]
"""Called with (done, total) as the work goes on; a total of 0 is not known yet."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Cases = Annotated[Path, typer.Option("--cases", help="The case table.", metavar="CSV")]
Members = Annotated[
    int,
    typer.Option(min=1, max=9, metavar="N", help="Read each film N times, slightly shifted."),
]
EvenOut = Annotated[
    bool,
    typer.Option(
        "--resample-gaps",
        help="Read scans with uneven gaps too: resampled onto an even grid, with a warning.",
    ),
]
Device = Annotated[str, typer.Option(help="Where the network runs: cpu, cuda or auto.")]


class StoppedError(RadloopError):
    """Ctrl-C: `what` says what was kept."""

    exit_code = 130


class Commands(TyperGroup):
    """The root of all commands: turns errors into a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RadloopError as error:
            _fail(error)
        except KeyboardInterrupt:
            _fail(StoppedError("Interrupted."))
        except MemoryError:
            _fail(_out_of_memory())
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of a pipe went away: Typer ends quietly
            _fail(_of_the_system(error))
        except RuntimeError as error:
            text = str(error).lower()  # torch has no common class for it on CPU and CUDA
            if "out of memory" in text or "can't allocate memory" in text:
                _fail(_out_of_memory())
            raise


def _fail(error: RadloopError) -> NoReturn:
    typer.echo(f"radloop: {error}", err=True)
    raise typer.Exit(error.exit_code)


def _out_of_memory() -> RadloopError:
    return RadloopError(
        "The machine's memory is not enough for this.",
        "Close other programs, give fewer or smaller images, or a smaller batch.",
    )


def _of_the_system(error: OSError) -> RadloopError:
    name = f"'{Path(str(error.filename)).name}': " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return RadloopError(
            f"{name}the disk is full.", "Make room and run it again; files written are whole."
        )
    return RadloopError(f"{name}{error.strerror or type(error).__name__}.")


@contextmanager
def on_interrupt(kept: str) -> Iterator[None]:
    """Ctrl-C inside the block ends the command with this sentence about what was kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError("Interrupted.", kept) from error


@contextmanager
def progress_bar(what: str, quiet: bool) -> Iterator[Progress]:
    """A bar on stderr when it is a terminal; the callback that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Bar(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def message(text: str, quiet: bool = False) -> None:
    """A sentence for the person at the console, on stderr."""
    if not quiet:
        typer.echo(text, err=True)


def result(text: str) -> None:
    """A line of the result, on stdout."""
    typer.echo(text)


def result_json(data: Any) -> None:
    """The result as JSON, on stdout."""
    typer.echo(json.dumps(data, indent=2, default=str))


def result_table(table: RenderableType) -> None:
    """A rich table, on stdout; wide when stdout is not a terminal, so that files stay readable."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140).print(table)


def pairs(values: Sequence[str], form: str) -> dict[str, str]:
    """`NAME=REST` options as a mapping; InputError for another form or a name given twice."""
    parsed: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            raise InputError(f"'{value}' is not of the form {form}.")
        if name in parsed:
            raise InputError(f"'{name}' is given twice.", f"Give each {form} its own name.")
        parsed[name] = rest
    return parsed
