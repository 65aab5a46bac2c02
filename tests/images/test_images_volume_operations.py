"""Operations on volumes, beside SimpleITK; and the way back, through the patient's millimetres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Geometry, Image, Planes
from radloop.images.volume_operations import (
    crop_volume,
    labels_to_original,
    pad_volume,
    points_to_original_index,
    reorient,
    resample,
    resample_onto,
    window,
)

spacings = st.tuples(*[st.floats(0.5, 3)] * 3)
places = st.tuples(*[st.floats(-50, 50, allow_subnormal=False)] * 3)
turns = st.tuples(*[st.floats(-180, 180, allow_subnormal=False)] * 3)
shapes = st.tuples(*[st.integers(2, 9)] * 3)
ORDERS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}
few = settings(max_examples=40, deadline=None)


def geometry_of(shape, spacing, origin, turn, shear=0.0) -> Geometry:
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()
    axes[0] = axes[0] + shear * axes[1]
    axes[0] /= np.linalg.norm(axes[0])
    return Geometry(shape, spacing, "patient", origin, tuple(tuple(map(float, a)) for a in axes))


def volume(geometry: Geometry, seed: int = 0, dtype: type = np.float32) -> Image:
    values = np.random.default_rng(seed).normal(0, 300, geometry.shape)
    return Image(values.astype(dtype), geometry, modality="CT")


def to_sitk(image: Image) -> sitk.Image:
    g = image.geometry
    made = sitk.GetImageFromArray(image.array)
    made.SetSpacing(g.spacing[::-1])
    made.SetOrigin(g.origin)
    made.SetDirection(np.array(g.direction)[::-1].T.ravel().tolist())
    return made


def by_sitk(image: Image, geometry: Geometry, order: str, fill: float) -> np.ndarray:
    wanted = sitk.Image(*geometry.shape[::-1], sitk.sitkUInt8)
    wanted.SetSpacing(geometry.spacing[::-1])
    wanted.SetOrigin(geometry.origin)
    wanted.SetDirection(np.array(geometry.direction)[::-1].T.ravel().tolist())
    made = sitk.Resample(to_sitk(image), wanted, sitk.Transform(), ORDERS[order], fill)
    return sitk.GetArrayFromImage(made)


def differ(ours: np.ndarray, theirs: np.ndarray, image: Image, geometry: Geometry) -> np.ndarray:
    """Differences, but for the places where rounding decides: half-way between two samples."""
    index = grid.to_index(
        grid.to_patient(np.indices(geometry.shape).reshape(3, -1).T, geometry), image.geometry
    )
    half = np.abs(index - np.floor(index) - 0.5).min(1).reshape(geometry.shape) < 1e-4
    return np.abs(ours.astype(float) - theirs)[~half]


@few
@given(shapes, spacings, places, turns, spacings, st.sampled_from(["linear", "nearest"]))
def test_resampling_to_a_spacing_is_simpleitks(shape, spacing, origin, turn, wanted, order):
    image = volume(geometry_of(shape, spacing, origin, turn))
    ours = resample(image, wanted, order)
    theirs = by_sitk(image, ours.geometry, order, 0.0)
    extent = 1e-4 * np.ptp(image.array)
    assert differ(ours.array, theirs, image, ours.geometry).max(initial=0) < extent
    assert ours.geometry.origin == image.geometry.origin
    last = [(n - 1) * s for n, s in zip(ours.array.shape, wanted, strict=True)]
    full = [(n - 1) * s for n, s in zip(shape, spacing, strict=True)]
    assert all(a <= b + 1e-3 and a > b - s for a, b, s in zip(last, full, wanted, strict=True))


@few
@given(
    shapes, spacings, places, turns, shapes, spacings, places, turns,
    st.sampled_from(list(ORDERS)),
)  # fmt: skip
def test_resampling_onto_any_grid_is_simpleitks(s1, d1, o1, t1, s2, d2, o2, t2, order):
    assume(order != "cubic" or min(s1) > 2)  # of two samples SimpleITK's spline makes 1e35
    image = volume(geometry_of(s1, d1, o1, t1))
    near = tuple(a + b / 20 for a, b in zip(o1, o2, strict=True))
    geometry = geometry_of(s2, d2, near, t2)
    ours = resample_onto(image, geometry, order, fill=-77.0)
    theirs = by_sitk(image, geometry, order, -77.0)
    extent = 1e-4 * np.ptp(image.array)
    assert differ(ours.array, theirs, image, geometry).max(initial=0) < extent


@few
@given(spacings, places, turns, st.floats(-0.4, 0.4), spacings)
def test_a_sheared_volume_holds_what_lies_there(spacing, origin, turn, shear, wanted):
    sheared = geometry_of((6, 7, 8), spacing, origin, turn, shear)
    points = grid.to_patient(np.indices((6, 7, 8)).reshape(3, -1).T, sheared)
    slopes = np.array([0.3, -0.2, 0.5])
    image = Image((points @ slopes).reshape(6, 7, 8).astype(np.float32), sheared)
    upright = geometry_of((5, 5, 5), wanted, image.geometry.origin, turn)
    result = resample_onto(image, upright, fill=np.nan).array.ravel()
    there = grid.to_patient(np.indices((5, 5, 5)).reshape(3, -1).T, upright)
    index = grid.to_index(there, sheared)
    inside = ((index >= 0) & (index <= np.array([5, 6, 7]))).all(1)
    np.testing.assert_allclose(result[inside], (there @ slopes)[inside], atol=2e-3)


def chain(image: Image, draw: st.DataObject) -> Image:
    """Some operations, one after the other."""
    for _ in range(draw.draw(st.integers(1, 4))):
        kind = draw.draw(st.sampled_from(["crop", "pad", "reorient", "resample"]))
        shape = image.array.shape
        if kind == "crop":
            start = [draw.draw(st.integers(0, n - 2)) for n in shape]
            stop = [draw.draw(st.integers(a + 2, n)) for a, n in zip(start, shape, strict=True)]
            image = crop_volume(image, start, stop)
        elif kind == "pad":
            margin = [draw.draw(st.integers(0, 3)) for _ in range(6)]
            image = pad_volume(image, margin[:3], margin[3:])
        elif kind == "reorient":
            image = reorient(image, draw.draw(st.sampled_from(["SPL", "RAI", "LSA", "PIR", "IRP"])))
        else:
            spacing = tuple(draw.draw(st.floats(0.6, 2)) for _ in range(3))
            if min((n - 1) * s for n, s in zip(shape, image.geometry.spacing, strict=True)) > 4:
                image = resample(image, spacing, "nearest")
    return image


@few
@given(spacings, places, turns, st.data())
def test_labels_return_to_the_tissue_they_marked(spacing, origin, turn, data):
    start = volume(geometry_of((6, 7, 8), spacing, origin, turn), dtype=np.int16)
    image = chain(start, data)
    points = grid.to_patient(np.indices(image.array.shape).reshape(3, -1).T, image.geometry)
    middle = points[len(points) // 2]
    radius = 2.5 * max(*spacing, *image.geometry.spacing)
    ball = np.linalg.norm(points - middle, axis=1) < radius
    back = labels_to_original(ball.reshape(image.array.shape).astype(np.uint8), image)
    assert back.shape == start.array.shape
    there = grid.to_patient(np.argwhere(back), start.geometry)
    step = np.linalg.norm(image.geometry.spacing) / 2 + 1e-6
    assert (np.linalg.norm(there - middle, axis=1) < radius + step).all()
    # And what lies well inside the ball is marked, where the file has a voxel.
    own = grid.to_patient(np.indices(start.array.shape).reshape(3, -1).T, start.geometry)
    index = grid.to_index(own, image.geometry)
    reached = ((index > -0.5) & (index < np.array(image.array.shape) - 0.5)).all(1)
    deep = (np.linalg.norm(own - middle, axis=1) < radius - step) & reached
    assert back.ravel()[deep].all()
    index = points_to_original_index([np.array(image.array.shape) // 2], image)
    away = grid.to_patient(index, start.geometry)
    here = grid.to_patient([np.array(image.array.shape) // 2], image.geometry)
    np.testing.assert_allclose(away, here, atol=1e-6)


def test_nothing_moves_in_a_reorientation():
    image = volume(geometry_of((3, 4, 5), (3, 1, 2), (10, 20, 30), (5, 10, -5)), dtype=np.int16)
    for letters in ("SPL", "RAI", "LSA", "PIR"):
        turned = reorient(image, letters)
        assert grid.letters(turned.geometry) == letters
        for index in np.ndindex(turned.array.shape):
            old = grid.to_index(grid.to_patient([index], turned.geometry), image.geometry)[0]
            assert turned.array[index] == image.array[tuple(np.rint(old).astype(int))]


def test_labels_return_to_uneven_tilted_slices():
    lean = np.radians(20)
    origins = tuple((0.0, float(np.sin(lean) * d), float(np.cos(lean) * d)) for d in (0, 2, 3, 7))
    planes = Planes((4, 9, 8), origins, (0, 1, 0), (1, 0, 0), (1.0, 1.0))
    upright = Geometry(
        (8, 13, 8), (1.0, 1.0, 1.0), "patient", (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    )
    image = Image(np.zeros(upright.shape, np.float32), upright, original=planes)
    labels = np.zeros(upright.shape, np.uint8)
    labels[3:5, 4:8, 2:5] = 1  # z 3..4 mm
    back = labels_to_original(labels, image)
    depths = [origin[2] for origin in origins]  # 0, 1.88, 2.82, 6.58 mm: only the third is inside
    assert [bool(back[k].any()) for k in range(4)] == [False, False, True, False], depths
    rows = np.flatnonzero(back[2].any(1)) + origins[2][1]
    assert rows.min() >= 3.5
    assert rows.max() <= 7.5
    index = points_to_original_index([[0, 2, 3]], image)
    assert index[0] == pytest.approx([0, 2, 3])


def test_a_window_is_linear_between_its_ends():
    geometry = geometry_of((1, 1, 5), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    image = replace(volume(geometry), array=np.array([[[-100, 0, 40, 80, 500]]], np.int16))
    assert window(image, 40, 80).ravel().tolist() == [0, 0, 0.5, 1, 1]
    with pytest.raises(InputError, match="shows nothing"):
        window(image, 40, 0)


def test_wrong_calls_say_what_to_do():
    image = volume(geometry_of((3, 4, 5), (1, 1, 1), (0, 0, 0), (0, 0, 0)))
    with pytest.raises(InputError, match="leaves the volume"):
        crop_volume(image, (0, 0, 0), (4, 4, 5))
    with pytest.raises(InputError, match="negative"):
        pad_volume(image, (0, -1, 0), (0, 0, 0))
    with pytest.raises(InputError, match="three axes"):
        reorient(image, "LRS")
    with pytest.raises(InputError, match="not positive"):
        resample(image, (1, 0, 1))
    with pytest.raises(ValueError, match="labels of shape"):
        labels_to_original(np.zeros((2, 2, 2), np.uint8), image)
    with pytest.raises(ValueError, match="place in the patient"):
        resample(Image(np.zeros((3, 3)), Geometry((3, 3))), (1, 1, 1))
