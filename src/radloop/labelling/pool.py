"""`Pool`: what a model says of the items that could be asked about; `Pick`: one that should be.

This is all that a strategy sees and returns; where the numbers come from is `candidates.py`'s job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


class Pick(NamedTuple):
    """An item to look at. reason: the strategy that picked it, in one word or a few; it goes into
    the log, never onto a reader's sheet. score: the larger, the more urgent, within one reason."""

    case_id: str
    reason: str
    score: float


@dataclass(frozen=True, eq=False)
class Pool:
    """What is believed and predicted of `n` items, in one order.

    case_ids: `(n,)`, each once; `case_id/slice` where slices are asked about. labels: `(n,)`, the
    label believed now: 0 or 1, or the number of a class; NaN = not known. probabilities: of a model
    that did not learn from the item (out of fold): `(n,)` of the positive class, or `(n, classes)`
    with rows that sum to 1. members: the same of each member of an ensemble, `(members, n)` or
    `(members, n, classes)`; None without one. features: `(n, d)` of an encoder; None without.
    threshold: a probability `>= threshold` is called positive; with classes the largest counts.

    Raises ValueError for shapes that do not fit, identifiers that repeat, or probabilities outside
    [0, 1].
    """

    case_ids: tuple[str, ...]
    labels: Numbers
    probabilities: Numbers
    members: Numbers | None = None
    features: Numbers | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        n = len(self.case_ids)
        if len(set(self.case_ids)) < n:
            raise ValueError("an item is in the pool twice")
        if self.labels.shape != (n,):
            raise ValueError(f"{n} items with labels of shape {self.labels.shape}")
        if self.probabilities.ndim not in (1, 2) or len(self.probabilities) != n:
            raise ValueError(f"{n} items with probabilities of shape {self.probabilities.shape}")
        if self.members is not None and self.members.shape[1:] != self.probabilities.shape:
            raise ValueError(f"members of shape {self.members.shape} do not fit the probabilities")
        if self.features is not None and (self.features.ndim != 2 or len(self.features) != n):
            raise ValueError(f"{n} items with features of shape {self.features.shape}")
        for array in (self.probabilities, self.members):
            if array is not None and not bool(np.all((array >= 0.0) & (array <= 1.0))):
                raise ValueError("probabilities must lie in [0, 1]")

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def distribution(self) -> Numbers:
        """`(n, classes)`, rows that sum to 1; of a yes/no question two columns, negative first."""
        if self.probabilities.ndim == 2:
            return self.probabilities
        return np.stack([1.0 - self.probabilities, self.probabilities], axis=1)

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """`(n,)`, the class that the model calls: 0 or 1 by the threshold, or the likeliest."""
        if self.probabilities.ndim == 2:
            return np.asarray(np.argmax(self.probabilities, axis=1), np.int64)
        return np.asarray(self.probabilities >= self.threshold, np.int64)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """`(n,)`, where a label is believed."""
        return ~np.isnan(self.labels)

    @property
    def disputed(self) -> npt.NDArray[np.bool_]:
        """`(n,)`, where label and model contradict each other: false positives and negatives."""
        return np.asarray(self.labelled & (self.labels != self.called), np.bool_)

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> Pool:
        """The items at these places, in this order."""
        at = np.asarray(indices, dtype=np.intp)
        return Pool(
            tuple(self.case_ids[i] for i in at),
            self.labels[at],
            self.probabilities[at],
            None if self.members is None else self.members[:, at],
            None if self.features is None else self.features[at],
            self.threshold,
        )
