"""Do the thresholds of `radloop operating-point` keep their promise? By simulation.

    python benchmarks/conformal_guarantee.py [--runs 2000]

Each run draws calibration cases and chooses a threshold; the sensitivity that it has on new cases
is then known exactly from the distribution the cases were drawn from (of patients with several
cases: measured on 20,000 new ones). Printed: the share of runs whose sensitivity reaches the aim,
which a promise with 90 % confidence must keep in at least 90 % of runs, and the mean sensitivity,
which a promise on average must keep at the aim. The bounds are 95 % intervals of the simulation.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from radloop.measures.conformal import (
    lowest_of_patients,
    threshold_in_expectation,
    threshold_with_confidence,
)
from radloop.measures.interval import clopper_pearson

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.9


@dataclass(frozen=True)
class World:
    """How scores of positive cases (or the lowest of a patient's) fall, and what a threshold then
    finds of new ones."""

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    sensitivity: Callable[[float], float]


def of(name: str, distribution: stats.rv_frozen) -> World:
    """A continuous score."""
    return World(
        name,
        lambda rng, n: np.asarray(distribution.rvs(n, random_state=rng)),
        lambda t: float(distribution.sf(t)),
    )


def rounded(name: str, distribution: stats.rv_frozen, step: float) -> World:
    """The same, given in steps: many cases share a score."""

    def at_least(t: float) -> float:
        return float(distribution.sf((math.ceil(t / step - 1e-9) - 0.5) * step))

    return World(
        name,
        lambda rng, n: np.round(distribution.rvs(n, random_state=rng) / step) * step,
        lambda t: at_least(t) if math.isfinite(t) else 1.0,
    )


def patients(name: str) -> World:
    """Patients with one to four positive cases whose scores are alike; found when all are."""

    def lowest(rng: np.random.Generator, n: int) -> Floats:
        count = rng.integers(1, 5, n)
        of_patient = np.repeat(np.arange(n), count)
        scores = rng.normal(rng.normal(1.0, 0.7, n)[of_patient], 0.7)
        return lowest_of_patients(scores, [f"{k:06}" for k in of_patient])

    new = np.sort(lowest(np.random.default_rng(99), 20_000))
    return World(name, lowest, lambda t: 1 - np.searchsorted(new, t, side="left") / new.size)


WORLDS = (
    of("normal", stats.norm(1, 1)),
    of("beta, most near 1", stats.beta(4, 0.5)),
    rounded("normal in steps of 0.5", stats.norm(1, 1), 0.5),
    patients("patients of 1 to 4 cases"),
)


def main() -> None:
    """Print a line a setting; end with 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    broken = 0
    print(f"{runs} runs; with confidence: {CONFIDENCE:.0%}")
    for world in WORLDS:
        for aim, n in ((0.9, 50), (0.9, 200), (0.95, 100), (0.95, 1000)):
            rng = np.random.default_rng(0)
            sure, mean = [], []
            for _ in range(runs):
                scores = world.draw(rng, n)
                one = threshold_with_confidence(scores, aim, CONFIDENCE)
                sure.append(world.sensitivity(one.threshold))
                mean.append(world.sensitivity(threshold_in_expectation(scores, aim).threshold))
            kept = clopper_pearson(int(np.sum(np.array(sure) >= aim)), runs)
            average = float(np.mean(mean))
            margin = 1.96 * float(np.std(mean)) / math.sqrt(runs)
            broken += kept.high < CONFIDENCE or average + margin < aim
            print(
                f"{world.name:28s} aim {aim:.2f}, {n:4d} positives: kept in {kept.value:.3f}"
                f" ({kept.low:.3f} to {kept.high:.3f}) of runs;"
                f" on average {average:.4f} (+- {margin:.4f})"
            )
    print("every promise is kept" if not broken else f"{broken} promises are not kept")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
