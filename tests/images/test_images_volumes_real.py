"""Real series: a tilted GE head CT with three gaps, Siemens mosaics and one CT in every syntax."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from radloop.images import grid
from radloop.images.volumes.decode import Pixels
from radloop.images.volumes.headers import read_header
from radloop.images.volumes.read import read_volume
from radloop.images.volumes.series import find_series

DICOM = Path(os.environ.get("RADLOOP_DATA", "")) / "dicom"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DICOM.is_dir(), reason="RADLOOP_DATA is not set to the real images"),
]
SYNTAXES = DICOM / "transfer_syntaxes"
# Mean error in HU beside the plain file, of what is not lossless: the 8 bits of process 1 make
# steps of 32 HU, the 12 bits of the others of 2 HU.
LOSSY = {
    "JPEGProcess1Transfer": 20,
    "JPEGProcess2": 4,
    "JPEGProcess6": 4,
    "JPEGProcess10": 4,
    "JPEGLSLossy": 4,
    "JPEG2000Transfer": 8,
}


def test_tilt_and_gaps_are_named():
    (series,) = find_series([DICOM / "head_ct_gantry_tilt"]).series
    assert series.verdict.code == "uneven_gaps"
    text = " ".join(series.verdict.messages)
    for words in ("18.5 degrees", "4.22 mm", "1.14 mm", "7.38 mm"):
        assert words in text
    assert read_volume(DICOM / "head_ct_gantry_tilt").image is None


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0)])
def test_the_tilted_series_is_what_simpleitk_makes_of_sheared_slices(spacing):
    folder = DICOM / "head_ct_gantry_tilt"
    image = read_volume(folder, even_out=True, spacing=spacing).image
    assert image is not None
    slices = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()),
        key=lambda d: float(d.ImagePositionPatient[2]),
    )
    turn = np.array(slices[0].ImageOrientationPatient, float)
    across, down = turn[:3], turn[3:]
    positions = np.array([d.ImagePositionPatient for d in slices], float)
    depth = (positions - positions[0]) @ np.cross(across, down)
    origin, steps = np.array(image.geometry.origin), image.geometry.spacing
    assert steps is not None
    flat = []
    for dataset, position in zip(slices, positions, strict=True):
        one = sitk.GetImageFromArray(dataset.pixel_array.astype(np.float32))
        one.SetSpacing([float(v) for v in dataset.PixelSpacing][::-1])
        one.SetOrigin([float((position - origin) @ across), float((position - origin) @ down)])
        wanted = sitk.Image(image.array.shape[2], image.array.shape[1], sitk.sitkFloat32)
        wanted.SetSpacing((steps[2], steps[1]))
        flat.append(
            sitk.GetArrayFromImage(
                sitk.Resample(one, wanted, sitk.Transform(), sitk.sitkLinear, -1024.0)
            )
        )
    expected = np.empty(image.array.shape, np.float32)
    for k in range(len(expected)):
        place = k * steps[0]
        below = min(int(np.searchsorted(depth, place + 1e-9, side="right")) - 1, len(depth) - 2)
        part = (place - depth[below]) / (depth[below + 1] - depth[below])
        expected[k] = flat[below] * (1 - part) + flat[below + 1] * part
    assert np.abs(expected - image.array).max() < 0.1  # HU


def test_the_scout_is_no_volume():
    found = find_series([DICOM / "scout"])
    assert not found.series
    assert {v.code for v in found.others.values() if v} == {"localizer"}


@pytest.mark.parametrize("number", range(1, 10))
def test_mosaics_are_what_dcm2niix_made_of_them(number: int):
    image = read_volume(SYNTAXES / "dcm_qa_ts" / "In" / f"{number}.dcm").image
    assert image is not None
    reference = nib.load(SYNTAXES / "dcm_qa_ts" / "Ref" / f"{number}.nii")
    voxels = np.argwhere(image.array > -1)[::997]
    ras = grid.to_patient(voxels, image.geometry) * [-1, -1, 1]
    index = nib.affines.apply_affine(np.linalg.inv(reference.affine), ras)
    np.testing.assert_allclose(index, np.rint(index), atol=2e-3)
    theirs = np.asarray(reference.dataobj)[tuple(np.rint(index).astype(int).T)]
    np.testing.assert_array_equal(image.array[tuple(voxels.T)], theirs)


def _ct_files() -> list[Path]:
    return sorted((SYNTAXES / "cornerstone_ts").glob("CTImage.dcm_*")) if DICOM.is_dir() else []


@pytest.mark.parametrize("path", _ct_files(), ids=lambda p: p.name[12:40])
def test_every_transfer_syntax_is_decoded(path: Path):
    def values(file: Path) -> np.ndarray:
        header = read_header(file)
        assert header is not None
        (one,) = header.slices
        return Pixels(header.slices).stored(one) * one.slope + one.intercept

    reference, found = values(SYNTAXES / "cornerstone_ts" / "CTImage.dcm"), values(path)
    lossy = [bound for name, bound in LOSSY.items() if path.name[12:].startswith(name)]
    if lossy:
        assert np.abs(found - reference).mean() < lossy[0]
    else:
        np.testing.assert_array_equal(found, reference)
