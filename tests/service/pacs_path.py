"""Run by test_pacs_real.py in a network namespace of its own: Orthanc and the whole service.

    python pacs_path.py WORK DATA

CT and a film go by `storescu` to Orthanc, which forwards them; they are read; what was found comes
back to Orthanc and is found there by QIDO. Then C-FIND, C-MOVE and DICOMweb in both directions.
Prints one line of JSON.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import yaml

from radloop.images.dicom_write import write_radiograph_dicom
from radloop.images.read import read_radiograph
from radloop.service.dicomweb.client import DicomWebClient, DicomWebError
from radloop.service.node import client
from radloop.service.node.options import Peer
from radloop.service.settings import load_settings
from radloop.service.store.database import open_store
from radloop.service.store.schema import Instance, Job, Result

FORWARD = """
function OnStableStudy(study, tags, metadata)
  local wanted = {}
  for _, series in pairs(ParseJson(RestApiGet("/studies/" .. study .. "/series"))) do
    if series["MainDicomTags"]["Manufacturer"] ~= "Radloop" then
      table.insert(wanted, series["ID"])
    end
  end
  if #wanted > 0 then
    RestApiPost("/modalities/radloop/store",
                DumpJson({ Resources = wanted, Asynchronous = true }, true))
  end
end
"""


def start_orthanc(work: Path) -> subprocess.Popen[bytes]:
    """Orthanc with DICOMweb and the forwarding script, its files in `work`."""
    (work / "forward.lua").write_text(FORWARD)
    plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    settings = {
        "StorageDirectory": str(work / "orthanc"),
        "IndexDirectory": str(work / "orthanc"),
        "DicomAet": "ORTHANC",
        "DicomPort": 4242,
        "HttpPort": 8042,
        "AuthenticationEnabled": False,
        "StableAge": 2,
        "OverwriteInstances": True,
        "LuaScripts": [str(work / "forward.lua")],
        "Plugins": [plugin],
        "DicomWeb": {"Enable": True},
        "DicomModalities": {"radloop": ["RADLOOP", "127.0.0.1", 11112]},
    }
    (work / "orthanc.json").write_text(json.dumps(settings))
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    log = (work / "orthanc.log").open("wb")
    return subprocess.Popen([program, str(work / "orthanc.json")], stdout=log, stderr=log)


def start_service(work: Path) -> subprocess.Popen[bytes]:
    """`radloop serve`, all of it, with Orthanc as the peer that results go to."""
    home = work / "home"
    home.mkdir()
    pacs = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": 4242}
    models = [
        {"model": "hemorrhage", "even_out": True, "send_to": ["pacs"]},  # its gaps are uneven
        {"model": "cardiomegaly", "send_to": ["pacs"]},
    ]
    (home / "radloop.yaml").write_text(
        yaml.safe_dump({"quiet": 4.0, "models": models, "node": {"peers": [pacs]}})
    )
    log = (work / "radloop.log").open("wb")
    command = [sys.executable, "-m", "radloop.cli.main", "serve", "--home", str(home)]
    return subprocess.Popen(command, stdout=log, stderr=log)


def write_film(work: Path, picture: Path) -> Path:
    """A chest film as another maker's machine writes it."""
    image = read_radiograph(picture).image
    assert image is not None
    write_radiograph_dicom(work / "film.dcm", image, patient_id="P2", seed="film")
    film = pydicom.dcmread(work / "film.dcm")
    film.Manufacturer = "ACME"
    film.save_as(work / "film.dcm")
    return work / "film.dcm"


def until(seconds: float, done: Callable[[], bool], what: str) -> None:
    """Wait until `done`, which may fail meanwhile with our own errors."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except (client.NodeError, DicomWebError):
            pass
        time.sleep(0.5)
    raise SystemExit(f"not in time: {what}")


def main(work: Path, data: Path) -> None:
    pacs = Peer(name="pacs", ae_title="ORTHANC", port=4242)
    node = Peer(name="node", ae_title="RADLOOP", port=11112)
    film = write_film(work, min((data / "chest" / "wingspan" / "images").glob("*.png")))
    slices = sorted((data / "dicom" / "head_ct_gantry_tilt").glob("*.dcm"))
    dicomweb = DicomWebClient("http://127.0.0.1:8042/dicom-web")
    processes = [start_orthanc(work), start_service(work)]
    try:
        until(60, lambda: client.echo(pacs, "ORTHANC") is None, "Orthanc listens")
        until(120, lambda: client.echo(node, "ORTHANC") is None, "the node listens")
        where = ["-aec", "ORTHANC", "127.0.0.1", "4242"]
        subprocess.run(["storescu", *where, *map(str, [*slices, film])], check=True)
        store = open_store(load_settings(work / "home"), migrate=False)

        def ours() -> list[str]:
            """The modalities of Radloop's series in Orthanc, by QIDO."""
            found = dicomweb.search({"includefield": "Manufacturer"}, level="series")
            uids = [(one["0020000D"]["Value"][0], one["0020000E"]["Value"][0]) for one in found]
            kinds = []
            for one, (study, series) in zip(found, uids, strict=True):
                (head, *_) = dicomweb.fetch(study, series)
                made = pydicom.dcmread(io.BytesIO(head), stop_before_pixels=True)
                if made.get("Manufacturer") == "Radloop":
                    kinds.append(one["00080060"]["Value"][0])
            return kinds

        def finished() -> bool:
            with store.reading() as session:
                jobs = Counter((job.kind, job.state) for job in session.query(Job))
            return jobs["read", "done"] >= 2 and jobs["send", "done"] >= 2

        until(420, finished, "two studies are read and sent back")
        time.sleep(6)  # whatever would come round again has come
        with store.reading() as session:
            results = [(r.system, r.status, r.code) for r in session.query(Result)]
            jobs = Counter(f"{job.kind} {job.state}" for job in session.query(Job))
            instances = session.query(Instance).count()
        study = str(pydicom.dcmread(slices[0], stop_before_pixels=True).StudyInstanceUID)
        asked = {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}
        found = client.find(pacs, "RADLOOP", "STUDY", asked)
        moved = client.move(pacs, "RADLOOP", "STUDY", {"StudyInstanceUID": study})
        files = dicomweb.fetch(study)
        print(
            json.dumps(
                {
                    "results": results,
                    "jobs": jobs,
                    "instances": instances,
                    "ours": sorted(ours()),
                    "found": len(found),
                    "moved": [moved.completed, moved.failed],
                    "fetched": len(files),
                    "refused": dicomweb.store(files[:1]),
                }
            )
        )
        store.close()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
