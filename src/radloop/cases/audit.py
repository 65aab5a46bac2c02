"""The data audit: what a person should know of a case table before a model is trained on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from radloop.cases.audit_page import page
from radloop.cases.audit_report import AuditReport, groups_of
from radloop.cases.audit_rules import find_problems
from radloop.cases.scan import Progress, scan_cases
from radloop.cases.sheet import draw_sheet
from radloop.cases.table import CaseTable
from radloop.images.write import write_png, write_text


def audit(
    table: CaseTable,
    progress: Progress | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> AuditReport:
    """Look at every case of a table.

    table: best read with `read_cases(path, strict=False)`, so that missing files and shared
    patients are listed with everything else. ranges: value name -> the lowest and highest number
    that is possible. Bad files are problems of the report, never exceptions.
    """
    scans = scan_cases(table, progress)
    images = [image for scan in scans for image in scan.images if not image.verdict.refused]
    return AuditReport(
        table=table,
        problems=find_problems(table, scans, ranges or {}),
        groups=tuple(groups_of(table)),
        sizes=_counted(f"{image.shape[1]} x {image.shape[0]} px" for image in images),
        spacings=_counted(
            " x ".join(f"{mm:.4g}" for mm in reversed(image.spacing)) + " mm"
            if image.spacing
            else "unknown"
            for image in images
        ),
        scans=scans,
    )


def write_audit(report: AuditReport, out: Path) -> None:
    """Write `check.json`, `check.html` (one file, the sheet inside) and `sheet.png` to a folder.

    Raises WriteError.
    """
    flagged = {
        case_id
        for problem in report.problems
        if problem.level != "note"
        for case_id in problem.case_ids
    }
    sheet = draw_sheet(report.scans, report.table.names("mask"), flagged)
    write_png(out / "sheet.png", sheet)
    write_text(out / "check.json", json.dumps(report.to_json(), indent=1) + "\n")
    write_text(out / "check.html", page(report, sheet))


def _counted(texts: Iterable[str]) -> dict[str, int]:
    return dict(Counter(texts).most_common())
