"""How long the whole report of a large reading takes, and how much memory.

    python benchmarks/report_speed.py [--cases 10000] [--readers 10] [--rounds 1]

Made-up cases with a score, a truth, age, sex and site, and as many readers who each read every
case. Counted, in one process: the interpreter's start, the report with its measures, calibration,
decision curve, promised thresholds, subgroups by three columns, page and PDF, and then the readers'
part with its analysis of several readers and several cases, which is added to the report.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WORK = """
import resource, sys, time
from pathlib import Path
from report_speed import make_rows
from radloop.evaluation.readers.run import beside_readers
from radloop.evaluation.report import write_report
from radloop.systems.regions.measures import DECISION, FIGURES

folder, cases = Path(sys.argv[1]), int(sys.argv[2])
start = time.perf_counter()
write_report(folder, system="bone_fracture", model={"name": "made up"}, rows=make_rows(cases),
             measures=DECISION, figures=FIGURES[:2], by=["age", "sex", "site"])
middle = time.perf_counter()
if len(sys.argv) > 3:
    beside_readers(folder, Path(sys.argv[3]), folder, figures=FIGURES, margin=0.05)
used = resource.getrusage(resource.RUSAGE_SELF)
print(middle - start, time.perf_counter() - middle, used.ru_maxrss / 1024,
      used.ru_utime + used.ru_stime)
"""


def make_rows(n: int) -> list[dict[str, object]]:
    """`n` judged cases of `n` patients, a third of them positive."""
    rng = np.random.default_rng(0)
    truth = rng.random(n) < 1 / 3
    probability = 1 / (1 + np.exp(-rng.normal(truth * 2.4 - 1.4, 1.2)))
    ages, sexes = rng.integers(18, 95, n), rng.choice(["F", "M"], n)
    sites = rng.choice(["north", "south", "west"], n, p=(0.6, 0.3, 0.1))
    return [
        {
            "case_id": f"c{k:06}", "patient_id": f"p{k:06}", "verdict": "accepted", "code": "ok",
            "probability": float(probability[k]), "positive": float(truth[k]),
            "called": float(probability[k] >= 0.4), "about:age": str(ages[k]),
            "about:sex": str(sexes[k]), "about:site": str(sites[k]),
        }
        for k in range(n)
    ]  # fmt: skip


def write_readings(path: Path, cases: int, readers: int) -> None:
    """A table of what every reader said of every case: right in 85 to 95 % of them."""
    rng = np.random.default_rng(1)
    rows = make_rows(cases)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "reader", "answer"])
        for reader in range(readers):
            right = rng.random(cases) < rng.uniform(0.85, 0.95)
            for row, so in zip(rows, right, strict=True):
                said = bool(row["positive"]) == bool(so)
                writer.writerow([row["case_id"], f"reader {reader + 1}", int(said)])


def main() -> None:
    """Print the seconds and the megabytes of every round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder, table = Path(name, "report"), Path(name, "readers.csv")
            command = [sys.executable, "-c", WORK, str(folder), str(given.cases)]
            if given.readers:
                write_readings(table, given.cases, given.readers)
                command.append(str(table))
            start = time.perf_counter()
            run = subprocess.run(command, cwd=Path(__file__).parent, check=True,
                                 capture_output=True, text=True)  # fmt: skip
            whole = time.perf_counter() - start
            report, readers, megabytes, busy = map(float, run.stdout.split())
            size = (folder / "report.pdf").stat().st_size / 2**20
        print(
            f"{given.cases} cases, {given.readers} readers: {whole:.1f} s in all, of which"
            f" the processor worked {busy:.1f} s; the report {report:.1f} s, the readers"
            f" {readers:.1f} s; {megabytes:.0f} MB at most; PDF of {size:.1f} MB"
        )


if __name__ == "__main__":
    main()
