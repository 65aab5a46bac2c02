"""Everything a report says of one yes/no question, as numbers: discrimination, the operating point,
calibration, net benefit, and the thresholds that these cases could support."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.evaluation.question import Answers, Question
from radloop.evaluation.subgroups import share_interval
from radloop.measures.abstention import Decided, GreyZone, area_under_risk, decided, grey_zone
from radloop.measures.bootstrap import patient_bootstraps
from radloop.measures.classification import brier_score, expected_calibration_error
from radloop.measures.conformal import (
    Guarantee,
    lowest_of_patients,
    threshold_in_expectation,
    threshold_with_confidence,
)
from radloop.measures.delong import auc_interval, delong
from radloop.measures.interval import Interval
from radloop.measures.net_benefit import DecisionCurve, decision_curve
from radloop.measures.reliability import (
    BrierParts,
    CalibrationLine,
    brier_parts,
    calibration_line,
    debiased_error,
    equal_mass_error,
)
from radloop.measures.spec import MeasureSpec

CONFIDENCE = 0.9
AIMS = (0.9, 0.95, 0.98)
ZONE = 0.95
"""Sensitivity below and specificity above the grey zone of the report."""

_CALIBRATION = (
    MeasureSpec("ece", ("p", "y"), expected_calibration_error,
                "Expected calibration error, ten equal widths", "", "lower"),
    MeasureSpec("ece_equal_mass", ("p", "y"), equal_mass_error,
                "Expected calibration error, ten equal masses", "", "lower"),
    MeasureSpec("brier", ("p", "y"), brier_score, "Brier score", "", "lower"),
)  # fmt: skip


@dataclass(frozen=True)
class Promise:
    """A threshold with its guarantee, and what it costs: the specificity on the judged cases."""

    guarantee: Guarantee
    specificity: Interval


@dataclass(frozen=True)
class Calibration:
    """errors: by name, with intervals. debiased: see `reliability.debiased_error`."""

    errors: Mapping[str, Interval]
    titles: Mapping[str, str]
    debiased: float
    line: CalibrationLine
    brier: BrierParts
    curve: DecisionCurve


@dataclass(frozen=True)
class Judgement:
    """A question with its answers and what follows from them. at_point: shares at the operating
    point by name. aurc: the area under risk over coverage, NaN without a threshold."""

    question: Question
    answers: Answers
    area: Interval
    at_point: Mapping[str, Interval]
    calibration: Calibration | None
    promises: tuple[Promise, ...]
    zone: GreyZone
    decided: Decided
    aurc: float

    @property
    def threshold(self) -> float | None:
        """The one threshold that parts the called from the others; None where there is none."""
        return point_threshold(self.question, self.answers)

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        found = self.answers
        data: dict[str, Any] = {
            "title": self.question.title,
            "score": self.question.score,
            "decides": self.question.decides,
            "truth": self.question.truth,
            "threshold": self.threshold,
            "n": found.truth.size,
            "positive": int(found.truth.sum()),
            "auc": asdict(self.area),
            "at_operating_point": {name: asdict(one) for name, one in self.at_point.items()},
            "thresholds": [
                {**asdict(one.guarantee), "specificity": asdict(one.specificity)}
                for one in self.promises
            ],
            "grey_zone": {
                "low": self.zone.low, "high": self.zone.high, **asdict(self.decided),
            },
            "aurc": self.aurc,
        }  # fmt: skip
        if self.calibration is not None:
            data["calibration"] = {
                **{name: asdict(one) for name, one in self.calibration.errors.items()},
                "debiased_rms": self.calibration.debiased,
                **asdict(self.calibration.line),
                "brier_parts": asdict(self.calibration.brier),
            }
            curve = self.calibration.curve
            data["decision_curve"] = {
                name: getattr(curve, name).tolist()
                for name in ("thresholds", "model", "low", "high", "all", "gain", "gain_low",
                             "gain_high")
            }  # fmt: skip
        return data


def judge_question(
    question: Question, found: Answers, *, resamples: int = 2000, seed: int = 0
) -> Judgement:
    """Everything about one question; what cannot be measured is NaN or absent."""
    patients = np.asarray(found.patients)
    of = delong(found.score, found.truth, patients if found.clustered else None)
    at_point = _shares(found, patients) if found.called is not None else {}
    zone = grey_zone(found.decides, found.truth, ZONE, ZONE)
    threshold = point_threshold(question, found)
    aurc = math.nan
    if threshold is not None and found.called is not None:
        wrong = (found.called != found.truth).astype(float)
        aurc = area_under_risk(np.abs(found.decides - threshold), wrong)
    return Judgement(
        question, found, auc_interval(of), at_point,
        _calibration(found, resamples, seed), _promises(found, patients), zone,
        decided(found.decides, found.truth, zone.low, zone.high), aurc,
    )  # fmt: skip


def point_threshold(question: Question, found: Answers) -> float | None:
    """The threshold of the operating point: the question's, or the lowest called score where no
    other case reaches it (the folds of a cross-validation each have their own)."""
    if question.threshold is not None:
        return question.threshold
    if found.called is None or not found.called.any():
        return None
    lowest = float(found.decides[found.called].min())
    return lowest if not (found.decides[~found.called] >= lowest).any() else None


def _shares(found: Answers, patients: npt.NDArray[np.str_]) -> dict[str, Interval]:
    called, truth = found.called, found.truth
    assert called is not None
    right = called == truth
    parts = {
        "sensitivity": truth,
        "specificity": ~truth,
        "positive_predictive_value": called,
        "negative_predictive_value": ~called,
        "accuracy": np.ones_like(truth),
    }
    return {name: share_interval(right[among], patients[among]) for name, among in parts.items()}


def _promises(found: Answers, patients: npt.NDArray[np.str_]) -> tuple[Promise, ...]:
    """Of patients, where a patient has several positive cases."""
    scores = found.decides[found.truth]
    if np.unique(patients[found.truth]).size < scores.size:
        scores = lowest_of_patients(scores, patients[found.truth].tolist())
    negative = ~found.truth
    promises = []
    for aim in AIMS:
        for one in (
            threshold_in_expectation(scores, aim),
            threshold_with_confidence(scores, aim, CONFIDENCE),
        ):
            spared = share_interval(found.decides[negative] < one.threshold, patients[negative])
            promises.append(Promise(one, spared))
    return tuple(promises)


def _calibration(found: Answers, resamples: int, seed: int) -> Calibration | None:
    p = found.probability
    if p is None or not p.size or p.min() < 0 or p.max() > 1:
        return None
    y = found.truth.astype(np.float64)
    intervals = patient_bootstraps(
        {"p": p, "y": y}, _CALIBRATION, found.patients, n=resamples, seed=seed
    )
    return Calibration(
        {spec.name: one for spec, one in zip(_CALIBRATION, intervals, strict=True)},
        {spec.name: spec.title for spec in _CALIBRATION},
        debiased_error(p, y),
        calibration_line(p, y, found.patients if found.clustered else None),
        brier_parts(p, y),
        decision_curve(p, y, found.patients, n=resamples, seed=seed),
    )
