"""`Beside`: all that is said of a model beside human readers; `compute` makes it of a report's
cases and a table of readings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.evaluation.readers.against import Paired, compare_pair, corrected
from radloop.evaluation.readers.counts import Unpaired
from radloop.evaluation.readers.groups import GroupMean, group_mean
from radloop.evaluation.readers.judged import Judged
from radloop.evaluation.readers.single import Single, judge_single, majority
from radloop.evaluation.readers.table import Readings
from radloop.evaluation.readers.together import Together, compare_modalities
from radloop.evaluation.report import plain
from radloop.measures.delong import auc_interval, delong
from radloop.measures.interval import Interval
from radloop.measures.matched import Matched, matched_sensitivity
from radloop.measures.mrmc.study import Accuracy

Floats = npt.NDArray[np.float64]
MODEL = "model"
ALL = "all readers"


@dataclass(frozen=True)
class Beside:
    """The result.

    title: the question. n, positives, patients: of the judged cases. margin: None without one.
    column: where the model's score is from.
    singles: the model, readers by modality, majorities. auc: of the model. against: model and
    reader, paired. matched: by the name of the reader. groups: means. together: readers with the
    model. unpaired: where only counts are known. remarks: what was left out, and why.
    """

    title: str
    n: int
    positives: int
    patients: int
    margin: float | None
    singles: tuple[Single, ...]
    auc: Interval | None
    against: tuple[Paired, ...]
    matched: dict[str, Matched]
    groups: tuple[GroupMean, ...]
    together: tuple[Together, ...]
    unpaired: tuple[Unpaired, ...]
    remarks: tuple[str, ...]
    column: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; null for what could not be measured."""
        return dict(plain(_named(asdict(self))))

    @property
    def readers(self) -> list[Single]:
        """The human readers, in every modality."""
        return [single for single in self.singles if single.kind == "reader"]


def compute(
    judged: Judged,
    readings: Readings,
    *,
    margin: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Beside:
    """Judge the model and the readers on the cases of the report. Raises InputError where the two
    have no case in common."""
    known = set(readings.cases)
    strangers = len(known - set(judged.cases))
    if len(known) == strangers:
        raise InputError(
            "The readers' table and the report have no case in common.",
            "case_id must be that of the report's cases.csv.",
        )
    read = readings.aligned(judged.cases)
    truth, patients = judged.truth, judged.patients
    called = None if np.isnan(judged.called).all() else judged.called
    singles = [] if called is None else [
        judge_single(MODEL, "model", called, truth, patients)
    ]  # fmt: skip
    for m, modality in enumerate(read.modalities):
        for k, reader in enumerate(read.readers):
            if not np.isnan(read.answers[m, k]).all():
                singles.append(
                    judge_single(
                        reader, "reader", read.answers[m, k], truth, patients,
                        modality=modality, group=read.groups.get(reader, ""), model=called,
                    )
                )  # fmt: skip
    teams = _teams(read)
    singles += _majorities(read, teams, judged, called)
    pairs, matched = _against(judged, read, called, margin, resamples, seed)
    together = tuple(
        compare_modalities(read, m, truth, patients, margin=margin)
        for m in range(1, len(read.modalities))
    )
    return Beside(
        judged.title,
        len(judged.cases),
        int(truth.sum()),
        len(set(patients)),
        margin,
        tuple(singles),
        _area(judged),
        tuple(pairs),
        matched,
        tuple(_means(judged, read, teams, margin)),
        together,
        (),
        tuple(_remarks(judged, read, strangers, called)),
        judged.column,
    )


def _area(judged: Judged) -> Interval | None:
    if judged.truth.all() or not judged.truth.any():
        return None
    return auc_interval(
        delong(judged.score, judged.truth, judged.patients if judged.clustered else None)
    )


def _teams(read: Readings) -> dict[str, list[int]]:
    """Groups of two readers or more, by number; all of them last."""
    teams: dict[str, list[int]] = {}
    for k, reader in enumerate(read.readers):
        if reader in read.groups:
            teams.setdefault(read.groups[reader], []).append(k)
    found = {name: who for name, who in teams.items() if len(who) > 1}
    everybody = list(range(len(read.readers)))
    if len(everybody) > 1 and everybody not in found.values():
        found[ALL] = everybody
    return found


def _majorities(
    read: Readings, teams: dict[str, list[int]], judged: Judged, called: Floats | None
) -> list[Single]:
    found = []
    for m, modality in enumerate(read.modalities):
        for name, who in teams.items():
            votes = majority(read.answers[m, who])
            if len(who) > 2 and not np.isnan(votes).all():
                found.append(
                    judge_single(
                        f"majority of {name}", "majority", votes, judged.truth, judged.patients,
                        modality=modality, group=name, model=called,
                    )
                )  # fmt: skip
    return found


def _against(
    judged: Judged,
    read: Readings,
    called: Floats | None,
    margin: float | None,
    resamples: int,
    seed: int,
) -> tuple[list[Paired], dict[str, Matched]]:
    """The model beside each reader alone (the first modality)."""
    pairs: list[Paired] = []
    matched = {}
    for reader, answers in zip(read.readers, read.answers[0], strict=True):
        if np.isnan(answers).all():
            continue
        if called is not None:
            pairs += compare_pair(
                (reader, MODEL), answers, called, judged.truth, judged.patients, margin=margin
            )
        matched[reader] = matched_sensitivity(
            judged.score, answers, judged.truth, judged.patients, n=resamples, seed=seed
        )
    return corrected(pairs), matched


def _means(
    judged: Judged, read: Readings, teams: dict[str, list[int]], margin: float | None
) -> list[GroupMean]:
    sources: tuple[tuple[Accuracy, Floats, Floats], ...] = (
        ("sensitivity", judged.called, read.answers),
        ("specificity", judged.called, read.answers),
        ("auc", judged.score, read.scores),
    )
    found = []
    for m, modality in enumerate(read.modalities):
        for name, who in (teams or {ALL: list(range(len(read.readers)))}).items():
            for measure, model, readers in sources:
                mean = group_mean(
                    name, modality, measure, model, readers[m, who], judged.truth,
                    judged.patients, margin=margin,
                )  # fmt: skip
                if mean is not None:
                    found.append(mean)
    return found


def _remarks(judged: Judged, read: Readings, strangers: int, called: Floats | None) -> list[str]:
    found = []
    if judged.unread:
        found.append(
            f"{judged.unread} cases of the report have no score or no truth, such as refused ones;"
            " they are left out for the model and for the readers."
        )
    if strangers:
        found.append(f"{strangers} cases of the readers' table are not among the judged ones.")
    if called is None:
        found.append(
            "The report does not say from which score the model calls a case positive: give"
            " --threshold for its calls."
        )
    if not judged.truth.any() or judged.truth.all():
        kind = "positive" if judged.truth.all() else "negative"
        found.append(f"All judged cases are {kind}: what needs both classes is not measured.")
    alone = read.answers[0]
    unread = np.isnan(alone) & np.isnan(read.scores[0])
    if unread.any() and not unread.all():
        found.append(
            f"{int(unread.sum())} of {unread.size} readings ({read.modalities[0]}) are missing;"
            " each comparison takes the cases that both judged."
        )
    if judged.clustered:
        found.append(
            "Some patients have several cases: intervals and tests are clustered by patient, but"
            " kappa and reading times take cases as independent, and U-statistics are left out."
        )
    if len(read.readers) == 1:
        found.append("One reader tells nothing of other readers: the mean holds for this one.")
    return found


def _named(value: Any) -> Any:
    """Named tuples of counts as mappings, which `asdict` leaves as they are."""
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, (list, tuple)):
        return [_named(item) for item in value]
    return value
