"""Measures of lesions: hand-counted boxes, the definitions of ISLES'22, areas of known bodies."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radloop.measures.lesions import (
    lesion_components,
    lesion_count_difference,
    lesion_detection,
    lesion_f1,
    surface_area_mm2,
    volume_difference_ml,
    volume_ml,
)

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)
PAIRS = SHAPES.flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)
MM = (1.0, 1.0, 1.0)


def lesions(*places: tuple[int, int, int]) -> np.ndarray:
    """Cubes of 2 x 2 x 2 voxels at these corners of a volume of 12."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    for z, y, x in places:
        mask[z : z + 2, y : y + 2, x : x + 2] = True
    return mask


A, B, C, D = (0, 0, 0), (0, 6, 6), (6, 0, 6), (9, 9, 0)
NOTHING = lesions()


def ball(radius: float, spacing: tuple[float, float, float], shift: float = 0.0) -> np.ndarray:
    sides = [int(radius / mm) + 2 for mm in spacing]
    axes = [np.arange(-n, n + 1) * mm + shift for n, mm in zip(sides, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius**2


@pytest.mark.parametrize(("connectivity", "count"), [(6, 4), (18, 3), (26, 1)])
def test_neighbours_that_make_one_lesion(connectivity, count):
    """A chain: the second voxel shares an edge with the first, the others a corner each."""
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[[0, 0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3]] = True
    labels, found = lesion_components(mask, connectivity)
    assert found == count == labels.max()
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask)


def test_one_voxel_is_enough_to_find_a_lesion():
    prediction = lesions((1, 1, 1), C, D)  # touches A in one voxel, meets C, invents D
    assert lesion_detection(prediction, lesions(A, B, C)) == (2, 1, 1)
    assert lesion_f1(prediction, lesions(A, B, C)) == 2 / (2 + (1 + 1) / 2)


def test_one_predicted_lesion_may_find_two():
    whole = np.ones((12, 12, 12), dtype=bool)
    assert lesion_detection(whole, lesions(A, B)) == (2, 0, 0)
    assert lesion_detection(lesions(A, B), whole) == (1, 0, 0)
    assert lesion_f1(whole, lesions(A, B)) == 1.0
    assert lesion_count_difference(whole, lesions(A, B)) == 1


def test_empty_masks_as_in_isles():
    assert math.isnan(lesion_f1(NOTHING, NOTHING))
    assert lesion_f1(NOTHING, NOTHING, both_empty=1.0) == 1.0
    assert lesion_f1(lesions(A), NOTHING, both_empty=1.0) == 0.0
    assert lesion_f1(NOTHING, lesions(A), both_empty=1.0) == 0.0
    assert lesion_detection(NOTHING, NOTHING) == (0, 0, 0)
    assert lesion_detection(lesions(A, B), NOTHING) == (0, 0, 2)
    assert lesion_detection(NOTHING, lesions(A, B)) == (0, 2, 0)
    assert lesion_count_difference(NOTHING, NOTHING) == 0
    assert lesion_count_difference(NOTHING, lesions(A, B)) == 2


def test_connectivity_reaches_all_lesion_measures():
    """Two voxels that share a corner, of which one is found."""
    reference = np.zeros((2, 2, 2), dtype=bool)
    reference[0, 0, 0] = reference[1, 1, 1] = True
    prediction = np.zeros_like(reference)
    prediction[0, 0, 0] = True
    assert lesion_f1(prediction, reference) == 1.0
    assert lesion_f1(prediction, reference, connectivity=6) == 1 / 1.5
    assert lesion_count_difference(prediction, reference) == 0
    assert lesion_count_difference(prediction, reference, connectivity=6) == 1


def test_volumes():
    spacing = (5.0, 0.5, 2.0)  # 5 mm3 a voxel
    assert volume_ml(lesions(A, B), spacing) == pytest.approx(16 * 5 / 1000)
    assert volume_ml(NOTHING, spacing) == 0.0
    for pair in [(lesions(A), lesions(B, C, D)), (lesions(B, C, D), lesions(A))]:
        assert volume_difference_ml(*pair, spacing) == pytest.approx(16 * 5 / 1000)
    assert volume_difference_ml(NOTHING, NOTHING, spacing) == 0.0


@pytest.mark.parametrize("spacing", [MM, (2.0, 1.0, 1.0), (1.0, 1.0, 2.0), (0.5, 0.7, 1.0)])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_surface_of_a_ball(spacing, shift):
    area = surface_area_mm2(ball(10.0, spacing, shift), spacing)
    assert area == pytest.approx(4 * math.pi * 10.0**2, rel=0.05)


@pytest.mark.parametrize("spacing", [MM, (2.0, 1.0, 1.0), (1.0, 1.0, 2.0)])
def test_surface_of_a_box_that_fills_its_array(spacing):
    sides = (20.0, 30.0, 24.0)
    box = np.ones([int(side / mm) for side, mm in zip(sides, spacing, strict=True)], dtype=bool)
    expected = 2 * (20 * 30 + 30 * 24 + 24 * 20)
    assert surface_area_mm2(box, spacing) == pytest.approx(expected, rel=0.08)
    assert surface_area_mm2(np.pad(box, 9), spacing) == surface_area_mm2(box, spacing)


def test_surface_of_a_tilted_slab():
    """Two planes of normal (1, 2, 3); the plain faces would be 6 / sqrt(14) = 1.6 times that."""
    z, y, x = np.indices((60, 60, 60))
    inside = (np.abs((z - 30) + 2 * (y - 30) + 3 * (x - 30)) < 22.5) & (
        np.hypot(z - 30, y - 30) < 15
    )
    rim = (np.abs((z - 30) + 2 * (y - 30) + 3 * (x - 30)) < 22.5) & (np.hypot(z - 30, y - 30) < 14)
    # Between the two cylinders lies a ring of pi (15^2 - 14^2) in (z, y) on each of the planes,
    # and its rim grows by 15 mm along x for each mm of circumference.
    grown = surface_area_mm2(inside, MM) - surface_area_mm2(rim, MM)
    expected = 2 * math.pi * (15**2 - 14**2) * math.sqrt(14) / 3 + 2 * math.pi * 15
    assert grown == pytest.approx(expected, rel=0.1)


def test_surface_of_little():
    one = np.ones((1, 1, 1), dtype=bool)
    assert surface_area_mm2(one, (2.0, 3.0, 5.0)) == pytest.approx(2 * (6 + 15 + 10), rel=1e-3)
    assert surface_area_mm2(NOTHING, MM) == 0.0
    checkers = np.indices((4, 4, 4)).sum(0) % 2 == 0
    assert 0 < surface_area_mm2(checkers, MM) <= 6 * 32


@given(PAIRS, st.permutations(range(3)))
def test_properties_of_lesions(pair, order):
    prediction, reference = pair
    counts = lesion_detection(prediction, reference)
    assert min(counts) >= 0
    assert counts.found + counts.missed == lesion_components(reference)[1]
    back = lesion_detection(reference, prediction)
    assert (back.missed, back.false) == (counts.false, counts.missed)
    f1 = lesion_f1(prediction, reference, both_empty=1.0)
    assert 0.0 <= f1 <= 1.0
    assert (f1 == 0.0) == (
        not (prediction & reference).any() and bool((prediction | reference).any())
    )
    assert lesion_f1(reference, reference, both_empty=1.0) == 1.0
    turned = [np.transpose(mask, order) for mask in pair]
    assert lesion_detection(*turned) == counts
    assert lesion_count_difference(*turned) == lesion_count_difference(reference, prediction)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.bool_, SHAPES), st.permutations(range(3)))
def test_properties_of_volume_and_area(mask, order):
    spacing = (3.0, 1.0, 0.5)
    turned, steps = np.transpose(mask, order), [spacing[k] for k in order]
    assert volume_ml(turned, steps) == pytest.approx(volume_ml(mask, spacing))
    area = surface_area_mm2(mask, spacing)
    assert surface_area_mm2(turned, steps) == pytest.approx(area, rel=1e-3)
    assert (area > 0) == mask.any()
    doubled = surface_area_mm2(mask, [2 * mm for mm in spacing])
    assert doubled == pytest.approx(4 * area, rel=1e-3)


def test_what_does_not_fit_is_refused():
    flat, volume = np.ones((2, 2), dtype=bool), np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="three axes"):
        lesion_components(flat)
    with pytest.raises(ValueError, match="boolean"):
        volume_ml(volume.astype(np.uint8), MM)
    with pytest.raises(ValueError, match="shapes"):
        lesion_f1(volume, np.ones((2, 2, 3), dtype=bool))
    with pytest.raises(ValueError, match="connectivity 8"):
        lesion_f1(volume, volume, connectivity=8)
    for spacing in [(1.0, 1.0), (1.0, 0.0, 1.0)]:
        with pytest.raises(ValueError, match="spacing"):
            surface_area_mm2(volume, spacing)
