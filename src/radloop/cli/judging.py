"""`radloop evaluate` and `compare`: how good a model is, and whether another is better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radloop.cli.console import (
    REFUSED,
    Cases,
    Device,
    EvenOut,
    Json,
    Members,
    Quiet,
    message,
    on_interrupt,
    progress_bar,
    result_json,
    result_table,
)
from radloop.cli.models import ModelArgument

if TYPE_CHECKING:
    from rich.table import Table

By = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Judge the groups of a column apart (sex, age, site ...); COLUMN=40,60 cuts numbers"
        " into bands. Repeatable.",
    ),
]


def evaluate(
    model: ModelArgument,
    cases: Cases,
    out: Annotated[Path, typer.Option(help="The report folder to write.", metavar="REPORT")],
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the cases of this split.")
    ] = None,
    members: Members = 1,
    device: Device = "auto",
    even_out: EvenOut = False,
    by: By = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Judge a model on cases whose truth is known: measures with intervals, plots, page and PDF."""
    from radloop.cases.table import read_cases
    from radloop.evaluation.evaluate import evaluate as run
    from radloop.inference.predict import PredictOptions
    from radloop.systems.model import load_model

    options = PredictOptions(device=device, pictures=True, members=members, even_out=even_out)
    with on_interrupt("No report was written."), progress_bar("judging", quiet) as progress:
        report = run(
            load_model(model), read_cases(cases), split, out, options, progress, by=by or ()
        )
    if as_json:
        result_json(report)
    else:
        result_table(_measures_table(report))
        message(f"the report is {out / 'report.html'}", quiet)
    refused = report.get("verdicts", {}).get("refused", 0)
    if refused:
        message(f"{refused} cases were refused; {out / 'cases.csv'} lists them")
        raise typer.Exit(REFUSED)


def _measures_table(report: Mapping[str, Any]) -> Table:
    from rich.table import Table

    table = Table("measure", title=f"{report['n']} cases", title_justify="left")
    for heading in ("value", "95 % interval", "n"):
        table.add_column(heading, justify="right")
    for name, measure in report["measures"].items():
        low, high = _number(measure.get("low")), _number(measure.get("high"))
        interval = f"{low} to {high}" if low and high else ""
        table.add_row(name, _number(measure["value"]) or "n/a", interval, str(measure["n"]))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def compare(
    report_a: Annotated[
        Path, typer.Argument(metavar="REPORT_A", help="The report folder of model A.")
    ],
    report_b: Annotated[
        Path, typer.Argument(metavar="REPORT_B", help="The report folder of model B.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the comparison as a page.")
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="M",
            help="By how much worse B may be, for all measures without a unit; MEASURE=M for one."
            " Repeatable.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two models on the same cases: paired differences, intervals and a test."""
    from radloop.evaluation.compare import compare as run
    from radloop.evaluation.pool import columns_of
    from radloop.systems.registry import get_system

    system = get_system(_system_of(report_a)).reporting(columns_of(report_a))
    comparison = run(
        report_a, report_b, system.measures, out,
        slice_specs=system.slice_measures, margins=_margins(margin or []),
    )  # fmt: skip
    if as_json:
        result_json(comparison.to_json())
    else:
        result_table(comparison.to_table())
    if out is not None:
        message(f"the comparison is {out / 'comparison.html'}", quiet)


def _margins(given: list[str]) -> dict[str, float]:
    from radloop.errors import InputError

    margins = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            margins[name.strip()] = float(number)
        except ValueError as error:
            raise InputError(
                f"'{text}' is not a margin.", "Write a number, or MEASURE=number."
            ) from error
    return margins


def pool(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT ...", help="The report folders, one a fold.")
    ],
    out: Annotated[Path, typer.Option(help="The report folder to write.", metavar="REPORT")],
    by: By = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make one report of a cross-validation's: every case judged by a model that never saw it."""
    from radloop.evaluation.pool import pool as run
    from radloop.systems.registry import get_system

    report = run(reports, get_system(_system_of(reports[0])), out, by or ())
    if as_json:
        result_json(report)
    else:
        result_table(_measures_table(report))
        message(f"the report is {out / 'report.html'}", quiet)


def _system_of(report: Path) -> str:
    from radloop.evaluation.pool import read_report

    return str(read_report(report)["system"])
