"""Measures of boxes: average precision and recall as COCO defines them, and FROC.

A film is matched once (`match_film`); what comes of it says all that the measures need, whichever
films are put together, so that resampling patients does not match again. A film's answer is an
array `(k, 9)`, a row a found box, falling by score: score, class, then for the areas `all`,
`small`, `medium`, `large` the overlaps at which it hits, and for the last three those at which it
counts as neither (sets of the ten overlaps as bits, the lowest for 0.5). A film's truth is an array
`(m, 2)`: class and area of every true box. Boxes are `[x0, y0, x1, y1]` in px.

Source: Lin et al. 2014 (arXiv 1405.0312) and its reference program, whose numbers these are: boxes
of a class compete for the true boxes of the class in the order of their scores, up to 100 a film.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Nested = npt.NDArray[np.object_]
"""One array a film."""

OVERLAPS = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2),
         "large": (96.0**2, 1e10)}  # fmt: skip
"""px², both ends included."""
MOST = 100
RECALLS = np.linspace(0.0, 1.0, 101)
ALARMS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False alarms a film at which FROC is read (LUNA16, Setio et al. 2017)."""
_HIT = {"all": 2, "small": 3, "medium": 4, "large": 5}
_NEITHER = {"small": 6, "medium": 7, "large": 8}


def box_overlap(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Intersection over union of boxes `(k, 4)` with `(m, 4)`, `(k, m)`."""
    first, second = (np.asarray(x, np.float64).reshape(-1, 4) for x in (a, b))
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    union = _area(first)[:, None] + _area(second)[None] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def match_film(found: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    """What came of one film; see the module's text.

    found: `(k, 6)` box, score, class. truth: `(m, 5)` box, class.
    """
    boxes = np.asarray(found, np.float64).reshape(-1, 6)
    true = np.asarray(truth, np.float64).reshape(-1, 5)
    boxes = boxes[np.argsort(-boxes[:, 4], kind="mergesort")]
    rows = []
    for kind in np.unique(np.concatenate([boxes[:, 5], true[:, 4]])):
        rows.append(_match_class(boxes[boxes[:, 5] == kind][:MOST], true[true[:, 4] == kind]))
    answer = np.concatenate([*rows, np.zeros((0, 9))])
    answer = answer[np.argsort(-answer[:, 0], kind="mergesort")]
    return answer, np.stack([true[:, 4], _area(true)], 1)


def _match_class(boxes: Floats, true: Floats) -> Floats:
    answer = np.zeros((len(boxes), 9))
    answer[:, 0], answer[:, 1] = boxes[:, 4], boxes[:, 5]
    overlap = box_overlap(boxes[:, :4], true[:, :4])
    areas, true_areas = _area(boxes), _area(true)
    for name, (low, high) in AREAS.items():
        ignored = (true_areas < low) | (true_areas > high)
        order = np.argsort(ignored, kind="mergesort")  # what counts is offered first
        beyond = (areas < low) | (areas > high)
        for bit, threshold in enumerate(OVERLAPS):
            taken = _greedy(overlap[:, order], ignored[order], min(threshold, 1 - 1e-10))
            hit = taken >= 0
            neither = np.where(hit, ignored[order][taken] if len(true) else False, beyond)
            answer[:, _HIT[name]] += (hit & ~neither) * 2**bit
            if name in _NEITHER:
                answer[:, _NEITHER[name]] += neither * 2**bit
    return answer


def _greedy(overlap: Floats, ignored: npt.NDArray[np.bool_], threshold: float) -> Any:
    """For each box, falling by score, the column of the true box it takes, or -1."""
    taken = np.full(len(overlap), -1)
    free = np.ones(overlap.shape[1], np.bool_)
    for row, values in enumerate(overlap):
        for group in (~ignored, ignored):
            open_ = np.nonzero(free & group & (values >= threshold))[0]
            if len(open_):
                # Of equal overlaps the last one offered, as the reference program does.
                best = open_[len(open_) - 1 - int(np.argmax(values[open_][::-1]))]
                taken[row], free[best] = best, False
                break
    return taken


def average_precision(
    found: Nested, truth: Nested, overlaps: Sequence[int] = range(10), area: str = "all"
) -> float:
    """Mean over classes and `overlaps` (numbers of `OVERLAPS`) of the area under the precision-
    recall curve, read at 101 recalls. NaN without a true box of that size."""
    return _over_classes(found, truth, overlaps, area, _interpolated)


def average_recall(
    found: Nested, truth: Nested, overlaps: Sequence[int] = range(10), area: str = "all"
) -> float:
    """Mean over classes and overlaps of the share of true boxes found with 100 boxes a film."""
    return _over_classes(found, truth, overlaps, area, _recalled)


def ap50(found: Nested, truth: Nested) -> float:
    """Average precision at an overlap of 0.5."""
    return average_precision(found, truth, (0,))


def _over_classes(
    found: Nested, truth: Nested, overlaps: Sequence[int], area: str,
    measure: Callable[[Floats, Floats, int], Floats],
) -> float:  # fmt: skip
    """The mean of a measure of hits and misses, `(boxes, overlaps)` each, and the true boxes'
    number, over classes and overlaps. A box that counts as neither is neither."""
    rows, true = _stacked(found, 9), _stacked(truth, 2)
    low, high = AREAS[area]
    true = true[(true[:, 1] >= low) & (true[:, 1] <= high)]
    rows = rows[np.argsort(-rows[:, 0], kind="mergesort")]
    bits = np.array(overlaps)
    hit = (rows[:, _HIT[area]].astype(np.int64)[:, None] >> bits & 1).astype(np.float64)
    miss = 1 - hit
    if area in _NEITHER:
        counts = (rows[:, _NEITHER[area]].astype(np.int64)[:, None] >> bits & 1) == 0
        hit, miss = hit * counts, miss * counts
    values = []
    for kind in np.unique(true[:, 0]):
        own = rows[:, 1] == kind
        values.append(measure(hit[own], miss[own], int((true[:, 0] == kind).sum())))
    return float(np.mean(values)) if values else math.nan


def _recalled(hits: Floats, misses: Floats, count: int) -> Floats:
    return np.asarray(hits.sum(0) / count)


def _interpolated(hits: Floats, misses: Floats, count: int) -> Floats:
    if not len(hits):
        return np.zeros(hits.shape[1])
    found, alarms = np.cumsum(hits, 0), np.cumsum(misses, 0)
    recall, precision = found / count, found / (found + alarms + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1], 0)[::-1]
    areas = []
    for rising, best in zip(recall.T, precision.T, strict=True):
        places = np.searchsorted(rising, RECALLS, side="left")
        areas.append(np.append(best, 0.0)[np.minimum(places, len(best))].mean())
    return np.array(areas)


def precision_recall(found: Nested, truth: Nested) -> tuple[Floats, Floats]:
    """Precision and recall after each box, scores falling, at an overlap of 0.5, all classes."""
    rows, count = _stacked(found, 9), len(_stacked(truth, 2))
    rows = rows[np.argsort(-rows[:, 0], kind="mergesort")]
    hits = rows[:, 2].astype(np.int64) & 1
    return np.cumsum(hits) / np.arange(1, len(hits) + 1), np.cumsum(hits) / max(count, 1)


def froc_curve(found: Nested, truth: Nested) -> tuple[Floats, Floats]:
    """False alarms a film and the share of true boxes found (overlap of 0.5) at every score,
    falling; films without a true box count (Bunch et al. 1978)."""
    rows, count = _stacked(found, 9), len(_stacked(truth, 2))
    rows = rows[np.argsort(-rows[:, 0], kind="mergesort")]
    hits = (rows[:, 2].astype(np.int64) & 1).astype(np.float64)
    last = np.append(np.diff(rows[:, 0]) != 0, True)[: len(rows)]
    alarms, share = np.cumsum(1 - hits)[last] / max(len(found), 1), np.cumsum(hits)[last]
    return np.append(0.0, alarms), np.append(0.0, share / max(count, 1))


def sensitivity_at(alarms: float) -> Callable[[Nested, Nested], float]:
    """The share of true boxes found at `alarms` false alarms a film, at most; NaN without any."""

    def measure(found: Nested, truth: Nested) -> float:
        if not len(_stacked(truth, 2)):
            return math.nan
        x, y = froc_curve(found, truth)
        return float(y[np.searchsorted(x, alarms, side="right") - 1])

    return measure


def froc_score(found: Nested, truth: Nested) -> float:
    """The mean of `sensitivity_at` over `ALARMS`."""
    return float(np.mean([sensitivity_at(alarms)(found, truth) for alarms in ALARMS]))


def best_overlap(found: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Of one film, the overlap of the box with the highest score with the true box nearest to it;
    0 when nothing was found, NaN when there is nothing to find."""
    boxes = np.asarray(found, np.float64).reshape(-1, 6)
    true = np.asarray(truth, np.float64).reshape(-1, 5)
    if not len(true):
        return math.nan
    if not len(boxes):
        return 0.0
    best = boxes[np.argmax(boxes[:, 4])]
    return float(box_overlap(best[:4], true[:, :4]).max())


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _stacked(nested: Nested, width: int) -> Floats:
    arrays = [np.asarray(one, np.float64).reshape(-1, width) for one in nested]
    return np.concatenate([*arrays, np.zeros((0, width))])
