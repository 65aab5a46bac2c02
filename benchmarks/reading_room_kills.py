"""Kill the parts of the reading room while it works, and count what is lost or doubled.

`radloop serve` runs with films of the demonstration as DICOM studies coming in; at random moments
its node, a worker or the pages get SIGKILL. A sender repeats what was not answered with success,
as a modality does. In the end every study must have been read exactly once in effect: one current
result a series, no job left over, every file whole.

    python benchmarks/reading_room_kills.py --studies 200 --kills 50
    python benchmarks/reading_room_kills.py --studies 200 --kills 50 --workers 2 \
        --database postgresql://USER@127.0.0.1/NAME
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import func, select

import radloop
from radloop.images.read import read_radiograph
from radloop.service.backup import check
from radloop.service.settings import load_settings
from radloop.service.store import schema
from radloop.service.store.database import Store, open_store

DEMO = Path(radloop.__file__).parent / "demo" / "films"


@dataclass
class Room:
    """A running `radloop serve` and the process ids of its parts, read from its log."""

    process: subprocess.Popen[str]
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def listen(self) -> None:
        """Follow the log until the process ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                print(line, end="", file=sys.stderr)
                continue
            self.events[said["event"]] += 1
            if said["event"] == "part_started":
                self.parts[said["worker"]] = said["process"], said["pid"]

    def kill_one(self, chance: random.Random) -> str:
        """SIGKILL to a random part; its kind, "" when it was between two lives."""
        kind = chance.choice(sorted({kind for kind, _ in self.parts.values()}))
        pids = [pid for one, pid in self.parts.values() if one == kind]
        try:
            os.kill(chance.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return kind


def made_films(count: int, chance: random.Random) -> Iterator[list[Dataset]]:
    """`count` studies of one or two chest films, all pixels their own."""
    arrays = []
    for path in sorted(DEMO.glob("*.png")):
        image = read_radiograph(path).image
        assert image is not None
        arrays.append(image.array[::2, ::2].astype(np.uint16))
    for number in range(count):
        study = generate_uid()
        films = []
        for k in range(chance.choice((1, 1, 2))):
            pixels = np.array(chance.choice(arrays))
            pixels[0, :2] = number // 256, number % 256
            films.append(_film(pixels, study, f"P{number:05d}", k))
        yield films


def _film(pixels: np.ndarray, study: str, patient: str, number: int) -> Dataset:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = DigitalXRayImageStorageForPresentation
    film.SOPInstanceUID = generate_uid()
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.StudyInstanceUID, film.SeriesInstanceUID = study, generate_uid()
    film.PatientID, film.PatientName = patient, "Made^Up"
    film.PatientSex, film.PatientBirthDate = "", ""
    film.StudyDate, film.StudyTime, film.AccessionNumber, film.StudyID = "", "", "", ""
    film.ReferringPhysicianName, film.Manufacturer = "", "Made up"
    film.SeriesNumber, film.InstanceNumber = number + 1, 1
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "PA"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 16, 15, 0
    film.PixelData = pixels.tobytes()
    return film


def send_until_taken(films: list[Dataset], port: int, deadline: float) -> None:
    """C-STORE until every film was answered with success. Raises TimeoutError."""
    from pynetdicom import AE

    entity = AE("KILLS")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    entity.connection_timeout = 2
    entity.add_requested_context(films[0].SOPClassUID, ExplicitVRLittleEndian)
    left = list(films)
    while left:
        if time.monotonic() > deadline:
            raise TimeoutError("the node took no film any more")
        association = entity.associate("127.0.0.1", port, ae_title="RADLOOP")
        if association.is_established:
            try:
                while left:
                    if association.send_c_store(left[0]).get("Status") != 0:
                        break
                    left.pop(0)
            except (RuntimeError, ValueError):
                pass
            if association.is_established:
                association.release()
        if left:
            time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def count_studies(store: Store) -> tuple[int, int]:
    """How many studies there are, and how many are complete with nothing left to do."""
    with store.reading() as session:
        every = session.scalar(select(func.count(schema.Study.id))) or 0
        busy = select(schema.Job.study_id).where(schema.Job.state.in_(("waiting", "running")))
        done = session.scalar(
            select(func.count(schema.Study.id)).where(
                schema.Study.state == "complete", schema.Study.id.not_in(busy)
            )
        )
    return int(every), int(done or 0)


def verdict_of(store: Store, films: dict[str, int]) -> list[str]:
    """What is wrong in the end. films: how many were sent, by study UID."""
    problems = check(store, deep=True)
    with store.reading() as session:
        studies = {one.study_uid: one.id for one in session.scalars(select(schema.Study))}
        lost = films.keys() - studies.keys()
        if lost:
            problems.append(f"{len(lost)} studies lost")
        for uid, count in films.items():
            series = session.scalars(
                select(schema.Series.id).where(schema.Series.study_id == studies.get(uid))
            ).all()
            if len(series) != count:
                problems.append(f"a study has {len(series)} of {count} series")
            for one in series:
                current = session.scalar(
                    select(func.count(schema.Result.id)).where(
                        schema.Result.series_id == one, schema.Result.current.is_(True)
                    )
                )
                if current != 1:
                    problems.append(f"a series has {current} current results")
        states = Counter(session.scalars(select(schema.Job.state)))
        if states.keys() - {"done"}:
            problems.append(f"jobs left over: {dict(states)}")
    return problems


def run(
    studies: int,
    kills: int,
    workers: int,
    database: str,
    seed: int,
    limit: float,
    quiet: float = 1.0,
) -> dict[str, Any]:
    """One whole trial; what was counted."""
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="radloop-kills-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        port = free_port()
        settings = {
            "database": database,
            "quiet": quiet,
            "models": [{"model": "cardiomegaly"}],
            "node": {"port": port},
            "web": {"port": free_port()},
            "worker": {"count": workers, "lease": 10, "poll": 0.1, "backoff": 0.5, "threads": 1},
        }
        (home / "radloop.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-m", "radloop.cli.main", "serve", "--home", str(home)]
        room = Room(
            subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        )
        threading.Thread(target=room.listen, daemon=True).start()
        start = time.monotonic()
        try:
            counted = _trial(room, home, port, studies, kills, chance, start + limit)
        finally:
            room.process.send_signal(signal.SIGTERM)
            room.process.wait(60)
        counted["seconds"] = round(time.monotonic() - start, 1)
        counted["stopped_with"] = room.process.returncode
        counted["died"] = room.events["part_died"]
        return counted


def _trial(
    room: Room, home: Path, port: int, studies: int, kills: int, chance: random.Random, end: float
) -> dict[str, Any]:
    films: dict[str, int] = {}
    sent = threading.Event()
    failed: list[BaseException] = []
    made = list(made_films(studies, chance))

    def send() -> None:
        try:
            for one in made:
                films[str(one[0].StudyInstanceUID)] = len(one)
                send_until_taken(one, port, end)
        except BaseException as error:
            failed.append(error)
        finally:
            sent.set()

    while not any(kind == "node" for kind, _ in room.parts.values()):
        time.sleep(0.05)
    store = open_store(load_settings(home))
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    killed: Counter[str] = Counter()
    done = 0
    last = time.monotonic()
    while time.monotonic() < end and not failed:
        # Spread over the work: the next one is due when its share of the studies is done, or when
        # the work stands still because the last one hit.
        due = done >= studies * sum(killed.values()) / max(1, kills) * 0.9
        if sum(killed.values()) < kills and (due or time.monotonic() - last > 8):
            time.sleep(chance.uniform(0, 0.4))
            kind = room.kill_one(chance)
            if kind:
                killed[kind] += 1
                last = time.monotonic()
        every, done = count_studies(store)
        if sent.is_set() and done == every == studies and sum(killed.values()) >= kills:
            break
        time.sleep(chance.uniform(0.02, 0.3))
    problems = [*(str(error) for error in failed), *verdict_of(store, films)]
    if done != studies:
        problems.append(f"only {done} of {studies} studies were done in time")
    with store.reading() as session:
        results = session.scalar(select(func.count(schema.Result.id)))
        attempts = session.scalar(select(func.sum(schema.Job.attempts)))
        revisions = Counter(session.scalars(select(schema.Study.revision)))
    store.close()
    return {
        "studies": studies,
        "series": sum(films.values()),
        "killed": dict(killed),
        "results": results,
        "attempts": attempts,
        "revisions": dict(sorted(revisions.items())),
        "problems": problems,
    }


def main() -> None:
    """Run a trial and print what was counted; exit status 1 with any problem."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--database", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=900.0)
    given = parser.parse_args()
    counted = run(
        given.studies, given.kills, given.workers, given.database, given.seed, given.limit
    )
    print(json.dumps(counted, indent=1))
    sys.exit(1 if counted["problems"] else 0)


if __name__ == "__main__":
    main()
