"""`ReaderStudy`: who said what of which case, and how accurate each reader was in each modality.

A *modality* is a way of reading: with one machine or another, alone or with a model. A *cell* is
one reader in one modality. Cells are counted modality by modality: cell `modality * readers +
reader`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Accuracy = Literal["auc", "sensitivity", "specificity"]


@dataclass(frozen=True)
class ReaderStudy:
    """scores: `(modality, reader, case)`, larger = more likely positive (0/1 for the sensitivity
    and the specificity), NaN where that reader did not read that case in that modality. truth:
    `(case,)`. patients: the patient of every case, where some have several.

    Raises ValueError for shapes that do not fit, for infinite scores, and for a truth other than
    0 and 1.
    """

    scores: Floats
    truth: Flags
    patients: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        truth = np.asarray(self.truth)
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float64))
        object.__setattr__(self, "truth", truth.astype(np.bool_))
        if self.scores.ndim != 3 or truth.shape != self.scores.shape[2:]:
            raise ValueError(f"scores of shape {self.scores.shape}, truth of shape {truth.shape}")
        if not np.array_equal(truth, self.truth):
            raise ValueError("expected a truth of 0 and 1 only")
        if np.isinf(self.scores).any():
            raise ValueError("a score is infinite")
        if self.patients is not None and len(self.patients) != truth.size:
            raise ValueError(f"{len(self.patients)} patients for {truth.size} cases")

    @property
    def cells(self) -> Floats:
        """The scores as `(cell, case)`."""
        return self.scores.reshape(-1, self.truth.size)

    @property
    def fully_crossed(self) -> bool:
        """Whether every reader read every case in every modality."""
        return not bool(np.isnan(self.scores).any())


@dataclass(frozen=True)
class Placements:
    """What each case adds to the accuracy of each cell.

    values: `(cell,)`, the accuracies. positive, negative: `(cell, case of that class)`, whose mean
    over the cases read is the accuracy; NaN = not read. A class that does not bear on the accuracy
    (the negatives, of a sensitivity) has no columns.
    """

    values: Floats
    positive: Floats
    negative: Floats


@dataclass(frozen=True)
class Contrast:
    """A difference or a mean with its uncertainty.

    df: of Student's t, infinite for the normal distribution. p: two-sided, for "zero". Where
    nothing varies (se 0) there is no interval (NaN), and p is 1 for a value of 0, otherwise NaN.
    """

    value: float
    se: float
    df: float
    low: float
    high: float
    statistic: float
    p: float

    def p_above(self, bound: float) -> float:
        """One-sided p for "not above `bound`": superiority with 0, non-inferiority with -margin."""
        return _above((self.value - bound) / self.se, self.df) if self.se > 0 else math.nan


def contrast(value: float, variance: float, df: float = math.inf, level: float = 0.95) -> Contrast:
    """Student's t interval and test of a value; a negative variance or NaN gives NaN."""
    if math.isnan(value) or not variance >= 0 or math.isnan(df):
        return Contrast(value, math.nan, df, math.nan, math.nan, math.nan, math.nan)
    if variance == 0.0:
        p = 1.0 if value == 0.0 else math.nan
        return Contrast(value, 0.0, df, math.nan, math.nan, math.nan, p)
    se = math.sqrt(variance)
    half = _quantile((1 + level) / 2, df) * se
    p = 2 * _above(abs(value / se), df)
    return Contrast(value, se, df, value - half, value + half, value / se, p)


def on_logit_scale(found: Contrast, level: float = 0.95) -> Contrast:
    """The same mean accuracy with an interval that is symmetric in log(x / (1 - x)): it stays
    within 0 and 1, and covers better near them. At 0 and 1, and without an error, as it was."""
    if not found.se > 0 or not 0 < found.value < 1:
        return found
    half = _quantile((1 + level) / 2, found.df) * found.se / (found.value * (1 - found.value))
    centre = float(special.logit(found.value))
    low, high = (float(special.expit(centre + end)) for end in (-half, half))
    return replace(found, low=low, high=high)


def accuracies(study: ReaderStudy, measure: Accuracy) -> Floats:
    """`(modality, reader)`; NaN where a reader read no case that it needs."""
    return placements(study, measure).values.reshape(study.scores.shape[:2])


def placements(study: ReaderStudy, measure: Accuracy) -> Placements:
    """See `Placements`. Raises ValueError where answers other than 0 and 1 have a sensitivity."""
    cells, truth = study.cells, study.truth
    nothing = np.empty((len(cells), 0))
    if measure == "auc":
        return _of_areas(cells, truth)
    known = cells[~np.isnan(cells)]
    if not np.isin(known, (0.0, 1.0)).all():
        raise ValueError(f"the {measure} needs answers of 0 and 1")
    if measure == "sensitivity":
        found = cells[:, truth]
        return Placements(_means(found), found, nothing)
    left_alone = 1.0 - cells[:, ~truth]
    return Placements(_means(left_alone), nothing, left_alone)


def _of_areas(cells: Floats, truth: Flags) -> Placements:
    """Placements as DeLong has them: the share of the other class that is ordered rightly."""
    positive, negative = cells[:, truth], cells[:, ~truth]
    over, under = np.full(positive.shape, math.nan), np.full(negative.shape, math.nan)
    for k in range(len(cells)):
        of_positive, of_negative = ~np.isnan(positive[k]), ~np.isnan(negative[k])
        p, n = positive[k, of_positive], negative[k, of_negative]
        if p.size and n.size:
            over[k, of_positive] = _share_below(p, n)
            under[k, of_negative] = 1.0 - _share_below(n, p)
    return Placements(_means(over), over, under)


def _share_below(values: Floats, others: Floats) -> Floats:
    """Of every value, the share of the others below it, ties counting half."""
    order = np.sort(others)
    below = np.searchsorted(order, values, side="left")
    return (below + np.searchsorted(order, values, side="right")) / (2.0 * others.size)


def _means(table: Floats) -> Floats:
    """Of the known values of every row, NaN without any."""
    known = ~np.isnan(table)
    count = known.sum(axis=1)
    total = np.where(known, table, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _quantile(share: float, df: float) -> float:
    """Of Student's t."""
    return float(special.ndtri(share) if math.isinf(df) else special.stdtrit(df, share))


def _above(statistic: float, df: float) -> float:
    """The chance of more than `statistic` under Student's t."""
    return float(special.ndtr(-statistic) if math.isinf(df) else special.stdtr(df, -statistic))
