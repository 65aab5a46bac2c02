"""`radloop`: the command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

import radloop
from radloop.cli import (
    cases,
    findings,
    hips,
    judging,
    labelling,
    lesions,
    models,
    points,
    privacy,
    readers,
    reading,
    serve,
    teeth,
    triage,
    volumes,
)
from radloop.cli.console import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # their frames show local values: nothing private may leak
    help="Machine learning on medical images: from study to finding, and to the next, better model."
    "\n\nResearch software, not a medical device.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radloop {radloop.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


app.command()(models.systems)
app.add_typer(cases.importers, name="import")
app.command()(cases.split)
app.command()(cases.check)
app.command()(cases.boxes)
app.command()(volumes.series)
app.command()(volumes.convert)
app.command()(privacy.deidentify)
app.command()(models.train)
app.command()(models.ensemble)
app.command()(judging.evaluate)
app.command()(reading.predict)
app.command()(judging.pool)
app.command()(judging.compare)
app.command()(points.operating_point)
app.command()(points.drift)
app.command()(triage.triage_benefit)
app.command()(readers.readers)
app.command()(findings.findings)
app.command()(reading.worklist)
app.command()(models.export)
app.add_typer(labelling.label, name="label")
app.add_typer(models.model, name="model")
app.add_typer(teeth.teeth, name="teeth")
app.add_typer(lesions.lesions, name="lesions")
app.add_typer(hips.hips, name="hips")
app.command()(reading.demo)
app.command()(serve.serve)
app.add_typer(serve.store, name="store")


def main() -> None:
    """The entry point of the `radloop` program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a file's name may not be printable here
    app(prog_name="radloop")


if __name__ == "__main__":
    main()
