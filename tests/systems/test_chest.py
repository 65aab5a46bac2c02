"""Cleaning, measuring and gating of heart and lung maps, on shapes whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.images.read import read_radiograph
from radloop.images.write import write_png
from radloop.systems.chest import gate
from radloop.systems.chest.masks import clean, enlarge, label_map, prepare_film
from radloop.systems.chest.ratio import ensemble_ratio, measure, probability_above


def maps(heart=(30, 60, 28, 58), left=(10, 60, 58, 80), right=(10, 60, 10, 28), side=96):
    """Boxes (top, bottom, left, right), ends excluded."""
    made = np.zeros((3, side, side), np.uint8)
    for layer, (top, bottom, first, last) in zip(made, (heart, left, right), strict=True):
        layer[top:bottom, first:last] = 255
    return made


def test_the_ratio_of_boxes():
    ratio = measure(maps())
    assert ratio.ctr == pytest.approx(30 / 70)
    assert ratio.ctr_row == pytest.approx(30 / 70)
    assert ratio.heart == pytest.approx((27.5, 57.5))
    assert ratio.thorax == pytest.approx((9.5, 79.5))
    assert 30 <= ratio.heart_rows[0] < 60
    assert 10 <= ratio.thorax_row < 60


def test_borders_at_different_heights_count_in_the_midline_form_only():
    """Two boxes of 20 columns, one above and to the left of the other, 30 columns in all."""
    stepped = maps()
    stepped[0] = 0
    stepped[0, 30:45, 28:48] = 255
    stepped[0, 45:60, 38:58] = 255
    ratio = measure(stepped)
    assert ratio.ctr == pytest.approx(30 / 70)
    assert ratio.ctr_row == pytest.approx(20 / 70)


def test_edges_are_located_between_pixels():
    """A ramp 0, 64, 191, 255 reaches 127.5 half-way between its two middle samples."""
    soft = maps()
    soft[0, :, 26:30] = 0
    soft[0, 30:60, 26] = 0
    soft[0, 30:60, 27] = 64
    soft[0, 30:60, 28] = 191
    ratio = measure(soft)
    assert ratio.heart[0] == pytest.approx(27.5)
    assert ratio.blur > measure(maps()).blur


@settings(max_examples=40, deadline=None)
@given(st.integers(-8, 12), st.integers(-8, 30), st.integers(12, 40), st.integers(50, 70))
def test_the_ratio_survives_shifts_and_mirrors(dx, dy, heart_width, chest_width):
    heart_left = 40 - heart_width // 2
    made = maps(
        heart=(30, 60, heart_left, heart_left + heart_width),
        left=(10, 60, 45, 12 + chest_width),
        right=(10, 60, 12, 30),
    )
    ratio = measure(made)
    assert ratio.ctr == pytest.approx(heart_width / chest_width, abs=1e-9)
    moved = measure(np.roll(made, (dy, dx), (1, 2)))
    assert moved.ctr == pytest.approx(ratio.ctr, abs=1e-9)
    mirrored = measure(np.ascontiguousarray(made[[0, 2, 1], :, ::-1]))
    assert mirrored.ctr == pytest.approx(ratio.ctr, abs=1e-9)


def test_missing_structures_have_no_ratio():
    made = maps()
    made[0] = 0
    assert np.isnan(measure(made).ctr)


def test_cleaning_keeps_the_largest_part_and_fills_its_holes():
    made = maps()
    made[0, 40:45, 40:45] = 0  # a hole in the heart
    made[0, 80:84, 80:84] = 255  # a second heart
    made[1, 2:5, 2:5] = 255  # a piece of left lung elsewhere
    cleaned = clean(made)
    assert (cleaned[0, 30:60, 28:58] == 255).all()
    assert cleaned[0, 80:84, 80:84].max() == 0
    assert cleaned[1, 2:5, 2:5].max() == 0
    assert np.array_equal(clean(cleaned), cleaned)


def test_labels_are_the_most_probable_structure():
    made = np.zeros((3, 1, 4), np.uint8)
    made[:, 0, 0] = (200, 40, 0)
    made[:, 0, 1] = (40, 100, 90)  # background is 25
    made[:, 0, 2] = (10, 20, 30)  # background is 195
    made[:, 0, 3] = (255, 255, 0)  # overlapping reference masks: the heart wins
    assert label_map(made)[0].tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("factor", [2, 3])
def test_enlarged_labels_lie_on_the_same_tissue(factor):
    made = maps()
    large = enlarge(made, (96 * factor, 96 * factor))
    exact = np.repeat(np.repeat(label_map(made), factor, 0), factor, 1)
    assert (large != exact).mean() < 0.02
    assert measure(maps()).ctr == pytest.approx(
        measure(np.stack([(large == k).astype(np.uint8) * 255 for k in (1, 2, 3)])).ctr, abs=0.01
    )


def test_the_gate_names_what_is_missing():
    for k, code in ((0, "heart_missing"), (1, "lung_missing"), (2, "lung_missing")):
        made = maps()
        made[k] = 0
        assert gate.examine(made, measure(made), {}).code == code
    nothing = np.zeros_like(maps())
    assert gate.examine(nothing, measure(nothing), {}).code == "not_a_chest"


def test_the_gate_refuses_what_is_cut_off():
    for made in (maps(right=(10, 60, 0, 28)), maps(left=(10, 60, 58, 96))):
        verdict = gate.examine(made, measure(made), {})
        assert (verdict.status, verdict.code) == ("refused", "cut_off")
    assert gate.examine(maps(), measure(maps()), {}).code == "ok"


def test_the_gate_refuses_shapes_unlike_those_it_was_fitted_to():
    rng = np.random.default_rng(0)
    shapes = []
    for _ in range(60):
        a, b, c, d = rng.integers(-3, 4, 4)
        made = maps((30 + a, 60 + b, 28, 58), (10, 60 + c, 58, 80 + d), (10, 60 + b, 10 + a, 28))
        shapes.append(gate.shape_features(made, measure(made)))
    settings_ = gate.fit_shapes(shapes)
    assert gate.examine(maps(), measure(maps()), settings_).code == "ok"
    low = maps(heart=(70, 92, 28, 58))
    assert gate.examine(low, measure(low), settings_).code == "not_a_chest"
    swapped = maps()[[0, 2, 1]]
    assert gate.examine(swapped, measure(swapped), settings_).code == "not_a_chest"


def test_an_ensemble_of_a_shift_true_reader_does_not_spread():
    """A reader that follows the film exactly: the maps are the film, thresholded."""
    made = maps()
    film = (made[0] // 255 * 3 + made[1] // 255 * 2 + made[2] // 255).astype(np.uint8)

    def look(seen):
        return np.stack([(seen == v).astype(np.uint8) * 255 for v in (3, 2, 1)])

    mean, ratio, spread = ensemble_ratio(film, look(film), 5, look)
    assert np.array_equal(mean, made)
    assert ratio.ctr == pytest.approx(30 / 70)
    assert spread == pytest.approx(0)


def test_the_probability_follows_the_interval():
    assert probability_above(0.5, 0.02, 0.5, 0.9) == pytest.approx(0.5)
    assert probability_above(0.52, 0.02, 0.5, 0.9) == pytest.approx(0.95, abs=1e-3)
    assert probability_above(0.51, 0.0, 0.5, 0.9) == 1.0


def image_of(array, folder):
    write_png(folder / "film.png", array)
    image = read_radiograph(folder / "film.png").image
    assert image is not None
    return image


@pytest.mark.parametrize("side", [64, 96, 200])
def test_a_dark_film_is_prepared_as_the_same_film_with_full_contrast(side, tmp_path):
    """A sixth of the range, with a marker at its end: after averaging, no level is lost."""
    y, x = np.mgrid[:128, :128]
    scene = 127.5 + 100 * np.sin(y / 17) * np.cos(x / 23)
    bright, dark = scene.round().astype(np.uint8), (scene / 6).round().astype(np.uint8)
    for array in (bright, dark):
        array[2:6, 2:6] = 255
    a, b = (prepare_film(image_of(array, tmp_path), side).astype(float) for array in (bright, dark))
    inside = np.s_[side // 8 :, side // 8 :]
    assert a.shape == (side, side)
    assert np.abs(a[inside] - b[inside]).mean() < 4
    assert b[inside].max() - b[inside].min() > 230


def test_an_even_film_is_prepared_as_one(tmp_path):
    prepared = prepare_film(image_of(np.full((40, 50), 77, np.uint8), tmp_path), 32)
    assert np.unique(prepared).size == 1
