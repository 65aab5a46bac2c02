"""Single DICOM radiographs: the chain of grey values, and the ways to store pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_films import (
    compress,
    dicom_dataset,
    film,
    image_of,
    jpeg_dataset,
    noise,
    refusal,
    saved,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from radloop.images import Image, read_radiograph, write_radiograph_dicom

# pydicom warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHOWN = noise().astype(np.uint8)


# --- grey values ----------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_written_and_read_is_the_same_film(tmp_path: Path, photometric: str, dtype: type) -> None:
    image = film(noise(top=np.iinfo(dtype).max).astype(dtype), spacing=(0.2, 0.2))
    image = Image(image.array, image.geometry, display_range=(10.0, 200.0))
    write_radiograph_dicom(tmp_path / "a", image, photometric=photometric, patient_id="P1")  # type: ignore[arg-type]
    back = image_of(tmp_path / "a")
    np.testing.assert_array_equal(back.array, image.array)
    assert back.array.dtype == dtype
    assert back.display_range == (10.0, 200.0)
    assert back.modality == "CR"
    assert back.acquisition["view"] == "PA"
    assert back.acquisition["patient_id"] == "P1"
    assert back.acquisition["patient_orientation"] == ("L", "F")


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    dataset = dicom_dataset(tmp_path, SHOWN)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    back = image_of(saved(dataset, tmp_path))
    np.testing.assert_array_equal(back.as_uint8(), 255 - SHOWN)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@given(center=st.floats(300, 3700), width=st.floats(20, 5000))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_window_shows_what_the_standard_says(
    tmp_path: Path, photometric: str, function: str, center: float, width: float
) -> None:
    stored = noise(top=4095)
    center, width = round(center, 3), round(width, 3)
    dataset = dicom_dataset(tmp_path, stored)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PhotometricInterpretation = photometric
    dataset.WindowCenter, dataset.WindowWidth = center, width
    dataset.VOILUTFunction = function
    # PS3.3 C.11.2.1.2 and C.11.2.1.3, pixel by pixel, with an output from 0 to 255.
    x = stored.astype(np.float64)
    if function == "LINEAR":
        y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
    elif function == "LINEAR_EXACT":
        y = ((x - center) / width + 0.5) * 255
    else:
        y = 255 / (1 + np.exp(np.minimum(-4 * (x - center) / width, 700)))
    y = np.clip(y, 0, 255)
    if photometric == "MONOCHROME1":
        y = 255 - y
    shown = image_of(saved(dataset, tmp_path)).as_uint8()
    assert np.abs(shown - y).max() <= 0.51


def test_of_two_windows_the_first_is_used_and_said(tmp_path: Path) -> None:
    dataset = dicom_dataset(tmp_path, noise(top=4095))
    dataset.WindowCenter, dataset.WindowWidth = [1000, 2000], [401, 501]
    reading = read_radiograph(saved(dataset, tmp_path))
    assert reading.verdict.status == "accepted"
    assert "2 windows; the first was used" in reading.verdict.messages[0]
    assert reading.image is not None
    assert reading.image.display_range == (799.5, 1199.5)


@pytest.mark.parametrize(("center", "width"), [(100, 0), (100, -5), (90000, 100), (-5000, 100)])
def test_a_window_that_shows_nothing_is_left_out(tmp_path: Path, center: int, width: int) -> None:
    dataset = dicom_dataset(tmp_path, noise(top=4095))
    dataset.WindowCenter, dataset.WindowWidth = center, width
    path = saved(dataset, tmp_path)
    assert image_of(path, "warned").display_range == (0, 4095)
    assert read_radiograph(path).verdict.code == "invalid_window"


def test_rescale_and_signed_values(tmp_path: Path) -> None:
    values = noise(top=2000).astype(np.int16) - np.int16(1000)
    dataset = dicom_dataset(tmp_path)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 1
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    np.testing.assert_array_equal(image_of(saved(dataset, tmp_path)).array, values)
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -24
    back = image_of(saved(dataset, tmp_path))
    assert back.array.dtype.kind == "i"
    np.testing.assert_array_equal(back.array, values.astype(int) - 24)
    dataset.RescaleSlope = "0.25"
    np.testing.assert_allclose(image_of(saved(dataset, tmp_path)).array, values * 0.25 - 24)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    shown = image_of(saved(dataset, tmp_path)).as_uint8()
    assert shown[values == values.min()].min() == 255
    assert shown[values == values.max()].max() == 0


def lookup_table(entries: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("bits", [8, 12])
def test_tables_of_grey_values(tmp_path: Path, keyword: str, bits: int) -> None:
    stored = noise(top=1023)
    table = (np.arange(600) // 3) * (2**bits // 256)
    dataset = dicom_dataset(tmp_path, stored)
    setattr(dataset, keyword, Sequence([lookup_table(table, 100, bits)]))
    if keyword == "ModalityLUTSequence":
        dataset.ModalityLUTSequence[0].ModalityLUTType = "US"
    back = image_of(saved(dataset, tmp_path))
    # Below 100 the first entry, from 700 on the last.
    expected = table[np.clip(stored.astype(int) - 100, 0, 599)]
    np.testing.assert_array_equal(back.array, expected)
    if keyword == "VOILUTSequence":
        assert back.display_range == (0, 2**bits - 1)
        dataset.PhotometricInterpretation = "MONOCHROME1"
        inverted = image_of(saved(dataset, tmp_path))
        np.testing.assert_array_equal(inverted.array, 2**bits - 1 - expected)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_the_darkest_pixel(tmp_path: Path, photometric: str) -> None:
    stored = noise(top=3000) + np.uint16(500)
    stored[:, :9] = 65535 if photometric == "MONOCHROME2" else 0
    dataset = dicom_dataset(tmp_path, stored)
    dataset.PhotometricInterpretation = photometric
    dataset.add_new("PixelPaddingValue", "US", int(stored[0, 0]))
    back = image_of(saved(dataset, tmp_path))
    assert (back.array[:, :9] == back.array.min()).all()
    low, high = back.display_range
    assert high - low == stored[:, 9:].max() - stored[:, 9:].min()
    assert back.as_uint8()[:, 9:].max() == 255


def test_colour_captures_become_grey(tmp_path: Path) -> None:
    dataset = dicom_dataset(tmp_path)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.Modality = "OT"
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.PixelData = np.dstack([SHOWN] * 3).tobytes()
    reading = read_radiograph(saved(dataset, tmp_path))
    assert reading.verdict.code == "secondary_capture"
    assert len(reading.verdict.messages) == 1
    assert reading.image is not None
    np.testing.assert_array_equal(reading.image.array, SHOWN)
    dataset.PixelData = np.dstack([SHOWN, SHOWN, 255 - SHOWN]).tobytes()
    reading = read_radiograph(saved(dataset, tmp_path))
    assert any("colours" in message for message in reading.verdict.messages)


# --- how pixels are stored ------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_uncompressed_syntaxes(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    stored = noise(top=4095)
    dataset = dicom_dataset(tmp_path, stored)
    big = syntax == ExplicitVRBigEndian
    dataset.PixelData = stored.astype(">u2" if big else "<u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "film"
    pydicom.dcmwrite(
        path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=not big, force_encoding=True
    )
    array = image_of(path).array
    np.testing.assert_array_equal(array, stored)
    assert array.dtype.isnative


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name
)
def test_compressed_syntaxes(tmp_path: Path, syntax: pydicom.uid.UID, bits: int) -> None:
    stored = noise(top=2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    dataset = dicom_dataset(tmp_path, stored)
    compress(dataset, syntax)
    np.testing.assert_array_equal(image_of(saved(dataset, tmp_path)).array, stored)


def test_jpeg(tmp_path: Path) -> None:
    array = image_of(saved(jpeg_dataset(tmp_path), tmp_path)).array
    expected = cv2.GaussianBlur(SHOWN, (9, 9), 3)
    assert np.abs(array.astype(int) - expected).max() <= 2


def test_a_file_without_preamble_and_meta_header(tmp_path: Path) -> None:
    dataset = dicom_dataset(tmp_path, SHOWN)
    bare = Dataset(dataset)
    bare.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "bare").read_bytes()[:2] == b"\x08\x00"
    np.testing.assert_array_equal(image_of(tmp_path / "bare").array, SHOWN)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.94", "1.2.3.4"])
def test_a_syntax_without_decoder_is_named(tmp_path: Path, uid: str) -> None:
    path = saved(jpeg_dataset(tmp_path), tmp_path)
    stated = b"1.2.840.10008.1.2.4.50"
    content = path.read_bytes()
    assert content.count(stated) == 1
    path.write_bytes(content.replace(stated, uid.encode().ljust(len(stated), b"\0")))
    reading = read_radiograph(path)
    assert refusal(reading) == "unknown_transfer_syntax"
    assert pydicom.uid.UID(uid).name in reading.verdict.messages[0]


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = pydicom.pixels.get_decoder(JPEGBaseline8Bit)
    monkeypatch.setattr(decoder, "_available", {})
    reading = read_radiograph(saved(jpeg_dataset(tmp_path), tmp_path))
    assert refusal(reading) == "missing_decoder"
    assert "JPEG Baseline" in reading.verdict.messages[0]
