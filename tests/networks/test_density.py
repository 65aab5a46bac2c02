"""Densities against SciPy's filters and against what was painted."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from radloop.networks.density import SIDE, Densities, blur


def test_the_blur_is_a_gaussian():
    one = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    for sigma in (0.7, 1.5, 3.0):
        expected = ndimage.gaussian_filter(one, sigma, mode="nearest", radius=int(3 * sigma + 0.5))
        found = blur(torch.from_numpy(one)[None, None], sigma)[0, 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def brain(lump: float = 0.0, radius: float = 12.0, at: tuple[int, int] = (80, 90)) -> torch.Tensor:
    """Three slices of 30 HU, 256 px, the middle one with a lump that much denser at (y, x)."""
    units = torch.full((3, 1, 256, 256), 30.0)
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    units[1, 0][((y - at[0]) ** 2 + (x - at[1]) ** 2) < radius**2] += lump
    return units


def test_brain_without_a_lump_measures_nothing():
    numbers = Densities()(brain())
    assert numbers.shape == (3, Densities.COUNT)
    densities, areas = numbers[:, : 13 * 4], numbers[:, 13 * 4 :]
    assert densities.abs().max() < 1e-3
    assert areas.abs().max() < np.log(2)  # less than one pixel


def test_a_lump_is_as_dense_and_as_large_as_it_was_painted():
    numbers = Densities()(brain(30.0))
    assert numbers[1, 0] == pytest.approx(30, abs=0.5)  # the five densest pixels, hardly blurred
    areas = numbers[1, 13 * 4 :].exp() - 1
    assert areas[0] == pytest.approx(np.pi * 6**2, rel=0.25)  # pixels of the halved grid
    assert numbers[0, 0] == pytest.approx(0, abs=1e-3)


def test_the_ground_is_the_reference_and_mirroring_changes_nothing():
    units = brain(25.0)
    torch.testing.assert_close(Densities()(units + 7), Densities()(units))
    torch.testing.assert_close(Densities()(units.flip(-1)), Densities()(units))


def test_what_is_alike_on_both_sides_is_no_asymmetry():
    both = torch.maximum(brain(25.0), brain(25.0).flip(-1))
    one_side, two_sides = Densities()(brain(25.0))[1], Densities()(both)[1]
    asymmetry = slice(7 * 4, 11 * 4)
    assert one_side[asymmetry].max() > 20
    assert two_sides[asymmetry].abs().max() < 1e-3
    assert two_sides[0] == pytest.approx(float(one_side[0]), abs=0.01)


def test_the_side_is_that_of_the_grid():
    assert Densities()(brain(25.0)[..., ::2, ::2]).shape == (3, Densities.COUNT)
    assert SIDE == 128
