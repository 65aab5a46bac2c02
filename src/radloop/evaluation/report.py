"""The report of one evaluation: `report.json`, `cases.csv`, the plots, the page and the PDF.

Every file is written whole or not at all, `report.json` last: a folder that has it is complete.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radloop.errors import InputError
from radloop.evaluation import plots as own
from radloop.evaluation import sections as make
from radloop.evaluation.about import ABOUT, About, about_columns
from radloop.evaluation.document import Document, Facts, Plots, Section
from radloop.evaluation.facts import checklist_facts, limits_of
from radloop.evaluation.figures import draw
from radloop.evaluation.flow import flow_of
from radloop.evaluation.judgement import Judgement, judge_question
from radloop.evaluation.page import data_uri
from radloop.evaluation.question import answers, questions_of
from radloop.evaluation.render import write_document
from radloop.evaluation.rows import Row, format_rows, numeric_columns, patients_of
from radloop.evaluation.subgroups import Subgroups, bands, subgroups
from radloop.images.write import write_text
from radloop.measures.best_interval import best_intervals
from radloop.measures.interval import Interval
from radloop.measures.spec import Figure, MeasureSpec, Rows

CASES, SLICES, REPORT, PAGE = "cases.csv", "slices.csv", "report.json", "report.html"
Captioned = tuple[str, Path]
_UNKNOWN = About()


@dataclass(frozen=True)
class SliceLevel:
    """The slices of all judged scans: rows as for cases, one a slice, and what judges them."""

    rows: Sequence[Row]
    measures: Sequence[MeasureSpec]
    figures: Sequence[Figure] = ()


def write_report(
    out: Path,
    *,
    system: str,
    model: Mapping[str, object],
    rows: Sequence[Row],
    measures: Sequence[MeasureSpec],
    figures: Sequence[Figure] = (),
    operating_point: Mapping[str, object] | None = None,
    verdicts: Mapping[str, int] | None = None,
    galleries: Mapping[str, Sequence[Path | Captioned]] | None = None,
    failures: Mapping[str, Sequence[Path | Captioned]] | None = None,
    notes: Sequence[str] = (),
    slices: SliceLevel | None = None,
    about: About = _UNKNOWN,
    by: Sequence[str] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Measure the rows, write the report into the folder `out`; return what `report.json` holds.

    model: name, version and whatever else should be shown of it. rows: the judged cases, see
    `rows.py`. verdicts: cases by status, the refused ones included. galleries, failures: title ->
    pictures (PNG, JPEG), with or without a caption, that already lie in `out`, given relative to it
    or in full. notes: sentences for the reader. slices: a second level, written to `slices.csv` and
    resampled by patient like the cases. about: where the cases come from. by: columns whose groups
    are judged apart, `NAME` or `NAME=40,60` (see `subgroups.bands`).

    Raises InputError when the rows lack a measure's column or one of `by`, WriteError when the disk
    does not take the files.
    """
    levels = [SliceLevel(rows, measures, figures), *([slices] if slices else [])]
    patients = patients_of(rows)
    judged: list[tuple[MeasureSpec, Interval]] = []
    drawn: list[tuple[Figure, Rows]] = []
    for level in levels:
        columns, groups = numeric_columns(level.rows), patients_of(level.rows)
        intervals = best_intervals(columns, level.measures, groups, n=resamples, seed=seed)
        judged += zip(level.measures, intervals, strict=True)
        drawn += [(figure, columns) for figure in level.figures]
    columns = numeric_columns(rows)
    judgements = [
        judge_question(question, answers(question, columns, patients), resamples=resamples,
                       seed=seed)
        for question in questions_of(figures, columns)
    ]  # fmt: skip
    found = _subgroups(rows, by, judgements, columns, patients, measures, resamples, seed)
    with contextlib.suppress(OSError):  # what cannot be removed cannot be written either
        (out / REPORT).unlink()
    write_text(out / CASES, format_rows(rows))
    if slices:
        write_text(out / SLICES, format_rows(slices.rows))
    plots = [_plot_name(number, figure) for number, (figure, _) in enumerate(drawn, start=1)]
    for (figure, of), name in zip(drawn, plots, strict=True):
        draw(figure, of, out / name)
    flow = flow_of(
        rows, about, *((judgements[0].question, judgements[0].answers) if judgements else
                       (None, None))
    )  # fmt: skip
    own.plot_flow(flow, out / "flow.png")
    captioned = {title: _captioned(out, some) for title, some in (galleries or {}).items()}
    missed = {title: _captioned(out, some) for title, some in (failures or {}).items()}
    table = about_columns(rows)
    parts = [
        make.flow_section(flow, "flow.png", verdicts or {}),
        make.data_section(about, table, len(set(patients)), judgements, notes, len(rows)),
        make.measures_section(judged),
    ]
    if operating_point:
        parts.append(_point_section(operating_point))
    used, drawings = _question_sections(judgements, list(zip(drawn, plots, strict=True)), out)
    parts += drawings
    others = [(figure.title, name) for (figure, _), name in zip(drawn, plots, strict=True)
              if name not in used]  # fmt: skip
    if others:
        parts.append(Section("plots", "Plots", (Plots(tuple(others)),)))
    if found is not None:
        parts.append(_subgroup_section(found, out))
    parts += make.gallery_sections({**missed, **captioned}, set(missed))
    limits = limits_of(about=about, columns=table, flow=flow, judgements=judgements, found=found,
                       patients=len(set(patients)))  # fmt: skip
    methods = sorted({interval.method for _, interval in judged})
    facts = checklist_facts(
        system=system, model=model, about=about, columns=table, flow=flow, judgements=judgements,
        found=found, methods=methods, patients=len(set(patients)),
        has_pictures=bool(captioned or missed),
    )  # fmt: skip
    parts += [make.limits_section(limits), make.checklist_section(facts)]
    report: dict[str, Any] = plain(
        {
            "system": system,
            "model": model,
            "n": len(rows),
            "patients": len(set(patients)),
            "measures": {spec.name: _measure_json(spec, interval) for spec, interval in judged},
            "operating_point": operating_point or {},
            "verdicts": verdicts or {},
            "cases": CASES,
            **({"slices": SLICES, "n_slices": len(slices.rows)} if slices else {}),
            "plots": plots,
            "notes": notes,
            "flow": vars(flow),
            "data": {**vars(about), "columns": sorted(table)},
            "questions": [one.to_json() for one in judgements],
            **({"subgroups": found.to_json(), "by": list(by)} if found is not None else {}),
            "limits": limits,
        }
    )
    identity = ", ".join(f"{name} {str(value)[:40]}" for name, value in model.items())
    document = Document(
        f"{system}: how well the model reads",
        (
            f"{len(rows)} cases of {len(set(patients))} patients.",
            *([f"Model: {identity}."] if identity else []),
        ),
        tuple(parts),
        CASES,
    )
    write_document(out, document)
    write_text(out / REPORT, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report


def plain(value: object) -> Any:
    """The value as JSON knows it: null for NaN and infinity, numpy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _subgroups(
    rows: Sequence[Row], by: Sequence[str], judgements: Sequence[Judgement], columns: Rows,
    patients: Sequence[str], measures: Sequence[MeasureSpec], resamples: int, seed: int,
) -> Subgroups | None:  # fmt: skip
    """Of the questions; without one, of the first measure."""
    if not by:
        return None
    known = {**about_columns(rows), **{n: _texts(c) for n, c in columns.items() if c.ndim == 1}}
    groups = {}
    for entry in by:
        name, _, edges = entry.partition("=")
        own_name = name.removeprefix(ABOUT)
        if own_name not in known:
            raise InputError(
                f"The cases have no column '{name}'.",
                f"Known: {', '.join(sorted(about_columns(rows)) or sorted(known)) or 'none'}.",
            )
        groups[own_name] = bands(known[own_name], _edges(entry, edges), own_name)
    asked = {one.question.title: one.answers for one in judgements}
    specs = [] if asked else [m for m in measures if set(m.columns) <= set(columns)][:1]
    return subgroups(groups, asked, columns, patients, specs, resamples=resamples, seed=seed)


def _edges(entry: str, edges: str) -> tuple[float, ...]:
    try:
        return tuple(float(edge) for edge in edges.split(",") if edge)
    except ValueError:
        raise InputError(
            f"'{entry}' is not of the form COLUMN=NUMBER,NUMBER.", "For instance `--by age=40,60`."
        ) from None


def _texts(column: Any) -> list[str]:
    if column.dtype == object:
        return [""] * len(column)
    return ["" if math.isnan(value) else f"{value:g}" for value in column]


def _question_sections(
    judgements: Sequence[Judgement], drawn: Sequence[tuple[tuple[Figure, Rows], str]], out: Path
) -> tuple[set[str], list[Section]]:
    """The sections, and the names of the declared figures that stand in them."""
    used: set[str] = set()
    sections = []
    for number, one in enumerate(judgements, start=1):
        pictures = [
            (figure.title, name)
            for (figure, _), name in drawn
            if getattr(figure, "truth", "") == one.question.truth and hasattr(figure, "score")
        ]
        used |= {name for _, name in pictures}
        if one.calibration is not None:
            name = f"decision_{number}.png"
            own.plot_decision(one.calibration.curve, out / name)
            pictures.append(("Decision curve", name))
        threshold = one.threshold
        if threshold is not None and one.answers.truth.size:
            name = f"abstention_{number}.png"
            own.plot_abstention(one, threshold, out / name)
            pictures.append(("Leaving the unsure cases to a reader", name))
        sections.append(make.question_section(number, one, pictures))
    return used, sections


def _subgroup_section(found: Subgroups, out: Path) -> Section:
    pictures = []
    for number, measure in enumerate(dict.fromkeys(g.measure for g in found.groups), start=1):
        name = f"subgroups_{number}.png"
        own.plot_forest(found, measure, out / name)
        pictures.append((measure, name))
    return make.subgroups_section(found, pictures)


def _point_section(point: Mapping[str, object]) -> Section:
    facts = tuple((name.replace("_", " "), str(value)) for name, value in point.items())
    return Section("operating-point", "Operating point", (Facts(facts),))


def _captioned(out: Path, pictures: Sequence[Path | Captioned]) -> list[tuple[str, str]]:
    """(caption, name in the folder); each is read once, so that a missing one is told now."""
    named = []
    for entry in pictures:
        caption, path = entry if isinstance(entry, tuple) else (entry.stem, entry)
        data_uri(out / path)
        inside = (out / path).resolve().relative_to(out.resolve())
        named.append((caption, inside.as_posix()))
    return named


def _measure_json(spec: MeasureSpec, interval: Interval) -> dict[str, object]:
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "method": interval.method,
        "skipped": interval.skipped,
        "title": spec.title or spec.name,
        "unit": spec.unit,
        "better": spec.better,
    }


def _plot_name(number: int, figure: Figure) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", figure.title.lower()).strip("_")
    return f"plot_{number}_{slug}.png"
