"""How often the 95 % intervals hold the true value, by simulation, and how often tests cry wolf.

    python benchmarks/coverage.py --runs 2000 --resamples 1000

Every line is a setting of which the truth is known (`coverage_of_one.py`, `coverage_of_two.py`):
`runs` data sets are drawn, and the interval of each either holds the truth or does not. An interval
that could not be given counts as one that does not. Behind each share stands the interval of the
share itself (Wilson), from the number of runs. Prints a Markdown table. `--only GROUP ...` runs
some of the groups.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

import coverage_of_one as one
import coverage_of_two as two
from radloop.measures.interval import wilson

GROUPS: Mapping[str, Callable[[int], Iterator[one.Setting]]] = {
    "shares": one.single_shares,
    "clustered-shares": one.clustered_shares,
    "areas": one.areas,
    "clustered-areas": one.clustered_areas,
    "bootstrapped": one.bootstrapped,
    "differences": two.differences,
    "matched": two.matched,
    "kappa": two.kappas,
    "tests": two.false_alarms,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    options = parser.parse_args()
    start = time.perf_counter()
    print("| of | truth and data | interval or test | holds the truth |")
    print("|---|---|---|---|")
    for group, settings in GROUPS.items():
        if group not in options.only:
            continue
        for setting in settings(options.resamples):
            held = 0
            for run in range(options.runs):
                low, high = setting.interval(np.random.default_rng(run))
                held += low <= setting.truth <= high
            share = wilson(held, options.runs)
            shown = f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
            print(f"| {setting.what} | {setting.data} | {setting.method} | {shown} |", flush=True)
    print(f"\n{options.runs} runs of {options.resamples} resamples each,", end=" ")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
