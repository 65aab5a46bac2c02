"""How long the reading room takes: a page of a list of 10,000 studies, and a film's way into it.

    python benchmarks/reading_room_speed.py worklist [--studies 10000] [--database URL]
    python benchmarks/reading_room_speed.py film [--films 20]

`worklist` fills a store with made-up results and times what the page asks of it. `film` starts
`radloop serve`, sends chest films of the demonstration by C-STORE, one study after another, and
takes the time from the success of the last instance to the row with its finding, with the settings
as they come (films are complete after a second of silence).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from sqlalchemy import insert, select

from radloop.service.priority import order_key
from radloop.service.settings import load_settings
from radloop.service.store import results, schema
from radloop.service.store.database import Store, open_store
from radloop.service.store.schema import token, utc_now
from reading_room_kills import Room, free_port, made_films, send_until_taken


def fill(store: Store, count: int) -> None:
    """`count` studies of two series, a tenth of them reviewed, each with two results and jobs."""
    chance, now = random.Random(0), utc_now()
    tables: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (
            schema.Study, schema.Series, schema.Blob, schema.Instance, schema.Job, schema.Result,
        )
    }  # fmt: skip
    tables[schema.Blob].append({"sha256": "0" * 64, "bytes": 1})
    for k in range(count):
        study, score = token(), chance.random()
        received = now - timedelta(minutes=chance.uniform(0, 3 * 24 * 60))
        group = chance.choice(("positive", "grey zone", "not read", "negative"))
        tables[schema.Study].append(
            {
                "id": study, "study_uid": f"1.2.{k}", "patient_id": f"P{k:06d}",
                "patient_name": f"Name^{k}", "accession": f"A{k}", "description": "Chest",
                "modality": chance.choice(("CR", "CT")), "received_at": received,
                "changed_at": received, "state": "complete", "revision": 1, "group": group,
                "reason": "Made up.", "score": score,
                "order_key": order_key(received, score, 24.0),
                "reviewed_at": now if chance.random() < 0.1 else None,
            }
        )  # fmt: skip
        for s in range(2):
            series, number = token(), 2 * k + s + 1
            tables[schema.Series].append(
                {"id": series, "study_id": study, "series_uid": f"1.2.{k}.{s}", "revision": 1}
            )
            tables[schema.Instance].append(
                {"series_id": series, "sop_uid": f"1.2.{k}.{s}.1", "blob": "0" * 64, "bytes": 1}
            )
            tables[schema.Job].append(
                {
                    "id": number, "key": f"k{number}", "kind": "read", "study_id": study,
                    "series_id": series, "model": "m", "revision": 1, "state": "done", "data": {},
                }
            )  # fmt: skip
            tables[schema.Result].append(
                {
                    "id": token(), "job_id": number, "study_id": study, "series_id": series,
                    "system": "s", "model_name": "m", "model_version": "1", "model_sha256": "0",
                    "revision": 1, "status": "accepted", "code": "ok", "prediction": {},
                    "group": group, "urgency": 1.0, "score": score, "reason": "Made up.",
                }
            )  # fmt: skip
    with store.session() as session:
        for table, rows in tables.items():
            session.execute(insert(table), rows)


def timed(work: Callable[[], object], rounds: int = 30) -> dict[str, float]:
    """Median and longest of some rounds after one that warms up, in milliseconds."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return {"median_ms": round(statistics.median(taken), 1), "longest_ms": round(max(taken), 1)}


def worklist(studies: int, database: str) -> dict[str, Any]:
    """The times of what the page asks."""
    with TemporaryDirectory(prefix="radloop-speed-") as folder:
        store = open_store(load_settings(Path(folder), database=database))
        fill(store, studies)
        middle = results.Filters()

        def page(offset: int, filters: results.Filters = middle) -> Callable[[], object]:
            return lambda: (
                results.worklist(store, limit=50, offset=offset, filters=filters),
                results.count(store, filters),
                results.group_counts(store),
            )

        found = {
            "studies": studies,
            "first page": timed(page(0)),
            "page in the middle": timed(page(studies // 2)),
            "positive ones": timed(page(0, results.Filters(group="positive"))),
            "search for a name": timed(page(0, results.Filters(text=f"Name^{studies - 7}"))),
        }
        store.close()
        return found


def film(films: int) -> dict[str, Any]:
    """Seconds from the last success to the row, study by study, and their parts."""
    with TemporaryDirectory(prefix="radloop-speed-") as folder:
        home, port = Path(folder), free_port()
        given = {"node": {"port": port}, "web": {"port": free_port()}}
        (home / "radloop.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
        command = [sys.executable, "-m", "radloop.cli.main", "serve", "--home", str(home)]
        room = Room(
            subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        )
        threading.Thread(target=room.listen, daemon=True).start()
        rows = []
        try:
            while not room.events["part_started"]:
                time.sleep(0.05)
            store = open_store(load_settings(home))
            for one in made_films(films + 1, random.Random(0)):
                send_until_taken(one, port, time.monotonic() + 120)
                rows.append(_way(store, str(one[0].StudyInstanceUID)))
            store.close()
        finally:
            room.process.send_signal(signal.SIGTERM)
            room.process.wait(60)
        first, rest = rows[0], rows[1:]  # the first opens the model, too
        return {
            "first, with the model to be opened": first,
            "median": {key: round(statistics.median(r[key] for r in rest), 2) for key in first},
            "longest": {key: round(max(r[key] for r in rest), 2) for key in first},
        }


def _way(store: Store, study_uid: str) -> dict[str, float]:
    """Wait for the row. total: from now, when the sender had its answer; quiet: until the study was
    complete; reading: from then until the last result, the wait for the worker included."""
    start = time.monotonic()
    while True:
        with store.reading() as session:
            study = session.scalar(select(schema.Study).where(schema.Study.study_uid == study_uid))
            jobs = (
                session.scalars(select(schema.Job).where(schema.Job.study_id == study.id)).all()
                if study
                else []
            )
        if study and study.group and jobs and all(job.state == "done" for job in jobs):
            break
        if time.monotonic() - start > 120:
            raise TimeoutError("no row")
        time.sleep(0.02)
    total = time.monotonic() - start
    complete = min(job.created_at for job in jobs)
    finished = max(job.finished_at for job in jobs if job.finished_at)
    return {
        "total": round(total, 2),
        "until complete": round((complete - study.changed_at).total_seconds(), 2),
        "reading": round((finished - complete).total_seconds(), 2),
    }


def main() -> None:
    """Run one of the measurements and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("worklist", "film"))
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--database", default="")
    given = parser.parse_args()
    if given.what == "worklist":
        found = worklist(given.studies, given.database)
    else:
        found = film(given.films)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
