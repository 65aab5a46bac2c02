"""Several p-values at once: what is left of each when all of them were looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The p-values `(k,)` corrected by Holm's step-down method (1979, Scand J Stat 6:65), in order.

    Rejecting those below alpha keeps the chance of any wrong rejection below alpha, however the
    tests depend on each other. NaN (no test could be made) stays NaN and is not counted. Raises
    ValueError for a p outside of [0, 1].
    """
    given = np.asarray(p, np.float64)
    if given.ndim != 1 or np.any((given < 0) | (given > 1)):
        raise ValueError("expected a list of p-values between 0 and 1")
    corrected = np.full(given.shape, np.nan)
    known = np.nonzero(~np.isnan(given))[0]
    order = known[np.argsort(given[known], kind="stable")]
    steps = given[order] * np.arange(order.size, 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if order.size else []
    return corrected
