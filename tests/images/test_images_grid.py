"""Indices and patient millimetres: nibabel and SimpleITK, which were not asked before, agree."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from radloop.images import grid
from radloop.images.image import Geometry

spacings = st.tuples(*[st.floats(0.2, 8)] * 3)
places = st.tuples(*[st.floats(-300, 300)] * 3)
turns = st.tuples(*[st.floats(-180, 180)] * 3)


def made(
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    turn: tuple[float, float, float],
) -> Geometry:
    """An upright grid turned by three angles."""
    axes = Rotation.from_euler("zyx", turn, degrees=True).as_matrix()
    direction = tuple((float(r[0]), float(r[1]), float(r[2])) for r in axes)
    return Geometry((5, 6, 7), spacing, "patient", origin, direction)


@given(spacings, places, turns, st.tuples(*[st.floats(-3, 9)] * 3))
def test_points_agree_with_simpleitk_and_return(spacing, origin, turn, index):
    geometry = made(spacing, origin, turn)
    image = sitk.Image(7, 6, 5, sitk.sitkUInt8)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    image.SetDirection(np.array(geometry.direction)[::-1].T.ravel().tolist())
    point = grid.to_patient([index], geometry)
    expected = image.TransformContinuousIndexToPhysicalPoint(index[::-1])
    np.testing.assert_allclose(point[0], expected, atol=1e-6)
    np.testing.assert_allclose(grid.to_index(point, geometry)[0], index, atol=1e-6)


@given(spacings, places, turns)
def test_a_geometry_is_its_affine(spacing, origin, turn):
    geometry = made(spacing, origin, turn)
    again = grid.from_affine(grid.affine(geometry), geometry.shape)
    assert again.shape == geometry.shape
    np.testing.assert_allclose(grid.affine(again), grid.affine(geometry), atol=1e-9)
    assert grid.is_orthogonal(geometry)


@given(turns)
def test_letters_agree_with_nibabel(turn):
    geometry = made((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), turn)
    ras = np.diag([-1, -1, 1, 1]) @ grid.affine(geometry)
    size = np.sort(np.abs(ras[:3, :3]), axis=0)
    if (size[2] - size[1]).min() < 1e-3 or (np.abs(ras[:3, :3]) > 0.6).sum() != 3:
        return  # between two axes either letter is right
    assert grid.letters(geometry) == "".join(nib.orientations.aff2axcodes(ras))


def test_an_axial_ct_runs_up_back_and_left():
    axial = Geometry((2, 3, 4), (5, 1, 1), "patient", (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    assert grid.letters(axial) == "SPL"


def test_a_sheared_grid_is_not_orthogonal():
    sheared = Geometry(
        (2, 3, 4), (5, 1, 1), "patient", (0, 0, 0), ((0, 0.3173, 0.9483), (0, 1, 0), (1, 0, 0))
    )
    assert not grid.is_orthogonal(sheared)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.ones((4, 4))])
def test_no_volume_no_geometry(matrix):
    with pytest.raises(ValueError, match="leaves no volume"):
        grid.from_affine(matrix, (2, 3, 4))


def test_a_film_has_no_place():
    with pytest.raises(ValueError, match="no place"):
        grid.affine(Geometry((3, 4), (1.0, 1.0)))
