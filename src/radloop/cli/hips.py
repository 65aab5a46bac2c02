"""`radloop hips`: drawn pelves to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radloop.cli.console import Quiet, message

hips = typer.Typer(no_args_is_help=True, help="Hips on films of the pelvis.")


@hips.callback()
def _group() -> None:
    pass


@hips.command()
def phantom(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many films.")] = 60,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Same seed, same films.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Draw films (images/) with LabelImg boxes of hips (boxes/): no patient's.

    Of twelve films seven show a pelvis, two a single hip, and three something else, which a model
    is to refuse.
    """
    from radloop.systems.pelvis.phantom import write_pelves

    write_pelves(out, count, seed)
    message(f"{count} phantoms are in {out}", quiet)
