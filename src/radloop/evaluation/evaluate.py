"""`evaluate`: run a model on cases whose truth is known, and write the report.

A refused case has a row, with its reason; it counts in no measure but those of refusals themselves
(`System.judge_refused`), and the report says how many there were, so that no model can look better
by refusing what is hard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radloop.cases.table import CaseTable
from radloop.evaluation.about import about_acquisition, about_cases, about_table
from radloop.evaluation.galleries import Drawn, choose_failures, choose_ranked, draw_cases
from radloop.evaluation.question import questions_of
from radloop.evaluation.report import SliceLevel, write_report
from radloop.evaluation.rows import is_nested, numeric_columns
from radloop.inference.engine import open_engine
from radloop.inference.pipeline import Item, Result, run_pipeline
from radloop.inference.predict import PredictOptions
from radloop.measures.spec import Figure, MeasureSpec
from radloop.systems.base import System
from radloop.systems.model import Model

Row = dict[str, object]
_DEFAULTS = PredictOptions(pictures=True)


def evaluate(
    model: Model,
    table: CaseTable,
    split: str | None,
    out: Path,
    options: PredictOptions = _DEFAULTS,
    progress: Callable[[int, int], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    by: Sequence[str] = (),
) -> Mapping[str, Any]:
    """Judge `model` on the cases of `split` (None: all) and write the report folder `out`.

    settings: instead of the model's own (thresholds, calibration), where those were measured on the
    cases to judge. by: columns of the table whose groups are judged apart, see `write_report`.
    Returns the content of report.json. Raises InputError when the table has no such split.
    """
    cases = (table.only(split) if split else table).cases
    told = about_cases(table)
    system = model.system
    items = [Item(case.case_id, case.patient_id, case.image, case) for case in cases]
    engine = open_engine(model, options.engine, options.device, options.batch, options.workers)

    slice_rows: dict[str, list[Row]] = {}
    read_even = options.even_out

    def finish(result: Result) -> Row:
        row: Row = {
            "case_id": result.item.case_id,
            "patient_id": result.item.patient_id,
            "verdict": result.verdict.status,
            "code": result.verdict.code,
            **told[result.item.case_id],
        }
        if result.image is not None:
            row |= about_acquisition(result.image.acquisition, told[result.item.case_id])
        read, case = result.interpretation, result.item.case
        if read is None or result.image is None or case is None:
            return row
        if result.verdict.refused:
            return row | system.judge_refused(case)
        slice_rows[case.case_id] = [
            {"case_id": f"{case.case_id}/{k}", "patient_id": case.patient_id, **one}
            for k, one in enumerate(system.judge_slices(case, result.image, read))
        ]
        return row | system.judge(case, result.image, read)

    rows: list[Row] = []
    changes = {**(settings or {}), "members": options.members}
    for row in run_pipeline(
        model, engine, items, finish, workers=options.workers, settings=changes,
        even_out=read_even,
    ):  # fmt: skip
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(items))
    judged = [with_columns(row, system.measures) for row in rows]
    in_order = [one for item in items for one in slice_rows.get(item.case_id, ())]
    measured = {column for row in rows for column, value in row.items() if _is_measured(value)}
    figures = figures_of(system.figures, measured)
    failures: Drawn = {}
    galleries: Drawn = {}
    if options.pictures:
        by_case = {item.case_id: item for item in items}
        questions = questions_of(figures, numeric_columns(judged))
        wrong, ranked = choose_failures(judged, questions), choose_ranked(rows, system.ranked_by)
        drawn = draw_cases(
            model, engine, {**wrong, **ranked}, by_case, out, changes, even_out=read_even
        )
        failures = {title: drawn[title] for title in wrong}
        galleries = {title: drawn[title] for title in ranked}
    return write_report(
        out,
        system=system.name,
        model={"name": model.name, "version": model.version, "sha256": model.sha256},
        rows=judged,
        measures=measures_of(system.measures, measured),
        figures=figures,
        operating_point=operating_point_of(model),
        verdicts=Counter(str(row["verdict"]) for row in rows),
        galleries=galleries,
        failures=failures,
        notes=_notes(rows, split, table),
        slices=slice_level(system, in_order),
        about=about_table(table, split),
        by=by,
    )


def operating_point_of(model: Model) -> Mapping[str, Any]:
    """The threshold with its aim: one that was given to the model (`radloop operating-point`), or
    that of its system."""
    given = model.info.get("operating_point") or {}
    return {**model.system.operating_point, **given}


def slice_level(system: System, rows: Sequence[Mapping[str, object]]) -> SliceLevel | None:
    """The slices' part of a report; None for a system or a model that says nothing of them."""
    if not rows:
        return None
    measured = {column for row in rows for column, value in row.items() if _is_measured(value)}
    return SliceLevel(
        rows,
        measures_of(system.slice_measures, measured),
        figures_of(system.slice_figures, measured),
    )


def measures_of(measures: Sequence[MeasureSpec], measured: set[str]) -> list[MeasureSpec]:
    """The measures whose columns hold values."""
    return [m for m in measures if measured.issuperset(m.columns)]


def figures_of(figures: Sequence[Figure], measured: set[str]) -> list[Figure]:
    """The figures whose columns hold values."""
    return [f for f in figures if measured.issuperset(_figure_columns(f))]


def with_columns(row: Mapping[str, object], measures: Sequence[MeasureSpec]) -> Row:
    """The row with every column a measure asks for; unknown is NaN."""
    columns = {column for measure in measures for column in measure.columns}
    return {**row, **{c: row.get(c, float("nan")) for c in sorted(columns)}}


def _is_measured(value: object) -> bool:
    return _is_number(value) or is_nested(value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) and not np.isnan(value)


def _figure_columns(figure: Any) -> list[str]:
    names = ("measured", "reference", "score", "truth", "found", "called")
    single = [getattr(figure, name) for name in names if hasattr(figure, name)]
    return [*single, *getattr(figure, "columns", ())]


def _notes(rows: Sequence[Row], split: str | None, table: CaseTable) -> list[str]:
    notes = [f"Cases: {table.path.name}" + (f", split '{split}'." if split else ".")]
    codes = Counter(str(row["code"]) for row in rows if row["verdict"] == "refused")
    if codes:
        reasons = ", ".join(f"{code} ({n})" for code, n in codes.most_common())
        notes.append(f"Refused cases count in no measure: {reasons}.")
    return notes
