"""Reader studies with known accuracy: the model of Roe and Metz (1997, Acad Radiol 4:298).

The score of a case is its class's mean, plus what the reader, the case, the modality and their
combinations add, each normal; every class has effects of its own. The four sets of variances are
those of the paper (case correlation high or low, reader variance high or low) at a separation of
1.5, an area of about .85.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from radloop.measures.mrmc.study import Flags, Floats, ReaderStudy


@dataclass(frozen=True)
class Variances:
    """Of reader, case, reader x case, and of each of these with the modality (`m_`)."""

    reader: float
    case: float
    reader_case: float
    m_reader: float
    m_case: float
    m_reader_case: float

    @property
    def total(self) -> float:
        """Of one score."""
        return (
            self.reader
            + self.case
            + self.reader_case
            + self.m_reader
            + self.m_case
            + self.m_reader_case
        )


STRUCTURES = {
    "HH": Variances(0.03, 0.3, 0.2, 0.03, 0.3, 0.2),
    "HL": Variances(0.0055, 0.3, 0.2, 0.0055, 0.3, 0.2),
    "LH": Variances(0.03, 0.1, 0.2, 0.03, 0.1, 0.6),
    "LL": Variances(0.0055, 0.1, 0.2, 0.0055, 0.1, 0.6),
}


def area(separation: float, variances: Variances) -> float:
    """The expected area under the ROC curve of a reader."""
    return float(stats.norm.cdf(separation / math.sqrt(2 * variances.total)))


def simulate(
    generator: np.random.Generator,
    variances: Variances,
    *,
    separations: tuple[float, ...] = (1.5, 1.5),
    readers: int = 5,
    positives: int = 50,
    negatives: int = 50,
) -> ReaderStudy:
    """A fully crossed study, a modality for each separation of the classes; positives first."""
    modalities = len(separations)
    parts = []
    for cases, mean in ((positives, np.array(separations)), (negatives, np.zeros(modalities))):
        shapes = (
            (variances.reader, (1, readers, 1)),
            (variances.case, (1, 1, cases)),
            (variances.reader_case, (1, readers, cases)),
            (variances.m_reader, (modalities, readers, 1)),
            (variances.m_case, (modalities, 1, cases)),
            (variances.m_reader_case, (modalities, readers, cases)),
        )
        scores = mean[:, None, None] + sum(
            math.sqrt(variance) * generator.standard_normal(shape) for variance, shape in shapes
        )
        parts.append(scores)
    truth = np.repeat([True, False], [positives, negatives])
    return ReaderStudy(np.concatenate(parts, axis=2), truth)


def split(study: ReaderStudy, groups: int) -> ReaderStudy:
    """The paired split-plot design: each group of readers reads its own share of the cases."""
    scores = study.scores.copy()
    readers = scores.shape[1]
    for of_class in (np.flatnonzero(study.truth), np.flatnonzero(~study.truth)):
        for group in range(groups):
            for reader in range(readers):
                if reader * groups // readers != group:
                    scores[:, reader, of_class[group::groups]] = math.nan
    return ReaderStudy(scores, study.truth)


@dataclass(frozen=True)
class Fixed:
    """A model beside readers of the same cases. scores: `(1 + reader, case)`, the model first.
    shifts: `(reader, 2)`, what each reader adds to the scores of positives and of negatives; the
    model adds nothing, as it does not vary. spread: the variance of one score of the model, and of
    a given reader.
    """

    scores: Floats
    truth: Flags
    shifts: Floats
    spread: float


def beside_model(
    generator: np.random.Generator,
    variances: Variances,
    *,
    model: float,
    separation: float,
    readers: int = 5,
    positives: int = 50,
    negatives: int = 50,
) -> Fixed:
    """Readers in one modality, and a model that separates the classes by `model`; positives first.

    The model shares with the readers what a case adds in every modality (`case`).
    """
    truth = np.repeat([True, False], [positives, negatives])
    shifts = _normal(generator, variances.reader + variances.m_reader, (readers, 2))
    own = variances.reader_case + variances.m_reader_case
    common = _normal(generator, variances.case, (truth.size,))
    read = separation * truth + np.where(truth, shifts[:, :1], shifts[:, 1:]) + common
    read = read + _normal(generator, variances.m_case, (truth.size,))
    read = read + _normal(generator, own, (readers, truth.size))
    said = model * truth + common + _normal(generator, variances.m_case + own, (truth.size,))
    spread = variances.case + variances.m_case + own
    return Fixed(np.concatenate([said[None], read]), truth, shifts, spread)


def _normal(generator: np.random.Generator, variance: float, shape: tuple[int, ...]) -> Floats:
    return math.sqrt(variance) * generator.standard_normal(shape)
