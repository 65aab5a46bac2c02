"""`radloop operating-point` and `drift`: a threshold with a promise, and whether it still holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import (
    Json,
    Quiet,
    message,
    on_interrupt,
    progress_bar,
    result,
    result_json,
    result_table,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from radloop.evaluation.drift import Drift


def operating_point(
    report: Annotated[
        Path,
        typer.Argument(metavar="REPORT", help="The report of cases held out of training."),
    ],
    sensitivity: Annotated[float, typer.Option(metavar="SHARE", help="At least this.")] = 0.95,
    confidence: Annotated[
        float, typer.Option(metavar="SHARE", help="How sure, over calibration sets.")
    ] = 0.9,
    average: Annotated[
        bool,
        typer.Option("--average", help="Promise it on average instead: needs fewer cases."),
    ] = False,
    question: Annotated[
        str | None, typer.Option(metavar="TITLE", help="Which question, where there are several.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Give the threshold to this model: --out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The new model folder to write.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose a threshold that promises a sensitivity on new cases, and say what it costs."""
    from radloop.evaluation.operating import choose_point, give_point
    from radloop.evaluation.pool import read_report
    from radloop.systems.model import load_model
    from radloop.systems.registry import get_system

    if (model is None) != (out is None):
        raise InputError("--model and --out go together.", "Give both, or neither to only look.")
    system = get_system(str(read_report(report)["system"]))
    chosen = choose_point(report, system, sensitivity, None if average else confidence, question)
    if model is not None and out is not None:
        loaded = load_model(model)
        if loaded.system.name != system.name:
            raise InputError(
                f"The report is of '{system.name}', the model of '{loaded.system.name}'.",
                "Give the report of this model.",
            )
        give_point(loaded, chosen, out)
        message(f"the model with this threshold is {out}", quiet)
    if as_json:
        result_json(chosen.to_json())
        return
    promise, spared = chosen.guarantee, chosen.specificity
    result(f"{chosen.question.title}: positive from {promise.threshold:.6g}")
    result(chosen.sentence())
    result(
        f"On these cases it misses {promise.missed} of {promise.positives}, calls"
        f" {chosen.called:.1%} of all positive, and has a specificity of {spared.value:.3f}"
        f" ({spared.low:.3f} to {spared.high:.3f}, {spared.n} cases)."
    )


def drift(
    a: Annotated[
        Path,
        typer.Argument(metavar="A", help="A case table, a folder of predictions, or a report."),
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same of another site or time.")],
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Read at most N images a table; 0: all.")
    ] = 500,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write it as a page with a picture.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same p.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare two sets of cases: what goes into a model and what comes out, with tests."""
    from radloop.evaluation.drift import drift as run
    from radloop.evaluation.drift import read_set

    with on_interrupt("Nothing was written."):
        with progress_bar("reading A", quiet) as progress:
            first = read_set(a, limit, progress)
        with progress_bar("reading B", quiet) as progress:
            second = read_set(b, limit, progress)
        found = run(first, second, seed=seed)
        if out is not None:
            from radloop.evaluation.drift_page import write_drift

            write_drift(out, found)
            message(f"the page is {out / 'drift.html'}", quiet)
    if as_json:
        result_json(found.to_json())
    else:
        result_table(_table(found))


def _table(found: Drift) -> Table:
    from rich.table import Table

    from radloop.evaluation.drift_page import HEADINGS, cells, shown_p, summary

    lines = [summary(found)]
    for kind, (one, p) in found.together.items():
        lines.append(f"{kind} together: AUC {one.auc:.3f}, corrected p {shown_p(p)}")
    table = Table(title=f"A = {found.a.name}, B = {found.b.name}", title_justify="left",
                  caption="\n".join(lines), caption_justify="left")  # fmt: skip
    for heading in HEADINGS:
        table.add_column(heading)
    for tested in found.tests:
        table.add_row(*cells(tested))
    return table
