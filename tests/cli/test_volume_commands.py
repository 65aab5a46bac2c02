"""`radloop series` and `convert`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from radloop.cli.main import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tilted series with a gap that is wider than the others."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    for k, z in enumerate((0, 5, 10, 25, 30)):
        dataset, meta = Dataset(), FileMetaDataset()
        dataset.SOPClassUID = meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.{k + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta = meta
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.77", "1.2.78"
        dataset.PatientName, dataset.Modality, dataset.InstanceNumber = "Secret^Name", "CT", k + 1
        dataset.ImagePositionPatient = [0, 0, z]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0.9848, 0.1736]
        dataset.PixelSpacing = [0.5, 0.5]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 16, 12, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.PixelData = np.full((16, 12), 10 * k, np.int16).tobytes()
        path = tmp_path / "in" / f"{k}.dcm"
        path.parent.mkdir(exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
    return tmp_path / "in"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_series_are_listed_with_their_verdicts(folder: Path):
    (folder / "broken.dcm").write_bytes((folder / "0.dcm").read_bytes()[:300])
    done = run("series", folder, "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert found["series"][0]["verdict"]["code"] == "missing_slices"
    assert found["series"][0]["gaps_mm"] == [5, 15]
    assert found["series"][0]["tilt_degrees"] == pytest.approx(10, abs=0.05)
    assert "Secret" not in done.stdout
    assert "missing_slices" in run("series", folder).stdout


def test_a_volume_is_converted_when_its_gaps_may_be_filled(folder: Path, tmp_path: Path):
    out = tmp_path / "v.nii.gz"
    refused = run("convert", folder, "--out", out)
    assert refused.exit_code == 3
    assert "2 slices are missing" in refused.stderr
    assert not out.exists()
    done = run("convert", folder, "--out", out, "--resample-gaps", "--spacing", "2.5,1,1", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"]["status"] == "warned"
    assert told["spacing_mm"] == [2.5, 1, 1]
    written = nib.load(out)
    assert list(written.shape[::-1]) == told["shape"]
    assert nib.aff2axcodes(written.affine) == ("L", "P", "S")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out", "v.png"], "no NIfTI name"),
        (["--out", "v.nii", "--spacing", "a"], "no spacing"),
        (["--out", "v.nii", "--spacing", "1,2"], "no spacing"),
        (["--out", "v.nii", "--spacing", "0", "--resample-gaps"], "not positive"),
    ],
)
def test_wrong_calls_end_with_2(folder: Path, options: list[str], sentence: str):
    done = run("convert", folder, *options)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert run("convert", folder / "absent", "--out", "v.nii").exit_code == 2
    assert run("series", folder / "absent").exit_code == 2
