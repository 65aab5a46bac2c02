"""A folder of CT slices to a volume of 1 mm: ours against MONAI's `LoadImage` and `Spacing`.

    python benchmarks/volume_speed.py [--slices 300] [--rounds 3] [--folder DIR]

Without `--folder` a series is made: 512 by 512 pixels of .488 mm, 1 mm apart, smooth noise in a
body, plain little-endian files under random names. Both sides run in processes of their own, in
turn, after a warm-up round that is not counted; imports are left out of the time. Printed: seconds,
their ratio, how far the two volumes' values lie apart where both have a voxel (by the patient's
millimetres), and how much memory each took beside its imports, as a multiple of the volume.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def radloop(folder: Path, out: Path) -> dict[str, float]:
    """`read_volume`, as the systems use it."""
    from radloop.images import grid
    from radloop.images.volumes.read import read_volume

    before, start = _peak(), time.perf_counter()
    image = read_volume(folder, spacing=(1.0, 1.0, 1.0)).image
    seconds = time.perf_counter() - start
    assert image is not None
    np.savez(out, array=image.array, affine=grid.affine(image.geometry))
    return {"seconds": seconds, "mib": _peak() - before, "volume": image.array.nbytes / 2**20}


def monai(folder: Path, out: Path) -> dict[str, float]:
    """MONAI's reader and resampler with their defaults; (x, y, z) and RAS become ours."""
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Spacing

    read = Compose([LoadImage(image_only=True), EnsureChannelFirst(), Spacing(pixdim=(1, 1, 1))])
    before, start = _peak(), time.perf_counter()
    image = read(folder)
    seconds = time.perf_counter() - start
    array = image[0].numpy()
    swap = np.eye(4)[[2, 1, 0, 3]]
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine.numpy() @ swap
    np.savez(out, array=array.transpose(2, 1, 0), affine=affine)
    return {"seconds": seconds, "mib": _peak() - before, "volume": array.nbytes / 2**20}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _make(folder: Path, slices: int) -> None:
    import cv2
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    study, series = generate_uid(), generate_uid()
    y, x = np.mgrid[:512, :512]
    body = 1000.0 * ((y - 256) ** 2 + (x - 256) ** 2 < 200**2) - 1000
    for k in range(slices):
        noise = cv2.GaussianBlur(rng.normal(0, 400, (512, 512)), (0, 0), 2)
        stored = (body + noise + 40 * np.cos(k / 9 + x / 30) + 1024).clip(0, 3000)
        dataset, meta = Dataset(), FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta = meta
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.PatientID, dataset.Modality, dataset.InstanceNumber = "made", "CT", k + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImagePositionPatient = [-125, -125, float(k)]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [0.48828125, 0.48828125], 1
        dataset.Rows = dataset.Columns = 512
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation, dataset.RescaleSlope = 1, 1
        dataset.RescaleIntercept = -1024
        dataset.PixelData = stored.astype("<i2").tobytes()
        dataset.save_as(folder / f"{rng.integers(1 << 40):x}.dcm", enforce_file_format=True)


def _apart(ours: Path, theirs: Path) -> tuple[float, float]:
    """Largest and 99.9th percentile difference over voxels at the same place."""
    a, b = np.load(ours), np.load(theirs)
    index = np.linalg.solve(a["affine"], b["affine"])  # from their index to ours
    z, y, x = (np.arange(n) for n in b["array"].shape)
    at = [np.rint(index[i, i] * axis + index[i, 3]).astype(int) for i, axis in enumerate((z, y, x))]
    if not np.allclose(np.abs(index[:3, :3]), np.eye(3), atol=1e-6):
        raise SystemExit("the two grids are turned against each other")
    keep = [(places >= 0) & (places < n) for places, n in zip(at, a["array"].shape, strict=True)]
    mine = a["array"][np.ix_(*(places[k] for places, k in zip(at, keep, strict=True)))]
    other = b["array"][np.ix_(*keep)]
    difference = np.abs(mine - other)
    return float(difference.max()), float(np.quantile(difference[::4, ::4, ::4], 0.999))


def _measure(role: str, folder: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--role", role, "--folder", str(folder), "--out", str(out)]
    done = subprocess.run(command, check=True, capture_output=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Run both sides in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=("radloop", "monai"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    roles = {"radloop": radloop, "monai": monai}
    if options.role:
        print(json.dumps(roles[options.role](options.folder, options.out)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary, "series")
        if options.folder is None:
            folder.mkdir()
            _make(folder, options.slices)
        out = {role: Path(temporary, f"{role}.npz") for role in roles}
        rounds = [
            {role: _measure(role, folder, out[role]) for role in roles}
            for _ in range(options.rounds + 1)
        ][1:]
        largest, most = _apart(out["radloop"], out["monai"])
    for role in roles:
        seconds = [r[role]["seconds"] for r in rounds]
        memory = max(r[role]["mib"] for r in rounds)
        print(
            f"{role:8} {statistics.median(seconds):6.2f} s ({min(seconds):.2f} to"
            f" {max(seconds):.2f}), {memory:.0f} MiB beside imports,"
            f" {memory / rounds[0][role]['volume']:.2f} times its volume"
        )
    ratios = [r["monai"]["seconds"] / r["radloop"]["seconds"] for r in rounds]
    print(f"radloop / monai, volumes per second: {statistics.median(ratios):.1f}")
    print(f"values apart: {largest:.3f} HU at most, {most:.3f} HU in 99.9 % of voxels")


if __name__ == "__main__":
    main()
