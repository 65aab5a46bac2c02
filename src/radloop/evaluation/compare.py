"""Two models on the same cases: what differs, by how much, and whether that could be chance."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radloop.errors import InputError
from radloop.evaluation.differences import (
    MeasureDifference,
    check_margins,
    corrected,
    measure_differences,
)
from radloop.evaluation.page import render
from radloop.evaluation.report import CASES, REPORT, SLICES
from radloop.evaluation.rows import Row, numeric_columns, patients_of, read_rows
from radloop.images.write import write_text
from radloop.measures.spec import MeasureSpec, Rows

if TYPE_CHECKING:
    from rich.table import Table

METHOD = (
    "Difference is B − A on the cases both reports judged, with 95 % interval and two-sided p: of"
    " shares of the same cases by Newcombe and McNemar, of areas under the ROC curve by DeLong, of"
    " everything else by paired patient bootstrap ({n} resamples). Permutation p: patients swapped"
    " at random between A and B. Holm p: p corrected for the {tests} tests made."
)
FEW = 20
"""Patients, below which the bootstrap's intervals are too narrow."""

HEADINGS = (
    "Measure", "A", "B", "B − A", "95 % interval", "p", "Permutation p", "Holm p", "n", "Favours"
)  # fmt: skip
PAGE_HEADINGS = (*HEADINGS[:6], "Test", "Bootstrap", *HEADINGS[6:])
TEXT = ("Measure", "Test", "Favours")


@dataclass(frozen=True)
class Comparison:
    """The outcome.

    n, patients: of the cases in both reports. only_a, only_b: cases the other report lacks.
    left_out: measures that cannot be computed from both.
    """

    system: str
    model_a: str
    model_b: str
    n: int
    patients: int
    differences: tuple[MeasureDifference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    left_out: tuple[str, ...]
    method: str

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values for JSON."""
        return {
            "system": self.system,
            "a": self.model_a,
            "b": self.model_b,
            "n": self.n,
            "patients": self.patients,
            "measures": {item.spec.name: item.to_json() for item in self.differences},
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "left_out": list(self.left_out),
            "method": self.method,
        }

    def to_table(self) -> Table:
        """The comparison as a table for the console."""
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(f"{self.system}: A = {self.model_a}, B = {self.model_b}"),
            caption=Text("\n".join([*self.sentences(), *self.remarks(), self.method])),
            caption_justify="left",
        )
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading in TEXT else "right")
        for item in self.differences:
            cells = item.cells()
            table.add_row(*(Text(cells[heading]) for heading in HEADINGS))
        return table

    def sentences(self) -> list[str]:
        """What the intervals say against the margins; empty without any."""
        return [item.sentence() for item in self.differences if item.margin]

    def remarks(self) -> list[str]:
        """What the reader must know besides the numbers: what was left out, what not to trust."""
        lacking = (("A", self.only_a), ("B", self.only_b))
        remarks = [
            f"{len(cases)} cases are only in {name} and were left out: {_some(cases)}."
            for name, cases in lacking
            if cases
        ]
        if self.left_out:
            remarks.append(f"Not in both reports: {_some(self.left_out)}.")
        if self.patients < FEW:
            remarks.append(f"Of {self.patients} patients bootstrap intervals are too narrow.")
        return remarks


def compare(
    report_a: Path,
    report_b: Path,
    specs: Sequence[MeasureSpec],
    out: Path | None = None,
    *,
    slice_specs: Sequence[MeasureSpec] = (),
    margins: Mapping[str, float] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two report folders of one system, measure by measure, on the cases they share.

    specs: the system's measures; each is computed anew from the per-case tables. slice_specs: the
    same for slices, where both reports have a table of them. out: a folder
    for `comparison.json` and `comparison.html`. margins: by how much worse B may be, by the
    measure's name or for all without a unit (`differences.EVERY`). Raises InputError for folders
    that are not reports, for reports of different systems, when the cases are not the same ones,
    and for margins that cannot be.
    """
    about_a, about_b = _read_report(report_a), _read_report(report_b)
    if about_a["system"] != about_b["system"]:
        raise InputError(
            f"The reports judge different systems: {about_a['system']} and {about_b['system']}.",
            "Compare two models of one system.",
        )
    margins = margins or {}
    check_margins(margins, [*specs, *slice_specs])
    cases = _paired(report_a / CASES, report_b / CASES, specs, margins, resamples, seed)
    found, left_out = list(cases.differences), list(cases.left_out)
    if slice_specs and all((report / SLICES).is_file() for report in (report_a, report_b)):
        tables = report_a / SLICES, report_b / SLICES
        slices = _paired(*tables, slice_specs, margins, resamples, seed)
        found += slices.differences
        left_out += slices.left_out
    check_margins(margins, [item.spec for item in found])
    comparison = Comparison(
        system=str(about_a["system"]),
        model_a=_model_name(about_a, report_a),
        model_b=_model_name(about_b, report_b),
        n=cases.n,
        patients=cases.patients,
        differences=corrected(found),
        only_a=cases.only_a,
        only_b=cases.only_b,
        left_out=tuple(left_out),
        method=METHOD.format(n=resamples, tests=sum(not math.isnan(item.p) for item in found)),
    )
    if out is not None:
        _write(comparison, out)
    return comparison


@dataclass(frozen=True)
class _Paired:
    """One table of both reports, compared; the fields are those of `Comparison`."""

    n: int
    patients: int
    differences: tuple[MeasureDifference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    left_out: tuple[str, ...]


def _paired(
    table_a: Path,
    table_b: Path,
    specs: Sequence[MeasureSpec],
    margins: Mapping[str, float],
    resamples: int,
    seed: int,
) -> _Paired:
    by_case_a = {str(row["case_id"]): row for row in read_rows(table_a)}
    by_case_b = {str(row["case_id"]): row for row in read_rows(table_b)}
    common = [case for case in by_case_a if case in by_case_b]
    rows_a, rows_b = [by_case_a[case] for case in common], [by_case_b[case] for case in common]
    _check_same_cases(rows_a, rows_b)
    columns_a, columns_b = numeric_columns(rows_a), numeric_columns(rows_b)
    patients = patients_of(rows_a)
    usable = [spec for spec in specs if _has(columns_a, spec) and _has(columns_b, spec)]
    return _Paired(
        n=len(common),
        patients=len(set(patients)),
        differences=tuple(
            measure_differences(
                columns_a,
                columns_b,
                usable,
                patients,
                margins=margins,
                resamples=resamples,
                seed=seed,
            )
        ),
        only_a=tuple(case for case in by_case_a if case not in by_case_b),
        only_b=tuple(case for case in by_case_b if case not in by_case_a),
        left_out=tuple(spec.name for spec in specs if spec not in usable),
    )


def _write(comparison: Comparison, out: Path) -> None:
    write_text(
        out / "comparison.html",
        render("comparison.html", c=comparison, headings=PAGE_HEADINGS, text=TEXT),
    )
    text = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False)
    write_text(out / "comparison.json", text + "\n")


def _read_report(folder: Path) -> Mapping[str, Any]:
    remedy = "Give the folder that `radloop evaluate` wrote."
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder.name} holds no readable {REPORT}.", remedy) from error
    except ValueError as error:
        raise InputError(f"The {REPORT} in {folder.name} is not valid JSON.", remedy) from error
    if not isinstance(report, dict) or "system" not in report:
        raise InputError(f"The {REPORT} in {folder.name} is not a report of Radloop.", remedy)
    return report


def _check_same_cases(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> None:
    remedy = "Evaluate both models on the same case table."
    if not rows_a:
        raise InputError("The two reports have no case in common.", remedy)
    strangers = sum(a != b for a, b in zip(patients_of(rows_a), patients_of(rows_b), strict=True))
    if strangers:
        raise InputError(
            f"{strangers} cases of the same name belong to different patients in the two reports.",
            remedy,
        )


def _has(columns: Rows, spec: MeasureSpec) -> bool:
    return all(name in columns for name in spec.columns)


def _model_name(report: Mapping[str, Any], folder: Path) -> str:
    model = report.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    return str(name or folder.name)


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
