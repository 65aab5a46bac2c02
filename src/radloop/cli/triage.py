"""`radloop triage-benefit`: who waits how long in a reading room, without and with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from radloop.evaluation.triage.benefit import LoadPoints
    from radloop.evaluation.triage.scenario import Room

LOADS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
"""At which the page shows what is saved."""


def triage_benefit(
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The reading room, as YAML or JSON.")
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a scenario, and end.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="REPORT", help="Take the operating point of this evaluation."),
    ] = None,
    finding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of several in the report.")
    ] = None,
    sensitivity: Annotated[float | None, typer.Option(help="Of the model, 0 to 1.")] = None,
    specificity: Annotated[float | None, typer.Option(help="Of the model, 0 to 1.")] = None,
    prevalence: Annotated[float | None, typer.Option(help="Of the disease, 0 to 1.")] = None,
    per_hour: Annotated[float | None, typer.Option(metavar="N", help="Studies an hour.")] = None,
    load: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Of the readers' time that is asked for; sets rates."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="MIN", help="Mean reading time, exponential. [10]")
    ] = None,
    readers: Annotated[int | None, typer.Option(metavar="N", help="How many read. [1]")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="ORDER", help="flags, ranks or scores. [flags]")
    ] = None,
    interrupt: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="nobody, emergencies or flagged. [emergencies]"),
    ] = None,
    head_start: Annotated[
        float | None, typer.Option(metavar="MIN", help="Ageing: flagged overtake only so far.")
    ] = None,
    days: Annotated[int | None, typer.Option(metavar="N", help="Days a run. [60]")] = None,
    replications: Annotated[int | None, typer.Option(metavar="N", help="Runs. [20]")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same studies. [0]")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write triage.html and triage.json.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Simulate a reading room: waiting times without and with a model that puts studies first.

    A room with one stream of studies is said with options, any other with --scenario FILE; options
    then change the file's. Needs a prevalence, --per-hour or --load, and the model's operating
    point: --report, or --sensitivity and --specificity.
    """
    from radloop.evaluation.triage.benefit import benefit
    from radloop.evaluation.triage.page import PAGE, to_json, to_table, write
    from radloop.evaluation.triage.scenario_file import EXAMPLE

    if example:
        result(EXAMPLE.rstrip())
        return
    stream = {"per_hour": per_hour, "prevalence": prevalence, "minutes": minutes}
    model = {"report": report, "finding": finding, "sensitivity": sensitivity,
             "specificity": specificity}  # fmt: skip
    whole = {"readers": readers, "load": load, "by": by, "interrupt": interrupt,
             "head_start": head_start, "days": days, "replications": replications,
             "seed": seed}  # fmt: skip
    room = _room(scenario, _given(stream), _given(model), _given(whole))
    with on_interrupt("Nothing was written."):
        with progress_bar("simulating", quiet) as progress:
            found = benefit(room, progress)
        ends = {name: benefit(there) for name, there in room.at_ends().items()}
        loads: LoadPoints = []
        if out is not None and found.has("diseased") and found.has("healthy"):
            loads = _over_loads(room, quiet)
        if as_json:
            from radloop.evaluation.report import plain

            result_json(plain(to_json(found, ends, loads)))
        else:
            result_table(to_table(found))
            for name, there in ends.items():
                saved = there.group("diseased").saved
                result(
                    f"At the {name} ends of the operating point's intervals: "
                    f"{saved.value:.1f} min saved a diseased study."
                )
        if out is not None:
            write(out, found, ends, loads)
            message(f"the page is {out / PAGE}", quiet)


def _over_loads(room: Room, quiet: bool) -> LoadPoints:
    """What is saved at other loads; nothing where the arrivals are those of a file."""
    from radloop.evaluation.triage.benefit import over_loads

    if any(stream.times for stream in room.streams):
        return []
    with progress_bar("other loads", quiet) as progress:
        return over_loads(room, LOADS, progress)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _room(
    scenario: Path | None, stream: dict[str, Any], model: dict[str, Any], whole: dict[str, Any]
) -> Room:
    """The room of the file, changed by the options; or of the options alone."""
    from radloop.evaluation.triage.scenario_file import parse_scenario, read_content

    if "report" in model:  # the file's own paths are relative to the file, those of options are not
        model["report"] = str(model["report"].resolve())
    if scenario is None:
        return parse_scenario(_one_stream(stream, model, whole))
    if stream:
        named = next(iter(stream)).replace("_", "-")
        raise InputError(f"--{named} is said by the scenario file.", "Change it there.")
    content = read_content(scenario)
    if model:
        models = [m for s in content.get("streams", ()) for m in s.get("models", ())]
        if len(models) != 1:
            raise InputError(
                f"The scenario {scenario.name} has {len(models)} models, so the options do not say "
                "which one has this operating point.",
                "Put `report:` or sensitivity and specificity beside the model in the file.",
            )
        stated = ("sensitivity", "specificity", "report", "finding")
        for name in (*stated, "sensitivity_interval", "specificity_interval"):
            models[0].pop(name, None)
        models[0].update(model)
    return parse_scenario({**content, **whole}, scenario.parent)


def _one_stream(
    stream: dict[str, Any], model: dict[str, Any], whole: dict[str, Any]
) -> dict[str, Any]:
    """The content of a scenario file that these options stand for."""
    if "per_hour" in stream and "load" in whole:
        raise InputError("--per-hour and --load both say how much arrives.", "Give one of them.")
    missing = [
        option
        for option, there in (
            ("--prevalence", "prevalence" in stream),
            ("--per-hour or --load", "per_hour" in stream or "load" in whole),
            ("--sensitivity, or --report", model.keys() & {"sensitivity", "report"}),
            ("--specificity, or --report", model.keys() & {"specificity", "report"}),
        )
        if not there
    ]
    if missing:
        raise InputError(
            f"The room lacks {missing[0]}.",
            "Say it with options, or give --scenario FILE (`--example` prints one).",
        )
    return {
        **whole,
        "streams": [
            {
                "name": "studies",
                "per_hour": stream.get("per_hour", 1.0),
                "reading": {"mean": stream.get("minutes", 10.0)},
                "diseases": [{"name": "disease", "prevalence": stream["prevalence"]}],
                "models": [{"disease": "disease", **model}],
            }
        ],
    }
