"""Data of two models or readers on the same cases, with a known truth: `coverage.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from coverage_of_one import (
    AUC,
    MEAN,
    SENSITIVITY,
    Bounds,
    Floats,
    Rows,
    Setting,
    names,
    of_patients,
    scores,
    seed_of,
)
from radloop.measures.best_interval import known_difference
from radloop.measures.bootstrap import paired_bootstrap
from radloop.measures.interval import Interval
from radloop.measures.kappa import cohen_kappa, fleiss_kappa
from radloop.measures.matched import matched_sensitivity
from radloop.measures.paired_tests import permutation_p
from radloop.measures.spec import MeasureSpec


def differences(resamples: int) -> Iterator[Setting]:
    """Two models on the same cases."""

    def pair(
        what: str, data: str, truth: float, spec: MeasureSpec,
        draw: Callable[[np.random.Generator], tuple[Rows, Rows, Sequence[str]]], method: str,
    ) -> Setting:  # fmt: skip
        def interval(generator: np.random.Generator) -> Bounds:
            a, b, patients = draw(generator)
            if method in ("percentile", "BCa"):
                found = paired_bootstrap(
                    a,
                    b,
                    spec,
                    patients,
                    n=resamples,
                    seed=seed_of(generator),
                    method=method.lower(),
                )
                return found.low, found.high
            known = known_difference(a, b, spec, patients)
            assert known is not None
            return known.low, known.high

        return Setting(what, method, data, truth, interval)

    def two(truth: Floats, area_a: float, area_b: float) -> Callable[..., object]:
        def draw(generator: np.random.Generator) -> tuple[Rows, Rows, list[str]]:
            first, second = scores(generator, truth, [area_a, area_b], 0.5)
            rows = ({"score": one, "truth": truth} for one in (first, second))
            return *rows, names(truth.size)

        return draw

    def clustered(share_a: float, share_b: float, count: int) -> Callable[..., object]:
        def draw(generator: np.random.Generator) -> tuple[Rows, Rows, list[str]]:
            _, patient = of_patients(generator, count, 5)
            truth = np.ones(patient.size)
            noise = scores(generator, truth, [0.5, 0.5], 0.5, patient, 0.3)
            shift = stats.norm.ppf([share_a, share_b])[:, None]
            first, second = noise + shift
            rows = ({"score": one, "truth": truth} for one in (first, second))
            return *rows, patient.astype(str).tolist()

        return draw

    def dice(n: int) -> Callable[..., object]:
        def draw(generator: np.random.Generator) -> tuple[Rows, Rows, list[str]]:
            hard = generator.beta(8, 1.5, n)
            rows = ({"value": hard * generator.beta(30, 1, n)} for _ in range(2))
            return *rows, names(n)

        return draw

    def shares(share_a: float, share_b: float, n: int) -> Callable[..., object]:
        def draw(generator: np.random.Generator) -> tuple[Rows, Rows, list[str]]:
            truth = np.ones(n)
            noise = scores(generator, truth, [0.5, 0.5], 0.6)
            first, second = noise + stats.norm.ppf([share_a, share_b])[:, None]
            rows = ({"score": one, "truth": truth} for one in (first, second))
            return *rows, names(n)

        return draw

    few, rare = np.repeat([1.0, 0.0], [30, 70]), np.repeat([1.0, 0.0], [20, 100])
    cases = [
        ("AUC, B − A", "0.85 and 0.90, 30 + 70 cases", 0.05, AUC, two(few, 0.85, 0.9), "DeLong"),
        ("AUC, B − A", "0.95 and 0.95, 20 + 100 cases", 0.0, AUC, two(rare, 0.95, 0.95), "DeLong"),
        ("share, B − A", "0.80 and 0.80 of 100", 0.0, SENSITIVITY, shares(0.8, 0.8, 100),
         "Newcombe"),
        ("share, B − A", "0.90 and 0.95 of 60", 0.05, SENSITIVITY, shares(0.9, 0.95, 60),
         "Newcombe"),
        ("share of cases, B − A", "0.80 and 0.85, 80 patients of 1 to 5 cases", 0.05, SENSITIVITY,
         clustered(0.8, 0.85, 80), "Newcombe, clustered"),
    ]  # fmt: skip
    for what, data, truth, spec, draw, method in cases:
        for one in (method, "percentile", "BCa"):
            yield pair(what, data, truth, spec, draw, one)  # type: ignore[arg-type]
    for one in ("percentile", "BCa"):
        yield pair("mean Dice, B − A", "no difference, 40 cases", 0.0, MEAN, dice(40), one)  # type: ignore[arg-type]


def matched(resamples: int) -> Iterator[Setting]:
    """A model at the specificity of a reader."""
    truth = np.repeat([1.0, 0.0], [60, 120])
    strict = float(stats.norm.ppf(0.9))  # the reader's specificity
    shift = np.sqrt(2) * stats.norm.ppf([0.92, 0.85])
    model, reader = stats.norm.cdf(shift - strict)

    def interval(generator: np.random.Generator) -> Bounds:
        score, rating = scores(generator, truth, [0.92, 0.85], 0.5)
        found = matched_sensitivity(
            score, rating > strict, truth, n=resamples, seed=seed_of(generator)
        )
        return found.low, found.high

    data = f"{model - reader:.3f}, 60 + 120 cases"
    what = "sensitivity at a reader's specificity, model − reader"
    yield Setting(what, "percentile, threshold anew", data, float(model - reader), interval)


def kappas(_: int) -> Iterator[Setting]:
    """Answers that copy one hidden answer with chance sqrt(k), else are drawn anew, have a kappa
    of k, weighted or not."""

    def answers(generator: np.random.Generator, k: float, n: int, shares: Sequence[float],
                readers: int) -> list[Floats]:  # fmt: skip
        classes = np.arange(len(shares))
        hidden, *own = (generator.choice(classes, n, p=shares) for _ in range(readers + 1))
        return [np.where(generator.random(n) < np.sqrt(k), hidden, one) * 1.0 for one in own]

    def setting(what: str, k: float, n: int, shares: Sequence[float]) -> Setting:
        of: Callable[[list[Floats]], Interval]
        if what.startswith("Fleiss"):
            readers, method, of = 3, "Gwet's linearisation", fleiss_kappa
        elif what.endswith("weighted"):
            readers, method = 2, "Fleiss-Cohen-Everitt"
            of = lambda said: cohen_kappa(*said, weights="linear")  # noqa: E731
        else:
            readers, method, of = 2, "Fleiss-Cohen-Everitt", lambda said: cohen_kappa(*said)

        def interval(generator: np.random.Generator) -> Bounds:
            found = of(answers(generator, k, n, shares, readers))
            return found.low, found.high

        classes = " : ".join(f"{share:g}" for share in shares)
        return Setting(what, method, f"{k:g}, {n} cases, classes {classes}", k, interval)

    yield setting("Cohen's kappa", 0.6, 100, (0.6, 0.4))
    yield setting("Cohen's kappa", 0.8, 300, (0.8, 0.2))
    yield setting("Cohen's kappa", 0.6, 50, (0.8, 0.2))
    yield setting("Cohen's kappa, weighted", 0.6, 100, (0.5, 0.3, 0.2))
    yield setting("Fleiss' kappa, 3 readers", 0.6, 100, (0.6, 0.4))
    yield setting("Fleiss' kappa, 3 readers", 0.4, 200, (0.5, 0.3, 0.2))


def false_alarms(resamples: int) -> Iterator[Setting]:
    """Tests without a difference, as intervals that hold the truth (0) when p >= 0.05."""
    truth = np.repeat([1.0, 0.0], [30, 70])

    def setting(spec: MeasureSpec, method: str, data: str) -> Setting:
        def interval(generator: np.random.Generator) -> Bounds:
            positive = np.ones(100) if spec is SENSITIVITY else truth
            noise = scores(generator, positive, [0.5 if spec is SENSITIVITY else 0.85] * 2, 0.5)
            shift = stats.norm.ppf(0.85) if spec is SENSITIVITY else 0.0
            a, b = ({"score": one + shift, "truth": positive} for one in noise)
            if method == "permutation":
                p = permutation_p(a, b, spec, names(100), n=resamples, seed=seed_of(generator))
            elif method == "paired bootstrap":
                p = paired_bootstrap(a, b, spec, names(100), n=resamples, seed=seed_of(generator)).p
            else:
                known = known_difference(a, b, spec, names(100))
                p = known.p if known else 0.0
            return (-1.0, 1.0) if p >= 0.05 else (1.0, 2.0)

        return Setting("test", method, data, 0.0, interval)

    for method in ("DeLong", "permutation", "paired bootstrap"):
        yield setting(AUC, method, "AUC 0.85, 30 + 70 cases")
    for method in ("McNemar, mid-p", "permutation", "paired bootstrap"):
        yield setting(SENSITIVITY, method, "share 0.85 of 100")
