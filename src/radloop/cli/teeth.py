"""`radloop teeth`: dental charts against each other, and drawn jaws to try things on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radloop.cli.console import (
    REFUSED,
    Json,
    Quiet,
    message,
    result,
    result_json,
    result_table,
)
from radloop.errors import InputError

if TYPE_CHECKING:
    from radloop.systems.jaw.chart import DentalChart
    from radloop.systems.jaw.comparison import ChartComparison

teeth = typer.Typer(no_args_is_help=True, help="Dental charts.")


@teeth.command()
def compare(
    earlier: Annotated[
        Path, typer.Argument(metavar="EARLIER", help="A chart: charts/<case>.json of `predict`.")
    ],
    later: Annotated[
        Path, typer.Argument(metavar="LATER", help="A later chart, or a folder of them to rank.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write page and picture (of the best match)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Could the later chart be of the same person? Of a folder, the likeliest first."""
    from radloop.systems.jaw.chart import read_chart
    from radloop.systems.jaw.comparison import compare_charts, rank_charts
    from radloop.systems.jaw.comparison_page import meaning, write_comparison

    chart = read_chart(earlier)
    unread: list[str] = []
    if later.is_dir():
        candidates, unread = _charts_of(later)
        ranking = rank_charts(chart, candidates)
        best, comparison = ranking[0]
        other = candidates[best]
    else:
        other = read_chart(later)
        comparison = compare_charts(chart, other)
        ranking = [(later.stem, comparison)]
    if as_json:
        listed = [{"name": name, **one.to_json()} for name, one in ranking]
        result_json(listed if later.is_dir() else listed[0])
    else:
        _print(ranking, later.is_dir())
        if not later.is_dir():
            result(meaning(comparison))
    if out is not None:
        message(f"the page is {write_comparison(out, chart, other, comparison)}", quiet)
    for name in unread:
        message(f"left out, no chart: {name}")
    if unread:
        raise typer.Exit(REFUSED)


def _charts_of(folder: Path) -> tuple[dict[str, DentalChart], list[str]]:
    """The charts of a folder, or of the prediction folder it is, by name; and what is none."""
    from radloop.systems.jaw.chart import read_chart

    inside = folder / "charts" if (folder / "charts").is_dir() else folder
    charts, unread = {}, []
    for path in sorted(inside.glob("*.json")):
        try:
            charts[path.stem] = read_chart(path)
        except InputError:
            unread.append(path.name)
    if not charts:
        raise InputError(
            f"There is no chart in {folder.resolve().name}.",
            "Give a folder that `radloop predict` wrote.",
        )
    return charts, unread


def _print(ranking: Sequence[tuple[str, ChartComparison]], several: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if several:
        table = Table("#", "chart", "score", "concordant", "explainable", "impossible", "unknown")
        for rank, (name, one) in enumerate(ranking, start=1):
            counts = (one.count(k) for k in ("concordant", "explainable", "impossible", "unknown"))
            table.add_row(str(rank), Text(name), f"{one.score:.1f}", *map(str, counts))
    else:
        comparison = ranking[0][1]
        table = Table("tooth", "change", "what happened", "score",
                      title=f"score {comparison.score:.1f}", title_justify="left")  # fmt: skip
        for tooth in sorted(comparison.teeth, key=lambda t: t.score):
            if tooth.kind in ("explainable", "impossible"):
                table.add_row(tooth.number, tooth.kind, tooth.reason, f"{tooth.score:+.2f}")
    result_table(table)


@teeth.command()
def phantom(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many jaws.")] = 40,
    seed: Annotated[int, typer.Option(metavar="S", help="Same seed, same jaws.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Draw jaws (images/) with LabelImg boxes of teeth and conditions (boxes/): no patient's."""
    from radloop.systems.jaw.phantom import write_jaws

    write_jaws(out, count, seed)
    message(f"{count} phantoms are in {out}", quiet)
