"""How long `radloop triage-benefit` takes for a million studies.

    python benchmarks/triage_speed.py [--studies 1000000] [--rounds 3]

One run of a room with three readers at a load of .85, arrivals by hour and weekday, two streams
with a model each and one of emergencies; every study is drawn once and read in both rooms, without
and with the model. Three settings: nobody interrupts, emergencies do, flagged studies do, too. One
process, one thread. Prints seconds from nothing to the finished figures (best of the rounds), how
many of them went into drawing, and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

from radloop.evaluation.triage.benefit import benefit
from radloop.evaluation.triage.scenario import (
    DAY,
    Disease,
    Reading,
    Room,
    Stream,
    TriageModel,
)
from radloop.evaluation.triage.studies import draw

HOURS = (4, 3, 3, 3, 3, 4, 5, 7, 10, 12, 13, 13, 12, 12, 12, 12, 12, 11, 10, 9, 8, 7, 6, 5)
READING = Reading(8, "lognormal", 0.6)


def room(studies: int) -> Room:
    """About so many studies in one run."""
    bleed, embolism = Disease("bleed", 0.12, Reading(14)), Disease("embolism", 0.15)
    streams = (
        Stream("head CT", READING, 5.0, hours=HOURS, weekdays=(1, 1, 1, 1, 1, 0.7, 0.7),
               diseases=(bleed,), models=(TriageModel("bleed", 0.808, 0.735),)),
        Stream("chest CT", READING, 6.0, hours=HOURS,
               diseases=(embolism,), models=(TriageModel("embolism", 0.9, 0.9),)),
        Stream("trauma", Reading(5), 1.0, emergency=True),
    )  # fmt: skip
    made = Room(streams, readers=3, run_in=0, replications=1).at_load(0.85)
    a_day = sum(made.rate(stream) for stream in made.streams) * DAY
    return replace(made, days=round(studies / a_day))


def main() -> None:
    """Measure, and print a line a setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for interrupt in ("nobody", "emergencies", "flagged"):
        there = replace(room(options.studies), interrupt=interrupt)
        seconds, drawing = [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            draw(there)
            drawing.append(time.perf_counter() - start)
            start = time.perf_counter()
            found = benefit(there)
            seconds.append(time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"interrupt {interrupt:<11} {found.studies:>9,} studies in both rooms: "
            f"{min(seconds):5.2f} s, of which drawing {min(drawing):.2f} s; "
            f"{found.studies / min(seconds):,.0f} studies/s; peak {memory:.2f} GiB"
        )


if __name__ == "__main__":
    main()
