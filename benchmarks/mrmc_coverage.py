"""Do the intervals of reader studies cover? 95 % intervals should, in 95 of 100 studies.

Simulates studies with known areas (`roe_metz.py`) and counts how often the intervals of the
difference of two modalities and of one modality's mean area hold the true value:

    nice python benchmarks/mrmc_coverage.py --runs 2000

Fully crossed (5 readers, 50 + 50 cases), paired split-plot (6 readers in 2 groups, each of which
reads half of 100 + 100 cases), and a model beside 5 readers of 50 + 50 cases: against their mean,
and at the specificity of one of them. With 2,000 runs the simulation's own 95 % interval is about
+- 1.0 %. `--only PART` runs one of the three.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from radloop.measures.interval import wilson
from radloop.measures.matched import matched_sensitivity
from radloop.measures.mrmc.covariance import covariance
from radloop.measures.mrmc.obuchowski_rockette import analyse, one_against_readers
from radloop.measures.mrmc.study import Accuracy, Contrast, ReaderStudy, accuracies, on_logit_scale
from radloop.measures.mrmc.u_statistics import u_statistics
from roe_metz import STRUCTURES, Fixed, Variances, area, beside_model, simulate, split

SEPARATIONS = (1.5, 1.8)
POSITIVE_FROM = 0.75
PARTS = ("fully crossed", "split-plot", "model")


def intervals(study: ReaderStudy) -> dict[tuple[str, str], Contrast]:
    """(method, what) -> the interval."""
    found: dict[tuple[str, str], Contrast] = {}
    analysis = analyse(accuracies(study, "auc"), covariance(study, "auc", "jackknife"))
    found["Obuchowski-Rockette", "difference"] = analysis.differences[0, 1]
    found["Obuchowski-Rockette", "mean"] = analysis.means[0]
    found["Obuchowski-Rockette", "mean, logit"] = on_logit_scale(analysis.means[0])
    u = u_statistics(study, "auc")
    found["U-statistics", "difference"] = u.difference(0, 1)
    found["U-statistics", "mean"] = u.mean(0)
    found["U-statistics", "mean, logit"] = on_logit_scale(u.mean(0))
    return found


def of_two_modalities(runs: int, seed: int, design: str, variances: Variances) -> None:
    """Count for one design and structure, and print."""
    generator = np.random.default_rng(seed)
    truth = {
        "difference": area(SEPARATIONS[1], variances) - area(SEPARATIONS[0], variances),
        "mean": area(SEPARATIONS[0], variances),
    }
    hits: dict[tuple[str, str], int] = {}
    for _ in range(runs):
        if design == "split-plot":
            study = split(
                simulate(
                    generator, variances, separations=SEPARATIONS, readers=6,
                    positives=100, negatives=100,
                ), 2,
            )  # fmt: skip
        else:
            study = simulate(generator, variances, separations=SEPARATIONS)
        for key, found in intervals(study).items():
            true = truth[key[1].split(",")[0]]
            hits[key] = hits.get(key, 0) + (found.low <= true <= found.high)
    show(design, variances, hits, runs)


def of_a_model(runs: int, seed: int, variances: Variances) -> None:
    """The same of a model beside readers: the mean of the readers, and the model minus it."""
    generator = np.random.default_rng(seed)
    hits: dict[tuple[str, str], int] = {}
    for _ in range(runs):
        drawn = beside_model(generator, variances, model=SEPARATIONS[1], separation=SEPARATIONS[0])
        mean, model = truth_of(drawn, variances)
        for measure in mean:
            own, difference = against_mean(drawn, measure)
            key = "mean, logit", measure
            hits[key] = hits.get(key, 0) + (own.low <= mean[measure] <= own.high)
            true, key = model[measure] - mean[measure], ("model - mean", measure)
            hits[key] = hits.get(key, 0) + (difference.low <= true <= difference.high)
        called = (drawn.scores[1] >= POSITIVE_FROM) * 1.0
        seed = int(generator.integers(2**32))
        matched = matched_sensitivity(drawn.scores[0], called, drawn.truth, seed=seed)
        key = "at a reader's specificity", "sensitivity"
        hits[key] = hits.get(key, 0) + (matched.low <= true_at_reader(drawn) <= matched.high)
    show("model", variances, hits, runs)


def against_mean(drawn: Fixed, measure: Accuracy) -> tuple[Contrast, Contrast]:
    """As `radloop readers` has them: the readers' mean, and the model minus it."""
    scores = drawn.scores if measure == "auc" else (drawn.scores >= POSITIVE_FROM) * 1.0
    study = ReaderStudy(scores[None], drawn.truth)
    values, spread = accuracies(study, measure), covariance(study, measure, "delong")
    mean = analyse(values[:, 1:], spread[:, 1:, :, 1:]).means[0]
    model = one_against_readers(float(values[0, 0]), values[0, 1:], spread[0, :, 0, :])
    return on_logit_scale(mean), model


def truth_of(
    drawn: Fixed, variances: Variances
) -> tuple[dict[Accuracy, float], dict[Accuracy, float]]:
    """The accuracies of readers in the mean, and of the model."""
    found: list[dict[Accuracy, float]] = []
    for separation, variance in zip(SEPARATIONS, (variances.total, drawn.spread), strict=True):
        deviation = np.sqrt(variance)
        found.append({
            "auc": float(norm.cdf(separation / deviation / np.sqrt(2))),
            "sensitivity": float(norm.cdf((separation - POSITIVE_FROM) / deviation)),
            "specificity": float(norm.cdf(POSITIVE_FROM / deviation)),
        })  # fmt: skip
    return found[0], found[1]


def true_at_reader(drawn: Fixed) -> float:
    """The model's sensitivity at the first reader's specificity, minus the reader's."""
    positive, negative = drawn.shifts[0]
    reader = SEPARATIONS[0] + positive - POSITIVE_FROM
    model = SEPARATIONS[1] - (POSITIVE_FROM - negative)
    return float(np.diff(norm.cdf(np.array([reader, model]) / np.sqrt(drawn.spread)))[0])


def show(design: str, variances: Variances, hits: Mapping[tuple[str, str], int], runs: int) -> None:
    """Print the shares that covered."""
    name = next(name for name, other in STRUCTURES.items() if other == variances)
    for (method, what), count in hits.items():
        share = wilson(count, runs)
        print(
            f"{design:14} {name}  {method:25} {what:12} {share.value:.1%}"
            f"  ({share.low:.1%} to {share.high:.1%})",
            flush=True,
        )


def main() -> None:
    """Print one line a structure, design, method and quantity."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    begun = time.process_time()
    for part in (options.only,) if options.only else PARTS:
        for variances in STRUCTURES.values():
            if part == "model":
                of_a_model(options.runs, options.seed, variances)
            else:
                of_two_modalities(options.runs, options.seed, part, variances)
    print(f"{options.runs} runs each, {time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
