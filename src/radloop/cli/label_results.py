"""`radloop label status`, `agree`, `history`, `noise`, `promote`: what a project knows."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from radloop.cli.console import Json, message, result, result_json, result_table
from radloop.errors import InputError

Project = Annotated[Path, typer.Argument(metavar="PROJECT", help="The labelling project's folder.")]
Predictions = Annotated[
    list[Path],
    typer.Option(
        "--predictions", metavar="PATH",
        help="Of models that did not learn from these items: a folder of `predict`, a report of"
        " `evaluate` or `pool`, or a CSV with case_id and probability. Repeatable, one a fold.",
    ),
]  # fmt: skip
Column = Annotated[
    str, typer.Option(metavar="NAME", help="The finding, or the column of its probability.")
]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, metavar="T", help="Called positive from here.")
]
By = Annotated[
    str, typer.Option("--by", metavar="NAME", help="Who does this, for the log; else your login.")
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the log.")]
At = Annotated[
    str, typer.Option("--at", metavar="WHEN", help="As of a label version, or a UTC date and time.")
]


def status(
    project: Project,
    target: Annotated[
        float, typer.Option(min=0.0001, max=0.9999, metavar="SHARE", help="May remain wrong.")
    ] = 0.02,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Where the project stands, what is still wrong by estimate, and whether to go on."""
    from radloop.labelling.project import load
    from radloop.labelling.status import status as run

    state, torn = load(project, at)
    tell_of_repair(torn)
    found = run(state, target)
    if as_json:
        result_json(found)
    else:
        for line in _status_lines(found):
            result(line)


def _status_lines(found: Mapping[str, Any]) -> list[str]:
    n, hours = found["counts"], found["hours"]
    lines = [
        f"{found['question']}: {n['items']} items, {n['labelled']} with a label"
        f" ({found['version']})",
        f"asked about     {n['asked']} ({n['asked_share']:.1%});"
        f" corrected {n['corrected']}, newly labelled {n['new']}",
        "answers         " + ", ".join(f"{who} {k}" for who, k in n["answered"].items()),
        "open            "
        + (", ".join(f"{queue} {k}" for queue, k in n["open"].items()) or "nothing"),
    ]
    if n["disputed"]:
        lines.append(
            f"disagreements   {n['disputed']}, "
            + (
                "for the adjudicator's next queue"
                if found["adjudicator"]
                else "or 'cannot tell': `radloop label add --adjudicator` names who settles them"
            )
        )
    if found["agreement"]:
        lines += [f"agreement       {line}" for line in _agreement_lines(found["agreement"])]
    audit = found["audit"]
    lines.append(f"audit           {audit['read']} labels read, {audit['wrong']} of them wrong")
    lines.append(f"still wrong     {found['remaining']['sentence']}")
    lines.append(
        f"hours           {hours['spent']:.1f} spent of {hours['all']:.1f} for reading everything"
        f" ({hours['seconds']:.0f} s an item): {hours['saved']:.1f} saved"
    )
    lines += [
        f"model           {one['new'].get('name')}"
        + (" in force" if one["promoted"] else " not taken")
        + f" since {one['when']}"
        for one in found["promotions"][-1:]
    ]
    return [*lines, "", found["advice"]]


def agree(
    project: Project,
    weights: Annotated[
        str, typer.Option(metavar="W", help="Of classes in order: linear or quadratic.")
    ] = "",
    audited: Annotated[
        bool, typer.Option("--audited", help="Only the items of the random audits.")
    ] = False,
    first: Annotated[
        bool, typer.Option("--first", help="What was said first, before corrections.")
    ] = False,
    at: At = "",
    as_json: Json = False,
) -> None:
    """How far the readers agree: Cohen's and Fleiss' kappa, with intervals."""
    from radloop.labelling.agreement import agreement
    from radloop.labelling.project import load

    if weights not in ("", "linear", "quadratic"):
        raise InputError(f"There are no weights '{weights}'.", "Give linear or quadratic.")
    state, torn = load(project, at)
    tell_of_repair(torn)
    if len(state.settings.readers) < 2:
        raise InputError(
            "The project has one reader.", "Add another with `radloop label add --reader`."
        )
    found = agreement(state, weights=weights or None, audited=audited, first=first)  # type: ignore[arg-type]
    if as_json:
        result_json(found)
        return
    for line in _agreement_lines(found, specific=True):
        result(line)


def _agreement_lines(found: Mapping[str, Any], *, specific: bool = False) -> list[str]:
    lines = [f"{found['items']} items answered by two or more"]
    for pair in found["pairs"]:
        lines.append(f"{' and '.join(pair['readers'])}: {_both(pair)}")
    if found["all"]:
        lines.append(f"all readers: {_both(found['all'])}")
    if specific:
        lines += [f"on '{value}': {_interval(one)}" for value, one in found["specific"].items()]
        unsure = ", ".join(f"{who} {k}" for who, k in found["unsure"].items() if k)
        lines += [f"could not tell, not counted: {unsure}"] if unsure else []
    return lines


def _both(found: Mapping[str, Any]) -> str:
    return f"kappa {_interval(found['kappa'])}, agreement {_interval(found['agreement'])}"


def _interval(found: Mapping[str, Any]) -> str:
    value, low, high = (found[key] for key in ("value", "low", "high"))
    if value != value:
        return "not measurable"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low == low else "")


def history(
    project: Project,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="A case_id, or case_id/slice.")],
    as_json: Json = False,
) -> None:
    """What happened to one item: who was asked and why, who said what, which labels it had."""
    from radloop.labelling.history import history as run
    from radloop.labelling.project import load

    state, torn = load(project)
    tell_of_repair(torn)
    rows = run(state, item)
    if as_json:
        result_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("event", "when", "what", "who", "value", "why", "model")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    result_table(table)


def noise(
    project: Project,
    predictions: Predictions,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, metavar="N", help="The most suspicious.")
    ] = 20,
    column: Column = "",
    threshold: Threshold = None,
    as_json: Json = False,
) -> None:
    """List the labels that look wrong by what a model says; nothing is drawn."""
    from radloop.labelling.candidates import read_predictions
    from radloop.labelling.project import load
    from radloop.labelling.suspects import suspects

    state, torn = load(project)
    tell_of_repair(torn)
    settings = state.settings
    said = read_predictions(predictions, settings.question, settings.by_slice, column)
    rows = suspects(state, said, count, threshold)
    if as_json:
        result_json(rows)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("item", "label", "given by", "its probability", "score")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    result_table(table)


def promote(
    project: Project,
    new: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="The new model's predictions of the locked test set."),
    ],
    old: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Those of the model in force; not before the first."),
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0001, max=0.5, metavar="M", help="How much worse is not worse.")
    ] = 0.02,
    cases: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Where the project's case table is now.")
    ] = None,
    column: Column = "",
    by: By = "",
    why: Why = "",
    as_json: Json = False,
) -> None:
    """Let a new model replace the one in force only if it is not worse on the locked test set."""
    from radloop.labelling.candidates import read_predictions
    from radloop.labelling.locked import judge
    from radloop.labelling.project import load, record

    state, torn = load(project)
    tell_of_repair(torn)
    settings = state.settings
    fresh, force = (
        read_predictions(paths, settings.question, settings.by_slice, column) if paths else None
        for paths in (new, old)
    )
    assert fresh is not None  # Typer wants at least one
    decided, data = judge(state, project, fresh, force, margin=margin, cases=cases)
    record(project, "promoted", data, who=by or login(), why=why)
    if as_json:
        result_json(data)
    else:
        result(decided.sentence())


def login() -> str:
    """Who runs this, as far as the system knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def tell_of_repair(torn: int) -> None:
    """Say that a line of the log was cut off, and what became of it."""
    if torn:
        message(
            f"the last line of the log was cut off ({torn} bytes), as by a kill or a power cut:"
            " it is dropped, everything before it stands"
        )
