"""`Tooth`: what a detector found, and which arch of the jaw it stands in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.systems.jaw.numbers import ARCHES, Arch, arch

Corners = tuple[float, float, float, float]

CLEAR = 0.5
"""From here on a place between the arches (-1 upper, 1 lower) outvotes a tooth's number."""
_FEW = 4


@dataclass(frozen=True)
class Tooth:
    """A box with its ISO 3950 number. corners: x0, y0, x1, y1 px; score: in 0..1. number: "" for
    one that fits no place of its arch (a supernumerary tooth, or no tooth at all)."""

    corners: Corners
    score: float
    number: str

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) px."""
        x0, y0, x1, y1 = self.corners
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def width(self) -> float:
        return self.corners[2] - self.corners[0]

    @property
    def height(self) -> float:
        return self.corners[3] - self.corners[1]


def split_arches(teeth: Sequence[Tooth]) -> Mapping[Arch, tuple[Tooth, ...]]:
    """The numbered teeth of each jaw, from left to right.

    By number; where both arches have enough teeth to draw the line between them (a parabola fitted
    to all), a tooth that lies clearly on the other side of it belongs to the other arch.
    """
    numbered = [tooth for tooth in teeth if tooth.number]
    sides = np.array([1.0 if arch(t.number) == "lower" else -1.0 for t in numbered])
    if min((sides > 0).sum(), (sides < 0).sum()) >= _FEW:
        places = _between_arches(numbered, sides)
        sides = np.where(np.abs(places) >= CLEAR, np.sign(places), sides)
    split: dict[Arch, tuple[Tooth, ...]] = {}
    for name, side in zip(ARCHES, (-1.0, 1.0), strict=True):
        own = [tooth for tooth, own_side in zip(numbered, sides, strict=True) if own_side == side]
        split[name] = tuple(sorted(own, key=lambda tooth: tooth.middle))
    return split


def _between_arches(
    teeth: Sequence[Tooth], sides: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Of each tooth, where it lies between the upper arch (-1) and the lower one (1)."""
    middles = np.array([tooth.middle for tooth in teeth])
    x, y = ((middles - middles.mean(0)) / np.maximum(middles.std(0), 1e-6)).T
    terms = np.stack([np.ones_like(x), x, x * x, y], 1)
    weights = np.sqrt([tooth.score for tooth in teeth])[:, None]
    fitted, *_ = np.linalg.lstsq(terms * weights, sides * weights[:, 0], rcond=None)
    return np.asarray(terms @ fitted)
