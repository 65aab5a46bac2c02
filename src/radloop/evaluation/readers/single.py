"""One reader, or the model, against the truth: counts, shares with intervals, kappa."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from radloop.measures.classification import Confusion
from radloop.measures.interval import Interval
from radloop.measures.kappa import cohen_kappa
from radloop.measures.proportions import clustered_wilson

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
SHARES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "youden": "Youden index",
    "ppv": "PPV",
    "npv": "NPV",
}
Kind = Literal["model", "reader", "majority"]


@dataclass(frozen=True)
class Single:
    """Who (in which modality), what was counted, and the shares by the names of `SHARES`.

    unanswered: judged cases without an answer; of a majority, ties too. kappa: with the model's
    calls and with the truth, of the cases both have. unknown: counts that are not known (`fp`,
    `tn`), which stand as 0.
    """

    name: str
    kind: Kind
    modality: str
    group: str
    confusion: Confusion
    unanswered: int
    shares: Mapping[str, Interval]
    kappa_model: Interval | None = None
    kappa_truth: Interval | None = None
    unknown: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The cases that were answered."""
        return sum(self.confusion)


def judge_single(
    name: str,
    kind: Kind,
    answers: Floats,
    truth: Flags,
    patients: Sequence[str],
    *,
    modality: str = "",
    group: str = "",
    model: Floats | None = None,
) -> Single:
    """Judge answers `(case,)` of 0, 1 and NaN. model: the model's calls, for the kappa."""
    known = ~np.isnan(answers)
    said, true = answers[known] > 0.5, truth[known]
    number = np.unique(np.asarray(patients)[known], return_inverse=True)[1]
    shares = shares_of(said, true, number)
    with_model = None
    if model is not None and not np.isnan(model).all():
        with_model = cohen_kappa(answers, model)
    return Single(
        name, kind, modality, group, counted(said, true), int((~known).sum()), shares,
        with_model, cohen_kappa(answers, truth.astype(np.float64)),
    )  # fmt: skip


def counted(said: Flags, true: Flags) -> Confusion:
    """The 2x2 table."""
    return Confusion(
        int((said & true).sum()),
        int((said & ~true).sum()),
        int((~said & ~true).sum()),
        int((~said & true).sum()),
    )


def shares_of(said: Flags, true: Flags, patient: npt.NDArray[np.intp]) -> dict[str, Interval]:
    """Of the cases in a 2x2 table, with Wilson's intervals, clustered by patient."""
    patients = int(patient.max(initial=-1)) + 1

    def share(right: Flags, among: Flags) -> Interval:
        hits = np.bincount(patient[among & right], minlength=patients)
        return clustered_wilson(hits, np.bincount(patient[among], minlength=patients))

    everything = np.ones(true.shape, np.bool_)
    found = {
        "sensitivity": share(said, true),
        "specificity": share(~said, ~true),
        "accuracy": share(said == true, everything),
        "ppv": share(true, said),
        "npv": share(~true, ~said),
    }
    found["youden"] = youden_of(found["sensitivity"], found["specificity"])
    return {name: found[name] for name in SHARES}


def youden_of(sensitivity: Interval, specificity: Interval) -> Interval:
    """Sensitivity + specificity - 1, from both intervals: the two are of different cases
    (Newcombe's method 10 for a sum; Zou and Donner 2008, Stat Med 27:1693)."""
    value = sensitivity.value + specificity.value - 1
    low = value - math.hypot(
        sensitivity.value - sensitivity.low, specificity.value - specificity.low
    )
    high = value + math.hypot(
        sensitivity.high - sensitivity.value, specificity.high - specificity.value
    )
    return Interval(value, low, high, sensitivity.n + specificity.n, "Newcombe, sum, 95%")


def majority(answers: Floats) -> Floats:
    """What most of the readers `(reader, case)` said of each case, of those who answered; NaN where
    none did, and in a tie."""
    known = ~np.isnan(answers)
    yes = (known & (answers > 0.5)).sum(axis=0)
    asked = known.sum(axis=0)
    return np.where(asked == 0, math.nan, np.where(2 * yes == asked, math.nan, 2 * yes > asked))
