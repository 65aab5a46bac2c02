"""Which measures and figures judge a system: declared by the system, computed by `evaluation`.

A judged case is one *row*: `case_id`, `patient_id` and numbers by column name (NaN = unknown), or
for what varies in length (the boxes of a film) an array of numbers (None = unknown).
A `MeasureSpec` turns the columns of many rows into one number; intervals come from resampling
patients (`bootstrap.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
"""A number a case; of nested columns (`detection.Nested`) an object array, an array a case."""


def unknown(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a column knows nothing: NaN, in a nested one None."""
    if column.dtype == object:
        return np.array([value is None for value in column], dtype=np.bool_)
    return np.asarray(np.isnan(column))


@dataclass(frozen=True)
class MeasureSpec:
    """One measure of a report.

    columns: the columns `compute` takes, in its argument order; rows where any of them is NaN are
    left out and `n` counts the rest. compute: must be a pure function of them; NaN = undefined.
    better: which way is up, for the comparison of two models ("neither" for a bias). unit: "" for
    shares and ratios.
    """

    name: str
    columns: tuple[str, ...]
    compute: Callable[..., float]
    title: str = ""
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "higher"


@dataclass(frozen=True)
class Distribution:
    """Box plot with every case as a point, one box a column."""

    title: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """Bland-Altman plot and scatter of a measured against a reference column."""

    title: str
    measured: str
    reference: str
    unit: str = ""


@dataclass(frozen=True)
class Roc:
    """ROC curve of a score column against a 0/1 truth column, the operating point marked.

    A case is called positive when its score >= threshold.
    """

    title: str
    score: str
    truth: str
    threshold: float | None = None


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram: the share of positives among cases of alike probability, in ten bins."""

    title: str
    score: str
    truth: str


@dataclass(frozen=True)
class BoxCurves:
    """Precision over recall, and FROC, from the nested columns of found and true boxes."""

    title: str
    found: str
    truth: str


@dataclass(frozen=True)
class ConfusionMatrix:
    """ConfusionMatrix matrix of the columns with the numbers of the called and the true class."""

    title: str
    called: str
    truth: str
    classes: tuple[str, ...]


Figure = Distribution | Agreement | Roc | Reliability | BoxCurves | ConfusionMatrix
Rows = Mapping[str, Column]
