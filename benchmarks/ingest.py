"""Receive CT instances of 0.53 MB by C-STORE: the node against bare receivers. One table, one run.

Peers: a receiver of a dozen lines on pynetdicom that writes the bytes it gets under a temporary
name and renames them (no flush, no hash, no database), as pynetdicom comes and with the PDU size
of the node; and DCMTK's `storescp`, as it comes and with TCP_NODELAY=1. The node hashes, flushes
each file to the disk and registers it before it answers. The sender is DCMTK's `storescu`, with
TCP_NODELAY=1 but for the row "as shipped"; each round sends instances that the store has not seen.
Needs DCMTK. `--memory 20000` sends so many instances to one process and prints its memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE = 512
BASE_PORT = 11300


def write_instances(folder: Path, count: int, seed: str) -> None:
    """`count` CT slices of one series, 512 by 512 of 16 bits, unlike each other by their UIDs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(-1000, 2000, (SIDE, SIDE), np.int16).tobytes()
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.StudyInstanceUID = generate_uid(entropy_srcs=[seed, "study"])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[seed, "series"])
    data.PatientID, data.PatientName, data.Modality = f"P{seed}", "Made^Up", "CT"
    data.StudyDate = data.AccessionNumber = data.StudyDescription = ""
    data.SeriesDescription, data.BodyPartExamined = "made up", "HEAD"
    data.Rows = data.Columns = SIDE
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 1, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelSpacing, data.SliceThickness = [0.5, 0.5], 1
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    data.PixelData = pixels
    for number in range(1, count + 1):
        data.SOPInstanceUID = generate_uid(entropy_srcs=[seed, str(number)])
        data.InstanceNumber = number
        data.ImagePositionPatient = [0, 0, number]
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.save_as(folder / f"{number:05}.dcm", enforce_file_format=True)


# --- receivers, each a process of its own: `python ingest.py --receive KIND FOLDER PORT` ---------


def receive_bare(folder: Path, port: int, pdu: int) -> None:
    """pynetdicom alone, writing bytes."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom.sop_class import Verification

    def store(event: evt.Event) -> int:
        uid = event.request.AffectedSOPInstanceUID
        with (folder / f"{uid}.part").open("wb") as file:
            file.write(event.encoded_dataset())
        (folder / f"{uid}.part").rename(folder / f"{uid}.dcm")
        return 0

    ae = AE("BENCH")
    ae.maximum_pdu_size = pdu
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


def receive_node(folder: Path, port: int) -> None:
    """The node, with its store in `folder`."""
    from radloop.service.node.server import start_node
    from radloop.service.settings import load_settings
    from radloop.service.store.database import open_store

    settings = load_settings(folder, node={"ae_title": "BENCH", "port": port})
    node = start_node(open_store(settings), settings)
    signal.sigwait({signal.SIGTERM})
    node.stop()


def start(kind: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A receiver, listening."""
    environment = dict(os.environ)
    if kind.startswith("storescp"):
        command = ["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(folder), str(port)]
        if kind == "storescp, TCP_NODELAY=1":
            environment["TCP_NODELAY"] = "1"
        else:
            command = ["storescp", "--fork", "+B", "-od", str(folder), str(port)]
    else:
        command = [sys.executable, __file__, "--receive", kind, str(folder), str(port)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(200):
        echo = ["echoscu", "-aec", "BENCH", "127.0.0.1", str(port)]
        if subprocess.run(echo, capture_output=True, check=False).returncode == 0:
            return process
        time.sleep(0.1)
    process.kill()
    raise SystemExit(f"{kind} does not listen")


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    """The most memory that a process has had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def send(folder: Path, port: int, nodelay: bool = True) -> subprocess.Popen[bytes]:
    """`storescu` at work, everything over one association."""
    environment = dict(os.environ) | ({"TCP_NODELAY": "1"} if nodelay else {})
    command = ["storescu", "-aec", "BENCH", "+sd", "127.0.0.1", str(port), str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def measure(kind: str, work: Path, count: int, processes: int) -> tuple[float, float]:
    """Instances a second, and the peak memory of a receiver in MB."""
    folders = []
    for number in range(processes):
        folders.append(work / f"send{number}")
        write_instances(folders[-1], count, seed=f"{time.time()}/{number}")
    store = work / "store"
    store.mkdir()
    os.sync()
    ports = [BASE_PORT + number for number in range(processes)]
    receivers = [start(kind, store, port) for port in ports]
    try:
        begun = time.perf_counter()
        nodelay = kind != "storescp, as shipped"
        senders = [send(f, p, nodelay) for f, p in zip(folders, ports, strict=True)]
        codes = [sender.wait() for sender in senders]
        seconds = time.perf_counter() - begun
        memory = max(peak_mb(process) for process in receivers)
    finally:
        for process in receivers:
            process.terminate()
            process.wait()
    if any(codes):
        raise SystemExit(f"{kind}: storescu failed")
    check(kind, store, count * processes)
    for folder in [*folders, store]:
        shutil.rmtree(folder)
    return count * processes / seconds, memory


def check(kind: str, store: Path, expected: int) -> None:
    """Everything arrived: rows and files of the node, files of the others."""
    if kind == "node":
        import sqlite3

        with sqlite3.connect(store / "radloop.db") as database:
            rows = [row for (row,) in database.execute("SELECT blob FROM instance")]
        found = sum((store / "blobs" / name[:2] / name).is_file() for name in rows)
    else:
        found = sum(1 for path in store.iterdir() if path.is_file())
    if found != expected:
        raise SystemExit(f"{kind}: {found} of {expected} instances arrived")


def memory_run(work: Path, total: int) -> None:
    """One process, `total` instances in associations of 1,000: its memory after each 2,000."""
    store = work / "store"
    receiver = start("node", store, BASE_PORT)
    rows = []
    begun = time.perf_counter()
    for sent in range(1000, total + 1, 1000):
        folder = work / "send"
        write_instances(folder, 1000, seed=f"{time.time()}")
        if send(folder, BASE_PORT).wait():
            raise SystemExit("storescu failed")
        shutil.rmtree(folder)
        for path in (store / "blobs").glob("??/*"):  # the disk need not hold them all
            path.unlink()
        status = Path(f"/proc/{receiver.pid}/status").read_text()
        now = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        rows.append((sent, int(now.split()[1]) / 1024, peak_mb(receiver)))
        if sent % 2000 == 0:
            print("| {} | {:.1f} | {:.1f} |".format(*rows[-1]), flush=True)
    receiver.terminate()
    receiver.wait()
    print(f"{total} instances in {time.perf_counter() - begun:.0f} s, making them included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--receive", nargs=3, metavar=("KIND", "FOLDER", "PORT"))
    options = parser.parse_args()
    if options.receive:
        kind, folder, port = options.receive
        if kind == "node":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            receive_node(Path(folder), int(port))
        else:
            receive_bare(Path(folder), int(port), 131072 if "128" in kind else 16382)
        return
    if not shutil.which("storescu"):
        raise SystemExit("DCMTK is not installed")
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        if options.memory:
            memory_run(Path(name), options.memory)
            return
        kinds = [
            ("storescp, as shipped", 1),
            ("storescp, TCP_NODELAY=1", 1),
            ("bare pynetdicom", 1),
            ("bare pynetdicom, PDU of 128 KiB", 1),
            ("node", 1),
            ("node", 2),
        ]
        found: dict[tuple[str, int], list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, processes in kinds:
                count = 100 if kind == "storescp, as shipped" else options.count
                found[kind, processes].append(measure(kind, Path(name), count, processes))
        print("| receiver | processes | instances/s, median | lowest, highest | peak memory |")
        print("|---|---|---|---|---|")
        for (kind, processes), runs in found.items():
            speeds = sorted(speed for speed, _ in runs)
            memory = max(memory for _, memory in runs)
            middle = statistics.median(speeds)
            ends = f"{speeds[0]:.0f}, {speeds[-1]:.0f}"
            print(f"| {kind} | {processes} | {middle:.0f} | {ends} | {memory:.0f} MB |")


if __name__ == "__main__":
    main()
