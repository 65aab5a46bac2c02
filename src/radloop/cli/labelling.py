"""`radloop label`: what a person should look at next, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radloop.cli.console import (
    Json,
    Quiet,
    message,
    on_interrupt,
    progress_bar,
    result_json,
    result_table,
)
from radloop.cli.label_results import (
    At,
    By,
    Column,
    Predictions,
    Project,
    Threshold,
    Why,
    agree,
    history,
    login,
    noise,
    promote,
    status,
    tell_of_repair,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from radloop.labelling.project import Asking, Issued
    from radloop.labelling.state import State

label = typer.Typer(no_args_is_help=True, help="Incremental labelling with readers.")


@label.command()
def start(
    project: Project,
    cases: Annotated[Path, typer.Option(metavar="CSV", help="The case table.")],
    name: Annotated[
        str, typer.Option("--label", metavar="NAME", help="The label that is asked about.")
    ],
    reader: Annotated[
        list[str], typer.Option(metavar="WHO", help="Who reads; repeatable: all read the same.")
    ],
    adjudicator: Annotated[
        str, typer.Option(metavar="WHO", help="Who settles what readers disagree about.")
    ] = "",
    classes: Annotated[
        str, typer.Option(metavar="A,B,...", help="Labels of which exactly one holds, in order.")
    ] = "",
    slices: Annotated[
        bool, typer.Option("--slices", help="Ask about each slice of scans.")
    ] = False,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these splits; without, all but 'test'."),
    ] = None,
    audit: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Of each queue, a random audit.")
    ] = 0.1,
    seconds: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="What an item costs a reader, in seconds.")
    ] = 30.0,
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same draws.")] = 0,
    by: By = "",
    why: Why = "",
    quiet: Quiet = False,
) -> None:
    """Make a labelling project of a case table."""
    from radloop.labelling.project import start as run
    from radloop.labelling.state import Question

    question = Question(name, tuple(c.strip() for c in classes.split(",")) if classes else ())
    state = run(
        project, cases, question,
        readers=reader, adjudicator=adjudicator, by_slice=slices, splits=split or (),
        audit=audit, seconds=seconds, seed=seed, who=by or login(), why=why,
    )  # fmt: skip
    known = sum(state.label(item) is not None for item in state.items)
    message(f"{len(state.items)} items, {known} with a label ({state.version.name})", quiet)
    message(
        "the split 'test' is locked: it judges models"
        if state.settings.locked
        else "there is no labelled split 'test': `promote` will have nothing to judge models on",
        quiet,
    )
    if not known:
        message(f"no case has label:{name}: begin with `radloop label next --random`", quiet)


@label.command()
def add(
    project: Project,
    cases: Annotated[Path | None, typer.Option(metavar="CSV", help="Its new cases.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these splits of the table.")
    ] = None,
    reader: Annotated[
        list[str] | None, typer.Option(metavar="WHO", help="Asked from the next queue on.")
    ] = None,
    adjudicator: Annotated[str, typer.Option(metavar="WHO", help="The new adjudicator.")] = "",
    by: By = "",
    why: Why = "",
    quiet: Quiet = False,
) -> None:
    """Add new cases, readers or an adjudicator to a project."""
    from radloop.labelling.project import add as run

    if cases is None and not reader and not adjudicator:
        raise InputError("There is nothing to add.", "Give --cases, --reader or --adjudicator.")
    state, new = run(
        project, cases=cases, splits=split or (), readers=reader or (),
        adjudicator=adjudicator, who=by or login(), why=why,
    )  # fmt: skip
    message(f"{new} new items, {len(state.items)} in all", quiet)


@label.command("next")
def next_queue(
    project: Project,
    predictions: Predictions = [],  # noqa: B006 - Typer copies it
    at_random: Annotated[
        bool, typer.Option("--random", help="A random sample, without a model: the first queue.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="Items in the queue.")
    ] = 50,
    review: Annotated[
        str, typer.Option(metavar="NAME", help="Of items with a label: errors or noise.")
    ] = "errors",
    explore: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of items without: uncertainty, disagreement, coreset, badge, representative"
            " or random.",
        ),
    ] = "uncertainty",
    audit: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="SHARE", help="Instead of the project's share."),
    ] = None,
    features: Annotated[
        Path | None, typer.Option(metavar="NPZ", help="case_ids and features of an encoder.")
    ] = None,
    column: Column = "",
    threshold: Threshold = None,
    pages: Annotated[bool, typer.Option(help="Also write the pages of pictures.")] = True,
    by: By = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Give out the next queue: sheets and pages, in blinded order; open ones again."""
    from radloop.labelling.project import load, next_queues

    state, torn = load(project)
    tell_of_repair(torn)
    asking = None
    if predictions or at_random:
        asking = _asking(
            state, predictions, at_random, count, review, explore, audit, features, column,
            threshold,
        )  # fmt: skip
    kept = "What was drawn is kept: run the command again for the missing pages."
    with on_interrupt(kept), progress_bar("pictures", quiet) as progress:
        state, issued = next_queues(
            project, asking, pages=pages, who=by or login(), progress=progress
        )
    if as_json:
        result_json([_issued_json(one) for one in issued])
    elif issued:
        result_table(_issued_table(issued))
    _tell_of_issue(issued, asking is not None, quiet)


def _asking(
    state: State,
    predictions: Sequence[Path],
    at_random: bool,
    count: int,
    review: str,
    explore: str,
    audit: float | None,
    features: Path | None,
    column: str,
    threshold: float | None,
) -> Asking:
    from radloop.labelling.candidates import read_features, read_predictions
    from radloop.labelling.project import Asking
    from radloop.labelling.strategies import INFORMATIVE, REVIEW

    if at_random and predictions:
        raise InputError("--random asks about a sample without a model.", "Leave out one of both.")
    settings = state.settings
    share = settings.audit if audit is None else audit
    for name, known in ((review, REVIEW), (explore, INFORMATIVE)):
        if name not in known:
            raise InputError(f"'{name}' does not fit here.", f"Give one of {', '.join(known)}.")
    if at_random:
        return Asking(count, share, why="a random sample, without a model")
    said = read_predictions(predictions, settings.question, settings.by_slice, column)
    rows = read_features(features) if features else None
    why = f"{review} of labelled items, {explore} of the others, audit {share:.0%}"
    return Asking(count, share, REVIEW[review], INFORMATIVE[explore], said, threshold, rows, why)


def _issued_json(one: Issued) -> dict[str, Any]:
    return {
        "queue": one.queue.name,
        "role": one.queue.role,
        "reader": one.reader,
        "left": one.left,
        "new": one.fresh,
        "sheet": str(one.sheet),
        "page": str(one.page) if one.page else None,
    }


def _issued_table(issued: Sequence[Issued]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("queue", "for", "reader", "to answer", "sheet, and page beside it")
    for one in issued:
        table.add_row(
            one.queue.name,
            one.queue.role,
            one.reader,
            str(one.left),
            Text(str(one.sheet)),
        )
    return table


def _tell_of_issue(issued: Sequence[Issued], asked: bool, quiet: bool) -> None:
    reviews = [one for one in issued if one.queue.role == "review"]
    if asked and any(not one.fresh for one in reviews):
        message(f"{reviews[0].queue.name} is still open: nothing new was drawn", quiet)
    silent = max((one.queue.counts.get("silent", 0) for one in reviews if one.fresh), default=0)
    if silent:
        message(f"of {silent} items that could be asked about, the predictions say nothing", quiet)
    if any(one.kept for one in issued):
        message("sheets that were there already were left as they are", quiet)
    if asked and not reviews:
        message("nothing is left to ask about", quiet)


@label.command("import")
def import_answers(
    project: Project,
    sheets: Annotated[
        list[Path], typer.Argument(metavar="CSV ...", help="Filled-in sheets of readers.")
    ],
    reader: Annotated[str, typer.Option(metavar="WHO", help="Whose sheets they must be.")] = "",
    correct: Annotated[
        str,
        typer.Option(metavar="WHY", help="Let answers replace earlier, different ones; say why."),
    ] = "",
    by: By = "",
    quiet: Quiet = False,
) -> None:
    """Record the answers of sheets: of all of them, or when any does not fit, of none."""
    from radloop.labelling.project import import_sheets, load

    tell_of_repair(load(project)[1])
    state, given = import_sheets(project, sheets, reader=reader, correct=correct, who=by or login())
    for one in given:
        message(
            f"{one.queue.name}, {one.reader}: {len(one.answers)} new answers,"
            f" {one.unchanged} known already, {one.empty} still empty",
            quiet,
        )
    message(f"labels: {state.version.name}", quiet)


label.command()(status)
label.command()(agree)
label.command()(history)
label.command()(noise)
label.command()(promote)


@label.command()
def export(
    project: Project,
    out: Annotated[Path, typer.Option(metavar="CSV", help="The case table to write.")],
    cases: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Another table than the project's, with its cases."),
    ] = None,
    at: At = "",
    quiet: Quiet = False,
) -> None:
    """Write a case table with the labels in force, now or at an earlier version."""
    from radloop.labelling.export import export as run
    from radloop.labelling.project import load

    state, torn = load(project, at)
    tell_of_repair(torn)
    done = run(state, project, out, cases)
    message(f"{out.name}: {done.known} items with a label, version {done.version}", quiet)


@label.command()
def corrections(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the case table goes.")],
    home: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The home folder of `radloop serve`.")
    ] = Path("radloop-home"),
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write what people corrected in the reading room as a case table: a label version."""
    from radloop.service.settings import load_settings
    from radloop.service.store.database import open_store
    from radloop.service.store.label_export import export as run

    if not home.is_dir():
        raise InputError("There is no such home folder.", "Give the one of `radloop serve`.")
    done = run(open_store(load_settings(home)), out)
    if as_json:
        result_json(
            {"table": str(done.path), "version": done.version, "cases": done.cases,
             "masks": done.masks, "boxes": done.boxed}
        )  # fmt: skip
    message(
        f"{done.cases} cases, {done.masks} with masks, {done.boxed} with boxes, version"
        f" {done.version}",
        quiet,
    )
