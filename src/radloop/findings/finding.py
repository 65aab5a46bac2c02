"""`Finding`: a coded statement about a case, with its evidence, and `Prediction`, all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radloop.images.verdict import ACCEPTED, Verdict


@dataclass(frozen=True)
class Code:
    """A coded concept: value, coding scheme designator ("SCT", "DCM", "99RADLOOP"), meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Measurement:
    """A number with its unit (UCUM, "1" for a ratio) and, where known, its interval."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None

    def text(self) -> str:
        """ "0.541 (0.522-0.560)" or "12.30 ml": the interval where known, the unit of no ratio."""
        digits = 3 if self.unit == "1" else 2
        interval = ""
        if self.low is not None and self.high is not None:
            interval = f" ({self.low:.{digits}f}-{self.high:.{digits}f})"
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.value:.{digits}f}{interval}{unit}"


@dataclass(frozen=True)
class Finding:
    """One statement: what (`name`, `code`), how likely, at which threshold, where, how large.

    probability: calibrated, in [0, 1]. positive: `probability >= threshold`, or the rule the
    system states. where: any of "slice", "box" ([x0, y0, x1, y1] px of the input), "mask" (the
    structure's name in `labels.json`), "tooth", "side"; empty for the whole image.
    """

    name: str
    code: Code
    probability: float
    positive: bool
    threshold: float
    where: Mapping[str, Any] = field(default_factory=dict)
    measurement: Measurement | None = None


@dataclass(frozen=True)
class ModelRef:
    """The model that said it."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Prediction:
    """Everything a model said of one case: one line of `predictions.jsonl`."""

    case_id: str
    patient_id: str
    system: str
    model: ModelRef
    verdict: Verdict = ACCEPTED
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
