"""Geometric operations and the way back, by points, by ramps and by marked pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_films import film, noise

from radloop.errors import InputError
from radloop.images import (
    Image,
    crop,
    mirror,
    pad,
    points_to_original,
    resize,
    rotate90,
    to_original,
)

Operation = Callable[[Image], Image]


def ramps(rows: int, columns: int) -> tuple[Image, Image]:
    """Two films whose pixels hold their own row and column."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return film(y), film(x)


@st.composite
def exact_operation(draw: st.DrawFn) -> Operation:
    """An operation that moves pixels without mixing them."""
    kind = draw(st.sampled_from(["crop", "pad", "rotate90", "mirror"]))
    if kind == "crop":
        parts = [draw(st.floats(0, 0.3)) for _ in range(4)]

        def cropped(image: Image) -> Image:
            rows, columns = image.array.shape
            x0, y0 = int(parts[0] * columns), int(parts[1] * rows)
            return crop(
                image, (x0, y0, columns - int(parts[2] * columns), rows - int(parts[3] * rows))
            )

        return cropped
    if kind == "pad":
        top, bottom, left, right = (draw(st.integers(0, 7)) for _ in range(4))
        return lambda image: pad(image, (top, bottom, left, right), value=-1)
    if kind == "rotate90":
        k = draw(st.integers(-4, 7))
        return lambda image: rotate90(image, k)
    return mirror


@st.composite
def any_operation(draw: st.DrawFn) -> Operation:
    if draw(st.booleans()):
        return draw(exact_operation())
    shape = draw(st.tuples(st.integers(12, 90), st.integers(12, 90)))
    return lambda image: resize(image, shape)


@given(st.integers(16, 40), st.integers(16, 40), st.lists(exact_operation(), max_size=5))
def test_every_pixel_knows_where_it_came_from(
    rows: int, columns: int, chain: list[Operation]
) -> None:
    of_rows, of_columns = ramps(rows, columns)
    for operation in chain:
        of_rows, of_columns = operation(of_rows), operation(of_columns)
    kept = of_rows.array >= 0  # margins hold -1
    places = points_to_original(np.argwhere(kept), of_rows)
    np.testing.assert_allclose(places[:, 0], of_rows.array[kept], atol=1e-9)
    np.testing.assert_allclose(places[:, 1], of_columns.array[kept], atol=1e-9)


@given(st.integers(16, 40), st.integers(16, 40), st.lists(exact_operation(), max_size=5))
def test_a_mask_comes_back_to_the_very_same_pixels(
    rows: int, columns: int, chain: list[Operation]
) -> None:
    image = film(noise(rows, columns).astype(np.float32))
    changed = image
    for operation in chain:
        changed = operation(changed)
    back = to_original(changed.array, changed)
    kept = to_original(changed.array >= 0, changed)  # margins hold -1
    assert back.shape == (rows, columns)
    np.testing.assert_array_equal(back[kept], image.array[kept])
    assert (back[~kept] <= 0).all()


@settings(max_examples=60)
@given(st.integers(16, 60), st.integers(16, 60), st.lists(any_operation(), max_size=4))
def test_points_and_maps_go_back_to_the_same_tissue(
    rows: int, columns: int, chain: list[Operation]
) -> None:
    image = film(np.zeros((rows, columns), np.float32))
    for operation in chain:
        image = operation(image)
    # A map that says, at each of its samples, which row and column of the file lie there ...
    places = points_to_original(np.argwhere(np.ones(image.array.shape, bool)), image)
    maps = places.T.reshape(2, *image.array.shape).astype(np.float32)
    back = to_original(maps, image, order="linear")
    # ... must say at each pixel of the file that it is that pixel, up to half a sample at the ends.
    seen = to_original(np.ones(image.array.shape, bool), image)
    step = max(rows / 12, columns / 12, 1)
    y, x = np.mgrid[:rows, :columns]
    interior = seen.copy()
    assert np.abs(back[0] - y)[seen].max(initial=0) <= step
    assert np.abs(back[1] - x)[seen].max(initial=0) <= step
    low, high = maps.min((1, 2)), maps.max((1, 2))
    interior &= (y >= low[0]) & (y <= high[0]) & (x >= low[1]) & (x <= high[1])
    assert np.abs(back[0] - y)[interior].max(initial=0) < 1e-3
    assert np.abs(back[1] - x)[interior].max(initial=0) < 1e-3


@given(st.tuples(st.integers(8, 120), st.integers(8, 120)))
def test_resize_keeps_the_content_in_its_place(shape: tuple[int, int]) -> None:
    # A linear ramp stays the same ramp under averaging and interpolation, away from the edges;
    # OpenCV 5 rounds the weights of its averages to about 1/16 sample.
    of_rows, of_columns = (resize(ramp, shape) for ramp in ramps(48, 64))
    inner = np.s_[2:-2, 2:-2]
    grid = np.argwhere(np.ones(shape, bool))
    places = points_to_original(grid, of_rows).reshape(*shape, 2)
    np.testing.assert_allclose(of_rows.array[inner], places[inner][..., 0], atol=0.1)
    np.testing.assert_allclose(of_columns.array[inner], places[inner][..., 1], atol=0.1)


def test_halving_averages_areas_and_doubles_the_spacing() -> None:
    image = film(np.array([[0, 2], [4, 6]] * 8, np.uint8).repeat(1, 1), spacing=(0.2, 0.3))
    small = resize(image, (8, 1))
    np.testing.assert_array_equal(small.array, np.full((8, 1), 3))
    assert small.geometry.spacing == pytest.approx((0.4, 0.6))
    # The centre of the first new sample lies between the first two old ones.
    np.testing.assert_allclose(points_to_original([[0, 0]], small), [[0.5, 0.5]])


def test_a_label_map_at_half_size_comes_back_in_blocks_of_four() -> None:
    image = resize(film(np.zeros((6, 8), np.uint8)), (3, 4))
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    back = to_original(labels, image)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, np.kron(labels, np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("shape", [(9, 7), (30, 50), (20, 28)])
def test_a_finer_or_coarser_map_is_interpolated_alike_on_both_ways(shape: tuple[int, int]) -> None:
    straight = resize(film(np.zeros((20, 28), np.float32)), shape)
    # The same way back with a detour that takes the general path: a half turn.
    turned = rotate90(straight, 2)
    maps = np.random.default_rng(3).random((2, *shape)).astype(np.float32)
    np.testing.assert_allclose(
        to_original(maps, straight, order="linear"),
        to_original(np.ascontiguousarray(maps[:, ::-1, ::-1]), turned, order="linear"),
        atol=1e-5,
    )


def test_maps_of_several_classes_go_back_at_once() -> None:
    image = mirror(rotate90(film(np.zeros((6, 9), np.uint8))))
    maps = np.random.default_rng(3).random((4, 9, 6)).astype(np.float32)
    for order in ("nearest", "linear"):
        back = to_original(maps, image, order=order)
        assert back.shape == (4, 6, 9)
        np.testing.assert_allclose(back[2], to_original(maps[2], image), atol=1e-6)


def test_a_quarter_turn_is_counter_clockwise_and_turns_the_spacing() -> None:
    image = film(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), spacing=(0.1, 0.2))
    turned = rotate90(image)
    np.testing.assert_array_equal(turned.array, [[3, 6], [2, 5], [1, 4]])
    assert turned.geometry.spacing == (0.2, 0.1)
    # The pixel at the top left held a 3: row 0, column 2 of the film.
    np.testing.assert_allclose(points_to_original([[0, 0]], turned), [[0, 2]])


def test_mirror_exchanges_left_and_right() -> None:
    mirrored = mirror(film(np.array([[1, 2, 3]], np.uint8)))
    np.testing.assert_array_equal(mirrored.array, [[3, 2, 1]])
    np.testing.assert_allclose(points_to_original([[0, 0.5]], mirrored), [[0, 1.5]])


def test_what_was_cropped_away_comes_back_as_zero() -> None:
    image = crop(film(noise().astype(np.uint8)), (10, 5, 30, 25))
    back = to_original(np.ones((20, 20), np.uint8), image)
    expected = np.zeros((40, 56), np.uint8)
    expected[5:25, 10:30] = 1
    np.testing.assert_array_equal(back, expected)


def test_operations_leave_their_input_alone() -> None:
    array = noise().astype(np.uint8)
    image = film(array)
    before = array.copy()
    changed = mirror(pad(crop(resize(image, (20, 28)), (1, 1, 20, 20)), (1, 2, 3, 4)))
    changed.array[:] = 0
    np.testing.assert_array_equal(array, before)
    assert image.history == ()
    assert [step.name for step in changed.history] == ["resize", "crop", "pad", "mirror"]


@pytest.mark.parametrize("box", [(0, 0, 57, 40), (-1, 0, 5, 5), (5, 5, 5, 9), (0, 9, 5, 5)])
def test_a_box_outside_or_empty_is_an_input_error(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="box"):
        crop(film(noise()), box)


def test_negative_margins_and_empty_shapes_are_input_errors() -> None:
    with pytest.raises(InputError, match="Margins"):
        pad(film(noise()), (0, -1, 0, 0))
    with pytest.raises(InputError, match="resized"):
        resize(film(noise()), (0, 10))


def test_a_map_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        to_original(np.zeros((5, 5)), film(noise()))
