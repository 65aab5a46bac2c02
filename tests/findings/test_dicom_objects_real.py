"""Every object of the shipped models' findings on real films and a real tilted CT, held against
dciodvfy and dsrdump, and read back. Run with `make check-real`; the counts are printed."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

import radloop
from radloop.cli.main import app
from radloop.findings.forms import read_predictions
from radloop.images.dicom_write import write_radiograph_dicom
from radloop.images.read import read_radiograph

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real images at {SHARED}"),
    pytest.mark.skipif(
        shutil.which("dciodvfy") is None or shutil.which("dsrdump") is None,
        reason="dciodvfy (dicom3tools) and dsrdump (DCMTK) are not installed",
    ),
]
run = CliRunner()
FILMS = 30


def made(model: str, inputs: Path, out: Path, *options: str) -> Path:
    """Predictions of `inputs` and their objects, written by the two commands."""
    done = run.invoke(
        app, ["predict", model, str(inputs), "--pictures", "--out", str(out / "said"), *options]
    )
    assert done.exit_code in (0, 3), done.output
    with warnings.catch_warnings(record=True) as said:
        done = run.invoke(
            app,
            ["findings", str(out / "said"), "--source", str(inputs), "--out", str(out / "made")],
        )
    assert done.exit_code == 0, done.output
    assert not [w for w in said if "person name" in str(w.message)], "names belong in no log"
    return out / "made"


def validated(folder: Path) -> Counter[str]:
    """How many objects of each kind; every one without an error of the validator."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.dcm")):
        checked = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
        assert errors == [], path.name
        counts[path.stem] += 1
        if path.stem == "sr":
            shown = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=False)
            assert shown.returncode == 0, shown.stderr
            assert "E: " not in shown.stderr
    return counts


def test_chest_films(tmp_path: Path) -> None:
    films = sorted((SHARED / "chest/nih").rglob("*.png"))[:FILMS]
    if not films:
        pytest.skip("no chest films")
    for film in films:
        image = read_radiograph(film).image
        assert image is not None
        write_radiograph_dicom(tmp_path / f"in/{film.stem}.dcm", image, patient_id=film.stem)
    folder = made("cardiomegaly", tmp_path / "in", tmp_path)
    counts = validated(folder)
    predictions = {p.case_id: p for p in read_predictions(tmp_path / "said")}
    read_back = 0
    for case, prediction in predictions.items():
        report = pydicom.dcmread(folder / case / "sr.dcm")
        text = report.to_json()
        for finding in prediction.findings:
            assert finding.measurement is not None
            assert f"{finding.probability:g}" in text
            assert f"{finding.measurement.value:g}" in text
            read_back += 2
        if (folder / case / "seg.dcm").exists():
            import cv2

            labels = cv2.imread(str(tmp_path / f"said/masks/{case}.png"), cv2.IMREAD_UNCHANGED)
            seg = pydicom.dcmread(folder / case / "seg.dcm")
            numbers = [
                f.SegmentIdentificationSequence[0].ReferencedSegmentNumber
                for f in seg.PerFrameFunctionalGroupsSequence
            ]
            for number, frame in zip(numbers, np.atleast_3d(seg.pixel_array), strict=True):
                np.testing.assert_array_equal(frame, labels == number)
                read_back += 1
    print(f"\nchest: {len(films)} films, {dict(counts)}, {read_back} values and masks read back")


def test_head_ct(tmp_path: Path) -> None:
    folder = SHARED / "dicom/head_ct_gantry_tilt"
    if not folder.is_dir():
        pytest.skip("no head CT")
    counts = validated(made("hemorrhage", folder, tmp_path, "--resample-gaps"))
    (prediction,) = read_predictions(tmp_path / "said")
    (case,) = (tmp_path / "made").iterdir()
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in folder.iterdir()]
    normal = np.cross(*np.reshape(headers[0].ImageOrientationPatient, (2, 3)).astype(float))
    headers.sort(key=lambda h: float(np.array(h.ImagePositionPatient, float) @ normal))
    text = json.loads(pydicom.dcmread(case / "sr.dcm").to_json())
    slices = {f.where["slice"] for f in prediction.findings}
    for k in slices:
        assert headers[k].SOPInstanceUID in json.dumps(text)
    print(f"\nhead CT: {len(headers)} slices, {len(prediction.findings)} findings on {len(slices)}"
          f" slices, {dict(counts)}")  # fmt: skip


def test_the_demonstrations_films(tmp_path: Path) -> None:
    films = tmp_path / "in"
    films.mkdir()
    for film in sorted((Path(radloop.__file__).parent / "demo/films").glob("*.dcm")):
        shutil.copy(film, films)
    counts = validated(made("cardiomegaly", films, tmp_path))
    print(f"\ndemonstration: {len(list(films.iterdir()))} DICOM films, {dict(counts)}")
