"""Two models on the same cases: what differs, by how much, and whether that could be chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radloop.errors import InputError
from radloop.evaluation.page import decimals, render, show, show_interval
from radloop.evaluation.report import CASES, REPORT, SLICES, plain
from radloop.evaluation.rows import Row, numeric_columns, patients_of, read_rows
from radloop.images.write import write_text
from radloop.measures.bootstrap import PairedDifference, paired_bootstrap
from radloop.measures.spec import MeasureSpec, Rows

if TYPE_CHECKING:
    from rich.table import Table

METHOD = (
    "Difference is B − A on the cases both reports judged. 95 % intervals and two-sided p by "
    "paired patient bootstrap ({n} resamples); p is not corrected for the number of measures."
)


@dataclass(frozen=True)
class MeasureDifference:
    """One measure of both models, on the cases where both could be measured."""

    spec: MeasureSpec
    paired: PairedDifference

    @property
    def favours(self) -> str:
        """ "A" or "B" when the interval leaves out zero and the measure has a better side."""
        if self.spec.better == "neither" or not (self.paired.low > 0 or self.paired.high < 0):
            return ""
        return "B" if (self.paired.low > 0) == (self.spec.better == "higher") else "A"

    def to_json(self) -> dict[str, object]:
        """The numbers, null for those that could not be measured."""
        numbers = ("a", "b", "difference", "low", "high", "p")
        return {
            "title": self.spec.title or self.spec.name,
            "unit": self.spec.unit,
            **{name: plain(getattr(self.paired, name)) for name in numbers},
            "n": self.paired.n,
            "skipped": self.paired.skipped,
            "favours": self.favours,
        }

    def cells(self) -> tuple[str, ...]:
        """Measure, A, B, difference, interval, p, n, favours: a row of the printed tables."""
        paired = self.paired
        places = decimals(paired.a, paired.b)
        name = self.spec.title or self.spec.name
        return (
            f"{name} [{self.spec.unit}]" if self.spec.unit else name,
            show(paired.a, places),
            show(paired.b, places),
            show(paired.difference, 4 if places >= 3 else places + 1),
            show_interval(paired.low, paired.high, 4 if places >= 3 else places + 1),
            "< 0.001" if paired.p < 0.001 else show(paired.p, 3),
            str(paired.n),
            self.favours,
        )


HEADINGS = ("Measure", "A", "B", "B − A", "95 % interval", "p", "n", "Favours")


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
            caption=Text("\n".join([*self.remarks(), self.method])),
            caption_justify="left",
        )
        for heading in HEADINGS:
            numeric = heading not in ("Measure", "Favours")
            table.add_column(heading, justify="right" if numeric else "left")
        for item in self.differences:
            table.add_row(*(Text(cell) for cell in item.cells()))
        return table

    def remarks(self) -> list[str]:
        """What the reader must know besides the numbers: what was left out."""
        lacking = (("A", self.only_a), ("B", self.only_b))
        remarks = [
            f"{len(cases)} cases are only in {name} and were left out: {_some(cases)}."
            for name, cases in lacking
            if cases
        ]
        if self.left_out:
            remarks.append(f"Not in both reports: {_some(self.left_out)}.")
        return remarks


def compare(
    report_a: Path,
    report_b: Path,
    specs: Sequence[MeasureSpec],
    out: Path | None = None,
    *,
    slice_specs: Sequence[MeasureSpec] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two report folders of one system, measure by measure, on the cases they share.

    specs: the system's measures; each is computed anew from the per-case tables. slice_specs: the
    same for slices, where both reports have a table of them. out: a folder
    for `comparison.json` and `comparison.html`. Raises InputError for folders that are not
    reports, for reports of different systems, and when the cases are not the same ones.
    """
    about_a, about_b = _read_report(report_a), _read_report(report_b)
    if about_a["system"] != about_b["system"]:
        raise InputError(
            f"The reports judge different systems: {about_a['system']} and {about_b['system']}.",
            "Compare two models of one system.",
        )
    cases = _paired(report_a / CASES, report_b / CASES, specs, resamples, seed)
    differences, left_out = list(cases.differences), list(cases.left_out)
    if slice_specs and all((report / SLICES).is_file() for report in (report_a, report_b)):
        slices = _paired(report_a / SLICES, report_b / SLICES, slice_specs, resamples, seed)
        differences += slices.differences
        left_out += slices.left_out
    comparison = Comparison(
        system=str(about_a["system"]),
        model_a=_model_name(about_a, report_a),
        model_b=_model_name(about_b, report_b),
        n=cases.n,
        patients=cases.patients,
        differences=tuple(differences),
        only_a=cases.only_a,
        only_b=cases.only_b,
        left_out=tuple(left_out),
        method=METHOD.format(n=resamples),
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
    table_a: Path, table_b: Path, specs: Sequence[MeasureSpec], resamples: int, seed: int
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
            MeasureDifference(
                spec,
                paired_bootstrap(columns_a, columns_b, spec, patients, n=resamples, seed=seed),
            )
            for spec in usable
        ),
        only_a=tuple(case for case in by_case_a if case not in by_case_b),
        only_b=tuple(case for case in by_case_b if case not in by_case_a),
        left_out=tuple(spec.name for spec in specs if spec not in usable),
    )


def _write(comparison: Comparison, out: Path) -> None:
    write_text(out / "comparison.html", render("comparison.html", c=comparison, headings=HEADINGS))
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
