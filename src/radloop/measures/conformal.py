"""Thresholds that keep a promise on new cases, not only on those they were chosen on.

A case is called positive when `score >= threshold`. From the scores of positive cases a threshold
is chosen such that the sensitivity on new ones is at least a stated aim:

- **in expectation**: averaged over the choice of calibration cases and the new case, by conformal
  risk control (Angelopoulos, Bates, Fisch, Lei and Schuster 2022, arXiv 2208.02814), which for a
  missed case as the loss is split-conformal prediction;
- **with a confidence**: for a share `confidence` of all choices of calibration cases the
  sensitivity of the chosen threshold is at least the aim. Thresholds are tried from the lowest
  upwards with exact binomial tests, and the last before the first that fails is taken (learn then
  test: Angelopoulos et al. 2021, arXiv 2110.01052); equally, the exact one-sided bound of Clopper
  and Pearson for the chosen order statistic reaches the aim (Wilks 1941).

Both assume that the new cases are exchangeable with the calibration cases: from the same hospitals,
scanners and patients, none of them used in training. They promise nothing about a single patient or
a subgroup, and end where the data drift. Where a patient has several cases the patient is the unit:
use `lowest_of_patients` first; then a patient is found when *every* positive case of theirs is.

The specificity has the same promises, of the negated scores of negative cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Guarantee:
    """A threshold and what it promises.

    threshold: -inf where too few positives can promise nothing else (everything is called
    positive). aim: the sensitivity. confidence: None for a promise in expectation. positives: the
    cases (or patients) it was chosen on. missed: how many of these lie below it.
    """

    threshold: float
    aim: float
    confidence: float | None
    positives: int
    missed: int

    @property
    def is_possible(self) -> bool:
        """Whether the threshold says anything."""
        return math.isfinite(self.threshold)

    def sentence(self, unit: str = "positive cases") -> str:
        """The promise in words."""
        sure = (
            "on average over calibration sets"
            if self.confidence is None
            else f"with {self.confidence:.0%} confidence"
        )
        return (
            f"Of new {unit} exchangeable with the {self.positives} it was chosen on, at least"
            f" {self.aim:.1%} score at or above the threshold, {sure}."
        )


def threshold_in_expectation(scores: npt.ArrayLike, aim: float) -> Guarantee:
    """The largest threshold whose expected sensitivity is at least `aim`, from the `scores` of
    positive cases. Raises ValueError for NaN and for an aim outside of (0, 1)."""
    sorted_scores = _checked(scores, aim)
    n = sorted_scores.size
    # The risk bound (missed + 1) / (n + 1) must not exceed 1 - aim.
    missed = math.floor((1 - aim) * (n + 1) + 1e-9) - 1
    return _guarantee(sorted_scores, missed, aim, None)


def threshold_with_confidence(scores: npt.ArrayLike, aim: float, confidence: float) -> Guarantee:
    """The largest threshold whose sensitivity is at least `aim` for a share `confidence` of all
    calibration sets. Raises ValueError for NaN and for shares outside of (0, 1)."""
    sorted_scores = _checked(scores, aim)
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence}")
    n = sorted_scores.size
    chances = stats.binom.cdf(np.arange(n), n, 1 - aim)
    # Rising: the number of entries within the allowance is one more than may be missed.
    missed = int(np.searchsorted(chances, (1 - confidence) * (1 + 1e-12), side="right")) - 1
    return _guarantee(sorted_scores, missed, aim, confidence)


def positives_needed(aim: float, confidence: float | None = None) -> int:
    """The fewest positive cases with which a threshold can promise this."""
    if confidence is None:
        return math.ceil(1 / (1 - aim) - 1e-9) - 1
    return math.ceil(math.log(1 - confidence) / math.log(aim) - 1e-9)


def lowest_of_patients(scores: npt.ArrayLike, patients: Sequence[str]) -> Floats:
    """The lowest score of every patient, in the order of their names."""
    values = np.asarray(scores, np.float64)
    names, number = np.unique(np.asarray(patients), return_inverse=True)
    lowest = np.full(names.size, np.inf)
    np.minimum.at(lowest, number.reshape(-1), values)
    return lowest


def lower_bound(found: int, n: int, confidence: float = 0.95) -> float:
    """The exact one-sided lower bound of a share (Clopper and Pearson 1934); 0 without cases."""
    if not 0 <= found <= n or not 0 < confidence < 1:
        raise ValueError(f"{found} of {n} at confidence {confidence}")
    return float(stats.beta.ppf(1 - confidence, found, n - found + 1)) if found else 0.0


def _guarantee(
    sorted_scores: Floats, missed: int, aim: float, confidence: float | None
) -> Guarantee:
    if missed < 0:
        return Guarantee(-math.inf, aim, confidence, sorted_scores.size, 0)
    threshold = float(sorted_scores[missed])
    below = int(np.searchsorted(sorted_scores, threshold, side="left"))  # ties are found, too
    return Guarantee(threshold, aim, confidence, sorted_scores.size, below)


def _checked(scores: npt.ArrayLike, aim: float) -> Floats:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError("expected a list of scores without NaN")
    if not 0 < aim < 1:
        raise ValueError(f"an aim of {aim}")
    return np.sort(values)
