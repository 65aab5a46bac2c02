"""Promotion: only a model that is not worse on all of an unchanged locked set replaces the old."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from radloop.labelling.promotion import LockedSet, LockedSetError, judge_promotion
from radloop.measures.spec import MeasureSpec

N = 120


def locked_set(n: int = N) -> LockedSet:
    """Two cases a patient; every second patient is positive."""
    names = tuple(f"c{k:03}" for k in range(n))
    return LockedSet(
        names, tuple(f"p{k // 2}" for k in range(n)), tuple(k // 2 % 2 for k in range(n))
    )


def scores(strength: float, seed: int = 0, n: int = N) -> dict[str, float]:
    """A model; the same seed, the same noise."""
    noise = np.random.default_rng(seed).normal(size=n)
    truth = locked_set(n).truth
    return {f"c{k:03}": float(noise[k] + strength * truth[k]) for k in range(n)}


def judged(old, new, **more):
    locked = locked_set()
    return judge_promotion(locked, old, new, fingerprint=locked.fingerprint, **more)


def test_the_first_model_is_taken():
    found = judged(None, scores(1.0))
    assert (found.promoted, found.verdict) == (True, "first")
    assert found.new == pytest.approx(roc_auc_score(locked_set().truth, list(scores(1.0).values())))
    assert math.isnan(found.old) and math.isnan(found.low)
    assert found.sentence().startswith("There was no model before: the new one is taken, AUC 0.")
    assert "on 120 locked cases of 60 patients" in found.sentence()


@pytest.mark.parametrize(
    ("old", "new", "margin", "verdict", "promoted", "said"),
    [
        (0.5, 2.5, 0.02, "superior", True, "is better and replaces"),
        (2.5, 0.5, 0.02, "inferior", False, "is worse; the old one stays"),
        (2.5, 2.47, 0.02, "non-inferior", True, "not worse by the margin"),
        (2.5, 2.47, 1e-4, "inconclusive", False, "cannot be told"),
    ],
)
def test_what_is_decided(old, new, margin, verdict, promoted, said):
    found = judged(scores(old), scores(new), margin=margin)
    assert (found.verdict, found.promoted) == (verdict, promoted)
    truth = locked_set().truth
    before, after = (roc_auc_score(truth, list(scores(s).values())) for s in (old, new))
    assert (found.old, found.new) == pytest.approx((before, after))
    assert found.difference == pytest.approx(after - before)
    assert found.low <= found.difference <= found.high
    assert said in found.sentence()


def test_two_models_of_other_noise_on_few_cases_cannot_be_told_apart():
    found = judged(scores(1.0, 1), scores(1.0, 2))
    assert (found.verdict, found.promoted) == ("inconclusive", False)


def test_a_measure_of_which_less_is_better():
    def brier(score, truth):
        return float(np.mean((score - truth) ** 2))

    spec = MeasureSpec("brier", ("score", "truth"), brier, "Brier score", better="lower")
    truth = np.array(locked_set().truth, float)
    names = locked_set().case_ids
    sharp, dull = (
        {n: float(abs(t - e)) for n, t in zip(names, truth, strict=True)} for e in (0.1, 0.4)
    )
    found = judged(dull, sharp, measure=spec)
    assert (found.verdict, found.promoted) == ("superior", True)
    assert found.new == pytest.approx(brier_score_loss(truth, [sharp[n] for n in names]))
    assert not judged(sharp, dull, measure=spec).promoted
    neither = MeasureSpec("mean", ("score", "truth"), brier, better="neither")
    with pytest.raises(ValueError, match="no better side"):
        judged(sharp, dull, measure=neither)


def test_the_fingerprint_knows_the_set_and_not_its_order():
    locked = locked_set()
    order = np.random.default_rng(0).permutation(N)
    turned = LockedSet(
        tuple(locked.case_ids[i] for i in order),
        tuple(locked.patients[i] for i in order),
        tuple(locked.truth[i] for i in order),
    )
    assert turned.fingerprint == locked.fingerprint
    for change in (
        LockedSet(("x", *locked.case_ids[1:]), locked.patients, locked.truth),
        LockedSet(locked.case_ids, ("x", *locked.patients[1:]), locked.truth),
        LockedSet(locked.case_ids, locked.patients, (1 - locked.truth[0], *locked.truth[1:])),
        locked_set(N - 1),
    ):
        assert change.fingerprint != locked.fingerprint
        with pytest.raises(LockedSetError, match="not the one that was locked"):
            judge_promotion(change, None, scores(1.0), fingerprint=locked.fingerprint)


@pytest.mark.parametrize(
    ("cases", "patients", "truth"),
    [((), (), ()), (("a", "a"), ("p", "p"), (0, 1)), (("a", "b"), ("p",), (0, 1))],
)
def test_sets_that_are_none(cases, patients, truth):
    with pytest.raises(LockedSetError, match="empty, or has a case twice"):
        LockedSet(cases, patients, truth)


def test_a_model_must_be_judged_on_all_and_have_learned_from_none():
    whole = scores(1.0)
    part = {name: value for name, value in whole.items() if name != "c005"}
    with pytest.raises(LockedSetError, match="The new model has no score for 1 of 120"):
        judged(whole, part)
    with pytest.raises(LockedSetError, match="The old model has no score for 1 of 120"):
        judged(whole | {"c007": math.nan}, whole)
    with pytest.raises(LockedSetError, match="2 patients of the locked test set were learned"):
        judged(whole, whole, learned_patients=["p1", "p2", "somebody else"])
