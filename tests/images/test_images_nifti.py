"""NIfTI volumes: where nibabel and SimpleITK place a voxel, so do we; and every bad file."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from radloop.errors import WriteError
from radloop.images import grid
from radloop.images.image import Geometry
from radloop.images.limits import ReadLimits
from radloop.images.nifti import read_nifti, write_nifti
from radloop.images.volumes.read import read_volume

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def matrix_of(spacing, origin, turn) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", turn, degrees=True).as_matrix() * spacing
    matrix[:3, 3] = origin
    return matrix


def saved(path: Path, array=None, sform=None, qform=None, **header: object) -> Path:
    """A NIfTI-1 file `(x, y, z)` with the forms that are given, and no others."""
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if array is None else array
    image = nib.Nifti1Image(array, None)
    image.set_sform(sform, code=1 if sform is not None else 0)
    image.set_qform(qform, code=1 if qform is not None else 0)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def refusal(path: Path, **limits: int) -> str:
    reading = read_nifti(path, ReadLimits(min_side=2, **limits))
    assert reading.image is None
    assert reading.verdict.refused
    return reading.verdict.code


spacings = st.tuples(*[st.floats(0.3, 5)] * 3)
places = st.tuples(*[st.floats(-200, 200)] * 3)
turns = st.tuples(*[st.floats(-180, 180)] * 3)


@few
@given(spacings, places, turns, st.booleans(), st.sampled_from([".nii", ".nii.gz"]))
def test_voxels_lie_where_simpleitk_places_them(tmp_path, spacing, origin, turn, mirrored, suffix):
    matrix = matrix_of(spacing, origin, turn)
    matrix[:3, 0] *= -1 if mirrored else 1
    path = saved(tmp_path / f"a{suffix}", sform=matrix, qform=matrix)
    image = read_nifti(path).image
    assert image is not None
    theirs = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(image.array, sitk.GetArrayFromImage(theirs))
    assert image.array.dtype == np.int16
    for index in ((0, 0, 0), (4, 3, 2), (1, 2, 0)):
        there = theirs.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(grid.to_patient([index], image.geometry)[0], there, atol=1e-3)


@few
@given(spacings, places, turns, st.sampled_from([np.uint8, np.int16, np.float32, np.bool_]))
def test_what_is_written_is_read_again(tmp_path, spacing, origin, turn, dtype):
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()
    geometry = Geometry((3, 4, 5), spacing, "patient", origin, tuple(map(tuple, axes)))
    array = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    write_nifti(array, geometry, tmp_path / "b.nii.gz")
    image = read_nifti(tmp_path / "b.nii.gz").image
    assert image is not None
    np.testing.assert_array_equal(image.array, array)
    np.testing.assert_allclose(grid.affine(image.geometry), grid.affine(geometry), atol=1e-4)
    loaded = nib.load(tmp_path / "b.nii.gz")
    assert loaded.header["sform_code"] == loaded.header["qform_code"] == 1
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_sheared_volume_is_kept_and_said(tmp_path):
    sheared = np.array([[1, 0, 0.4, 5], [0, 1, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    reading = read_nifti(saved(tmp_path / "a.nii", sform=sheared))
    assert reading.verdict.code == "sheared_axes"
    assert reading.image is not None
    write_nifti(reading.image.array, reading.image.geometry, tmp_path / "b.nii")
    again = nib.load(tmp_path / "b.nii")
    np.testing.assert_allclose(again.affine, sheared, atol=1e-5)
    assert again.header["qform_code"] == 0


def test_scaling_units_and_a_fourth_axis_of_one(tmp_path):
    path = saved(
        tmp_path / "a.nii",
        np.full((3, 4, 5, 1), 100, np.int16),
        sform=np.diag([0.002, 0.002, 0.003, 1]),
        xyzt_units=1,  # metres
    )
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, -3], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(data)
    image = read_nifti(path).image
    assert image is not None
    assert image.array.shape == (5, 4, 3)
    assert image.array[0, 0, 0] == pytest.approx(47)
    assert image.geometry.spacing == pytest.approx((3, 2, 2))


def test_nifti_2_and_pairs_are_read(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    nib.save(nib.Nifti2Image(array, np.diag([1, 2, 3, 1])), tmp_path / "two.nii")
    nib.save(nib.Nifti1Pair(array, np.diag([1, 2, 3, 1])), tmp_path / "pair.hdr")
    for name in ("two.nii", "pair.hdr", "pair.img"):
        image = read_nifti(tmp_path / name).image
        assert image is not None
        np.testing.assert_array_equal(image.array, array.T)


def test_the_two_forms_are_compared(tmp_path):
    base = matrix_of((1, 1, 2), (5, 6, 7), (0, 0, 0))
    moved, mirrored = base.copy(), base.copy()
    moved[0, 3] += 3
    mirrored[:3, 0] *= -1
    assert read_nifti(saved(tmp_path / "a.nii", sform=base, qform=base)).verdict.code == "ok"
    reading = read_nifti(saved(tmp_path / "b.nii", sform=moved, qform=base))
    assert reading.verdict.code == "orientation_forms_differ"
    assert reading.image is not None
    assert reading.image.geometry.origin == pytest.approx((-8, -6, 7))
    path = saved(tmp_path / "c.nii", sform=mirrored, qform=base)
    assert refusal(path) == "contradicting_orientation"
    assert refusal(saved(tmp_path / "d.nii")) == "no_orientation"
    alone = read_nifti(saved(tmp_path / "e.nii", qform=base)).image
    assert alone is not None
    assert alone.geometry.origin == pytest.approx((-5, -6, 7))


def test_every_bad_file_has_its_verdict(tmp_path):
    good = saved(tmp_path / "good.nii", sform=np.eye(4)).read_bytes()
    packed = gzip.compress(good)

    def file(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    assert refusal(tmp_path / "absent.nii") == "missing_file"
    assert refusal(file("empty.nii", b"")) == "empty_file"
    assert refusal(file("text.nii", b"no image at all" * 40)) == "not_nifti"
    assert refusal(file("cut.nii", good[:400])) == "truncated"
    assert refusal(file("head.nii", good[:100])) == "not_nifti"
    assert refusal(file("cut.nii.gz", packed[:-30])) == "truncated"
    assert refusal(file("plain.nii.gz", good)) in {"corrupt", "truncated", "not_nifti"}
    assert refusal(saved(tmp_path / "flat.nii", np.zeros((3, 4)), np.eye(4))) == "not_a_volume"
    many = saved(tmp_path / "many.nii", np.zeros((3, 4, 5, 2)), np.eye(4))
    assert refusal(many) == "several_volumes"
    waves = saved(tmp_path / "waves.nii", np.zeros((3, 4, 5), np.complex64), np.eye(4))
    assert refusal(waves) == "unsupported_pixels"
    flat = saved(tmp_path / "zero.nii", sform=np.diag([1, 1, 0, 1.0]))
    assert refusal(flat) == "invalid_orientation"
    assert refusal(tmp_path / "good.nii", max_voxels=59) == "too_many_voxels"


def test_a_bomb_is_not_inflated(tmp_path):
    header = bytearray(saved(tmp_path / "a.nii", sform=np.eye(4)).read_bytes())
    header[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(bytes(header) + b"\0" * 10_000_000))
    assert refusal(path) == "too_many_voxels"


def test_voxels_that_are_no_numbers_are_counted(tmp_path):
    array = np.ones((3, 4, 5), np.float32)
    array[0, 0, :2] = np.nan, np.inf
    reading = read_nifti(saved(tmp_path / "a.nii", array, np.eye(4)))
    assert reading.verdict.code == "not_finite"
    assert "2 voxels" in reading.verdict.messages[0]
    assert reading.image is not None
    assert np.isfinite(reading.image.array).all()


def test_a_volume_is_read_at_the_spacing_that_is_asked_for(tmp_path):
    path = saved(tmp_path / "a.nii", sform=np.diag([2, 2, 3, 1.0]))
    image = read_volume(path, spacing=(1.5, 1, 1)).image
    assert image is not None
    assert image.array.shape == (9, 7, 5)
    assert image.original is not None
    assert image.original.shape == (5, 4, 3)


def test_writing_where_nothing_can_be_written(tmp_path):
    geometry = Geometry(
        (2, 2, 2), (1, 1, 1), "patient", (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        write_nifti(np.zeros((2, 2, 2)), geometry, tmp_path / "file" / "a.nii")
    with pytest.raises(ValueError, match="on a grid of"):
        write_nifti(np.zeros((2, 2, 3)), geometry, tmp_path / "a.nii")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_in_a_compressed_file_is_never_read_as_other_voxels(tmp_path, place, bit):
    array = np.random.default_rng(0).integers(0, 1000, (6, 7, 8)).astype(np.int16)
    packed = gzip.compress(saved(tmp_path / "whole.nii", array, np.eye(4)).read_bytes())
    damaged = bytearray(packed)
    damaged[place % len(packed)] ^= 1 << bit
    (tmp_path / "damaged.nii.gz").write_bytes(damaged)
    image = read_nifti(tmp_path / "damaged.nii.gz").image
    if image is not None:  # the bit was one that no reader needs, such as the time stamp
        np.testing.assert_array_equal(image.array, array.T)
