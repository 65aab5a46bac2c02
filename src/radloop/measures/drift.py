"""Do two sets of cases come from one population: tests of one column, and of many together.

The rows of a set must be independent of each other: give one row a patient. Unknown values (NaN,
"") are left out, and a set without known values has no test: p is NaN. p is two-sided, for "the
same distribution"; many columns at once need a correction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

_PERMUTATIONS = 999
_FOLDS = 5
_MOST = 2000
"""Rows a set that the classifier looks at: its test's cost grows with them, its power hardly."""
_RIDGE = 1.0


@dataclass(frozen=True)
class Shift:
    """How far two sets are apart in one column.

    statistic: what the test measures. p: for "no shift". psi: the population stability index.
    a, b: known values.
    """

    test: str
    statistic: float
    p: float
    psi: float
    a: int
    b: int


def number_shift(a: npt.ArrayLike, b: npt.ArrayLike) -> Shift:
    """Of numbers: the Kolmogorov-Smirnov test, exact for small sets."""
    x, y = _known(a), _known(b)
    if not x.size or not y.size:
        return Shift("Kolmogorov-Smirnov", math.nan, math.nan, math.nan, x.size, y.size)
    found = stats.ks_2samp(x, y)
    psi = stability_index(x, y)
    return Shift("Kolmogorov-Smirnov", float(found.statistic), float(found.pvalue), psi,
                 x.size, y.size)  # fmt: skip


def category_shift(a: Sequence[str], b: Sequence[str], seed: int = 0) -> Shift:
    """Of categories: the chi-squared test; by permutation where less than five cases are expected
    in a cell. One category only, the same in both, is no shift: p = 1."""
    x, y = [value for value in a if value], [value for value in b if value]
    if not x or not y:
        return Shift("chi-squared", math.nan, math.nan, math.nan, len(x), len(y))
    names = sorted({*x, *y})
    counts = np.array([[Counter(side)[name] for name in names] for side in (x, y)])
    psi = _index(counts[0], counts[1])
    if len(names) == 1:
        return Shift("chi-squared", 0.0, 1.0, psi, len(x), len(y))
    found = stats.chi2_contingency(counts, correction=False)
    test, p = "chi-squared", float(found.pvalue)
    if found.expected_freq.min() < 5:
        test = f"chi-squared, {_PERMUTATIONS} permutations"
        p = _permuted(counts, float(found.statistic), seed)
    return Shift(test, float(found.statistic), p, psi, len(x), len(y))


def stability_index(a: npt.ArrayLike, b: npt.ArrayLike, bins: int = 10) -> float:
    """The population stability index of b against a: the symmetric Kullback-Leibler divergence
    over the tenths of a; by custom below 0.1 is little, above 0.25 much. It is larger by chance in
    small sets: about 2 * bins / n between sets of n from one population. NaN without values.

    Half a case is added to every bin, so that an empty one is not infinitely far.
    """
    x, y = _known(a), _known(b)
    if not x.size or not y.size:
        return math.nan
    edges = np.unique(np.quantile(x, np.arange(1, bins) / bins, method="inverted_cdf"))
    sides = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=edges.size + 1)
        for side in (x, y)
    ]
    return _index(*sides)


@dataclass(frozen=True)
class Separation:
    """How well a classifier tells the sets apart on rows it did not learn from.

    auc: 0.5 for not at all. p: the share of permutations that reach it, itself counted.
    """

    auc: float
    p: float
    a: int
    b: int
    permutations: int


def separation(
    a: npt.ArrayLike, b: npt.ArrayLike, *, permutations: int = _PERMUTATIONS, seed: int = 0
) -> Separation:
    """The classifier two-sample test (Lopez-Paz and Oquab 2017) over columns `(n, d)`, `(m, d)`.

    The classifier is ridge regression on the columns' normal scores, their squares, and where a
    value is unknown; five folds; at most 2,000 rows a set, drawn at random. It sees what single
    columns do not: many small shifts, and changed relations to the extent that these move the
    columns. NaN with fewer than five rows a set, or no columns. Raises ValueError for sets of
    different columns.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"columns of shape {first.shape} and {second.shape}")
    rng = np.random.default_rng(seed)
    first, second = (
        side[rng.permutation(len(side))[:_MOST]] if len(side) > _MOST else side
        for side in (first, second)
    )
    n, m = len(first), len(second)
    if min(n, m) < _FOLDS or not first.shape[1]:
        return Separation(math.nan, math.nan, n, m, 0)
    features = _features(np.concatenate([first, second]))
    of_second = np.r_[np.zeros(n), np.ones(m)]
    labels = np.stack(
        [of_second, *(rng.permutation(of_second) for _ in range(permutations))], axis=1
    )
    fold = rng.permutation(np.arange(n + m) % _FOLDS)
    said = np.empty_like(labels)
    for k in range(_FOLDS):
        inside, outside = features[fold != k], features[fold == k]
        gram = inside.T @ inside + _RIDGE * np.eye(features.shape[1])
        target = labels[fold != k] - labels[fold != k].mean(axis=0)
        said[fold == k] = outside @ np.linalg.solve(gram, inside.T @ target)
    areas = _areas(said, labels)
    p = float(np.mean(areas >= areas[0] - 1e-12))
    return Separation(float(areas[0]), p, n, m, permutations)


def _features(rows: Floats) -> Floats:
    """Normal scores of every column, their squares, and where it is unknown; without the constant
    ones."""
    columns: list[Floats] = []
    for column in rows.T:
        known = ~np.isnan(column)
        scores = np.zeros(column.size)
        if known.any():
            ranks = stats.rankdata(column[known]) / (known.sum() + 1)
            scores[known] = stats.norm.ppf(ranks)
        columns += [scores, scores**2, (~known).astype(np.float64)]
    table = np.stack(columns, axis=1)
    spread = table.std(axis=0)
    return np.asarray((table - table.mean(axis=0))[:, spread > 0] / spread[spread > 0])


def _areas(said: Floats, labels: Floats) -> Floats:
    """The area under the ROC curve of every column."""
    ranks = stats.rankdata(said, axis=0)
    positive = labels.sum(axis=0)
    below = (ranks * labels).sum(axis=0) - positive * (positive + 1) / 2
    return np.asarray(below / (positive * (len(said) - positive)))


def _permuted(counts: npt.NDArray[np.intp], statistic: float, seed: int) -> float:
    """The share of tables with these margins whose statistic is as large, this one counted."""
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    expected = np.outer(rows, columns) / counts.sum()
    tables = stats.random_table(rows, columns, seed=seed).rvs(_PERMUTATIONS)
    others = ((tables - expected) ** 2 / expected).sum(axis=(1, 2))
    return float((1 + (others >= statistic - 1e-9).sum()) / (_PERMUTATIONS + 1))


def _index(a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> float:
    p, q = ((side + 0.5) / (side.sum() + 0.5 * side.size) for side in (a, b))
    return float(((q - p) * np.log(q / p)).sum())


def _known(values: npt.ArrayLike) -> Floats:
    column = np.asarray(values, np.float64)
    return column[~np.isnan(column)]
