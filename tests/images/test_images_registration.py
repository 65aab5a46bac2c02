"""Rigid registration: known motions are found again, what does not fit is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from radloop.images import grid
from radloop.images.image import Geometry, Image
from radloop.images.registration import (
    align,
    check_registration,
    head_overlap,
    register_rigid,
    resample_moved,
    same_grid,
    similarity,
)
from radloop.images.volume_operations import reorient, resample


def a_head(spacing: float = 4.0) -> Image:
    """A lopsided head: an ellipsoid in a shell, with ventricles, a nose and a bright spot, so that
    no turned copy of it is like it."""
    shape = tuple(round(side / spacing) for side in (160, 220, 190))
    z, y, x = (
        (np.arange(n) - (n - 1) / 2)[(slice(None),) + (None,) * (2 - k)] * spacing
        for k, n in enumerate(shape)
    )
    taper = 1 + 0.2 * y / 80
    depth = 1 - np.sqrt((z / 60) ** 2 + (y / 85) ** 2 + (x / (68 * taper)) ** 2)
    grain = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 10 / spacing)
    array = np.where(depth > 0, 100 + 25 * grain / grain.std(), 0)
    array = np.where((depth > 0) & (depth < 0.1), 30, array)
    array = np.where((np.hypot(x - 12, y) < 14) & (np.abs(z) < 20), 20, array)
    array = np.where((z - 25) ** 2 + (y + 40) ** 2 + (x + 20) ** 2 < 15**2, 220, array)
    array = np.where((np.abs(x) < 10) & (y < -80) & (y > -100) & (np.abs(z + 20) < 12), 90, array)
    geometry = Geometry(
        shape, (spacing,) * 3, "patient", (-95.0, -110.0, -80.0),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )  # fmt: skip
    smooth = ndimage.gaussian_filter(np.maximum(array, 0), 0.7).astype(np.float32)
    return Image(smooth, geometry, original=geometry)


def moved(image: Image, angles, shift) -> tuple[Image, np.ndarray]:
    """The patient after a motion about the origin, on the same voxels; and the motion."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    geometry = grid.from_affine(matrix @ grid.affine(image.geometry), image.array.shape)
    return replace(image, geometry=geometry, original=geometry), matrix


HEAD = a_head()


def distances(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How far the two carry points of the head apart, mm."""
    points = np.random.default_rng(1).uniform(-60, 60, (50, 3))
    return np.linalg.norm(
        points @ found[:3, :3].T + found[:3, 3] - points @ truth[:3, :3].T - truth[:3, 3], axis=1
    )


@pytest.mark.parametrize(
    ("angles", "shift"),
    [((0, 0, 0), (8, -5, 6)), ((9, -4, 6), (5, 3, -8)), ((-6, 10, 3), (-15, 12, 20))],
)
def test_a_known_motion_is_found(angles, shift):
    patient, motion = moved(HEAD, angles, shift)
    rigid = register_rigid(patient, HEAD)
    assert distances(rigid.matrix, motion).max() < 1.5
    assert rigid.angle == pytest.approx(
        np.degrees(Rotation.from_euler("zyx", angles, degrees=True).magnitude()), abs=1
    )
    assert rigid.after > rigid.before
    assert not check_registration(rigid, patient, HEAD).refused


def test_another_contrast_on_another_grid_is_registered():
    other = resample(HEAD, (6.0, 3.0, 3.0))
    inverted = np.where(other.array > 5, 300 - other.array, 0).astype(np.float32)
    patient, motion = moved(other.with_array(inverted), (5, 3, -6), (6, -4, 5))
    patient = reorient(patient, "LPS")
    rigid = register_rigid(patient, HEAD)
    assert distances(rigid.matrix, motion).max() < 2.5
    back, verdict = align(patient, HEAD)
    assert not verdict.refused
    assert same_grid(back.geometry, HEAD.geometry)
    inside = (HEAD.array > 60) & (back.array > 0)
    assert np.corrcoef(HEAD.array[inside], back.array[inside])[0, 1] < -0.8


def test_it_is_the_same_each_time():
    patient, _ = moved(HEAD, (4, 2, -3), (3, 4, 5))
    first, second = (register_rigid(patient, HEAD) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)


def test_on_the_same_grid_nothing_is_touched():
    same, verdict = align(HEAD.with_array(HEAD.array + 1), HEAD)
    np.testing.assert_array_equal(same.array, HEAD.array + 1)
    assert not verdict.messages


def test_one_frame_of_reference_is_believed():
    cut = replace(
        HEAD,
        array=HEAD.array[2:],
        geometry=grid.from_affine(
            grid.affine(HEAD.geometry) @ np.array([[1, 0, 0, 2], [0, 1, 0, 0],
                                                   [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            (HEAD.array.shape[0] - 2, *HEAD.array.shape[1:]),
        ),
    )  # fmt: skip
    back, _ = align(cut, HEAD, same_frame=True)
    np.testing.assert_allclose(back.array[2:], HEAD.array[2:], atol=1e-3)


def test_what_is_not_the_same_head_is_refused():
    noise = HEAD.with_array(np.random.default_rng(0).random(HEAD.array.shape).astype(np.float32))
    back, verdict = align(
        noise, replace(HEAD, geometry=moved(HEAD, (0, 0, 0), (1, 1, 1))[0].geometry)
    )
    assert back is None and verdict.code == "bad_registration"
    assert "too little in common" in verdict.messages[0]


def test_a_large_motion_is_refused():
    patient, _ = moved(HEAD, (0, 0, 0), (0, 0, 75))
    verdict = align(patient, HEAD)[1]
    assert verdict.code == "bad_registration"
    assert "mm" in verdict.messages[0]


def test_volumes_that_do_not_meet_have_nothing_in_common():
    far, _ = moved(HEAD, (0, 0, 0), (900, 0, 0))
    assert similarity(np.eye(4), far, HEAD) == 1.0
    assert head_overlap(np.eye(4), far, HEAD) == 0.0


def test_the_moved_volume_lies_where_the_other_is():
    patient, _ = moved(HEAD, (3, 0, 4), (4, 2, 1))
    rigid = register_rigid(patient, HEAD)
    back = resample_moved(patient, rigid, HEAD.geometry)
    inside = HEAD.array > 60
    assert np.abs(back.array - HEAD.array)[inside].mean() < 6
    assert same_grid(back.geometry, HEAD.geometry)


def test_grids_are_the_same_when_their_corners_are():
    geometry = HEAD.geometry
    nudged = replace(geometry, origin=(geometry.origin[0] + 0.01, *geometry.origin[1:]))
    assert same_grid(geometry, nudged)
    assert not same_grid(geometry, replace(geometry, origin=(0.0, 0.0, 0.0)))
    assert not same_grid(geometry, replace(geometry, shape=(1, 2, 3)))
