"""`radloop lesions`: brains with drawn or simulated lesions, to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radloop.cli.console import Json, Quiet, message, progress_bar, result, result_json

lesions = typer.Typer(no_args_is_help=True, help="Brains with made-up lesions.")

Count = Annotated[int, typer.Option(min=1, metavar="N", help="How many.")]
Seed = Annotated[int, typer.Option(min=0, metavar="S", help="Same seed, same lesions.")]
Folder = Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")]


@lesions.command()
def phantom(
    out: Folder,
    count: Count = 12,
    seed: Seed = 0,
    channel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="dwi, adc, flair, t1 or t2; repeatable."),
    ] = None,
    spacing: Annotated[
        float, typer.Option(min=1, max=8, metavar="MM", help="Of its even grid.")
    ] = 4.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Draw phantom brains with lesions, with their case table."""
    from radloop.systems.lesions.phantom import write_phantoms

    table = write_phantoms(count, seed, out, tuple(channel or ("dwi", "adc")), spacing)
    _told(table.path, len(table.cases), as_json)
    message("no patient is in them: what learns from them knows phantoms", quiet)


@lesions.command()
def simulate(
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="A table of real examinations.")],
    out: Folder,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many of each case.")] = 8,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Insert simulated stroke lesions into the brains of a case table."""
    from radloop.cases.table import read_cases
    from radloop.systems.lesions.simulated_cases import simulate_cases
    from radloop.systems.stroke import Stroke

    with progress_bar("simulating", quiet) as progress:
        table = simulate_cases(read_cases(cases), count, seed, out, Stroke.leading, progress)
    _told(table.path, len(table.cases), as_json)


def _told(path: Path, count: int, as_json: bool) -> None:
    if as_json:
        result_json({"table": str(path), "cases": count})
    else:
        result(f"{path}: {count} cases")
