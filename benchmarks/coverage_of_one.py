"""Data of one model with a known truth, and the intervals that should hold it: `coverage.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import expit, logit

from radloop.measures.bootstrap import patient_bootstrap
from radloop.measures.classification import (
    at_threshold,
    auc,
    brier_score,
    expected_calibration_error,
    sensitivity,
    youden,
)
from radloop.measures.delong import auc_interval, delong
from radloop.measures.interval import wilson
from radloop.measures.proportions import clustered_wilson
from radloop.measures.spec import MeasureSpec
from radloop.measures.sums import mean

Floats = npt.NDArray[np.float64]
Rows = dict[str, Floats]
Bounds = tuple[float, float]

AUC = MeasureSpec("auc", ("score", "truth"), auc)
SENSITIVITY = MeasureSpec("sensitivity", ("score", "truth"), at_threshold(sensitivity, 0.0))
YOUDEN = MeasureSpec("youden", ("score", "truth"), at_threshold(youden, 0.0))
BRIER = MeasureSpec("brier", ("probability", "truth"), brier_score)
CALIBRATION = MeasureSpec("ece", ("probability", "truth"), expected_calibration_error)
MEAN = MeasureSpec("mean", ("value",), mean)


@dataclass(frozen=True)
class Setting:
    """interval: draws data and gives the ends. truth: what they should hold."""

    what: str
    method: str
    data: str
    truth: float
    interval: Callable[[np.random.Generator], Bounds]


def names(count: int) -> list[str]:
    return [str(k) for k in range(count)]


def seed_of(generator: np.random.Generator) -> int:
    return int(generator.integers(2**32))


def scores(
    generator: np.random.Generator, truth: Floats, areas: Sequence[float], alike: float = 0.0,
    patient: npt.NDArray[np.intp] | None = None, within: float = 0.0,
) -> Floats:  # fmt: skip
    """Normal scores `(areas, n)` whose ROC curves have these areas. alike: the correlation of two
    scores of a case. within: that of the cases of one patient."""
    shift = np.sqrt(2) * stats.norm.ppf(areas)[:, None] * truth
    shared = np.sqrt(alike) * generator.normal(size=truth.size)
    own = np.sqrt(1 - alike) * generator.normal(size=(len(areas), truth.size))
    noise = shared + own
    if patient is not None:
        common = generator.normal(size=int(patient.max()) + 1)[patient]
        noise = np.sqrt(within) * common + np.sqrt(1 - within) * noise
    return shift + noise


def of_patients(
    generator: np.random.Generator, count: int, most: int
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """How many cases each patient has, 1 to `most`, and the patient of every case."""
    cases = generator.integers(1, most + 1, count)
    return cases.astype(np.float64), np.repeat(np.arange(count), cases)


def single_shares(resamples: int) -> Iterator[Setting]:
    def setting(method: str, share: float, n: int) -> Setting:
        def interval(generator: np.random.Generator) -> Bounds:
            score = stats.norm.ppf(share) + generator.normal(size=n)
            if method == "Wilson":
                found = wilson(int((score >= 0).sum()), n)
            else:
                rows = {"score": score, "truth": np.ones(n)}
                found = patient_bootstrap(
                    rows,
                    SENSITIVITY,
                    names(n),
                    n=resamples,
                    seed=seed_of(generator),
                    method=method.lower(),
                )
            return found.low, found.high

        return Setting("share", method, f"{share:g} of {n}", share, interval)

    for share, n in ((0.9, 50), (0.95, 50), (0.95, 200)):
        yield from (setting(method, share, n) for method in ("Wilson", "BCa", "percentile"))


def clustered_shares(resamples: int) -> Iterator[Setting]:
    def setting(method: str, share: float, count: int, most: int, within: float) -> Setting:
        def interval(generator: np.random.Generator) -> Bounds:
            cases, patient = of_patients(generator, count, most)
            alpha = (1 - within) / within
            chance = generator.beta(share * alpha, (1 - share) * alpha, count)
            hits = generator.binomial(cases.astype(int), chance).astype(np.float64)
            if method == "Wilson, clustered":
                found = clustered_wilson(hits, cases)
            elif method == "Wilson, patients ignored":
                found = wilson(int(hits.sum()), int(cases.sum()))
            else:
                order = np.arange(patient.size) - np.repeat(
                    np.cumsum(cases) - cases, cases.astype(int)
                )
                rows = {"value": (order < hits[patient]).astype(np.float64)}
                found = patient_bootstrap(
                    rows,
                    MEAN,
                    patient.astype(str),
                    n=resamples,
                    seed=seed_of(generator),
                    method="bca",
                )
            return found.low, found.high

        data = f"{share:g}, {count} patients of 1 to {most} cases, correlation {within:g}"
        return Setting("share of cases", method, data, share, interval)

    methods = ("Wilson, clustered", "BCa", "Wilson, patients ignored")
    for case in ((0.9, 50, 5, 0.3), (0.8, 100, 7, 0.2), (0.7, 20, 9, 0.3)):
        yield from (setting(method, *case) for method in methods)


def areas(resamples: int) -> Iterator[Setting]:
    def setting(method: str, area: float, positives: int, negatives: int) -> Setting:
        truth = np.repeat([1.0, 0.0], [positives, negatives])

        def interval(generator: np.random.Generator) -> Bounds:
            score = scores(generator, truth, [area])[0]
            if method.startswith("DeLong"):
                scale = "plain" if "plain" in method else "logit"
                found = auc_interval(delong(score, truth), scale=scale)
            else:
                rows = {"score": score, "truth": truth}
                found = patient_bootstrap(
                    rows,
                    AUC,
                    names(truth.size),
                    n=resamples,
                    seed=seed_of(generator),
                    method=method.lower(),
                )
            return found.low, found.high

        data = f"{area:g}, {positives} positive and {negatives} negative cases"
        return Setting("AUC", method, data, area, interval)

    methods = ("DeLong, logit", "DeLong, plain", "BCa", "percentile")
    for case in ((0.8, 50, 50), (0.95, 50, 50), (0.9, 20, 180), (0.9, 10, 190)):
        yield from (setting(method, *case) for method in methods)


def clustered_areas(resamples: int) -> Iterator[Setting]:
    def setting(method: str, of: str, area: float, count: int, most: int, within: float) -> Setting:
        def interval(generator: np.random.Generator) -> Bounds:
            _, patient = of_patients(generator, count, most)
            ill = (generator.random(patient.size if of == "cases" else count) < 0.4) * 1.0
            truth = ill if of == "cases" else ill[patient]
            score = scores(generator, truth, [area], 0.0, patient, within)[0]
            if method == "BCa":
                rows = {"score": score, "truth": truth}
                found = patient_bootstrap(
                    rows, AUC, patient.astype(str), n=resamples, seed=seed_of(generator)
                )
            else:
                ignored = method.endswith("ignored")
                found = auc_interval(delong(score, truth, None if ignored else patient))
            return found.low, found.high

        data = f"{area:g}, {count} patients of 1 to {most} cases, correlation {within:g}"
        return Setting("AUC of cases", method, f"{data}, {of} ill or not", area, interval)

    for of in ("cases", "patients"):
        for method in ("DeLong, clustered", "BCa", "DeLong, patients ignored"):
            yield setting(method, of, 0.85, 60, 5, 0.5)


def bootstrapped(resamples: int) -> Iterator[Setting]:
    """Measures that have no formula."""

    def setting(
        what: str, data: str, truth: float, spec: MeasureSpec, method: str,
        draw: Callable[[np.random.Generator], Rows],
    ) -> Setting:  # fmt: skip
        def interval(generator: np.random.Generator) -> Bounds:
            rows = draw(generator)
            found = patient_bootstrap(
                rows,
                spec,
                names(len(next(iter(rows.values())))),
                n=resamples,
                seed=seed_of(generator),
                method=method.lower(),
            )
            return found.low, found.high

        return Setting(what, method, data, truth, interval)

    def dice(n: int) -> Callable[[np.random.Generator], Rows]:
        return lambda generator: {"value": generator.beta(8, 1.5, n)}

    def distance(n: int) -> Callable[[np.random.Generator], Rows]:
        return lambda generator: {"value": generator.lognormal(1.0, 0.7, n)}

    def brier(generator: np.random.Generator) -> Rows:
        probability = generator.beta(1, 3, 100)
        return {"probability": probability, "truth": (generator.random(100) < probability) * 1.0}

    def too_sure(n: int) -> Callable[[np.random.Generator], Rows]:
        def draw(generator: np.random.Generator) -> Rows:
            chance = generator.beta(2, 2, n)
            truth = (generator.random(n) < chance) * 1.0
            return {"probability": expit(2 * logit(chance)), "truth": truth}

        return draw

    def called(generator: np.random.Generator) -> Rows:
        truth = np.repeat([1.0, 0.0], [40, 60])
        shift = np.where(truth > 0, stats.norm.ppf(0.9), stats.norm.ppf(0.2))
        return {"score": shift + generator.normal(size=100), "truth": truth}

    crowd = too_sure(4_000_000)(np.random.default_rng(0))
    error = CALIBRATION.compute(*(crowd[name] for name in CALIBRATION.columns))
    far = float(np.exp(1 + 0.7**2 / 2))
    for method in ("BCa", "percentile"):
        for n in (40, 100):
            data = f"skewed (Beta 8, 1.5), {n} cases"
            yield setting("mean Dice", data, 8 / 9.5, MEAN, method, dice(n))
        data = "skewed (log-normal, .7), 60 cases"
        yield setting("mean distance", data, far, MEAN, method, distance(60))
        # E[p (1 - p)] of Beta(1, 3)
        yield setting("Brier score", "calibrated, 100 cases", 3 / 20, BRIER, method, brier)
        data = "0.7 (0.9 of 40, 0.8 of 60)"
        yield setting("Youden index", data, 0.7, YOUDEN, method, called)
        for n in (200, 2000):
            data = f"too sure ({error:.3f}), {n} cases"
            yield setting("ECE, ten bins", data, error, CALIBRATION, method, too_sure(n))
