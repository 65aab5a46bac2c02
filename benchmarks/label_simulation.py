"""Incremental labelling with a simulated expert, on real images whose truth is known.

    nice python benchmarks/label_simulation.py review --data DATA --cache CACHE --out OUT
    nice python benchmarks/label_simulation.py curves --data DATA --cache CACHE --out OUT
    nice python benchmarks/label_simulation.py audit  --data DATA --cache CACHE --out OUT

DATA holds `bone/` and `head_ct/`; CACHE keeps their frozen features (`label_data.py`), from which
heads learn (`label_heads.py`). `review`: a fifth of the training labels is flipped, the
expert looks at what a strategy picks, a twentieth of the items a round; every patient is tested
once a seed. `curves`: labels from nothing, by each strategy; a quarter of the patients is locked
for the test, anew with each seed. `audit`: does the interval of the remaining error cover the
truth, and what would be believed without an audit? Each prints tables and writes a picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from label_data import SETS, Items, load
from label_heads import MEMBERS, HeadLearner, folds_of, part
from label_plots import plot_audit, plot_curves, plot_review
from radloop.labelling.pool import Pick, Pool
from radloop.labelling.remaining import remaining_error, without_audit
from radloop.labelling.simulation import (
    Learned,
    Numbers,
    Rank,
    Round,
    SimulatedExpert,
    area_under_curve,
    flipped,
    labelling_loop,
    labels_needed,
    review_loop,
)
from radloop.labelling.strategies import INFORMATIVE, STRATEGIES
from radloop.measures.classification import auc
from radloop.measures.interval import wilson

NOISE = 0.2
BATCH = 0.05
LOOKED = 0.3
BAR = 0.15
REVIEWS = ("errors", "noise", "random", "oracle")
"""`oracle` looks at wrong labels alone: no review can be better."""
SIZES = (30, 60, 120, 240, 480)
AUDITED = 0.25
RESAMPLES = 1000


# --- review --------------------------------------------------------------------------------------


def review(items: Items, seeds: int, count: int) -> dict[str, Any]:
    """Accuracy and AUC by items looked at, label error, precision; `count` parts a seed."""
    steps = round(LOOKED / BATCH) + 1
    scores = {name: np.zeros((seeds, len(items))) for name in ("clean", "noisy")}
    scores |= {
        f"{name} {k}": np.zeros((seeds, len(items))) for name in REVIEWS for k in range(steps)
    }
    wrong = {name: np.zeros((seeds, count, steps)) for name in REVIEWS}
    precision = {name: np.zeros((seeds, count, steps)) for name in REVIEWS}
    for seed in range(seeds):
        for fold, (locked, parts) in enumerate(folds_of(items, count, seed)):
            train, test = parts.train, parts.test.features
            learner, n = HeadLearner(train, seed), len(train)
            given = flipped(train.truth, NOISE, 1000 * seed + fold)
            scores["clean"][seed, locked] = learner.final(train.truth.astype(float))(test)
            scores["noisy"][seed, locked] = learner.final(given)(test)
            for name in REVIEWS:
                asks = name in ("errors", "noise")
                rounds = review_loop(
                    given,
                    SimulatedExpert(train.truth),
                    learner if asks else _nothing,
                    _oracle(train.truth) if name == "oracle" else STRATEGIES[name],
                    batch=round(BATCH * n),
                    budget=round(LOOKED * n),
                    seed=seed,
                )
                for k in range(steps):
                    now = rounds[min(k, len(rounds) - 1)]
                    head = learner.final(now.labels)
                    scores[f"{name} {k}"][seed, locked] = head(test)
                    wrong[name][seed, fold, k] = now.wrong / n
                    precision[name][seed, fold, k] = now.precision
            print(f"  seed {seed}, part {fold + 1} of {count}", flush=True)
    shares = [BATCH * k for k in range(steps)]
    return {
        "shares": shares,
        "majority": float(max(items.truth.mean(), 1 - items.truth.mean())),
        "clean": _judged(items, scores["clean"], scores["clean"]),
        "noisy": _judged(items, scores["noisy"], scores["clean"]),
        **{
            name: {
                "wrong": wrong[name].mean(axis=(0, 1)).tolist(),
                "precision": precision[name].mean(axis=(0, 1)).tolist(),
                "judged": [
                    _judged(items, scores[f"{name} {k}"], scores["clean"]) for k in range(steps)
                ],
            }
            for name in REVIEWS
        },
    }


def _nothing(labels: Numbers, seed: int) -> Learned:
    """For strategies that ask no model."""
    return Learned(np.full(len(labels), 0.5))


def _oracle(truth: npt.NDArray[np.int64]) -> Rank:
    """Picks items whose label is wrong, and none else, in random order."""

    def rank(pool: Pool, k: int, seed: int) -> tuple[Pick, ...]:
        own = truth[np.array(pool.case_ids, np.intp)]
        wrong = np.random.default_rng(seed).permutation(np.flatnonzero(pool.labels != own))
        return tuple(Pick(pool.case_ids[i], "oracle", 0.0) for i in wrong[:k])

    return rank


def _judged(items: Items, scores: Numbers, clean: Numbers) -> dict[str, list[float]]:
    """Accuracy and AUC, means over seeds, and their differences from `clean`, each as value, low,
    high: 95 % by 1,000 resamples of patients; scores: `(seeds, n)`."""
    names, number = np.unique(items.patients, return_inverse=True)
    members = [np.flatnonzero(number == k) for k in range(len(names))]
    rng = np.random.default_rng(0)
    every = np.arange(len(items))
    drawn = [
        np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])
        for _ in range(RESAMPLES)
    ]
    right = {id(one): ((one >= 0.5) == items.truth).mean(axis=0) for one in (scores, clean)}

    def measures(at: npt.NDArray[Any]) -> list[float]:
        accuracy = [right[id(one)][at].mean() for one in (scores, clean)]
        area = [np.mean([auc(row[at], items.truth[at]) for row in one]) for one in (scores, clean)]
        return [accuracy[0], accuracy[0] - accuracy[1], area[0], area[0] - area[1]]

    value = measures(every)
    low, high = np.percentile([measures(at) for at in drawn], [2.5, 97.5], axis=0)
    keys = ("accuracy", "accuracy difference", "auc", "auc difference")
    return {
        key: [float(v), float(a), float(b)]
        for key, v, a, b in zip(keys, value, low, high, strict=True)
    }


def print_review(name: str, found: dict[str, Any]) -> None:
    """The table of one set."""
    print(f"\n{name}: always the commoner answer is right in {found['majority']:.1%}")
    print("labels                looked at  wrong  precision  accuracy      against clean (points)"
          "        AUC    against clean")  # fmt: skip
    rows: list[tuple[str, float, float, float, dict[str, list[float]]]] = [
        ("clean", 0.0, 0.0, float("nan"), found["clean"]),
        ("noisy", 0.0, NOISE, float("nan"), found["noisy"]),
    ]
    for strategy in REVIEWS:
        one = found[strategy]
        rows += [
            (strategy, share, one["wrong"][k], one["precision"][k], one["judged"][k])
            for k, share in enumerate(found["shares"])
            if k
        ]
    for label, share, wrong, precision, judged in rows:
        a, d, u, v = judged.values()
        print(
            f"{label:20}  {share:8.0%}  {wrong:5.1%}  {precision:9.0%}"
            f"  {a[0]:.1%} ({a[1]:.1%}-{a[2]:.1%})  {100 * d[0]:+.1f} ({100 * d[1]:+.1f} to"
            f" {100 * d[2]:+.1f})  {u[0]:.3f}  {v[0]:+.3f} ({v[1]:+.3f} to {v[2]:+.3f})"
        )
    for strategy in REVIEWS:
        enough = [
            share
            for k, share in enumerate(found["shares"])
            if found[strategy]["judged"][k]["accuracy difference"][0] >= -0.005
        ]
        first = f"{enough[0]:.0%}" if enough else f"more than {LOOKED:.0%}"
        print(f"{strategy}: within half a point of the clean labels' accuracy at {first} looked at")


# --- curves --------------------------------------------------------------------------------------


def curves(items: Items, seeds: int) -> dict[str, Any]:
    """AUC on locked patients by number of labels, of each strategy and seed."""
    areas: dict[str, list[list[float]]] = {name: [] for name in INFORMATIVE}
    full, sizes = [], []
    for seed in range(seeds):
        parts = part(items, 0.25, seed)
        train, test = parts.train, parts.test
        n = len(train)
        sizes = [*(size for size in SIZES if size < n), n]
        plain = HeadLearner(train, seed)
        start = _start(train, sizes[0], seed)
        full.append(float(auc(plain.final(train.truth.astype(float))(test.features), test.truth)))
        for name, rank in INFORMATIVE.items():
            learner: Callable[[Numbers, int], Learned] = plain
            if name in ("random", "coreset"):
                learner = _nothing
            elif name == "disagreement":
                learner = HeadLearner(train, seed, MEMBERS)
            steps = labelling_loop(
                start, SimulatedExpert(train.truth), learner, rank, sizes[:-1],
                seed=seed, features=train.features,
            )  # fmt: skip
            heads = [plain.final(labels) for labels in steps]
            areas[name].append(
                [*(float(auc(head(test.features), test.truth)) for head in heads), full[-1]]
            )
        print(f"  seed {seed}", flush=True)
    return {"sizes": sizes, "full": full, "areas": areas}


def _start(train: Items, count: int, seed: int) -> npt.NDArray[np.int64]:
    """A random sample that holds both answers."""
    rng = np.random.default_rng((seed, 11))
    while True:
        places = rng.choice(len(train), count, replace=False)
        if 0 < train.truth[places].sum() < count:
            return np.asarray(places, np.int64)


def print_curves(name: str, found: dict[str, Any]) -> None:
    """Height of the curves, against random choice, and how many labels are enough."""
    sizes, full = found["sizes"], np.array(found["full"])
    print(f"\n{name}: AUC with all {sizes[-1]} labels {_mean(full)}; sizes {sizes}")
    heights = {
        strategy: np.array([area_under_curve(sizes, one) for one in rows])
        for strategy, rows in found["areas"].items()
    }
    print("strategy         mean height            against random            labels for full - .02")
    for strategy, rows in found["areas"].items():
        difference = heights[strategy] - heights["random"]
        each = [
            labels_needed(sizes, row, whole - 0.02) for row, whole in zip(rows, full, strict=True)
        ]
        mean = labels_needed(sizes, np.mean(rows, axis=0).tolist(), float(full.mean()) - 0.02)
        print(
            f"{strategy:15} {_mean(heights[strategy])}  {_mean(difference, '+.3f')}  {mean:5.0f} by"
            f" the mean curve; by seed {', '.join(f'{one:.0f}' for one in each)}"
        )
        print(" " * 16 + " ".join(f"{v:.3f}" for v in np.mean(rows, axis=0)))


def _mean(values: npt.ArrayLike, form: str = ".3f") -> str:
    """Mean and its 95 % interval over seeds (Student's t)."""
    numbers = np.asarray(values, np.float64)
    half = stats.t.ppf(0.975, len(numbers) - 1) * stats.sem(numbers)
    low, high = numbers.mean() - half, numbers.mean() + half
    return f"{numbers.mean():{form}} ({low:{form}} to {high:{form}})"


# --- audit ---------------------------------------------------------------------------------------


def audit(items: Items, runs: int) -> dict[str, Any]:
    """Reviews with and without an audit: what is still wrong, and what is believed of it; when
    `BAR` of the items are read, and when no dispute is left.

    Two kinds of wrong labels: `chance` flips any; `look-alike` flips those that a model, learned
    from the truth, takes for the other class, with a chance that grows with how sure it is.
    """
    train = part(items, 0.0, 0).train
    learner, n = HeadLearner(train), len(train)
    doubt = np.abs(learner(train.truth.astype(float), 0).probabilities - train.truth)
    expert = SimulatedExpert(train.truth)
    found: dict[str, Any] = {}
    for kind, weights in (("chance", None), ("look-alike", doubt**3 + 1e-4)):
        kept: dict[str, list[dict[str, float]]] = {"early": [], "end": []}
        for run in range(runs):
            given = flipped(train.truth, NOISE, 7000 + run, weights)
            blind, seen = (
                review_loop(
                    given, expert, learner, STRATEGIES["errors"],
                    batch=round(BATCH * n), budget=n, audit=share, seed=run,
                )
                for share in (0.0, AUDITED)
            )  # fmt: skip
            for when, at in (("early", round(BAR / BATCH)), ("end", -1)):
                kept[when].append(_believed(blind[at], seen[at], n))
        found |= {f"{kind}, {when}": rows for when, rows in kept.items()}
        print(f"  {kind}: {runs} runs", flush=True)
    return found


def _believed(blind: Round, seen: Round, n: int) -> dict[str, float]:
    """Shares of all labels, of one run without and with an audit."""
    left = remaining_error(seen.audits, n - seen.read, n)
    return {
        "blind read": blind.read / n,
        "blind wrong": blind.wrong / n,
        "blind believed": without_audit(np.nan_to_num(blind.precision), blind.disputed_left) / n,
        "read": seen.read / n,
        "wrong": seen.wrong / n,
        "estimate": left.share,
        "low": left.share_low,
        "high": left.share_high,
        "covers": float(left.low <= seen.wrong <= left.high),
    }


def print_audit(name: str, found: dict[str, Any]) -> None:
    """Bias and coverage, by kind of wrong labels and when."""
    for kind, runs in found.items():

        def of(key: str, runs: list[dict[str, float]] = runs) -> Numbers:
            return np.array([run[key] for run in runs], np.float64)

        bias, fair = of("blind believed") - of("blind wrong"), of("estimate") - of("wrong")
        held = wilson(int(of("covers").sum()), len(runs))
        print(
            f"\n{name}, wrong by {kind}, {len(runs)} runs:\n"
            f"  errors alone: {of('blind read').mean():.1%} read,"
            f" {of('blind wrong').mean():.2%} still wrong,"
            f" believed {of('blind believed').mean():.2%}: bias {_mean(bias, '+.2%')}\n"
            f"  with audit:   {of('read').mean():.1%} read, {of('wrong').mean():.2%} still wrong,"
            f" estimated {of('estimate').mean():.2%}: bias {_mean(fair, '+.2%')};"
            f" interval {of('low').mean():.1%} to {of('high').mean():.1%} in the mean, covers in"
            f" {held.value:.1%} ({held.low:.1%} to {held.high:.1%})"
        )


# --- all -----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("review", "curves", "audit"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", type=int, default=4, help="of `review`, a seed")
    parser.add_argument("--runs", type=int, default=200, help="of `audit`")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    measure: dict[str, Callable[[Items], dict[str, Any]]] = {
        "review": lambda items: review(items, options.seeds, options.parts),
        "curves": lambda items: curves(items, options.seeds),
        "audit": lambda items: audit(items, options.runs),
    }
    printed = {"review": print_review, "curves": print_curves, "audit": print_audit}
    drawn: dict[str, Callable[[dict[str, Any], Path], None]] = {
        "review": plot_review, "curves": plot_curves, "audit": plot_audit,
    }  # fmt: skip
    for name in options.sets:
        items = load(name, options.data, options.cache)
        found = measure[options.what](items)
        place = options.out / f"label-{options.what}-{name}"
        place.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")
        printed[options.what](name, found)
        drawn[options.what](found, place.with_suffix(".png"))


if __name__ == "__main__":
    main()
