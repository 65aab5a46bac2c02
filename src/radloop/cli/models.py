"""`radloop systems`, `train`, `export` and `model show`: what there is, and how more is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import (
    Cases,
    Device,
    Json,
    Quiet,
    message,
    on_interrupt,
    result,
    result_json,
    result_table,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from radloop.inference.sanity import SanityCheck

model = typer.Typer(no_args_is_help=True, help="Look at a model.")

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model folder, or the name of a shipped one.")
]


def systems(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the clinical systems, their presets, and the models that ship."""
    from radloop.systems.model import load_model, shipped_models
    from radloop.systems.registry import get_system, system_names

    found = [get_system(name) for name in system_names()]
    models: dict[str, list[str]] = {system.name: [] for system in found}
    for shipped in map(load_model, shipped_models()):
        models[shipped.system.name].append(shipped.name)
    if as_json:
        result_json(
            [
                {
                    "name": system.name,
                    "title": system.title,
                    "question": system.question,
                    "presets": {
                        name: {"network": preset.network, "summary": preset.summary}
                        for name, preset in system.presets.items()
                    },
                    "models": models[system.name],
                }
                for system in found
            ]
        )
        return

    from rich.table import Table

    table = Table("system", "question", "presets", "shipped models", show_lines=True)
    for system in found:
        presets = [f"{name}: {preset.summary}" for name, preset in system.presets.items()]
        table.add_row(
            system.name, system.question, "\n".join(presets), "\n".join(models[system.name])
        )
    result_table(table)


def train(
    system: Annotated[
        str, typer.Argument(metavar="SYSTEM", help="The clinical system; see `radloop systems`.")
    ],
    cases: Cases,
    out: Annotated[Path, typer.Option(help="The model folder to write.", metavar="MODEL")],
    preset: Annotated[str, typer.Option(help="A named recipe of the system.")] = "strong",
    network: Annotated[
        str | None, typer.Option(metavar="N", help="Another network than the preset's.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(metavar="FILE|imagenet|coco|none", help="What the network starts from."),
    ] = "none",
    stage: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Of a system in stages, train only one: detector or classifier (fractures);"
            " teeth, gaps or conditions (teeth).",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="A model whose answers soften the masks; repeatable."),
    ] = None,
    freeze: Annotated[
        int,
        typer.Option(
            metavar="N", help="Keep the first N layers as they start; -N: all but the last."
        ),
    ] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0, metavar="M", help="Stop after M minutes.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="E", help="Stop after E epochs.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Validate on split foldK, train on the others."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same training.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")
    ] = False,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a model of a system on a case table that has splits."""
    if minutes is not None and epochs is not None:
        raise InputError("Both --minutes and --epochs are given.", "Give one of them.")
    from radloop.cases.table import read_cases
    from radloop.systems.fit import TrainOptions, fit
    from radloop.systems.registry import get_system

    options = TrainOptions(
        preset=preset,
        network=network,
        weights=weights,
        teachers=tuple(teacher or ()),
        stage=stage or "",
        freeze=freeze,
        minutes=minutes,
        epochs=epochs,
        seed=seed,
        fold=fold,
        resume=resume,
        device=device,
        quiet=quiet,
    )
    with on_interrupt(f"Go on with the same command and --resume; {out} keeps the last state."):
        report = fit(get_system(system), read_cases(cases), out, options)
    if as_json:
        result_json(
            {
                "model": str(out),
                "validation_score": report.best_score,
                "epochs": report.epochs,
                "minutes": report.minutes,
                "skipped": dict(report.skipped),
            }
        )
    else:
        result(f"the model is in {out}; validation score {report.best_score:.4f}")


def ensemble(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL ...", help="The models of a cross-validation.")
    ],
    cases: Cases,
    out: Annotated[Path, typer.Option(help="The model folder to write.", metavar="MODEL")],
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT",
            help="Also judge every fold by the model that left it out, calibrated on the others.",
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make one model of those that `train --fold K` left, calibrated on their held-out cases."""
    from radloop.cases.table import read_cases
    from radloop.evaluation.pool import judge_folds
    from radloop.systems.ensemble import ensemble as run

    table = read_cases(cases)
    made = run(models, table, out)
    if report is not None:
        judge_folds(made, table, report)
        message(f"the cross-validation's report is {report / 'report.html'}", quiet)
    if as_json:
        result_json({"model": str(out), "members": made.model.info["members"]})
    else:
        result(f"the model is in {out}; {made.model.info['members']} members")


def export(
    model: ModelArgument,
    format: Annotated[str, typer.Option("--format", help="onnx or openvino.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.", metavar="DIR")],
    quiet: Quiet = False,
) -> None:
    """Write the network of a model for another runtime."""
    if format not in ("onnx", "openvino"):
        raise InputError(f"There is no format '{format}'.", "Choose onnx or openvino.")
    from radloop.inference.export import export_model
    from radloop.systems.model import load_model

    result(str(export_model(load_model(model), format, out)))
    message("model.json beside it says what goes in and what comes out", quiet)


@model.command("show")
def show(model: ModelArgument, as_json: Json = False, quiet: Quiet = False) -> None:
    """Print the card: trained on what, how good where, fit and unfit for what."""
    from radloop.systems.model import load_model

    loaded = load_model(model)
    if as_json:
        result_json(dict(loaded.info))
    else:
        result(loaded.card())


@model.command("sanity")
def sanity(
    model: ModelArgument,
    films: Annotated[
        list[Path], typer.Argument(metavar="INPUT ...", help="Films, folders, or a case table.")
    ],
    output: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="The answer to explain; the first by default."),
    ] = None,
    count: Annotated[int, typer.Option(min=2, metavar="N", help="The first N films.")] = 16,
    steps: Annotated[int, typer.Option(min=2, metavar="N", help="Layers to look at.")] = 10,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the random weights.")] = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Do the heat maps show what was learned? Randomise the layers and see the maps go."""
    from radloop.inference.predict import list_items
    from radloop.inference.sanity import check_maps, film_system
    from radloop.systems.model import load_model

    loaded = load_model(model)
    labels = film_system(loaded).outputs
    if output is not None and output not in labels:
        raise InputError(
            f"'{output}' is no answer of '{loaded.name}'.", f"Its answers: {', '.join(labels)}."
        )
    read = [loaded.system.read_case(item.images).image for item in list_items(films)[:count]]
    images = [image for image in read if image is not None]
    if len(images) < len(read):
        message(f"{len(read) - len(images)} films could not be read, and are left out", quiet)
    place = labels.index(output) if output else 0
    check = check_maps(loaded, images, place, steps=steps, seed=seed)
    if as_json:
        result_json(
            {
                "output": labels[place],
                "films": check.films,
                "empty": check.empty,
                "lost": check.lost,
                "between_films": dict(zip(("ssim", "rank"), check.others.means, strict=True)),
                "cascade": [
                    {"layer": step.layer, "ssim": step.means[0], "rank": step.means[1]}
                    for step in check.cascade
                ],
            }
        )
    else:
        result_table(_sanity_table(check, labels[place]))
    if check.empty:
        message(f"{check.empty} films are left out: no place on them speaks for it", quiet)
    if check.lost:
        message("The maps are lost with the weights: they show what was learned.", quiet)
    else:
        message("The maps outlive the weights: they do not show what the network learned.")
        raise typer.Exit(1)


def _sanity_table(check: SanityCheck, label: str) -> Table:
    from rich.table import Table

    table = Table(
        "random down to", title=f"maps of '{label}', {check.films} films", title_justify="left"
    )
    for heading in ("structural similarity", "rank correlation"):
        table.add_column(heading, justify="right")
    for step in check.cascade:
        table.add_row(step.layer, *(f"{value:.3f}" for value in step.means))
    table.add_section()
    table.add_row("(maps of different films)", *(f"{value:.3f}" for value in check.others.means))
    return table
