"""Surface distances: geometry done by hand, and a brute-force search over all pairs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radloop.measures.surface import (
    average_symmetric_surface_distance,
    hausdorff95,
    surface_distances,
)


def rectangle(shape, rows, columns):
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def brute_force(a, b, spacing):
    """All distances from a's surface to b's, by looking at every neighbour and every pair."""

    def surface(mask):
        def outside(index):
            inside = all(0 <= i < n for i, n in zip(index, mask.shape, strict=True))
            return not (inside and mask[index])

        found = []
        for index in map(tuple, np.argwhere(mask)):
            steps = itertools.product(range(mask.ndim), (-1, 1))
            around = [
                tuple(i + step * (axis == j) for j, i in enumerate(index)) for axis, step in steps
            ]
            if any(outside(other) for other in around):
                found.append(index)
        return np.array(found) * spacing

    theirs = surface(b)
    return [min(math.dist(point, other) for other in theirs) for point in surface(a)]


def test_bars_shifted_sideways():
    # Two bars one pixel high and ten wide, five apart: the nearest pixel of the other bar is
    # 0 px away for the shared half, then 1, 2, 3, 4, 5 px.
    a = rectangle((3, 20), 1, slice(2, 12))
    b = rectangle((3, 20), 1, slice(7, 17))
    directed = [0] * 5 + [1, 2, 3, 4, 5]
    distances = surface_distances(a, b)
    assert sorted(distances.to_reference) == directed
    assert distances.hausdorff() == 5.0
    # Ten values: the 95th percentile lies at rank 8.55, between 4 and 5.
    assert hausdorff95(a, b) == pytest.approx(4.55)
    assert average_symmetric_surface_distance(a, b) == pytest.approx(1.5)


def test_spacing_is_per_axis():
    a = rectangle((20, 20), slice(4, 5), slice(5, 15))
    b = rectangle((20, 20), slice(7, 8), slice(5, 15))  # the same bar three rows below
    assert hausdorff95(a, b) == 3.0
    assert hausdorff95(a, b, spacing=(0.5, 9.0)) == pytest.approx(1.5)
    assert average_symmetric_surface_distance(a.T, b.T, spacing=(0.5, 9.0)) == pytest.approx(27.0)


def test_concentric_discs_lie_the_difference_of_radii_apart():
    y, x = np.ogrid[-40:41, -40:41]
    radius = np.hypot(y, x)
    assert hausdorff95(radius <= 20, radius <= 30) == pytest.approx(10, abs=1.0)
    mean = average_symmetric_surface_distance(radius <= 20, radius <= 30)
    assert mean == pytest.approx(10, abs=0.5)


def test_the_larger_directed_percentile_counts():
    # One stray pixel among five: 20 % of the prediction's surface, 0 % of the reference's.
    reference = rectangle((1, 30), 0, slice(0, 4))
    prediction = reference.copy()
    prediction[0, 23] = True
    assert surface_distances(prediction, reference).hausdorff() == 20.0
    assert hausdorff95(prediction, reference) == pytest.approx(0.8 * 20)  # rank 3.8 of 0..4
    assert hausdorff95(prediction, reference) == hausdorff95(reference, prediction)


def test_empty_masks():
    empty, mask = np.zeros((5, 5), dtype=bool), rectangle((5, 5), 2, slice(1, 4))
    for measure in (hausdorff95, average_symmetric_surface_distance):
        assert math.isnan(measure(empty, empty))
        assert measure(mask, empty) == math.inf
        assert measure(empty, mask) == math.inf


def test_refuses_what_does_not_fit():
    mask = np.ones((4, 4), dtype=bool)
    with pytest.raises(ValueError, match="spacing"):
        hausdorff95(mask, mask, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="spacing"):
        hausdorff95(mask, mask, spacing=(1.0, 0.0))
    with pytest.raises(ValueError, match="boolean"):
        hausdorff95(mask.astype(int), mask)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_with_brute_force(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6))
    masks = hnp.arrays(np.bool_, shape).filter(np.any)
    a, b = data.draw(masks), data.draw(masks)
    spacing = [data.draw(st.sampled_from([0.5, 1.0, 2.5])) for _ in shape]
    there, back = brute_force(a, b, spacing), brute_force(b, a, spacing)
    distances = surface_distances(a, b, spacing)
    np.testing.assert_allclose(sorted(distances.to_reference), sorted(there))
    np.testing.assert_allclose(sorted(distances.to_prediction), sorted(back))
    assert distances.average() == pytest.approx(np.mean(there + back))
    assert distances.hausdorff() == pytest.approx(max(there + back))
