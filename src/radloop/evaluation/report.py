"""The report of one evaluation: `report.json`, `cases.csv`, the plots, and `report.html`.

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

from radloop.evaluation.figures import draw
from radloop.evaluation.page import data_uri, decimals, render, show, show_interval
from radloop.evaluation.rows import Row, format_rows, numeric_columns, patients_of
from radloop.images.write import write_text
from radloop.measures.bootstrap import patient_bootstrap
from radloop.measures.interval import Interval
from radloop.measures.spec import Figure, MeasureSpec, Rows

CASES, SLICES, REPORT, PAGE = "cases.csv", "slices.csv", "report.json", "report.html"


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
    galleries: Mapping[str, Sequence[Path]] | None = None,
    notes: Sequence[str] = (),
    slices: SliceLevel | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Mapping[str, Any]:
    """Measure the rows, write the report into the folder `out`; return what `report.json` holds.

    model: name, version and whatever else should be shown of it. rows: the judged cases, see
    `rows.py`. verdicts: cases by status, the refused ones included. galleries: title -> pictures
    (PNG, JPEG) that already lie in `out`, given relative to it or in full. notes: sentences for
    the reader. slices: a second level, written to `slices.csv` and resampled by patient like the
    cases. Raises InputError when the rows lack a measure's column, WriteError when the disk
    does not take the files.
    """
    levels = [SliceLevel(rows, measures, figures), *([slices] if slices else [])]
    patients = patients_of(rows)
    judged: list[tuple[MeasureSpec, Interval]] = []
    drawn: list[tuple[Figure, Rows]] = []
    for level in levels:
        columns, groups = numeric_columns(level.rows), patients_of(level.rows)
        judged += [
            (spec, patient_bootstrap(columns, spec, groups, n=resamples, seed=seed))
            for spec in level.measures
        ]
        drawn += [(figure, columns) for figure in level.figures]
    with contextlib.suppress(OSError):  # what cannot be removed cannot be written either
        (out / REPORT).unlink()
    write_text(out / CASES, format_rows(rows))
    if slices:
        write_text(out / SLICES, format_rows(slices.rows))
    plots = [_plot_name(number, figure) for number, (figure, _) in enumerate(drawn, start=1)]
    for (figure, columns), name in zip(drawn, plots, strict=True):
        draw(figure, columns, out / name)
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
        }
    )
    page = render(
        "report.html",
        report=report,
        measures=[_measure_text(*pair) for pair in judged],
        methods=sorted({interval.method for _, interval in judged}),
        plots=[
            (figure.title, data_uri(out / name))
            for (figure, _), name in zip(drawn, plots, strict=True)
        ],
        galleries={
            title: [(picture.stem, data_uri(out / picture)) for picture in pictures]
            for title, pictures in (galleries or {}).items()
        },
    )
    write_text(out / PAGE, page)
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


def _measure_text(spec: MeasureSpec, interval: Interval) -> dict[str, object]:
    """A row of the page's table."""
    places = decimals(interval.value, interval.low, interval.high)
    return {
        "title": spec.title or spec.name,
        "unit": spec.unit,
        "value": show(interval.value, places),
        "interval": show_interval(interval.low, interval.high, places),
        "n": interval.n,
        "skipped": interval.skipped,
    }


def _plot_name(number: int, figure: Figure) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", figure.title.lower()).strip("_")
    return f"plot_{number}_{slug}.png"
