"""The readers together: the mean of a group, for readers and cases like these, and the model
against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.measures.margin import Verdict, non_inferiority
from radloop.measures.mrmc.covariance import covariance
from radloop.measures.mrmc.obuchowski_rockette import analyse, one_against_readers
from radloop.measures.mrmc.study import (
    Accuracy,
    Contrast,
    ReaderStudy,
    accuracies,
    on_logit_scale,
)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class GroupMean:
    """The mean of a group of readers, and the model minus that mean.

    readers: how many. model: its value, NaN without one. difference: NaN throughout without a
    model. verdict, p_within: as of `Paired`, of the model against the mean.
    """

    group: str
    modality: str
    measure: Accuracy
    readers: int
    mean: Contrast
    model: float
    difference: Contrast
    verdict: Verdict | None = None
    p_within: float = math.nan


def group_mean(
    group: str,
    modality: str,
    measure: Accuracy,
    model: Floats,
    readers: Floats,
    truth: Flags,
    patients: Sequence[str],
    *,
    margin: float | None = None,
) -> GroupMean | None:
    """Of what the model `(case,)` and the readers `(reader, case)` said: 0/1, of areas scores.

    Obuchowski-Rockette with DeLong's covariance, clustered by patient; readers random, or fixed
    where there is but one. Readers without a case of a needed class are left out; None without any.
    """
    study = ReaderStudy(np.concatenate([model[None], readers])[None], truth, tuple(patients))
    values = accuracies(study, measure)[0]
    kept = np.flatnonzero(~np.isnan(values[1:]))
    if not kept.size:
        return None
    spread = covariance(study, measure, "delong")[0, :, 0, :]
    own = spread[np.ix_(kept + 1, kept + 1)]
    found = analyse(
        values[None, kept + 1], own.reshape(1, kept.size, 1, kept.size),
        random_readers=kept.size > 1,
    )  # fmt: skip
    mean = on_logit_scale(found.means[0])
    nothing = Contrast(*(math.nan,) * 7)
    if math.isnan(values[0]):
        return GroupMean(group, modality, measure, kept.size, mean, math.nan, nothing)
    with_model = np.concatenate([[0], kept + 1])
    difference = one_against_readers(
        float(values[0]), values[kept + 1], spread[np.ix_(with_model, with_model)]
    )
    verdict, p_within = None, math.nan
    if margin is not None:
        verdict = non_inferiority(difference.value, difference.low, difference.high, margin).verdict
        p_within = difference.p_above(-margin)
    return GroupMean(
        group, modality, measure, kept.size, mean, float(values[0]), difference, verdict, p_within
    )
