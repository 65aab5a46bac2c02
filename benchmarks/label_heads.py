"""The heads that learn in each round of `label_simulation.py`, out of fold by patient.

Kernel ridge regression on labels of -1 and 1 with a Gaussian kernel over frozen features (Saunders,
Gammerman and Vovk 1998, ICML): closed form, so that a round costs milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from label_data import Items, projected
from radloop.labelling.simulation import Learned

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Head = Callable[[Numbers], Numbers]

FOLDS = 5
MEMBERS = 5
RIDGES = (0.1, 0.3, 1.0, 3.0)
"""That of least squared out-of-fold error is taken, against the labels as they are."""


@dataclass(frozen=True)
class Parts:
    """Training items and locked test items of other patients, features of both projected alike."""

    train: Items
    test: Items


def part(items: Items, share: float, seed: int) -> Parts:
    """A random `share` of the patients is locked away for the test."""
    patients = np.random.default_rng((seed, 7)).permutation(np.unique(items.patients))
    return _parted(items, np.isin(items.patients, patients[: round(share * len(patients))]))


def folds_of(items: Items, count: int, seed: int) -> Iterator[tuple[npt.NDArray[np.bool_], Parts]]:
    """`count` parts in which every patient is locked away once; with which items are, `(n,)`."""
    patients = np.random.default_rng((seed, 7)).permutation(np.unique(items.patients))
    for own in np.array_split(patients, count):
        locked = np.isin(items.patients, own)
        yield locked, _parted(items, locked)


def _parted(items: Items, locked: npt.NDArray[np.bool_]) -> Parts:
    train, test = items.take(np.flatnonzero(~locked)), items.take(np.flatnonzero(locked))
    a, b = projected(train.features, test.features)
    return Parts(
        Items(train.names, train.patients, train.truth, a),
        Items(test.names, test.patients, test.truth, b),
    )


class HeadLearner:
    """A learner of `radloop.labelling.simulation` over training items.

    The items of a patient share a fold. members: heads on bootstrap samples of patients, the mean
    of which speaks; 0: one head.
    """

    def __init__(self, items: Items, seed: int = 0, members: int = 0) -> None:
        self.items, self.members = items, members
        names, self._patient = np.unique(items.patients, return_inverse=True)
        order = np.random.default_rng((seed, 5)).permutation(len(names))
        self._fold = (order % FOLDS)[self._patient]
        apart = _squared(items.features, items.features)
        self._width = float(np.median(apart))
        self._kernel = np.exp(-apart / self._width) + 1.0

    def __call__(self, labels: Numbers, seed: int) -> Learned:
        """Probabilities of every item from heads that did not learn from its patient."""
        known = ~np.isnan(labels)
        said = self._out_of_fold(labels, known)
        best = self._best(said, labels, known)
        if not self.members:
            return Learned(_probability(said[best]))
        rng = np.random.default_rng((seed, 3))
        each = [self._member(labels, known, RIDGES[best], rng) for _ in range(self.members)]
        return Learned(np.mean(each, axis=0), np.stack(each))

    def final(self, labels: Numbers) -> Head:
        """The head learned from all labels, as a function of features `(m, d)`."""
        known = ~np.isnan(labels)
        ridge = RIDGES[self._best(self._out_of_fold(labels, known), labels, known)]
        size, axes = self._spectrum if known.all() else np.linalg.eigh(self._among(known, known))
        weights = axes @ ((axes.T @ _signed(labels[known])) / (size + ridge))
        rows = self.items.features[known]
        return lambda x: _probability((np.exp(-_squared(x, rows) / self._width) + 1.0) @ weights)

    def _out_of_fold(self, labels: Numbers, known: Flags) -> Numbers:
        """`(ridges, n)`, near -1 or 1."""
        if known.all():
            return np.stack([hat @ _signed(labels) for hat in self._hats])
        said = np.zeros((len(RIDGES), len(labels)))
        for fold in range(FOLDS):
            inside, outside = known & (self._fold != fold), self._fold == fold
            size, axes = np.linalg.eigh(self._among(inside, inside))
            turned = axes.T @ _signed(labels[inside])
            seen = self._among(outside, inside) @ axes
            for k, ridge in enumerate(RIDGES):
                said[k, outside] = seen @ (turned / (size + ridge))
        return said

    def _member(
        self, labels: Numbers, known: Flags, ridge: float, rng: np.random.Generator
    ) -> Numbers:
        """Of one bootstrap sample of patients; an item that is drawn twice counts twice."""
        count = int(self._patient.max()) + 1
        times = np.bincount(rng.integers(count, size=count), minlength=count)[self._patient]
        said = np.zeros(len(labels))
        for fold in range(FOLDS):
            inside = known & (self._fold != fold) & (times > 0)
            outside = self._fold == fold
            if not inside.any():
                continue
            system = self._among(inside, inside) + np.diag(ridge / times[inside])
            weights = np.linalg.solve(system, _signed(labels[inside]))
            said[outside] = self._among(outside, inside) @ weights
        return _probability(said)

    def _best(self, said: Numbers, labels: Numbers, known: Flags) -> int:
        error = ((said[:, known] - _signed(labels[known])) ** 2).mean(axis=1)
        return int(np.argmin(error))

    def _among(self, rows: Flags, columns: Flags) -> Numbers:
        return self._kernel[np.ix_(rows, columns)]

    @cached_property
    def _spectrum(self) -> tuple[Numbers, Numbers]:
        size, axes = np.linalg.eigh(self._kernel)
        return size, axes

    @cached_property
    def _hats(self) -> list[Numbers]:
        """Of every ridge the matrix that turns all labels into out-of-fold predictions."""
        hats = [np.zeros_like(self._kernel) for _ in RIDGES]
        for fold in range(FOLDS):
            inside, outside = self._fold != fold, self._fold == fold
            size, axes = np.linalg.eigh(self._among(inside, inside))
            seen = self._among(outside, inside) @ axes
            for hat, ridge in zip(hats, RIDGES, strict=True):
                hat[np.ix_(outside, inside)] = (seen / (size + ridge)) @ axes.T
        return hats


def _signed(labels: Numbers) -> Numbers:
    return 2.0 * labels - 1.0


def _probability(said: Numbers) -> Numbers:
    return np.asarray(np.clip((1.0 + said) / 2.0, 0.0, 1.0))


def _squared(a: Numbers, b: Numbers) -> Numbers:
    """Squared distances of all rows, `(len(a), len(b))`."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))
