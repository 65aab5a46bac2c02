"""The simulation of `radloop triage-benefit` against queueing theory, and on QuCAD's examples.

    python benchmarks/triage_against_theory.py [--days 400] [--replications 20] [--seed 0]

First the closed forms: every class of every queue, simulated mean wait with its 95 % interval over
replications, the formula's, and whether it lies inside. Then the example settings that FDA's QuCAD
and multi-QuCAD come with (github.com/DIDSR, the files `inputs/*.dat` and `scripts/README.md`):
minutes saved a diseased study, by formula and by simulation. All of the readings take ten minutes
on average where nothing else is said.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from radloop.evaluation.triage.benefit import benefit
from radloop.evaluation.triage.expected import expected_waits
from radloop.evaluation.triage.scenario import Disease, Reading, Room, Stream, TriageModel

# `inputs/exampleROC.dat` of QuCAD: (false-positive fraction, true-positive fraction), without the
# ends 0 and 1; its fit is a straight line through the points in normal deviates.
ROC = np.array([
    (.0002, .25), (.0043, .5), (.0441, .75), (.1912, .9), (.1955, .902), (.2, .904),
    (.2047, .9061), (.2094, .9081), (.2143, .9101), (.2194, .9121), (.2246, .9141),
    (.2299, .9162), (.2355, .9182), (.2412, .9202), (.2471, .9222), (.2532, .9242),
    (.2595, .9263), (.2661, .9283), (.2728, .9303), (.2798, .9323), (.2871, .9343),
    (.2946, .9364), (.3024, .9384), (.3104, .9404), (.3189, .9424), (.3276, .9444),
    (.3367, .9465), (.3462, .9485), (.356, .9505), (.3663, .9525), (.3771, .9546),
    (.3883, .9566), (.4001, .9586), (.4125, .9606), (.4255, .9626), (.4391, .9647),
    (.4535, .9667), (.4687, .9687), (.4848, .9707), (.5018, .9727), (.5199, .9748),
    (.5393, .9768), (.56, .9788), (.5823, .9808), (.6063, .9828), (.6325, .9849),
    (.6611, .9869), (.6927, .9889), (.728, .9909), (.7681, .9929), (.8147, .995),
    (.8711, .997), (.9456, .999), (.9698, .9995),
])  # fmt: skip


def one_model(
    reading: Reading, prevalence: float, sensitivity: float, specificity: float, **room: object
) -> Room:
    """One stream with one disease and one model."""
    stream = Stream(
        "studies", reading, 1.0, diseases=(Disease("disease", prevalence),),
        models=(TriageModel("disease", sensitivity, specificity),),
    )  # fmt: skip
    return Room((stream,), **room)  # type: ignore[arg-type]


def closed_forms() -> Iterator[tuple[str, Room]]:
    """(what it is, a room that has it)."""
    ten, even = Reading(10), Reading(10, "constant")
    for readers in (1, 3):
        for load in (0.5, 0.8):
            setting = {"readers": readers, "interrupt": "nobody"}
            room = one_model(ten, 0.1, 0.9, 0.8, **setting).at_load(load)
            yield f"M/M/{readers}, load {load}, priority", room
            setting["interrupt"] = "flagged"
            room = one_model(ten, 0.1, 0.9, 0.8, **setting).at_load(load)
            yield f"M/M/{readers}, load {load}, preemptive", room
    for name, reading in (
        ("M/D/1", even),
        ("M/G/1 lognormal, cv 1.5", Reading(10, "lognormal", 1.5)),
    ):
        for interrupt in ("nobody", "flagged"):
            room = one_model(reading, 0.1, 0.9, 0.8, interrupt=interrupt).at_load(0.7)
            kind = "priority" if interrupt == "nobody" else "preemptive"
            yield f"{name}, load 0.7, {kind}", room
    ill, trauma = Disease("disease", 0.2, Reading(20, "lognormal", 0.6)), Reading(5)
    stream = Stream("studies", Reading(8), 1.0, diseases=(ill,),
                    models=(TriageModel("disease", 0.9, 0.8),))  # fmt: skip
    three = Room((stream, Stream("emergencies", trauma, 0.2, emergency=True)), interrupt="flagged")
    yield "M/G/1, three classes, unequal times, preemptive", three.at_load(0.8)
    yield (
        "M/G/1, three classes, unequal times, priority",
        replace(three, interrupt="nobody").at_load(0.8),
    )


def examples() -> Iterator[tuple[str, Room]]:
    """The settings that QuCAD and multi-QuCAD come with."""
    b, a = np.polyfit(norm.ppf(ROC[:, 0]), norm.ppf(ROC[:, 1]), 1)
    false_positives = float(norm.cdf((norm.ppf(0.9) - a) / b))
    ten, five = Reading(10), Reading(5)
    preemptive = {"interrupt": "flagged"}
    yield (
        f"QuCAD config.dat (Se .9, Sp {1 - false_positives:.3f} by its ROC fit)",
        one_model(ten, 0.1, 0.9, 1 - false_positives, **preemptive).at_load(0.8),
    )
    yield "QuCAD README (Se 1, Sp .9)", one_model(ten, 0.1, 1.0, 0.9, **preemptive).at_load(0.8)
    groups = tuple(
        Stream(
            name, ten, 1.0, diseases=(Disease(name[-2:], 0.4),),
            models=(TriageModel(name[-2:], 0.9, specificity, rank),),
        )
        for rank, (name, specificity) in enumerate(
            zip(("GroupCT", "GroupUS", "GroupMR", "GroupCX"), (0.7, 0.7, 0.7, 0.9), strict=True),
            start=1,
        )
    )  # fmt: skip
    four = Room(groups, **preemptive).at_load(0.8)  # type: ignore[arg-type]
    yield "multi-QuCAD config.dat, priority", four
    yield "multi-QuCAD config.dat, hierarchical", replace(four, by="ranks")
    yield (
        "multi-QuCAD config2.dat (not preemptive, 5 min, Se .9, Sp .7)",
        one_model(five, 0.1, 0.9, 0.7, interrupt="nobody").at_load(0.8),
    )


def main() -> None:
    """Simulate all, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--replications", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    long = vars(options) | {"run_in": 20}

    inside = total = 0
    for name, room in closed_forms():
        room = replace(room, **long)
        found, expected = benefit(room), expected_waits(room)
        print(f"{name}: {found.studies:,} studies")
        for group in ("flagged", "not flagged", "diseased", "healthy", "emergencies"):
            for arm in ("without", "with"):
                if not found.has(group):
                    continue
                mean, exact = found.group(group).waits[arm]["mean"], expected[group][arm]
                holds = mean.low <= exact <= mean.high
                inside, total = inside + holds, total + 1
                print(
                    f"  {group:<12} {arm:<8} {mean.value:8.3f} ({mean.low:.3f} to {mean.high:.3f})"
                    f"  formula {exact:8.3f}  {'inside' if holds else 'OUTSIDE'}"
                )
    print(f"{inside} of {total} formulas lie inside the simulation's 95 % interval\n")

    for name, room in examples():
        room = replace(room, **long)
        found, expected = benefit(room), expected_waits(room)
        print(name)
        for group in found.groups:
            if group.name not in ("flagged", "diseased", "healthy") and ":" not in group.name:
                continue
            saved, exact = group.saved, expected.get(group.name)
            formula = f"  formula {exact['without'] - exact['with']:7.3f}" if exact else ""
            without = f"{exact['without']:.3f} to {exact['with']:.3f}" if exact else ""
            print(
                f"  {group.name:<14} saved {saved.value:7.3f} ({saved.low:.3f} to "
                f"{saved.high:.3f}){formula}  {without}"
            )


if __name__ == "__main__":
    main()
