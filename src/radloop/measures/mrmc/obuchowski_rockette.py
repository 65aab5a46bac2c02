"""Obuchowski and Rockette's analysis of variance of readers' accuracies (1995), with Hillis'
degrees of freedom (2007, Stat Med 26:596).

accuracy of reader j in modality i = mean + modality + reader + modality x reader + error, the
errors tied to each other because the readers read the same cases: Cov1 between modalities of one
reader, Cov2 between readers in one modality, Cov3 between different readers in different
modalities. The three are averages over all such pairs of cells, pairs without a common case
counting 0, which keeps the variance of a difference right for split-plot designs too.

Readers and cases can each be random (the result holds for others like them) or fixed (it holds for
these alone). Cov2 - Cov3 and, of a single modality, Cov2 count as 0 where they are negative
(Hillis 2014, Stat Med 33:330).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from radloop.measures.mrmc.study import Contrast, Floats, contrast


@dataclass(frozen=True)
class Components:
    """Variances of readers and of modality x reader (estimates, which can be negative), of the
    error, and the three covariances; NaN where a design has no such pair."""

    reader: float
    interaction: float
    error: float
    cov1: float
    cov2: float
    cov3: float


@dataclass(frozen=True)
class Analysis:
    """The result.

    estimates: `(modality, reader)`. means: of each modality over the readers, from that modality
    alone, bounds within [0, 1]. differences: (a, b) -> mean of modality b minus that of a, bounds
    within [-1, 1]. by_reader: (a, b) -> the same of each reader. statistic, df1, df2, p: the test
    of "all modalities are the same", F, or chi-squared where readers are fixed (df2 infinite).
    mean_squares: of modality, reader, and both.
    """

    estimates: Floats
    components: Components
    mean_squares: tuple[float, float, float]
    means: tuple[Contrast, ...]
    differences: Mapping[tuple[int, int], Contrast]
    by_reader: Mapping[tuple[int, int], tuple[Contrast, ...]]
    statistic: float
    df1: float
    df2: float
    p: float


def analyse(
    estimates: Floats,
    covariance: Floats,
    *,
    random_readers: bool = True,
    random_cases: bool = True,
    level: float = 0.95,
) -> Analysis:
    """The analysis of accuracies `(modality, reader)` with their covariance `(modality, reader,
    modality, reader)` over cases.

    Raises ValueError where a reader lacks a modality (use U-statistics), with one reader taken as
    random, and when both readers and cases are fixed: nothing would vary.
    """
    t, r = estimates.shape
    if covariance.shape != (t, r, t, r):
        raise ValueError(f"covariance of shape {covariance.shape} for {t} x {r} accuracies")
    if np.isnan(estimates).any():
        raise ValueError("a reader has no accuracy in some modality")
    if not (random_readers or random_cases):
        raise ValueError("with readers and cases fixed there is nothing to infer")
    if r < 2 and random_readers:
        raise ValueError("one reader does not tell how readers vary; take readers as fixed")
    squares = mean_squares(estimates)
    parts = components(covariance, squares)
    if not random_cases:
        covariance = np.zeros_like(covariance)
    pairs = [(a, b) for a in range(t) for b in range(a + 1, t)]
    means = tuple(
        _mean(estimates[i], covariance[i, :, i, :], random_readers, level) for i in range(t)
    )
    error, df = _error_term(covariance, squares, random_readers)
    centre = estimates.mean(axis=1)
    differences = {
        (a, b): _within(contrast(float(centre[b] - centre[a]), 2 / r * error, df, level), -1.0)
        for a, b in pairs
    }
    by_reader = {
        (a, b): tuple(_of_reader(estimates, covariance, a, b, j, level) for j in range(r))
        for a, b in pairs
    }
    statistic, p = _global_test(squares[0], error, t, df, random_readers)
    return Analysis(
        estimates, parts, squares, means, differences, by_reader,
        statistic, float(t - 1), df, p,
    )  # fmt: skip


def one_against_readers(
    one: float, readers: Floats, covariance: Floats, level: float = 0.95
) -> Contrast:
    """A model's accuracy minus the mean of the readers', for readers and cases like these.

    one: the model's accuracy; readers: `(reader,)`; covariance: `(1 + reader, 1 + reader)`, the
    model first. The differences of each reader from the model are analysed as a single modality:
    the model does not vary between readers, and its error is common to all differences. With one
    reader the reader is fixed. Bounds within [-1, 1].
    """
    away = one - np.asarray(readers, np.float64)
    joint = covariance[0, 0] - covariance[0, 1:][None] - covariance[1:, 0][:, None]
    return _mean(away, joint + covariance[1:, 1:], len(away) > 1, level, least=-1.0)


def mean_squares(estimates: Floats) -> tuple[float, float, float]:
    """Of modality, of reader, and of modality x reader; NaN without two of them."""
    t, r = estimates.shape
    centre = estimates.mean()
    of_modality = estimates.mean(axis=1) - centre
    of_reader = estimates.mean(axis=0) - centre
    rest = estimates - centre - of_modality[:, None] - of_reader[None, :]
    return (
        _over(r * float(of_modality @ of_modality), t - 1),
        _over(t * float(of_reader @ of_reader), r - 1),
        _over(float((rest**2).sum()), (t - 1) * (r - 1)),
    )


def components(covariance: Floats, squares: tuple[float, float, float]) -> Components:
    """The variance components, by equating mean squares with their expectations."""
    t = len(covariance)
    error, cov1, cov2, cov3 = _averages(covariance)
    c1, c2, c3 = (0.0 if math.isnan(c) else c for c in (cov1, cov2, cov3))
    _, of_reader, both = squares
    return Components(
        (of_reader - both) / t - c1 + c3 if t > 1 else of_reader - error + c2,
        both - error + c1 + (c2 - c3),
        error,
        cov1,
        cov2,
        cov3,
    )


def _averages(covariance: Floats) -> tuple[float, float, float, float]:
    """The mean variance, and the means of the covariances by kind of pair."""
    t, r = covariance.shape[:2]
    flat = covariance.reshape(t * r, t * r)
    modality, reader = np.divmod(np.arange(t * r), r)
    same_modality = modality[:, None] == modality
    same_reader = reader[:, None] == reader
    kinds = (
        same_modality & same_reader,
        ~same_modality & same_reader,
        same_modality & ~same_reader,
        ~same_modality & ~same_reader,
    )
    error, cov1, cov2, cov3 = (
        float(flat[kind].mean()) if kind.any() else math.nan for kind in kinds
    )
    return error, cov1, cov2, cov3


def _error_term(
    covariance: Floats, squares: tuple[float, float, float], random_readers: bool
) -> tuple[float, float]:
    """The denominator of F, or of chi-squared, and its degrees of freedom."""
    t, r = covariance.shape[:2]
    if t < 2:
        return math.nan, math.nan
    error, cov1, cov2, cov3 = _averages(covariance)
    apart = max(cov2 - cov3, 0.0) if r > 1 else 0.0
    if not random_readers:
        return error - cov1 + (r - 1) * apart, math.inf
    both = squares[2]
    term = both + r * apart
    return term, _hillis(term, both, (t - 1) * (r - 1))


def _hillis(term: float, square: float, df: float) -> float:
    """Hillis' degrees of freedom of a mean square plus covariances, which count as known."""
    return math.inf if square == 0.0 else term**2 / (square**2 / df)


def _mean(
    values: Floats, covariance: Floats, random_readers: bool, level: float, least: float = 0.0
) -> Contrast:
    """The mean over readers within one modality. least: the lowest value that there is."""
    r = len(values)
    error = float(np.diag(covariance).mean())
    cov2 = max(float(covariance[~np.eye(r, dtype=bool)].mean()), 0.0) if r > 1 else 0.0
    df = math.inf
    if random_readers:
        square = float(np.var(values, ddof=1))
        term = square + r * cov2
        df = _hillis(term, square, r - 1)
    else:
        term = error + (r - 1) * cov2
    return _within(contrast(float(values.mean()), term / r, df, level), least)


def _within(found: Contrast, least: float) -> Contrast:
    """The interval without what cannot be: below `least` and above 1."""
    if math.isnan(found.low):
        return found
    return replace(found, low=max(least, found.low), high=min(1.0, found.high))


def _of_reader(
    estimates: Floats, covariance: Floats, a: int, b: int, j: int, level: float
) -> Contrast:
    variance = covariance[a, j, a, j] + covariance[b, j, b, j] - 2 * covariance[a, j, b, j]
    value = float(estimates[b, j] - estimates[a, j])
    return _within(contrast(value, float(variance), level=level), -1.0)


def _global_test(
    square: float, error: float, t: int, df: float, random_readers: bool
) -> tuple[float, float]:
    if t < 2 or math.isnan(error) or error < 0:
        return math.nan, math.nan
    if error == 0.0:
        return math.nan, 1.0 if square == 0.0 else math.nan
    if not random_readers or math.isinf(df):
        statistic = (t - 1) * square / error
        p = float(stats.chi2.sf(statistic, t - 1))
        return (statistic if not random_readers else square / error), p
    return square / error, float(stats.f.sf(square / error, t - 1, df))


def _over(total: float, df: int) -> float:
    return total / df if df > 0 else math.nan
