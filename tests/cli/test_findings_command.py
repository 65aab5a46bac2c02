"""`radloop findings`: what `predict` wrote becomes DICOM objects beside their source, and FHIR."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from radloop.cli.main import app
from radloop.findings.codes import code
from radloop.findings.finding import Finding, ModelRef, Prediction
from radloop.findings.forms import PredictionLog
from radloop.images.dicom_write import write_radiograph_dicom
from radloop.images.image import Geometry, Image
from radloop.images.write import write_png

run = CliRunner()
MODEL = ModelRef("toy", "1", "ab" * 32)


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """`films/` with a DICOM film and a picture, and `out/` with what was said of both."""
    pixels = np.random.default_rng(1).integers(0, 255, (40, 56), np.uint8)
    film = Image(pixels, Geometry((40, 56)))
    write_radiograph_dicom(tmp_path / "films/a.dcm", film, patient_id="p1")
    write_png(tmp_path / "films/b.png", pixels)
    box = {"box": [1.0, 2.0, 20.0, 30.0]}
    said = (Finding("fracture", code("fracture"), 0.8, True, 0.5, box),)
    with PredictionLog(tmp_path / "out") as log:
        for name in ("a", "b"):
            log.append(Prediction(name, name, "bone_fracture", MODEL, findings=said))
    return tmp_path


def test_objects_and_fhir_of_what_was_predicted(predicted: Path) -> None:
    films, out = predicted / "films", predicted / "objects"
    words = ["findings", str(predicted / "out"), "--source", str(films), "--out", str(out)]
    done = run.invoke(app, [*words, "--json"])
    assert done.exit_code == 3, done.output  # the picture has no study to belong to
    a, b = json.loads(done.stdout)["cases"]
    assert a["written"] == ["sr.dcm", "gsps.dcm", "fhir.json"]
    assert set(a["left_out"]) == {"seg", "sc"}
    assert b["written"] == ["fhir.json"]
    assert "no DICOM file" in b["missed"]
    report = pydicom.dcmread(out / "a/sr.dcm")
    assert report.StudyInstanceUID == pydicom.dcmread(films / "a.dcm").StudyInstanceUID
    entries = json.loads((out / "a/fhir.json").read_text())["entry"]
    kinds = {entry["resource"]["resourceType"] for entry in entries}
    assert kinds == {"DiagnosticReport", "Observation", "ImagingStudy", "Device", "Patient"}
    again = run.invoke(app, [*words, "--to", "sr"])
    assert "b: no DICOM objects" in again.stdout
    assert pydicom.dcmread(out / "a/sr.dcm").SOPInstanceUID == report.SOPInstanceUID


def test_fhir_alone_needs_no_dicom(predicted: Path) -> None:
    words = ["findings", str(predicted / "out"), "--source", str(predicted / "films")]
    done = run.invoke(
        app, [*words, "--to", "fhir", "--release", "R5", "--out", str(predicted / "f")]
    )
    assert done.exit_code == 0, done.output
    assert "2 files of 2 cases" in done.stdout


def test_an_unknown_kind(predicted: Path) -> None:
    words = ["findings", str(predicted / "out"), "--source", str(predicted), "--out", "x"]
    done = run.invoke(app, [*words, "--to", "sr,pdf"])
    assert done.exit_code == 2
    assert "no kind 'pdf'" in done.stderr
