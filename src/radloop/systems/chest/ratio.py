"""The cardiothoracic ratio (CTR), measured between pixels, and how sure it is.

Two definitions are measured. `ctr`, the midline form, is (MRD + MLD) / thoracic width: the largest
distances of the heart's right and left border from the midline, added (wherever a vertical midline
runs through the heart, that sum is the heart's whole extent), over the extent of both lungs. It is
what the readers of the Wingspan films measured (mean difference from their own masks .001).
`ctr_row` is the widest *single row* of the heart over the widest single row of the chest, the
"widest transverse diameter" taken literally; it is the same or smaller where the heart's two
borders reach out at different heights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.uint8]
_NORMAL_QUANTILE = {0.9: 1.6449, 0.95: 1.96}


@dataclass(frozen=True)
class Ratio:
    """The CTR with its end points, in px of the maps (sample centres at whole numbers).

    heart, thorax: (left, right) edges on the film. heart_rows: the rows at which the heart reaches
    them; thorax_row: the widest row of the chest. blur: how far the edges move, as a change of the
    CTR, between the levels 1/4 and 3/4 of the maps. NaN where a structure is missing.
    """

    ctr: float
    ctr_row: float
    blur: float
    heart: tuple[float, float]
    thorax: tuple[float, float]
    heart_rows: tuple[float, float] = (0.0, 0.0)
    thorax_row: float = 0.0


def measure(maps: Maps) -> Ratio:
    """The ratio on maps `(3, y, x)`: heart, left lung, right lung; 255 = certain."""
    heart, lungs = maps[0], np.maximum(maps[1], maps[2])
    heart_columns, lung_columns = heart.max(0), lungs.max(0)
    if heart_columns.max() < 128 or lung_columns.max() < 128:
        nan = float("nan")
        return Ratio(nan, nan, nan, (nan, nan), (nan, nan))
    h, t = _extent(heart_columns, 127.5), _extent(lung_columns, 127.5)
    width = t[1] - t[0]
    ctr = (h[1] - h[0]) / width
    heart_rows = _row_widths(heart)
    thorax_rows = _row_widths(lungs)
    moved = [
        abs(a - b)
        for column in (heart_columns, lung_columns)
        for a, b in zip(_extent(column, 64.0), _extent(column, 191.0), strict=True)
    ]
    variance = moved[0] ** 2 + moved[1] ** 2 + ctr**2 * (moved[2] ** 2 + moved[3] ** 2)
    first, last = max(0, int(np.ceil(h[0]))), min(heart.shape[1] - 1, int(np.floor(h[1])))
    return Ratio(
        ctr=ctr,
        ctr_row=float(heart_rows.max() / thorax_rows.max()),
        blur=0.5 * sqrt(variance) / width,
        heart=h,
        thorax=t,
        heart_rows=(_middle_row(heart[:, first]), _middle_row(heart[:, last])),
        thorax_row=float(np.argmax(thorax_rows)),
    )


def _extent(profile: npt.NDArray[np.uint8], level: float) -> tuple[float, float]:
    """Where a profile first rises above and last falls below `level`, between samples.

    A profile that is above it at the end of the film ends half a sample beyond the last centre; a
    profile that never reaches it is measured at its maximum.
    """
    values = profile.astype(np.float64)
    above = np.flatnonzero(values >= min(level, values.max()))
    return _crossing(values, int(above[0]), -1, level), _crossing(values, int(above[-1]), 1, level)


def _crossing(values: npt.NDArray[np.float64], inside: int, step: int, level: float) -> float:
    outside = inside + step
    if not 0 <= outside < len(values):
        return inside + 0.5 * step
    drop = values[inside] - values[outside]
    part = (values[inside] - level) / drop if drop > 0 else 0.5
    return inside + step * float(np.clip(part, 0.0, 1.0))


def _row_widths(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Extent of each row's foreground, from its first to its last sample, in samples."""
    on = mask >= 128
    first = on.argmax(1)
    last = on.shape[1] - 1 - on[:, ::-1].argmax(1)
    return np.where(on.any(1), last - first + 1, 0)


def _middle_row(column: npt.NDArray[np.uint8]) -> float:
    return float(np.flatnonzero(column == column.max()).mean())


_SHIFTS = ((0, 0), (-6, 3), (6, -3), (3, 6), (-3, -6), (-9, -4), (9, 4), (4, -9), (-4, 9))


def ensemble_ratio(
    film: npt.NDArray[np.uint8], output: Maps, members: int, look: Callable[[Maps], Maps]
) -> tuple[Maps, Ratio, float]:
    """The film read `members` times (at most 9), shifted by a few pixels and shifted back.

    Returns the mean maps, their ratio, and the standard deviation of the members' ratios. Flips
    are left out on purpose: a mirrored chest, with its heart on the other side, is not a film the
    network has learned.
    """
    from radloop.systems.chest.masks import clean

    maps = [output]
    for dy, dx in _SHIFTS[1:members]:
        seen = look(_shifted(film, dy, dx))
        maps.append(np.stack([_shifted(m, -dy, -dx) for m in seen]))
    ratios = [measure(clean(m)).ctr for m in maps]
    mean = np.mean(maps, axis=0).round().astype(np.uint8)
    return mean, measure(clean(mean)), float(np.nanstd(ratios)) if len(ratios) > 1 else 0.0


def _shifted(film: npt.NDArray[np.uint8], dy: int, dx: int) -> npt.NDArray[np.uint8]:
    """The film moved by whole pixels, its edge repeated."""
    rows, columns = film.shape
    y = np.clip(np.arange(rows) - dy, 0, rows - 1)
    x = np.clip(np.arange(columns) - dx, 0, columns - 1)
    return np.ascontiguousarray(film[y[:, None], x])


def probability_above(ctr: float, half_width: float, threshold: float, coverage: float) -> float:
    """The probability that the true CTR lies above `threshold`.

    The interval `ctr +- half_width`, which covers with the stated probability, is read as that of
    a normal distribution; without an interval the answer is 0 or 1.
    """
    if half_width <= 0:
        return float(ctr > threshold)
    sigma = half_width / _NORMAL_QUANTILE[coverage]
    return 0.5 * (1 + erf((ctr - threshold) / (sigma * sqrt(2))))
