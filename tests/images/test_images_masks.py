"""Reading masks: what counts as foreground, and which files are no masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_films import noise

from radloop.images import MaskError, mask_facts, read_mask


def disc(side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (y - 20) ** 2 + (x - 25) ** 2 <= 12**2


def stored(folder: Path, array: np.ndarray, suffix: str = "png") -> Path:
    path = folder / f"mask.{suffix}"
    PIL.Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("full", [1, 255])
def test_two_values_are_taken_as_they_are(tmp_path: Path, full: int) -> None:
    mask = read_mask(stored(tmp_path, disc().astype(np.uint8) * np.uint8(full)), (48, 48))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, disc())


def test_16_bit_and_one_bit_masks(tmp_path: Path) -> None:
    for array in (disc().astype(np.uint16) * np.uint16(65535), disc()):
        np.testing.assert_array_equal(read_mask(stored(tmp_path, array)), disc())


def test_interpolated_borders_are_cut_at_half(tmp_path: Path) -> None:
    # Border values as in the chest collections; 127 is below half of 255, 128 is not.
    array = disc().astype(np.uint8) * np.uint8(255)
    array[20, 5:13] = [0, 20, 64, 127, 128, 191, 254, 255]
    mask = read_mask(stored(tmp_path, array))
    np.testing.assert_array_equal(mask[20, 5:13], [0, 0, 0, 0, 1, 1, 1, 1])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factor=st.sampled_from([2, 3, 5]))
def test_an_enlarged_mask_keeps_its_area(tmp_path: Path, factor: int) -> None:
    small = PIL.Image.fromarray(disc().astype(np.uint8) * np.uint8(255))
    size = 48 * factor
    small.resize((size, size), PIL.Image.Resampling.BILINEAR).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png", (size, size))
    assert mask.mean() == pytest.approx(disc().mean(), rel=0.03)


def test_an_empty_mask_is_valid(tmp_path: Path) -> None:
    assert not read_mask(stored(tmp_path, np.zeros((9, 9), np.uint8))).any()


def test_a_palette_stores_labels_as_indices(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(disc().astype(np.uint8), mode=None)
    picture.putpalette([0, 0, 0, 128, 0, 0])  # Pascal VOC: label 1 is shown as dark red
    picture.save(tmp_path / "mask.png")
    assert PIL.Image.open(tmp_path / "mask.png").mode == "P"
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), disc())


def codes_of(path: Path, shape: tuple[int, int] | None = None) -> str:
    with pytest.raises(MaskError) as caught:
        read_mask(path, shape)
    assert path.name in caught.value.what
    return caught.value.code


def test_maps_of_several_structures_are_refused(tmp_path: Path) -> None:
    labels = disc().astype(np.uint8) + (np.arange(48) > 30).astype(np.uint8) * np.uint8(2)
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert codes_of(stored(tmp_path, labels)) == "unknown_values"
    assert codes_of(stored(tmp_path, labels * np.uint8(85))) == "unknown_values"  # spread
    assert codes_of(stored(tmp_path, disc().astype(np.uint8) * np.uint8(2))) == "unknown_values"


def test_nan_and_negative_values_are_refused(tmp_path: Path) -> None:
    array = disc().astype(np.float32)
    np.testing.assert_array_equal(read_mask(stored(tmp_path, array, "tif")), disc())
    array[0, 0] = np.nan
    assert codes_of(stored(tmp_path, array, "tif")) == "unknown_values"
    array[0, 0] = -1
    assert codes_of(stored(tmp_path, array, "tif")) == "unknown_values"


def test_another_size_names_both(tmp_path: Path) -> None:
    path = stored(tmp_path, disc())
    assert codes_of(path, (48, 50)) == "other_size"
    with pytest.raises(MaskError, match=r"48 x 48 px, its film 50 x 48"):
        read_mask(path, (48, 50))


def test_colours_are_refused(tmp_path: Path) -> None:
    array = np.zeros((40, 40, 3), np.uint8)
    array[5:20, 5:20, 0] = 255
    assert codes_of(stored(tmp_path, array)) == "colour"


def test_unreadable_masks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    assert codes_of(path) == "missing_file"
    path.touch()
    assert codes_of(path) == "empty_file"
    path.write_text("no mask, but a text")
    assert codes_of(path) == "not_an_image"
    PIL.Image.fromarray(noise().astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:300])
    assert codes_of(path) == "truncated"


def test_mask_facts() -> None:
    mask = np.zeros((10, 20), bool)
    assert mask_facts(mask).box is None
    mask[2:5, 3:9] = True
    facts = mask_facts(mask)
    assert facts.area == pytest.approx(18 / 200)
    assert facts.box == (3, 2, 9, 5)
    assert not facts.touches_border
    mask[9, 7] = True
    assert mask_facts(mask).touches_border
