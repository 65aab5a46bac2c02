"""Reading PNG, JPEG and TIFF: what is accepted, and how each kind of bad input is refused."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_films import noise

from radloop.errors import InputError
from radloop.images import Reading, ReadLimits, find_images, read_radiograph

# Pillow warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def refusal(reading: Reading) -> str:
    """The code of a refusal, which must have a sentence and a remedy, and no image."""
    assert reading.image is None
    assert reading.verdict.refused
    (message,) = reading.verdict.messages
    assert message.count(".") >= 2 and "Traceback" not in message
    return reading.verdict.code


def png_header(columns: int, rows: int, bits: int = 8, colour_type: int = 0) -> bytes:
    """A PNG that ends after its header, written by hand from the PNG specification."""
    body = b"IHDR" + struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk


def png_16bit(pixels: np.ndarray, colour_type: int) -> bytes:
    """A complete PNG of 16-bit samples `(y, x, samples)`, filter 0, written by hand."""
    rows, columns, _ = pixels.shape
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    out = png_header(columns, rows, 16, colour_type)
    for name, data in ((b"IDAT", zlib.compress(lines)), (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + name + data
        out += struct.pack(">I", zlib.crc32(name + data))
    return out


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_read_exactly(tmp_path: Path, suffix: str, dtype: type) -> None:
    array = noise(top=np.iinfo(dtype).max).astype(dtype)
    path = tmp_path / f"film.{suffix}"
    assert cv2.imwrite(str(path), array)
    reading = read_radiograph(path)
    assert reading.verdict.status == "accepted"
    assert reading.image is not None
    assert reading.image.array.dtype == dtype
    np.testing.assert_array_equal(reading.image.array, array)
    assert reading.image.geometry.shape == (40, 56)
    assert reading.image.geometry.spacing is None
    assert reading.image.source == str(path)


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    PIL.Image.fromarray(noise().astype(np.uint8)).save(path, "JPEG", quality=100)
    reading = read_radiograph(path)
    assert reading.image is not None
    assert reading.image.acquisition["format"] == "JPEG"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_other_clothes_is_grey(tmp_path: Path, mode: str) -> None:
    array = noise().astype(np.uint8)
    PIL.Image.fromarray(array).convert(mode).save(tmp_path / "film.png")
    reading = read_radiograph(tmp_path / "film.png")
    assert reading.verdict.status == "accepted"
    assert reading.image is not None
    np.testing.assert_array_equal(reading.image.array, array)


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    array = noise() > 127
    PIL.Image.fromarray(array).save(tmp_path / "film.png")
    reading = read_radiograph(tmp_path / "film.png")
    assert reading.image is not None
    np.testing.assert_array_equal(reading.image.array, array * np.uint8(255))


def test_colour_is_converted_with_a_warning(tmp_path: Path) -> None:
    array = np.zeros((40, 56, 3), np.uint8)
    array[:20, :, 0] = 200
    PIL.Image.fromarray(array).save(tmp_path / "photo.png")
    reading = read_radiograph(tmp_path / "photo.png")
    assert (reading.verdict.status, reading.verdict.code) == ("warned", "colour")
    assert reading.image is not None
    assert reading.image.array.shape == (40, 56)
    # ITU-R BT.601: red counts .299.
    assert abs(int(reading.image.array[0, 0]) - 0.299 * 200) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_white_is_zero_tiff_is_turned_around(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    array = noise(top=top)
    stored = (top - array).astype(f"<u{bits // 8}")
    data = stored.tobytes()
    entries = [
        (256, 56), (257, 40), (258, bits), (259, 1), (262, 0), (273, 8), (277, 1), (278, 40),
        (279, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, value in entries:
        directory += struct.pack("<HHII", tag, 4, 1, value)
    path = tmp_path / "film.tif"
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0)
    )
    reading = read_radiograph(path)
    assert reading.image is not None
    np.testing.assert_array_equal(reading.image.array, array)


def test_a_deep_film_is_shown_from_its_darkest_to_its_brightest(tmp_path: Path) -> None:
    array = noise(top=4000) + np.uint16(50)
    cv2.imwrite(str(tmp_path / "film.png"), array)
    reading = read_radiograph(tmp_path / "film.png")
    assert reading.image is not None
    assert reading.image.display_range == (50, 4050)
    shown = reading.image.as_uint8()
    assert (shown.min(), shown.max()) == (0, 255)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"This is a text, renamed.\n" * 20, "not_an_image"),
        (b"\x08", "not_an_image"),
        (b"GIF89a" + bytes(200), "unsupported_format"),
        (b"%PDF-1.7" + bytes(200), "unsupported_format"),
        (png_header(20000, 20000), "too_many_pixels"),
        (png_header(1, 1), "too_small"),
        (png_header(31, 500), "too_small"),
        (png_header(64, 64), "truncated"),
        (png_16bit(np.full((40, 56, 3), 300), 2), "colour_16bit"),
        (png_16bit(np.full((40, 56, 4), 300), 6), "colour_16bit"),
        (png_16bit(np.full((40, 56, 2), 300), 4), "alpha_16bit"),
    ],
)
def test_bad_content_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(content)
    assert refusal(read_radiograph(path)) == code


def test_16bit_colour_tiff_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "film.tif"), np.dstack([noise(top=65535)] * 3))
    assert refusal(read_radiograph(tmp_path / "film.tif")) == "colour_16bit"


def test_the_number_of_pixels_is_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    PIL.Image.new("1", (20000, 20000)).save(path)  # 400 million pixels in some kB
    read_radiograph(path)  # what the first call imports is not to be counted
    tracemalloc.start()
    reading = read_radiograph(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal(reading) == "too_many_pixels"
    assert peak < 2e6


def test_the_limits_can_be_raised_and_lowered(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    PIL.Image.fromarray(noise(30, 30).astype(np.uint8)).save(path)
    assert read_radiograph(path).verdict.code == "too_small"
    assert read_radiograph(path, ReadLimits(min_side=30)).image is not None
    limits = ReadLimits(max_pixels=899, min_side=1)
    assert read_radiograph(path, limits).verdict.code == "too_many_pixels"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tif"]))
def test_a_cut_off_film_is_refused_unless_every_pixel_is_there(
    tmp_path: Path, data: st.DataObject, suffix: str
) -> None:
    whole = cv2.imencode(f".{suffix}", noise().astype(np.uint8))[1].tobytes()
    path = tmp_path / "cut"
    path.write_bytes(whole)
    complete = read_radiograph(path).image
    assert complete is not None
    kept = data.draw(st.integers(8, len(whole) - 1))
    path.write_bytes(whole[:kept])
    reading = read_radiograph(path)
    if reading.image is None:
        assert refusal(reading) in {"truncated", "corrupt"}
    else:  # only a checksum or an end mark is missing
        np.testing.assert_array_equal(reading.image.array, complete.array)
        assert len(whole) - kept < 24


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "tif"]))
def test_damaged_bytes_never_raise(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    damaged = bytearray(cv2.imencode(f".{suffix}", noise().astype(np.uint8))[1].tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, min(400, len(damaged) - 1)))
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    reading = read_radiograph(path)
    assert (reading.image is None) == reading.verdict.refused


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_several_images_in_one_file_are_refused(tmp_path: Path, suffix: str) -> None:
    pages = [PIL.Image.fromarray(noise().astype(np.uint8) // k) for k in (1, 2)]
    pages[0].save(tmp_path / f"pages.{suffix}", save_all=True, append_images=pages[1:])
    assert refusal(read_radiograph(tmp_path / f"pages.{suffix}")) == "several_images"


def test_a_turned_jpeg_is_read_as_stored_and_said(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.fromarray(noise().astype(np.uint8)).save(tmp_path / "film.jpg", exif=exif)
    reading = read_radiograph(tmp_path / "film.jpg")
    assert reading.verdict.code == "exif_orientation"
    assert reading.image is not None
    assert reading.image.array.shape == (40, 56)


def test_nan_is_refused(tmp_path: Path) -> None:
    array = noise().astype(np.float32)
    array[3, 3] = np.nan
    PIL.Image.fromarray(array).save(tmp_path / "film.tif")
    assert refusal(read_radiograph(tmp_path / "film.tif")) == "not_finite"


def test_a_constant_image_is_read_with_a_warning(tmp_path: Path) -> None:
    PIL.Image.new("L", (64, 64), 9).save(tmp_path / "film.png")
    reading = read_radiograph(tmp_path / "film.png")
    assert reading.verdict.code == "constant"
    assert reading.image is not None


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert refusal(read_radiograph(tmp_path / "none.png")) == "missing_file"
    assert refusal(read_radiograph(tmp_path)) == "is_a_folder"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)  # the tests may run as root, who may read all
    assert refusal(read_radiograph(tmp_path / "film.png")) == "no_permission"


def test_find_images_searches_folders_in_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/.hidden.png", "a/IM0001", "DICOMDIR", "table.csv", ".git/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    given_file = tmp_path / "table.csv"  # named by the user: not left out
    found = find_images([tmp_path, given_file])
    assert found == [tmp_path / "a/IM0001", tmp_path / "b/2.png", given_file]


def test_an_empty_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="no images"):
        find_images([tmp_path])


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, radloop.images as i, radloop.images.verdict\n"
        "heavy = {'cv2', 'pydicom', 'torch', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(getattr(i, name) for name in i.__all__)\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
