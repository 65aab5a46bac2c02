"""The grey scale of a prepared head CT: Hounsfield units in one byte, finest where blood shows.

-50..0 HU in 16 greys, 0..80 HU in 200, 80..450 HU in 39. A collection that was windowed to eight
bits before it was published (centre 40, width 80) has a place on the same scale, from 0 to 80 HU,
so that one network reads both; what its window cut off stays unknown, and lies at the ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

KNOTS: tuple[tuple[float, float], ...] = ((0, -50), (16, 0), (216, 80), (255, 450))
"""(grey, HU) between which the scale is linear."""

WINDOWS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "brain": ((0.0, 80.0),),
    "soft": ((22.0, 59.6),),
    "paper": ((-50.0, 150.0), (100.0, 300.0), (250.0, 450.0)),
}
"""(low, high) in HU by name: the usual brain window; one between fluid and fresh blood; the three
of Ye et al. 2019."""


def from_hounsfield(hounsfield: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """HU, of any shape, to greys."""
    greys, units = np.array(KNOTS, np.float32).T
    lowest = int(units[0])
    table = np.rint(np.interp(np.arange(lowest, int(units[-1]) + 1), units, greys))
    steps = np.clip(np.rint(hounsfield), units[0], units[-1]).astype(np.int32) - lowest
    return np.asarray(table.astype(np.uint8)[steps])


def from_brain_window(windowed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Bytes that show 0..80 HU, of any shape, to greys."""
    table = np.rint(16 + np.arange(256) * (200 / 255)).astype(np.uint8)
    table[0] = 0  # air and what lies below the window: nobody knows how far
    return np.asarray(table[windowed])


def brain_window(greys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Greys as a person looks at them: 0..80 HU over the whole range of a byte."""
    table = np.clip((np.arange(256) - 16.0) * (255 / 200), 0, 255)
    return np.asarray(np.rint(table).astype(np.uint8)[greys])
