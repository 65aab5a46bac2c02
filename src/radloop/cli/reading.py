"""`radloop predict`, `worklist` and `demo`: from films to findings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radloop.cli.console import (
    REFUSED,
    Device,
    EvenOut,
    Json,
    Members,
    Quiet,
    message,
    on_interrupt,
    progress_bar,
    result,
    result_json,
    result_table,
)
from radloop.cli.models import ModelArgument


def predict(
    model: ModelArgument,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Images, folders, DICOM files, or a case table."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write to.", metavar="DIR")],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Also draw each film with its evidence, and a page.")
    ] = False,
    members: Members = 1,
    device: Device = "auto",
    engine: Annotated[
        str, typer.Option(help="What runs it: auto, openvino, openvino-bf16, torch.")
    ] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Threads that read and write films.")
    ] = None,
    even_out: EvenOut = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Read films or scans with a model: writes predictions.jsonl, masks, and pictures when asked.

    Ends with 3 when films were refused; each is listed with its reason.
    """
    from radloop.findings.forms import PARTIAL_NAME, read_predictions
    from radloop.findings.page import write_page
    from radloop.inference.predict import PredictOptions
    from radloop.inference.predict import predict as run
    from radloop.service.worklist import order
    from radloop.systems.model import load_model

    options = PredictOptions(
        device=device,
        engine=engine,
        pictures=pictures,
        members=members,
        workers=workers,
        even_out=even_out,
    )
    with (
        on_interrupt(f"The films read so far are in {out / PARTIAL_NAME}."),
        progress_bar("reading", quiet) as progress,
    ):
        loaded = load_model(model)
        summary = run(loaded, inputs, out, options, progress)
    predictions = read_predictions(out)
    if pictures:
        page = write_page(out, order(predictions))
        message(f"the page is {page}", quiet)
    refused = [p for p in predictions if p.verdict.refused]
    if as_json:
        cases = [{"case_id": p.case_id} | p.verdict.to_json() for p in refused]
        result_json(vars(summary) | {"out": str(out), "refused_cases": cases})
    else:
        what = "scans" if loaded.system.reads_scans else "films"
        result(
            f"{summary.n} {what} in {summary.seconds:.1f} s: {summary.accepted} accepted,"
            f" {summary.warned} with a warning, {summary.refused} refused; findings in {out}"
        )
        for p in refused:
            result(f"refused: {p.case_id}: {' '.join(p.verdict.messages)}")
    if refused:
        raise typer.Exit(REFUSED)


def worklist(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder `predict` wrote.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the predictions of a folder, most urgent first."""
    from radloop.findings.forms import read_predictions
    from radloop.service.worklist import order, worklist_table, worklist_to_json

    items = order(read_predictions(folder))
    if as_json:
        result_json(worklist_to_json(items))
    else:
        result_table(worklist_table(items))


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")] = Path(
        "radloop-demo"
    ),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Do the main job on the real films and scans that come with Radloop."""
    from radloop.service.demo import run_demo
    from radloop.service.worklist import worklist_table, worklist_to_json

    with progress_bar("reading", quiet) as progress:
        items = run_demo(out, progress=progress)
    if as_json:
        result_json(worklist_to_json(items))
    else:
        result_table(worklist_table(items))
    message(f"findings: {out / 'predictions.jsonl'}", quiet)
    message(f"the page: {out / 'index.html'}", quiet)
