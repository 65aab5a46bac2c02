"""`radloop import nifti` and `import dicom`, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from made_series import write_series
from typer.testing import CliRunner, Result

from radloop.cases.table import read_cases
from radloop.cli.main import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a_dwi", "a_adc", "b_dwi", "a_msk"):
        nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4)), folder / f"{name}.nii")
    return folder


def test_nifti_with_named_and_unnamed_masks(volumes: Path, tmp_path: Path) -> None:
    out = tmp_path / "cases.csv"
    channels = ("--channel", "dwi={case}_dwi.nii", "--channel", "adc={case}_adc.nii")
    masks = ("--mask", "*_msk.nii", "--mask", "old={case}_msk.nii")
    done = run("import", "nifti", "--images", volumes, *channels, *masks, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["cases"], told["patients"]) == (2, 2)
    assert {(one["code"], *one["names"]) for one in told["notes"]} == {
        ("cases_without_channel", "b"), ("images_without_mask", "b")
    }  # fmt: skip
    assert read_cases(out).names("mask") == ("lesion", "old")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--channel", "dwi"], "not of the form NAME=GLOB"),
        (["--channel", "dwi=*_none.nii"], "No file below in matches"),
        (["--channel", "dwi=*.nii", "--mask", "x="], "not of the form"),
    ],
)
def test_wrong_calls_of_nifti_end_with_2(
    volumes: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    out = tmp_path / "cases.csv"
    done = run("import", "nifti", "--images", volumes, *options, "--out", out)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not out.exists()


def test_dicom(tmp_path: Path) -> None:
    write_series(tmp_path / "in")
    out = tmp_path / "cases.csv"
    done = run("import", "dicom", tmp_path / "in", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "1 cases of 1 patients" in done.stdout
    (case,) = read_cases(out).cases
    assert case.image == tmp_path / "in" and case.patient_id == "made-1"
    assert (
        run("import", "dicom", tmp_path / "in", "--channel", "t1=none", "--out", out).exit_code == 2
    )
    assert run("import", "dicom", tmp_path / "absent", "--out", out).exit_code == 2
