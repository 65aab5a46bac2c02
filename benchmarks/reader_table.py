"""How long `radloop readers` takes of made-up readers, of any number, and how much memory.

    OMP_NUM_THREADS=1 python benchmarks/reader_table.py [--cases 10000] [--readers 10]

Readers and model see the same hidden difficulty of a case, so that they agree more than by chance;
every reader reads every case alone and with the model, half of the disagreements being given up.
Counted is the whole command, from the interpreter's start to the page: as many answers, scores and
times as `--cases` x `--readers` x 2.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_report_and_readers(
    folder: Path, cases: int = 10_000, readers: int = 10, seed: int = 0
) -> tuple[Path, Path]:
    """Write `report/` (report.json, cases.csv) and `readers.csv`; return both paths.

    A case is a patient of its own, a third are positive; readers give an answer, a score from 0 to
    100 and seconds.
    """
    generator = np.random.default_rng(seed)
    truth = generator.random(cases) < 1 / 3
    evidence = 1.6 * truth + generator.normal(0, 1, cases)
    logit = 1.3 * (evidence - 0.8) + generator.normal(0, 0.5, cases)
    probability = 1 / (1 + np.exp(-logit))
    called = probability >= 0.5
    report = folder / "report"
    report.mkdir(parents=True, exist_ok=True)
    about = {"system": "made_up", "model": {"name": "made-up"}, "n": cases, "measures": {}}
    (report / "report.json").write_text(json.dumps(about))
    lines = ["case_id,patient_id,probability,called,positive"]
    lines += [
        f"c{k:05},p{k:05},{probability[k]:.6f},{int(called[k])},{int(truth[k])}"
        for k in range(cases)
    ]
    (report / "cases.csv").write_text("\n".join(lines) + "\n")
    lines = ["case_id,reader,group,modality,answer,score,seconds"]
    for r in range(readers):
        group = "senior" if r % 2 else "junior"
        skill = 0.9 - 0.35 * (r % 2)
        rating = evidence - 0.8 + generator.normal(0, skill, cases)
        helped = np.where((rating > 0) != called, rating / 2 + logit / 2.6, rating)
        for modality, said, mean in (("alone", rating, 40.0), ("with_model", helped, 33.0)):
            score = np.round(100 / (1 + np.exp(-said)))
            seconds = generator.gamma(4, mean / 4, cases)
            lines += [
                f"c{k:05},reader{r + 1},{group},{modality},{int(said[k] > 0)},{score[k]:.0f},"
                f"{seconds[k]:.1f}"
                for k in range(cases)
            ]
    table = folder / "readers.csv"
    table.write_text("\n".join(lines) + "\n")
    return report, table


def main() -> None:
    """Print the seconds and the megabytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report, table = write_report_and_readers(Path(name), given.cases, given.readers)
        command = [sys.executable, "-m", "radloop.cli.main", "readers", str(report), "--table"]
        command += [str(table), "--margin", "0.05", "--out", str(Path(name, "out"))]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        whole = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{given.cases} cases, {given.readers} readers: {whole:.1f} s,"
        f" {used.ru_utime + used.ru_stime:.1f} s of a processor, {used.ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
