"""`radloop readers`: the model beside human readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import Json, Quiet, message, on_interrupt, result_json, result_table
from radloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radloop.evaluation.readers.beside import Beside
    from radloop.measures.spec import Figure


def readers(
    report: Annotated[
        Path | None,
        typer.Argument(metavar="[REPORT]", help="The report folder; not with --counts."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="What readers said: case_id, reader, answer or score."),
    ] = None,
    counts: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="2x2 tables instead: reader,tp,fp,tn,fn."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write a page, a picture and JSON.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(metavar="M", help="How much worse still counts as no worse, such as 0.05."),
    ] = None,
    question: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of several questions of the report.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The model's score in cases.csv.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The truth in cases.csv.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="T", help="Call the model positive from here.")
    ] = None,
    positive_from: Annotated[
        float | None, typer.Option(metavar="T", help="Readers' scores are positive from here.")
    ] = None,
    finding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of columns reader:<who>:<name>.")
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The model's row of --counts.")
    ] = "model",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare a model with human readers, and readers alone with readers and the model."""
    from radloop.evaluation.readers.judged import Columns
    from radloop.evaluation.readers.run import beside_counts, beside_readers

    if (report is None) != (table is None) or (table is None) == (counts is None):
        raise InputError(
            "Give REPORT with --table, or --counts alone.",
            "For instance: radloop readers REPORT --table readers.csv",
        )
    with on_interrupt("Nothing was written."):
        if counts is not None:
            found = beside_counts(counts, out, model=model, margin=margin)
        else:
            assert report is not None
            assert table is not None
            found = beside_readers(
                report, table, out, figures=_figures(report), question=question,
                columns=Columns(score, truth, threshold), positive_from=positive_from,
                finding=finding, margin=margin,
            )  # fmt: skip
    if as_json:
        result_json(found.to_json())
    else:
        _print(found)
    if out is not None:
        message(f"the page is {out / 'readers.html'}", quiet)


def _figures(report: Path) -> Sequence[Figure]:
    """Those of the report's system; none of a system that is not known here."""
    from radloop.evaluation.pool import read_report
    from radloop.systems.registry import get_system

    system = str(read_report(report)["system"])
    try:
        return get_system(system).figures
    except InputError:
        return ()


def _print(found: Beside) -> None:
    from rich.table import Table
    from rich.text import Text

    from radloop.evaluation.readers.tables import cells_of, tables_of

    for part in tables_of(found):
        table = Table(
            title=Text(part.title), title_justify="left", caption=Text("\n".join(part.notes)),
            caption_justify="left",
        )  # fmt: skip
        for k, heading in enumerate(part.headings):
            table.add_column(Text(heading), justify="left" if k < part.texts else "right")
        for row in cells_of(part.rows, "\n", ""):
            table.add_row(*(Text(cell) for cell in row))
        result_table(table)
    for remark in found.remarks:
        message(remark)
