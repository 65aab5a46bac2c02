"""The locked test set of a project, and the decision whether a new model replaces the one in force.

The set is the case table's split `test`; its fingerprint is taken when the project is made. Nothing
in it is asked about, so no label in it was corrected where a model erred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from radloop.cases.table import CaseTable, read_cases
from radloop.errors import InputError
from radloop.labelling.candidates import Said
from radloop.labelling.items import LOCKED, items_of
from radloop.labelling.promotion import LockedSet, Promotion, judge_promotion
from radloop.labelling.state import Question, State


def locked_set(table: CaseTable, question: Question, by_slice: bool) -> LockedSet | None:
    """The items of the split `test` whose label is known; None when there are none."""
    if LOCKED not in table.splits:
        return None
    try:
        rows = items_of(table, question, Path(), by_slice=by_slice, splits=(LOCKED,))
    except InputError:  # scans without a table of slices
        return None
    patients = {case.case_id: case.patient_id for case in table.cases}
    known = [row for row in rows if "label" in row]
    if not known:
        return None
    return LockedSet(
        tuple(row["item"] for row in known),
        tuple(patients[row["case"]] for row in known),
        tuple(row["label"] for row in known),
    )


def fingerprint_of(table: CaseTable, question: Question, by_slice: bool) -> str:
    """Of the locked set of a table; "" when there is none."""
    locked = locked_set(table, question, by_slice)
    return locked.fingerprint if locked else ""


def model_in_force(state: State) -> Mapping[str, str] | None:
    """The model that was promoted last; None before the first."""
    taken = [one["new"] for one in state.promotions if one["promoted"]]
    return dict(taken[-1]) if taken else None


def judge(
    state: State,
    project: Path,
    new: Said,
    old: Said | None,
    *,
    margin: float = 0.02,
    cases: Path | None = None,
) -> tuple[Promotion, dict[str, Any]]:
    """Whether `new` replaces the model in force, whose predictions are `old`; and what the log
    keeps of it.

    Raises InputError: classes (the area under the curve judges yes and no), no locked set, no `old`
    though a model is in force, or one of another model; LockedSetError: a set that changed, a
    model that was not judged on all of it, or a patient of the set who is in the project too.
    """
    settings = state.settings
    if settings.question.classes:
        raise InputError(
            "Promotion compares areas under the curve, of questions with yes and no.",
            "Compare models of classes with `radloop compare`.",
        )
    if not settings.locked:
        raise InputError(
            "The project has no locked test set.",
            "Start it from a table whose split 'test' has labels.",
        )
    force = model_in_force(state)
    if force is not None and (old is None or old.model.get("sha256") != force.get("sha256")):
        raise InputError(
            f"The model in force is '{force.get('name')}'; --old holds no predictions of it.",
            "Give those that it was promoted with, or others of the same model.",
        )
    table = read_cases(cases or project / settings.cases)
    locked = locked_set(table, settings.question, settings.by_slice)
    if locked is None:
        raise InputError("The table has no labelled split 'test' any more.", "Restore it.")
    patients = {case.case_id: case.patient_id for case in table.cases}
    decided = judge_promotion(
        locked,
        None if old is None else _scores(old),
        _scores(new),
        fingerprint=settings.locked,
        margin=margin,
        learned_patients={
            patients[item.case_id] for item in state.items.values() if item.case_id in patients
        },
        seed=settings.seed,
    )
    return decided, {
        "promoted": decided.promoted,
        "new": dict(new.model),
        "old": dict(old.model) if old else None,
        # JSON has no NaN: what was not compared is null.
        "decision": {k: None if v != v else v for k, v in asdict(decided).items()},
    }


def _scores(said: Said) -> dict[str, float]:
    return {name: float(row[-1]) for name, row in said.probabilities.items()}
