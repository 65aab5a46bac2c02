"""Pictures: evidence lands on the tissue it is about, in its own colour, on the right side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.findings.picture import COLOURS, Line, draw_film


def film(height: int, width: int, grey: int = 90) -> npt.NDArray[np.uint8]:
    return np.full((height, width), grey, np.uint8)


def box_mask(shape: tuple[int, int], rows: slice, columns: slice) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def coloured(picture: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.abs(picture.astype(int) - np.array(colour)).max(axis=2) < 40


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 300), st.integers(40, 300), st.text(max_size=40), st.text(max_size=40))
def test_shape_and_type(height: int, width: int, title: str, caption: str) -> None:
    picture = draw_film(film(height, width), {}, title=title, caption=caption)
    assert picture.dtype == np.uint8
    assert picture.shape[1:] == (width, 3)
    assert (picture.shape[0] > height) == bool(title or caption)


def test_outline_lies_on_the_border_of_the_mask() -> None:
    mask = box_mask((512, 512), slice(200, 300), slice(150, 350))
    drawn = coloured(draw_film(film(512, 512), {"heart": mask}, sides=None), COLOURS["heart"])
    rows, columns = np.nonzero(drawn)
    assert abs(rows.min() - 200) <= 2
    assert abs(rows.max() - 299) <= 2
    assert abs(columns.min() - 150) <= 2
    assert abs(columns.max() - 349) <= 2
    assert not drawn[210:290, 160:340].any(), "the inside stays visible"


def test_evidence_scales_with_a_large_film() -> None:
    mask = box_mask((1600, 2048), slice(800, 1200), slice(600, 1400))
    picture = draw_film(film(1600, 2048), {"heart": mask}, sides=None)
    assert picture.shape == (800, 1024, 3)
    rows, columns = np.nonzero(coloured(picture, COLOURS["heart"]))
    assert abs(rows.min() - 400) <= 3
    assert abs(columns.max() - 699) <= 3


def test_a_line_runs_between_its_ends_and_has_ticks() -> None:
    line = Line((256.0, 100.0), (256.0, 400.0), structure="heart")
    drawn = coloured(draw_film(film(512, 512), {}, [line], sides=None), COLOURS["heart"])
    assert drawn[256, 102:399].all()
    assert not drawn[256, :95].any()
    assert not drawn[256, 406:].any()
    assert drawn[250:263, 100].all(), "the end tick"
    assert not drawn[246, 150:350].any()


def test_a_guide_has_no_ticks() -> None:
    picture = draw_film(
        film(512, 512, 0), {}, [Line((50, 256), (450, 256), guide=True)], sides=None
    )
    assert picture[200, 256].min() > 100
    assert not picture[50, 240:250].any()


def test_the_patients_right_is_marked_at_the_left_edge() -> None:
    plain = film(512, 512, 0)
    both = draw_film(plain, {}, sides=("R", "L"))[:80, :, 0]
    left_only = draw_film(plain, {}, sides=("R", ""))[:80, :, 0]
    assert left_only[:, :60].any()
    assert not left_only[:, 60:].any()
    assert both[:, -60:].any()
    assert not draw_film(plain, {}, sides=None).any()
    assert (draw_film(plain, {})[:80, :, 0] == both).all()
    assert (draw_film(plain, {}, sides=("L", "R"))[:80, :, 0] != both).any()


def test_lungs_and_heart_have_their_own_colours() -> None:
    shape = (256, 256)
    masks = {
        "heart": box_mask(shape, slice(150, 200), slice(90, 160)),
        "right_lung": box_mask(shape, slice(40, 140), slice(30, 100)),
        "left_lung": box_mask(shape, slice(40, 140), slice(150, 220)),
        "nodule": box_mask(shape, slice(220, 240), slice(20, 40)),
    }
    picture = draw_film(film(*shape), masks, sides=None)
    for name, colour in COLOURS.items():
        rows, columns = np.nonzero(coloured(picture, colour))
        assert masks[name][
            rows.min() + 2 : rows.max() - 2, columns.min() + 2 : columns.max() - 2
        ].all()
    assert np.ptp(picture[230, 15:25].astype(int), axis=0).max() > 50, "others are drawn too"


def test_the_film_is_not_changed() -> None:
    original = film(128, 128)
    draw_film(original, {"heart": box_mask((128, 128), slice(9, 99), slice(9, 99))}, title="x")
    assert (original == 90).all()


def test_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match="heart"):
        draw_film(film(64, 64), {"heart": np.zeros((32, 32), bool)})


def test_empty_masks_draw_nothing() -> None:
    picture = draw_film(film(64, 64), {"heart": np.zeros((64, 64), bool)}, sides=None)
    assert (picture == 90).all()


def test_a_dim_film_is_shown_bright_and_another_as_it_is() -> None:
    ramp = np.linspace(10, 70, 128)[None].repeat(128, 0).astype(np.uint8)
    dim = draw_film(ramp, {}, sides=None)[..., 0]
    assert dim.min() <= 5
    assert dim.max() >= 250
    assert (np.diff(dim.astype(int), axis=1) >= 0).all()
    whole = np.linspace(0, 255, 128)[None].repeat(128, 0).astype(np.uint8)
    assert (draw_film(whole, {}, sides=None)[..., 0] == whole).all()
