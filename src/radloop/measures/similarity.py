"""How alike two maps of one shape are, `(y, x)`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

Map = npt.NDArray[np.floating]


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's, of the values at the same places, in [-1, 1]; 0 where one map is even."""
    a, b = _pair(first, second)
    a, b = (rankdata(one.ravel()) - (one.size + 1) / 2 for one in (a, b))
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def structural_similarity(
    first: Map, second: Map, window: int = 7, data_range: float = 1.0
) -> float:
    """SSIM (Wang et al. 2004) with an even window, in [-1, 1]; 1 for equal maps.

    The mean over all places at which the window lies within the maps. data_range: from the smallest
    to the largest value that a map can have. ValueError for maps smaller than the window.
    """
    a, b = _pair(first, second)
    if min(a.shape) < window:
        raise ValueError(f"maps of shape {a.shape} are smaller than the window of {window}")

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        inside = window // 2
        smooth = uniform_filter(values, window)
        return np.asarray(smooth[inside : len(smooth) - inside, inside : smooth.shape[1] - inside])

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    together = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * together + c2) / (var_a + var_b + c2)
    return float(np.mean(luminance * structure))


def _pair(first: Map, second: Map) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two maps of one shape, got {a.shape}, {b.shape}")
    return a, b
