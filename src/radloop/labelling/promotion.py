"""Whether a new model may replace the old: only if it is not worse on the locked test set.

The locked set is fixed before the first round: nothing in it is ever asked about or learned from,
and a fingerprint of its cases, patients and truth tells if it was touched. Both models are measured
on the same cases; the difference has an interval by resampling patients in pairs, and the new model
passes when the whole interval lies above minus a margin that was chosen before (ICH E9, 1998,
section 3.3.2). An interval too wide to tell does not pass: the old model stays.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.measures.bootstrap import paired_bootstrap
from radloop.measures.classification import auc
from radloop.measures.margin import Verdict, non_inferiority
from radloop.measures.spec import MeasureSpec

AUC = MeasureSpec("auc", ("score", "truth"), auc, "AUC")
"""The default: columns `score` and `truth`. Any measure of these two columns can be used."""


class LockedSetError(InputError):
    """The locked test set is not the one that was locked, or a model was not judged on all of it,
    or learned from it."""


@dataclass(frozen=True)
class LockedSet:
    """The cases that decide: `(n,)` identifiers, their patients, and the truth, 0 or 1.

    Raises LockedSetError for an empty set, a case twice, or lengths that differ.
    """

    case_ids: tuple[str, ...]
    patients: tuple[str, ...]
    truth: tuple[int, ...]

    def __post_init__(self) -> None:
        n = len(self.case_ids)
        if not n or len(set(self.case_ids)) < n or {len(self.patients), len(self.truth)} != {n}:
            raise LockedSetError(
                "The locked test set is empty, or has a case twice or without patient or truth.",
                "Give every case of it once.",
            )

    @property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of its cases, patients and truth in any order."""
        rows = sorted(zip(self.case_ids, self.patients, self.truth, strict=True))
        digest = hashlib.sha256()
        for row in rows:
            digest.update(repr((row[0], row[1], int(row[2]))).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Promotion:
    """What was decided, and on what.

    promoted: the new model replaces the old. verdict: of the interval against the margin
    (`measures.margin`), or "first" where there was no old model. old, new: the measure of both;
    difference, low, high: of new minus old. Fields are NaN where nothing was compared.
    """

    promoted: bool
    verdict: Verdict | str
    measure: str
    old: float
    new: float
    difference: float
    low: float
    high: float
    margin: float
    cases: int
    patients: int
    fingerprint: str

    def sentence(self) -> str:
        """For the reader."""
        where = f"on {self.cases} locked cases of {self.patients} patients"
        if self.verdict == "first":
            first = "There was no model before: the new one is taken"
            return f"{first}, {self.measure} {self.new:.3f} {where}."
        between = (
            f"{self.measure} {self.new:.3f} against {self.old:.3f} {where}: difference"
            f" {self.difference:+.3f} ({self.low:+.3f} to {self.high:+.3f}), margin {self.margin:g}"
        )
        ends = {
            "superior": "The new model is better and replaces the old.",
            "non-inferior": "The new model is not worse by the margin and replaces the old.",
            "inferior": "The new model is worse; the old one stays.",
            "inconclusive": "It cannot be told that the new model is not worse; the old one stays.",
        }
        return f"{ends[self.verdict]} {between}."


def judge_promotion(
    locked: LockedSet,
    old: Mapping[str, float] | None,
    new: Mapping[str, float],
    *,
    fingerprint: str,
    margin: float = 0.02,
    measure: MeasureSpec = AUC,
    learned_patients: Collection[str] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Promotion:
    """Judge a new model against the old by their scores of the locked cases, case -> score.

    old: None when there is no model yet. fingerprint: that of the set when it was locked.
    learned_patients: of the cases that either model learned from. margin: in the unit of the
    measure, how much worse is not worse.

    Raises LockedSetError when the set was changed, when a model has no score for a case (a model
    must not choose what it is judged on), and when a locked patient was learned from.
    """
    _check(locked, fingerprint, learned_patients)
    truth = np.asarray(locked.truth, np.float64)
    if measure.better == "neither":
        raise ValueError(f"the measure '{measure.name}' has no better side")
    after = {"score": _scores(locked, new, "new"), "truth": truth}
    patients = len(set(locked.patients))
    about = {"cases": len(truth), "patients": patients, "fingerprint": locked.fingerprint}
    title = measure.title or measure.name
    if old is None:
        value = float(measure.compute(*(after[name] for name in measure.columns)))
        return Promotion(True, "first", title, math.nan, value, *(math.nan,) * 3, margin, **about)  # type: ignore[arg-type]
    before = {"score": _scores(locked, old, "old"), "truth": truth}
    paired = paired_bootstrap(before, after, measure, locked.patients, n=resamples, seed=seed)
    judged = non_inferiority(
        paired.difference,
        paired.low,
        paired.high,
        margin,
        "lower" if measure.better == "lower" else "higher",
    )
    return Promotion(
        judged.verdict in ("superior", "non-inferior"),
        judged.verdict,
        title,
        paired.a,
        paired.b,
        paired.difference,
        paired.low,
        paired.high,
        margin,
        len(truth),
        patients,
        locked.fingerprint,
    )


def _check(locked: LockedSet, fingerprint: str, learned: Collection[str]) -> None:
    if locked.fingerprint != fingerprint:
        raise LockedSetError(
            "The test set is not the one that was locked: cases, patients or truth differ.",
            "Restore it, or lock the new set in a new project; models judged on different sets"
            " cannot be compared.",
        )
    seen = len(set(locked.patients) & set(learned))
    if seen:
        raise LockedSetError(
            f"{seen} patients of the locked test set were learned from.",
            "Train again without them; this model cannot be judged here.",
        )


def _scores(locked: LockedSet, scores: Mapping[str, float], which: str) -> npt.NDArray[np.float64]:
    missing = [name for name in locked.case_ids if not math.isfinite(scores.get(name, math.nan))]
    if missing:
        raise LockedSetError(
            f"The {which} model has no score for {len(missing)} of {len(locked.case_ids)} locked"
            " cases.",
            "Both models must be judged on all of them: predict the locked set again.",
        )
    return np.array([scores[name] for name in locked.case_ids], np.float64)
