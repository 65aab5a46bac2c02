"""Readers alone and with the model: what changes, by reader and for all of them, and the time.

A difference is the later modality minus the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.evaluation.readers.against import Paired, compare_pair
from radloop.evaluation.readers.table import Readings
from radloop.measures.margin import Verdict, non_inferiority
from radloop.measures.mrmc.covariance import covariance
from radloop.measures.mrmc.obuchowski_rockette import analyse
from radloop.measures.mrmc.study import Accuracy, Contrast, ReaderStudy, accuracies
from radloop.measures.mrmc.u_statistics import mean_over_readers, u_statistics

Flags = npt.NDArray[np.bool_]
ENDPOINTS = ("sensitivity", "specificity", "accuracy")


@dataclass(frozen=True)
class Changed:
    """Answers of one reader that differ between the modalities: to what is true, away from it."""

    reader: str
    to_right: int
    to_wrong: int
    cases: int


@dataclass(frozen=True)
class Pooled:
    """The mean of the readers in two modalities and its difference.

    readers: of the Obuchowski-Rockette analysis, those who have both modalities; it is None with
    none. For readers and cases like these (`random`), and for these readers (`fixed_readers`).
    u: the U-statistic of all readings; None where patients have several cases. fully_crossed:
    whether every reader read every case both ways.
    """

    measure: Accuracy
    readers: int
    fully_crossed: bool
    first: float
    second: float
    random: Contrast | None
    fixed_readers: Contrast | None
    u: Contrast | None
    verdict: Verdict | None = None
    p_within: float = math.nan


@dataclass(frozen=True)
class Time:
    """Seconds a case of one reader ("" all of them), on the cases timed in both modalities."""

    reader: str
    cases: int
    first: float
    second: float
    median_first: float
    median_second: float
    difference: Contrast


@dataclass(frozen=True)
class Together:
    """A modality against the first. by_reader: not corrected for their number."""

    first: str
    second: str
    by_reader: tuple[Paired, ...]
    changed: tuple[Changed, ...]
    pooled: tuple[Pooled, ...]
    times: tuple[Time, ...]


def compare_modalities(
    readings: Readings,
    second: int,
    truth: Flags,
    patients: Sequence[str],
    *,
    margin: float | None = None,
) -> Together:
    """Modality number `second` of the readings against the first one."""
    answers = readings.answers[[0, second]]
    by_reader: list[Paired] = []
    changed = []
    for k, reader in enumerate(readings.readers):
        a, b = answers[:, k]
        both = ~(np.isnan(a) | np.isnan(b))
        if not both.any():
            continue
        names = (f"{reader}, {readings.modalities[0]}", f"{reader}, {readings.modalities[second]}")
        by_reader += compare_pair(names, a, b, truth, patients, margin=margin, endpoints=ENDPOINTS)
        moved = both & (a != b)
        right = moved & ((b > 0.5) == truth)
        changed.append(
            Changed(reader, int(right.sum()), int((moved & ~right).sum()), int(both.sum()))
        )
    pooled = [
        _pooled(answers, measure, truth, patients, margin)
        for measure in ("sensitivity", "specificity")
    ]
    if readings.with_scores:
        pooled.append(_pooled(readings.scores[[0, second]], "auc", truth, patients, margin))
    return Together(
        readings.modalities[0],
        readings.modalities[second],
        tuple(by_reader),
        tuple(changed),
        tuple(found for found in pooled if found is not None),
        tuple(_times(readings, second)),
    )


def _pooled(
    scores: npt.NDArray[np.float64],
    measure: Accuracy,
    truth: Flags,
    patients: Sequence[str],
    margin: float | None,
) -> Pooled | None:
    clustered = len(set(patients)) < len(patients)
    study = ReaderStudy(scores, truth, tuple(patients))
    values = accuracies(study, measure)
    kept = np.flatnonzero(~np.isnan(values).any(axis=0))
    u = None if clustered else u_statistics(study, measure)
    random = fixed = None
    if kept.size:
        own = ReaderStudy(scores[:, kept], truth, tuple(patients))
        spread = covariance(own, measure, "delong")
        fixed = analyse(values[:, kept], spread, random_readers=False).differences[0, 1]
        if kept.size > 1:
            random = analyse(values[:, kept], spread).differences[0, 1]
    elif u is None or np.isnan(u.values).any():
        return None
    first, second = (
        values[:, kept].mean(axis=1) if kept.size else u.values if u else (math.nan,) * 2
    )
    of_u = u.difference(0, 1) if u is not None else None
    judged = random or of_u or fixed
    verdict, p_within = None, math.nan
    if margin is not None and judged is not None:
        verdict = non_inferiority(judged.value, judged.low, judged.high, margin).verdict
        p_within = judged.p_above(-margin)
    return Pooled(
        measure, kept.size, study.fully_crossed, float(first), float(second),
        random, fixed, of_u, verdict, p_within,
    )  # fmt: skip


def _times(readings: Readings, second: int) -> list[Time]:
    first, later = readings.seconds[0], readings.seconds[second]
    away = later - first
    if np.isnan(away).all():
        return []
    timed = [k for k in range(len(readings.readers)) if not np.isnan(away[k]).all()]
    found = [_time(readings.readers[k], first[k][None], later[k][None]) for k in timed]
    if len(timed) > 1:
        found.append(_time("", first[timed], later[timed]))
    return found


def _time(reader: str, first: npt.NDArray[np.float64], later: npt.NDArray[np.float64]) -> Time:
    both = ~(np.isnan(first) | np.isnan(later))
    a, b = first[both], later[both]
    return Time(
        reader, int(both.sum()), float(a.mean()), float(b.mean()),
        float(np.median(a)), float(np.median(b)), mean_over_readers(later - first),
    )  # fmt: skip
