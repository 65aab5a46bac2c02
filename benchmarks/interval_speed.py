"""How long the intervals of an evaluation take: ten usual measures of 10,000 cases.

    python benchmarks/interval_speed.py

Every measure is resampled (2,000 resamples of the patients, BCa), though a report gives formulas
to half of them; then two models are compared, with the paired bootstrap and the permutation test.
The peer is a loop over resamples that draws cases and calls scikit-learn's measures on them,
timed for 20 resamples and multiplied. Seconds of one processor core, and of the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from radloop.measures import classification as c
from radloop.measures.bootstrap import paired_bootstrap, patient_bootstraps
from radloop.measures.paired_tests import permutation_p
from radloop.measures.spec import MeasureSpec
from radloop.measures.sums import mean

CALLED = (
    c.sensitivity,
    c.specificity,
    c.positive_predictive_value,
    c.negative_predictive_value,
    c.accuracy,
    c.youden,
)
SPECS = (
    MeasureSpec("auc", ("score", "truth"), c.auc),
    *(MeasureSpec(m.__name__, ("score", "truth"), c.at_threshold(m, 0.5)) for m in CALLED),
    MeasureSpec("brier", ("score", "truth"), c.brier_score),
    MeasureSpec("ece", ("score", "truth"), c.expected_calibration_error),
    MeasureSpec("mean", ("score",), mean),
)


def made_up(cases: int) -> tuple[dict[str, npt.NDArray[np.float64]], ...]:
    """Two models on the same cases."""
    generator = np.random.default_rng(0)
    truth = (generator.random(cases) < 0.3).astype(np.float64)
    noise = generator.normal(0.3 + 0.3 * truth, 0.2, (2, cases))
    return tuple({"score": np.clip(one, 0, 1), "truth": truth} for one in noise)


def plain(rows: dict[str, npt.NDArray[np.float64]], resamples: int) -> None:
    """What anyone would write."""
    generator = np.random.default_rng(0)
    for _ in range(resamples):
        drawn = generator.integers(0, rows["truth"].size, rows["truth"].size)
        score, truth = rows["score"][drawn], rows["truth"][drawn]
        metrics.roc_auc_score(truth, score)
        metrics.classification_report(truth, score >= 0.5, output_dict=True)
        metrics.brier_score_loss(truth, score)


def timed(what: str, work: Callable[[], object], times: int = 1) -> None:
    core, clock = time.process_time(), time.perf_counter()
    work()
    core, clock = time.process_time() - core, time.perf_counter() - clock
    print(f"| {what} | {core * times:.1f} | {clock * times:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parser.parse_args()
    a, b = made_up(options.cases)
    n = options.resamples
    single = [f"p{k}" for k in range(options.cases)]
    several = [f"p{k // 3}" for k in range(options.cases)]
    print("| | core, s | clock, s |\n|---|---|---|")
    timed("ten measures, a case a patient", lambda: patient_bootstraps(a, SPECS, single, n=n))
    timed("ten measures, three cases a patient", lambda: patient_bootstraps(a, SPECS, several, n=n))
    timed("two models: paired bootstrap, ten measures",
          lambda: [paired_bootstrap(a, b, spec, single, n=n) for spec in SPECS])  # fmt: skip
    timed("two models: permutation, ten measures",
          lambda: [permutation_p(a, b, spec, single, n=n) for spec in SPECS])  # fmt: skip
    timed("plain loop with scikit-learn, nine of them", lambda: plain(a, 20), n // 20)


if __name__ == "__main__":
    main()
