"""A head CT from its DICOM folder to findings: how long, and where the time goes.

    python benchmarks/scan_time.py [SERIES] [--rounds 3]

Without SERIES the bundled series is read (28 slices of 512 by 512 pixels, JPEG-LS, tilted gantry,
uneven gaps). Each round is a fresh process that reads one scan, as `radloop predict` does. Printed:
the median seconds of the whole command, of its parts (start of the program and the engine; reading
and preparing; the network; findings and files), and with `--pictures` what the montage and the heat
maps add. The first round converts the network for OpenVINO and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import radloop

SERIES = Path(radloop.__file__).parent / "demo" / "scans" / "head-tilted"


def one(series: Path, *options: str) -> dict[str, float]:
    """Seconds of one command and of its parts."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "radloop.cli.main", "predict", "hemorrhage", str(series),
             "--resample-gaps", "--out", out, "--quiet", *options],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        whole = time.perf_counter() - start
        line = json.loads(Path(out, "predictions.jsonl").read_text(encoding="utf-8"))
    parts = line["seconds"]
    findings = parts["total"] - parts["read"] - parts["network"]
    return {
        "whole command": whole,
        "reading and preparing": parts["read"],
        "network": parts["network"],
        "findings": findings,
        "start, engine and files": whole - parts["total"],
    }


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("series", nargs="?", type=Path, default=SERIES)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    one(options.series)
    for title, more in (("findings alone", ()), ("with pictures", ("--pictures",))):
        rounds = [one(options.series, *more) for _ in range(options.rounds)]
        print(f"{title}, {os.cpu_count()} cores, median of {options.rounds}:")
        for name in rounds[0]:
            print(f"  {name:24s} {statistics.median(r[name] for r in rounds):6.2f} s")


if __name__ == "__main__":
    main()
