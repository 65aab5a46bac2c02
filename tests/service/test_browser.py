"""A reader at work in Chromium: the most urgent study, a CT scrolled, a mask, a tooth and a box
corrected, and all of it in the next export of labels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import uvicorn
from made_room import PASSWORD, Room
from made_store import dicom, written
from pydicom.uid import CTImageStorage, generate_uid

from radloop.findings.codes import private_code
from radloop.findings.finding import Finding, ModelRef, Prediction
from radloop.service.store import corrections, intake, jobs, studies
from radloop.service.store.jobs import NewOutput, NewResult

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PLAYWRIGHT = os.environ.get("PLAYWRIGHT", "")


@pytest.fixture
def address(make_room: Callable[..., Room]) -> Iterator[tuple[Room, str]]:
    """A running server and its address."""
    room = make_room(models=({"model": "cardiomegaly", "routes": [{}]},))
    server = uvicorn.Server(uvicorn.Config(room.app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield room, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def add_ct(room: Room) -> str:
    """Six slices on which a model is sure of a bleed."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    study_id = ""
    for k in range(6):
        image = dicom(
            "CT", SOPClassUID=CTImageStorage, StudyInstanceUID=study, SeriesInstanceUID=series,
            FrameOfReferenceUID=frame, InstanceNumber=k + 1, PatientID="ct",
            ImagePositionPatient=[0, 0, 5.0 * k], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[0.5, 0.5], SliceThickness=5, RescaleSlope=1, RescaleIntercept=-1024,
            Rows=64, Columns=64, BodyPartExamined="HEAD",
        )  # fmt: skip
        pixels = np.random.default_rng(k).integers(900, 1200, (64, 64)).astype(np.uint16)
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 0
        image.PixelData = pixels.tobytes()
        path = room.folder / f"ct{k}.dcm"
        path.write_bytes(written(image))
        study_id = intake.add_file(room.store, path).study_id
    finish(
        room,
        study_id,
        "hemorrhage",
        [
            Finding(
                "any", private_code("ANY", "Intracranial hemorrhage"), 0.99, True, 0.5, {"slice": 2}
            )
        ],
        {},
    )
    return study_id


def add_jaw(room: Room) -> str:
    path = room.folder / "jaw.png"
    assert cv2.imwrite(str(path), np.random.default_rng(9).integers(0, 255, (80, 160), np.uint8))
    study_id = intake.add_file(room.store, path).study_id
    box = [20.0, 30.0, 40.0, 60.0]
    tooth = {"number": "36", "status": "present", "probability": 0.9, "box": box, "conditions": {}}
    chart = {"format": 1, "case_id": "c", "teeth": [tooth], "extra": []}
    found = Finding(
        "caries", private_code("C", "Caries"), 0.8, True, 0.5, {"tooth": "36", "box": box}
    )
    finish(room, study_id, "teeth", [found], {"chart": json.dumps(chart).encode()})
    return study_id


def finish(
    room: Room, study: str, system: str, found: list[Finding], files: dict[str, bytes]
) -> None:
    studies.complete(room.store, study)
    job = jobs.claim(room.store, "w")
    assert job is not None
    prediction = Prediction(
        "c", "p", system, ModelRef(system, "1", "0" * 64), findings=tuple(found)
    )
    outputs = [
        NewOutput(kind, room.store.blobs.put(data), len(data), f"{kind}.json")
        for kind, data in files.items()
    ]
    jobs.finish(room.store, job, NewResult(prediction), outputs)


@pytest.mark.browser
def test_a_reader_at_work(address: tuple[Room, str], tmp_path: Path) -> None:
    node = shutil.which("node")
    if not node or not Path(CHROMIUM).exists() or not Path(PLAYWRIGHT, "node_modules").is_dir():
        pytest.skip(
            "needs node, Chromium, and PLAYWRIGHT=FOLDER where playwright-core is installed"
        )
    room, at = address
    room.account("anna", "reviewer")
    ct, jaw = add_ct(room), add_jaw(room)
    run = subprocess.run(
        [node, str(Path(__file__).with_name("browser.mjs")), at, PASSWORD],
        env={**os.environ, "CHROMIUM": CHROMIUM, "PLAYWRIGHT": PLAYWRIGHT},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    seen: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert seen["first"].startswith("slice 3 of 6")
    assert seen["scrolled"].startswith("slice 5 of 6")
    assert seen["troubles"] == [] and seen["help"]
    said = {one.kind: one for study in (ct, jaw) for one in corrections.of_study(room.store, study)}
    assert set(said) == {"mask", "agree", "tooth", "box"}
    assert said["tooth"].data == {"from": "36", "to": "37"}
    exported = corrections.export(room.store, tmp_path / "out")
    assert exported
    table = (tmp_path / "out" / "cases.csv").read_text()
    assert table.count("\n") >= 3
    assert "masks/" in table and "tooth" in (tmp_path / "out" / "judgements.jsonl").read_text()
