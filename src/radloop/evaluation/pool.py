"""The reports of a cross-validation as one: every case judged by the model that never saw it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.evaluation.about import ABOUT, About
from radloop.evaluation.evaluate import (
    evaluate,
    figures_of,
    measures_of,
    slice_level,
    with_columns,
)
from radloop.evaluation.report import CASES, REPORT, SLICES, write_report
from radloop.evaluation.rows import Row, numeric_columns, read_rows
from radloop.inference.predict import PredictOptions
from radloop.measures.spec import unknown
from radloop.systems.base import System
from radloop.systems.ensemble import Ensemble


def pool(
    reports: Sequence[Path], system: System, out: Path, by: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Write the report of all cases of `reports`, one a fold, to `out`; return its content.

    by: columns whose groups are judged apart, see `write_report`.

    The intervals resample patients over all folds, so they tell of the recipe on this data, not of
    one model. Raises InputError for fewer than two reports, reports of another system, and a case
    or a patient in two of them, which no held-out part would have.
    """
    if len(reports) < 2:
        raise InputError("There is nothing to pool in one report.", "Give one report a fold.")
    contents = [read_report(report) for report in reports]
    strangers = [c["system"] for c in contents if c["system"] != system.name]
    if strangers:
        raise InputError(
            f"The reports are of the systems '{system.name}' and '{strangers[0]}'.",
            "Pool the folds of one system.",
        )
    parts = [read_rows(report / CASES) for report in reports]
    _refuse_overlap(reports, parts)
    rows = [row for part in parts for row in _with_numbers(part)]
    with_slices = [report for report in reports if (report / SLICES).is_file()]
    slices = [row for report in with_slices for row in _with_numbers(read_rows(report / SLICES))]
    measured = _measured(rows)
    system = system.reporting(columns_of(reports[0]))
    return write_report(
        out,
        system=system.name,
        model={"name": " + ".join(str(c["model"]["name"]) for c in contents)},
        rows=[with_columns(row, system.measures) for row in rows],
        measures=measures_of(system.measures, measured),
        figures=figures_of(system.figures, measured),
        operating_point=system.operating_point,
        verdicts=Counter(str(row["verdict"]) for row in rows),
        notes=[
            f"Cross-validation: {len(reports)} models, each on the cases it was not trained on.",
            *(note for content in contents for note in content.get("notes", ())),
        ],
        slices=slice_level(system, slices),
        about=_about(contents),
        by=by,
    )


def judge_folds(made: Ensemble, table: CaseTable, out: Path) -> Mapping[str, Any]:
    """Judge every fold by the member that left it out, with settings measured on the other folds;
    write the pooled report to `out`, and each fold's to a folder in it. Returns its content."""
    folders = []
    for fold, model in sorted(made.members.items()):
        folders.append(out / f"fold{fold}")
        evaluate(
            model, table, f"fold{fold}", folders[-1], PredictOptions(pictures=False),
            settings=made.apart[fold],
        )  # fmt: skip
    return pool(folders, made.model.system, out)


def columns_of(report: Path) -> list[str]:
    """The columns of a report's case table, in their order."""
    rows = read_rows(report / CASES)
    return list(rows[0]) if rows else []


def read_report(folder: Path) -> dict[str, Any]:
    """What `report.json` of a report folder holds; InputError when it is none."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        report["system"], report["model"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"'{folder.name}' holds no readable report.json.",
            "Give the folder that `radloop evaluate` wrote.",
        ) from error
    return dict(report)


def _about(contents: Sequence[Mapping[str, Any]]) -> About:
    """Of the table that all folds came from; nothing when they came from several."""
    tables = [content.get("data", {}) for content in contents]
    if len({table.get("table") for table in tables}) != 1 or not tables[0].get("table"):
        return About()
    one = tables[0]
    return About(
        one["table"], one["cases"], one["patients"], "", one["splits"], tuple(one["truth"])
    )


def _refuse_overlap(reports: Sequence[Path], parts: Sequence[Sequence[Row]]) -> None:
    for what in ("case_id", "patient_id"):
        seen: dict[object, Path] = {}
        for report, part in zip(reports, parts, strict=True):
            names = {row[what] for row in part if row[what]}
            for name in sorted(names & seen.keys(), key=str):
                raise InputError(
                    f"{what.split('_')[0].capitalize()} '{name}' is in '{seen[name].name}' and in"
                    f" '{report.name}'.",
                    "Evaluate every fold's model on its own fold: --split foldK.",
                )
            seen |= dict.fromkeys(names, report)


def _with_numbers(part: Sequence[Row]) -> list[Row]:
    """Rows read as text, with their numeric and nested columns as numbers and lists again."""
    columns = numeric_columns(part)
    return [
        {
            **row,
            **{name: _value(c[k]) for name, c in columns.items() if not name.startswith(ABOUT)},
        }
        for k, row in enumerate(part)
    ]


def _value(cell: Any) -> object:
    return cell.tolist() if isinstance(cell, np.ndarray) else None if cell is None else float(cell)


def _measured(rows: Sequence[Row]) -> set[str]:
    columns = numeric_columns(rows).items()
    return {name for name, column in columns if not unknown(column).all()}
