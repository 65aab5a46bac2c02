"""Do readers agree on classes beyond chance? Cohen's and Fleiss' kappa, and plain agreement.

Answers are whole numbers (classes, in order where weights are used), one array a reader, all of the
same items; NaN = not answered. Items that do not have enough answers are left out and not counted
in `n`. Items count as independent: slices of one scan, or films of one patient, are not, and make
these intervals too narrow.

Undefined: NaN. A kappa is undefined without items, and when only one class was ever used (chance
alone agrees on everything). At perfect agreement the intervals of large samples have no width;
their bounds are NaN then, since a few items that agree are not proof that all would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.measures.interval import Interval, wilson

Answers = npt.NDArray[Any]
Weights = Literal["linear", "quadratic"]


def cohen_kappa(
    first: Answers,
    second: Answers,
    *,
    weights: Weights | None = None,
    classes: Sequence[int] | None = None,
    level: float = 0.95,
) -> Interval:
    """Two readers' agreement beyond chance, in [-1, 1] (Cohen 1960; weighted 1968).

    weights: count a disagreement by its distance in `classes`, or by the square of it; without,
    every disagreement counts the same. classes: all that could be answered, in order; those that
    occur, when not given (this matters with weights alone).

    The interval takes the large-sample error of a kappa that is not zero (Fleiss, Cohen and Everitt
    1969, Psychol Bull 72:323). Raises ValueError for lists of different lengths or for answers
    outside of `classes`.
    """
    method = f"Fleiss-Cohen-Everitt, {level:.0%}"
    table = _crossed(first, second, classes)
    n = int(table.sum())
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, method)
    p = table / n
    credit = _credit(len(p), weights)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, expected = float((credit * p).sum()), float(rows @ credit @ columns)
    if math.isclose(expected, 1.0):
        return Interval(math.nan, math.nan, math.nan, n, method)
    kappa = (observed - expected) / (1 - expected)
    by_chance = (credit @ columns)[:, None] + (rows @ credit)[None, :]
    spread = (p * (credit * (1 - expected) - by_chance * (1 - observed)) ** 2).sum()
    centre = observed * expected - 2 * expected + observed
    variance = float(spread - centre**2) / (n * (1 - expected) ** 4)
    return _normal(kappa, variance, n, method, level, lowest=-1.0)


def fleiss_kappa(
    readers: Sequence[Answers], *, level: float = 0.95, complete: bool = False
) -> Interval:
    """The agreement beyond chance of two or more readers, of whom each answers as any other
    (Fleiss 1971, Psychol Bull 76:378).

    Items with fewer than two answers are left out; those with some missing count with the answers
    they have, or are left out too with `complete`. The interval takes the error of a kappa that is
    not zero, linearised over items (Gwet 2008, Br J Math Stat Psychol 61:29, for many items). To
    *test* for any agreement use `fleiss_null_error`. Raises ValueError for lists of different
    lengths.
    """
    method = f"Gwet's linearisation, {level:.0%}"
    counts = _counts(readers, complete=complete)
    n = len(counts)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, method)
    answers = counts.sum(axis=1)
    shares = counts / answers[:, None]
    use = shares.mean(axis=0)
    expected = float(use @ use)
    if math.isclose(expected, 1.0):
        return Interval(math.nan, math.nan, math.nan, n, method)
    agreed = _agreeing_pairs(counts)
    kappa = (float(agreed.mean()) - expected) / (1 - expected)
    of_item = (agreed - expected) / (1 - expected)
    of_item = of_item - 2 * (1 - kappa) * (shares @ use - expected) / (1 - expected)
    variance = float(of_item.var(ddof=1)) / n if n > 1 else math.nan
    return _normal(kappa, variance, n, method, level, lowest=-1.0)


def fleiss_null_error(readers: Sequence[Answers]) -> float:
    """The standard error of Fleiss' kappa if nobody agreed more than by chance: kappa divided by it
    is a standard normal deviate (Fleiss, Nee and Landis 1979, Psychol Bull 86:974, eq. 12).

    Only items that every reader answered count. It is no error to make an interval of.
    """
    counts = _counts(readers, complete=True)
    n, m = len(counts), len(readers)
    use = counts.sum(axis=0) / max(1, n * m)
    spread = float(use @ (1 - use))
    if not n or spread == 0.0:
        return math.nan
    skew = float((use * (1 - use)) @ (1 - 2 * use))
    return math.sqrt(2 * (spread**2 - skew) / (n * m * (m - 1))) / spread


def percent_agreement(readers: Sequence[Answers], *, level: float = 0.95) -> Interval:
    """The share of pairs of answers to the same item that are equal, averaged over items.

    Two readers: Wilson's interval. More: normal over items, the bounds kept in [0, 1].
    """
    counts = _counts(readers)
    n = len(counts)
    agreed = _agreeing_pairs(counts)
    if len(readers) == 2 or not n:
        return wilson(round(float(agreed.sum())), n, level)
    variance = float(agreed.var(ddof=1)) / n if n > 1 else math.nan
    return _normal(float(agreed.mean()), variance, n, f"normal, {level:.0%}", level, lowest=0.0)


def specific_agreement(readers: Sequence[Answers], of: int, *, level: float = 0.95) -> Interval:
    """When one reader gives the class `of`, how often another gives it too, in [0, 1].

    2a / (2a + b + c) for two readers (Dice 1945; Cicchetti and Feinstein 1990), with `of=1` the
    positive agreement and with `of=0` the negative; the same ratio over all pairs for more
    (Spitzer and Fleiss 1974). NaN when nobody gave it. The interval linearises the ratio over
    items, the bounds kept in [0, 1].
    """
    method = f"linearised ratio, {level:.0%}"
    counts = _counts(readers, also=(of,))
    n = len(counts)
    given = counts[:, _classes(readers, (of,)).index(of)] if n else np.zeros(0)
    others = counts.sum(axis=1) - 1
    both, any_ = given * (given - 1) / others, given
    if not any_.sum():
        return Interval(math.nan, math.nan, math.nan, n, method)
    ratio = float(both.sum() / any_.sum())
    residual = both - ratio * any_
    variance = float((residual**2).sum()) / (n * (n - 1) * any_.mean() ** 2) if n > 1 else math.nan
    return _normal(ratio, variance, n, method, level, lowest=0.0)


def _crossed(
    first: Answers, second: Answers, classes: Sequence[int] | None
) -> npt.NDArray[np.int64]:
    """How often each pair of classes was given, `(class of first, class of second)`."""
    a, b = _one_length([first, second])
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    order = np.unique(np.concatenate([a, b])) if classes is None else np.asarray(classes, float)
    if not np.isin(np.concatenate([a, b]), order).all():
        raise ValueError("an answer is none of the classes")
    place = np.argsort(order)
    rows = place[np.searchsorted(order, a, sorter=place)]
    columns = place[np.searchsorted(order, b, sorter=place)]
    table = np.zeros((len(order), len(order)), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def _credit(k: int, weights: Weights | None) -> npt.NDArray[np.float64]:
    """What a pair of classes is worth: 1 for the same class, 0 for those farthest apart."""
    if weights is None or k < 2:
        return np.eye(k)
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    return 1.0 - distance ** (1 if weights == "linear" else 2)


def _counts(
    readers: Sequence[Answers], *, complete: bool = False, also: Sequence[int] = ()
) -> npt.NDArray[np.float64]:
    """How many readers gave each class, `(item, class)`, of the items with two answers or all."""
    if len(readers) < 2:
        raise ValueError("agreement needs two readers")
    table = np.stack(_one_length(readers))
    classes = _classes(readers, also)
    counts = np.stack([(table == c).sum(axis=0) for c in classes], axis=1) if classes else None
    if counts is None:
        return np.zeros((0, 0))
    needed = len(readers) if complete else 2
    return np.asarray(counts[counts.sum(axis=1) >= needed], np.float64)


def _classes(readers: Sequence[Answers], also: Sequence[int] = ()) -> list[float]:
    found = np.unique(np.concatenate([*_one_length(readers), np.asarray(also, float)]))
    return [float(c) for c in found if not math.isnan(c)]


def _agreeing_pairs(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each item, the share of its pairs of answers that are equal."""
    answers = counts.sum(axis=1)
    return np.asarray((counts * (counts - 1)).sum(axis=1) / (answers * (answers - 1)), np.float64)


def _one_length(readers: Sequence[Answers]) -> list[npt.NDArray[np.float64]]:
    arrays = [np.asarray(reader, np.float64) for reader in readers]
    if any(array.ndim != 1 or array.shape != arrays[0].shape for array in arrays):
        raise ValueError(f"expected lists of one length: {[array.shape for array in arrays]}")
    return arrays


def _normal(
    value: float, variance: float, n: int, method: str, level: float, *, lowest: float
) -> Interval:
    """value -/+ z error, within [lowest, 1]; without bounds where the error has no width."""
    if not variance > 1e-15:
        return Interval(value, math.nan, math.nan, n, method)
    half = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(variance)
    return Interval(value, max(lowest, value - half), min(1.0, value + half), n, method)
