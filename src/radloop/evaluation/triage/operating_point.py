"""A model's operating point out of the report of an evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radloop.errors import InputError
from radloop.evaluation.report import CASES, REPORT
from radloop.evaluation.rows import numeric_columns, read_rows
from radloop.evaluation.triage.scenario import Scores

_PAIR = ("sensitivity", "specificity")


@dataclass(frozen=True)
class OperatingPoint:
    """Sensitivity and specificity with their 95 % intervals as the report has them.

    finding: what the measures' names begin with. cases: judged. scores: the probabilities of
    diseased and healthy cases, where `cases.csv` has them.
    """

    model: str
    finding: str
    sensitivity: float
    specificity: float
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    cases: int
    scores: Scores | None


def operating_point(report: Path, finding: str | None = None) -> OperatingPoint:
    """The operating point in the folder that `radloop evaluate` wrote.

    finding: which of several, for instance `scan_any` for the measures `scan_any_sensitivity` and
    `scan_any_specificity`; None: the first that the report has. Raises InputError when there is no
    such report or no such pair of measures, or one of them could not be measured.
    """
    remedy = "Give the folder that `radloop evaluate` wrote."
    try:
        content = json.loads((report / REPORT).read_text(encoding="utf-8"))
        measures: Mapping[str, Any] = content["measures"]
    except OSError as error:
        raise InputError(f"{report.name} holds no readable {REPORT}.", remedy) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The {REPORT} in {report.name} is not a report of Radloop.", remedy
        ) from error
    found = [
        name.removesuffix(_PAIR[0]).rstrip("_")
        for name in measures
        if name.endswith(_PAIR[0]) and name.removesuffix(_PAIR[0]) + _PAIR[1] in measures
    ]
    if not found:
        raise InputError(
            f"The report {report.name} measured no sensitivity together with a specificity.",
            "Triage needs a model that says yes or no of a case.",
        )
    name = found[0] if finding is None else finding
    if name not in found:
        raise InputError(
            f"The report {report.name} has no finding '{name}'.",
            f"It has: {', '.join(one or '(unnamed)' for one in found)}.",
        )
    pair = [measures[f"{name}_{what}" if name else what] for what in _PAIR]
    for what, measure in zip(_PAIR, pair, strict=True):
        if not isinstance(measure.get("value"), (int, float)):
            raise InputError(f"The {what} of the report {report.name} could not be measured.")
    model = content.get("model")
    return OperatingPoint(
        model=str(model.get("name", "")) if isinstance(model, dict) else "",
        finding=name,
        sensitivity=float(pair[0]["value"]),
        specificity=float(pair[1]["value"]),
        sensitivity_interval=_ends(pair[0]),
        specificity_interval=_ends(pair[1]),
        cases=int(pair[0].get("n") or 0),
        scores=_scores(report / CASES, name),
    )


def _ends(measure: Mapping[str, Any]) -> tuple[float, float]:
    low, high = (measure.get(end) for end in ("low", "high"))
    return (math.nan if low is None else float(low), math.nan if high is None else float(high))


def _scores(table: Path, finding: str) -> Scores | None:
    """The columns `<finding>_probability` and `<finding>_truth`, where both classes are there."""
    if not table.is_file():
        return None
    columns = numeric_columns(read_rows(table))
    names = [f"{finding}_{what}" if finding else what for what in ("probability", "truth")]
    if any(name not in columns for name in names):
        return None
    probability, truth = (columns[name] for name in names)
    known = np.isfinite(probability) & np.isfinite(truth)
    ill, well = probability[known & (truth == 1)], probability[known & (truth == 0)]
    return Scores(np.sort(ill), np.sort(well)) if ill.size and well.size else None
