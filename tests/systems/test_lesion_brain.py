"""The brain mask and the plane between the hemispheres, on drawn heads."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from radloop.images import grid
from radloop.images.image import Geometry, Image
from radloop.images.volume_operations import reorient
from radloop.systems.lesions.brain import brain_mask
from radloop.systems.lesions.symmetry import mid_sagittal_plane, mirrored

SPACING = 3.0


def a_head(scalp: float, bone: float, fluid: float, tissue: float = 100.0):
    """A brain in fluid, bone and scalp, on a neck; and where the brain is."""
    shape = (66, 80, 64)
    z, y, x = (
        (np.arange(n) - (n - 1) / 2)[(slice(None),) + (None,) * (2 - k)] * SPACING
        for k, n in enumerate(shape)
    )
    z = z - 25
    taper = 1 + 0.15 * y / 85
    brain = (z / 55) ** 2 + (y / 82) ** 2 + (x / (66 * taper)) ** 2 <= 1
    out = ndimage.distance_transform_edt(~brain, sampling=SPACING)
    rng = np.random.default_rng(0)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)
    grain = grain + grain[..., ::-1]  # a brain is nearly its own mirror image
    array = np.zeros(shape)
    array[out <= 20] = scalp
    neck = (np.hypot(x, y - 10) < 50) & (z < -40)
    array[neck] = scalp
    array[out <= 13] = bone
    array[out <= 5] = fluid
    array[brain] = (tissue * (1 + 0.2 * grain / grain.std()))[brain]
    ventricles = (np.abs(np.abs(x) - 12) < 6) & (np.abs(y) < 30) & (np.abs(z - 8) < 12)
    array[ventricles] = fluid
    array = np.abs(array + rng.normal(0, 2, shape)).astype(np.float32)
    geometry = Geometry(
        shape, (SPACING,) * 3, "patient", (-94.5, -118.5, -97.5),
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    )  # fmt: skip
    return Image(array, geometry, original=geometry), brain


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize(
    ("scalp", "bone", "fluid"),
    [(130, 8, 30), (15, 5, 30), (60, 8, 20)],
    ids=["T1", "DWI", "FLAIR"],
)
def test_the_brain_is_told_from_the_head(scalp, bone, fluid):
    image, brain = a_head(scalp, bone, fluid)
    found = brain_mask(image)
    assert found.plausible
    assert dice(found.mask, brain) > 0.88


def test_a_stripped_brain_is_kept_whole():
    image, brain = a_head(0, 0, 0)
    stripped = image.with_array(np.where(brain, image.array, 0))
    found = brain_mask(stripped)
    assert found.plausible
    assert found.mask[brain].mean() > 0.97
    assert dice(found.mask, brain) > 0.95


def test_a_lesion_at_the_surface_stays_in():
    image, brain = a_head(15, 5, 30)
    array = image.array.copy()
    lesion = np.zeros_like(brain)
    lesion[40:48, 36:46, 50:58] = True
    lesion &= brain
    array[lesion] = 250
    assert brain_mask(image.with_array(array)).mask[lesion].mean() > 0.95


def test_without_a_brain_it_is_said():
    image, _ = a_head(100, 100, 100)
    ball = np.where(image.array > 50, 100, 0).astype(np.float32)
    found = brain_mask(image.with_array(ball))
    assert not found.plausible and found.mask.any()


def turned(image: Image, angles, shift) -> tuple[Image, np.ndarray]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    geometry = grid.from_affine(matrix @ grid.affine(image.geometry), image.array.shape)
    return replace(image, geometry=geometry, original=geometry), matrix


@pytest.mark.parametrize("angles", [(0, 0, 0), (8, 0, 0), (-7, 9, 4)])
def test_the_plane_follows_the_head(angles):
    image, brain = a_head(15, 5, 30)
    patient, motion = turned(image, angles, (6, -4, 9))
    plane = mid_sagittal_plane(patient, brain)
    assert plane.found
    normal = motion[:3, :3] @ [1, 0, 0]
    assert np.degrees(np.arccos(np.clip(normal @ plane.normal, -1, 1))) < 2
    middle = motion[:3, 3]
    assert abs(plane.distances(middle)[0]) < 2.5
    left = motion[:3, :3] @ [50, 0, 0] + middle
    assert plane.distances(left)[0] > 40


@pytest.mark.parametrize("letters", ["SPL", "IPR", "LAS"])
def test_the_normal_points_to_the_patients_left_however_axes_run(letters):
    image, brain = a_head(15, 5, 30)
    other = reorient(image, letters)
    mask = reorient(image.with_array(brain), letters).array
    plane = mid_sagittal_plane(other, mask)
    assert plane.normal[0] > 0.99
    assert plane.distances([[40.0, 0, 0], [-40.0, 0, 0]]).tolist() == pytest.approx(
        [40, -40], abs=3
    )


def test_twice_mirrored_is_what_it_was():
    image, brain = a_head(15, 5, 30)
    patient, _ = turned(image, (5, 3, 0), (4, 0, 0))
    plane = mid_sagittal_plane(patient, brain)
    once = mirrored(patient, plane)
    twice = mirrored(once, plane)
    core = ndimage.binary_erosion(brain, iterations=4)
    change = np.abs(twice.array - patient.array)[core].mean()
    assert change < 6  # interpolated twice
    assert once.geometry == patient.geometry


def test_without_a_brain_the_plane_stands_upright():
    image, brain = a_head(15, 5, 30)
    plane = mid_sagittal_plane(image, np.zeros_like(brain))
    assert not plane.found and plane.normal == (1.0, 0.0, 0.0)
