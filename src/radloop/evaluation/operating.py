"""Choosing a model's operating point on a report, with a guarantee, and giving it to the model.

The report must be of cases that were held out of training (its validation split, or the pooled
folds of a cross-validation): they are the calibration set of the promise, see
`measures/conformal.py`. The model is copied with one setting changed and a record of the change;
the model it came from stays as it is, and the record has the old threshold.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import numpy as np

import radloop
from radloop.errors import InputError
from radloop.evaluation.pool import read_report
from radloop.evaluation.question import Answers, Question, answers, questions_of
from radloop.evaluation.report import CASES, plain
from radloop.evaluation.rows import numeric_columns, patients_of, read_rows
from radloop.evaluation.subgroups import share_interval
from radloop.images.write import atomic_path, write_text
from radloop.measures.conformal import (
    Guarantee,
    lowest_of_patients,
    positives_needed,
    threshold_in_expectation,
    threshold_with_confidence,
)
from radloop.measures.interval import Interval
from radloop.systems.base import System
from radloop.systems.model import Model, load_model


@dataclass(frozen=True)
class Chosen:
    """A threshold of one question, its promise, and what it does on the cases it was chosen on.

    by_patient: the promise is of patients of whom every positive case is found.
    """

    question: Question
    guarantee: Guarantee
    specificity: Interval
    called: float
    by_patient: bool

    def sentence(self) -> str:
        """The promise in words."""
        unit = "patients with positive cases" if self.by_patient else "positive cases"
        return self.guarantee.sentence(unit)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        data: dict[str, Any] = plain(
            {
                "question": self.question.title,
                "score": self.question.decides,
                **asdict(self.guarantee),
                "by_patient": self.by_patient,
                "specificity": asdict(self.specificity),
                "called_positive": self.called,
                "promise": self.sentence(),
            }
        )
        return data


def choose_point(
    report: Path,
    system: System,
    sensitivity: float,
    confidence: float | None = 0.9,
    question: str | None = None,
) -> Chosen:
    """The highest threshold that promises this sensitivity, from a report's judged cases.

    confidence: None for a promise on average. question: its title, where the system asks several.
    Raises InputError for a folder that is no report of such a system, for shares outside of (0, 1),
    for an unknown question, for cases of the split "train", and for too few positive cases for the
    promise.
    """
    if not 0 < sensitivity < 1 or not (confidence is None or 0 < confidence < 1):
        raise InputError("Sensitivity and confidence are shares between 0 and 1.")
    if read_report(report).get("data", {}).get("split") == "train":
        raise InputError(
            "The report is of the cases that the model was trained on: they promise nothing.",
            "Give the report of other cases: `radloop evaluate --split val`, or `radloop pool`.",
        )
    rows = read_rows(report / CASES)
    columns, patients = numeric_columns(rows), patients_of(rows)
    system = system.reporting(list(columns))
    asked = {one.title: one for one in questions_of(system.figures, columns)}
    if not asked:
        raise InputError(
            f"The system '{system.name}' asks no yes-or-no question that this report has cases of."
        )
    if question is not None and question not in asked:
        raise InputError(
            f"The report has no question '{question}'.", f"It has: {'; '.join(asked)}."
        )
    one = asked[question] if question is not None else next(iter(asked.values()))
    found = answers(one, columns, patients)
    return _chosen(one, found, sensitivity, confidence)


def _chosen(
    question: Question, found: Answers, sensitivity: float, confidence: float | None
) -> Chosen:
    names = np.asarray(found.patients)
    scores, of = found.decides[found.truth], names[found.truth]
    by_patient = np.unique(of).size < of.size
    if by_patient:
        scores = lowest_of_patients(scores, of.tolist())
    guarantee = (
        threshold_in_expectation(scores, sensitivity)
        if confidence is None
        else threshold_with_confidence(scores, sensitivity, confidence)
    )
    if not guarantee.is_possible:
        needed = positives_needed(sensitivity, confidence)
        unit = "patients with positive cases" if by_patient else "positive cases"
        raise InputError(
            f"{scores.size} {unit} cannot promise a sensitivity of {sensitivity:g}: {needed} are"
            " the fewest.",
            "Give more cases, a lower sensitivity or confidence, or --average.",
        )
    threshold = _rounded_down(guarantee.threshold)
    guarantee = replace(guarantee, threshold=threshold, missed=int((scores < threshold).sum()))
    negative = ~found.truth
    spared = share_interval(found.decides[negative] < guarantee.threshold, names[negative])
    called = float(np.mean(found.decides >= guarantee.threshold))
    return Chosen(question, guarantee, spared, called, by_patient)


def _rounded_down(threshold: float) -> float:
    """To four digits. The promise stays, and the case that the threshold was taken from keeps its
    side where another engine computes its score a little lower."""
    exact = Decimal(threshold)
    if not exact:
        return 0.0
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 3), ROUND_FLOOR))


def give_point(model: Model, chosen: Chosen, out: Path) -> Model:
    """Write a copy of `model` whose threshold is the chosen one, to a new folder; return it.

    `model.json` also gets `operating_point`: the promise, the setting that was changed, and what it
    was before. Raises InputError when the system has no setting for this question's threshold (its
    threshold is part of the definition), and for an `out` that exists.
    """
    path = model.system.threshold_settings.get(chosen.question.truth)
    if path is None:
        raise InputError(
            f"The system '{model.system.name}' has no threshold that can be set for"
            f" '{chosen.question.title}'.",
            "Its threshold is part of the question; use the printed one in your own worklist.",
        )
    if out.exists():
        raise InputError(f"'{out.name}' exists already.", "Give a folder that does not.")
    info: dict[str, Any] = copy.deepcopy(dict(model.info))
    before = _set(info["settings"], path, chosen.guarantee.threshold)
    info["operating_point"] = {
        **chosen.to_json(),
        "threshold": chosen.guarantee.threshold,
        "aim": chosen.sentence(),
        "setting": ".".join(path),
        "before": before,
        "set_by": f"radloop {radloop.__version__}",
    }
    out.mkdir(parents=True)
    for name in ("weights.safetensors", "card.md"):
        if (model.folder / name).is_file():
            with atomic_path(out / name) as temporary:
                shutil.copyfile(model.folder / name, temporary)
    if (out / "card.md").is_file():
        card = (out / "card.md").read_text(encoding="utf-8").rstrip()
        write_text(out / "card.md", f"{card}\n\n{_card(info['operating_point'])}")
    write_text(out / "model.json", json.dumps(info, indent=1) + "\n")
    return load_model(out)


def _set(settings: dict[str, Any], keys: Sequence[str], value: float) -> Any:
    """Change a nested setting; what it was, None where it was not there."""
    inside = settings
    for key in keys[:-1]:
        inside = inside.setdefault(key, {})
    before = inside.get(keys[-1])
    inside[keys[-1]] = value
    return before


def _card(point: Mapping[str, Any]) -> str:
    return (
        "## Operating point\n\n"
        f"{point['question']}: positive from {point['threshold']:.6g}. {point['promise']}"
        f" Specificity on these cases {point['specificity']['value']:.3f}."
        f" Before: {point['before']}.\n"
    )
