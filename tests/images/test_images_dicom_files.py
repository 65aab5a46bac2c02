"""What DICOM radiographs state of themselves, every kind of bad file, and writing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

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
from pydicom.dataset import FileDataset
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radloop.errors import InputError
from radloop.images import find_images, read_radiograph, write_radiograph_dicom

# pydicom warns of what these tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHOWN = noise().astype(np.uint8)


# --- spacing and facts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "spacing", "source"),
    [
        ({}, None, "unknown"),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "detector"),
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3), "unknown"),
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "detector"),
        ({"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]}, (0.18, 0.18), "patient"),
        (
            {
                "PixelSpacing": [0.2, 0.2],
                "ImagerPixelSpacing": [0.2, 0.2],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            (0.2, 0.2),
            "patient",
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "detector"),
    ],
)
def test_spacing_and_where_it_holds(
    tmp_path: Path, elements: dict[str, object], spacing: object, source: str
) -> None:
    dataset = dicom_dataset(tmp_path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    geometry = read_radiograph(saved(dataset, tmp_path)).image.geometry  # type: ignore[union-attr]
    assert geometry.spacing == spacing
    assert geometry.spacing_source == source


@pytest.mark.parametrize("source", ["patient", "detector", "unknown"])
def test_the_spacing_source_survives_writing(tmp_path: Path, source: str) -> None:
    image = film(SHOWN, spacing=(0.143, 0.143), spacing_source=source)
    write_radiograph_dicom(tmp_path / "a.dcm", image)
    geometry = image_of(tmp_path / "a.dcm").geometry
    assert geometry.spacing == pytest.approx((0.143, 0.143))
    assert geometry.spacing_source == source


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"PixelSpacing": [0, 0]}, "invalid_spacing"),
        ({"PixelAspectRatio": [2, 1]}, "non_square_pixels"),
        ({"PixelSpacing": [0.1, 0.2]}, "non_square_pixels"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing"),
        ({"Modality": "OT"}, "unknown_modality"),
        ({"Modality": ""}, "unknown_modality"),
    ],
)
def test_warnings(tmp_path: Path, elements: dict[str, object], code: str) -> None:
    dataset = dicom_dataset(tmp_path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    reading = read_radiograph(saved(dataset, tmp_path))
    assert (reading.verdict.status, reading.verdict.code) == ("warned", code)
    assert reading.image is not None


def test_facts_are_kept(tmp_path: Path) -> None:
    dataset = dicom_dataset(tmp_path)
    dataset.ViewPosition, dataset.ImageLaterality = "LL", "L"
    dataset.EstimatedRadiographicMagnificationFactor = "1.05"
    facts = image_of(saved(dataset, tmp_path)).acquisition
    assert facts["view"] == "LL"
    assert facts["laterality"] == "L"
    assert facts["magnification"] == 1.05
    assert facts["body_part"] == "CHEST"
    assert facts["photometric"] == "MONOCHROME2"
    assert facts["bits"] == 8


# --- bad files ------------------------------------------------------------------------------


def without(*keywords: str) -> Callable[[FileDataset], None]:
    def spoil(dataset: FileDataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return spoil


def with_(**elements: object) -> Callable[[FileDataset], None]:
    def spoil(dataset: FileDataset) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (without("PixelData"), "no_pixels", "no pixels"),
        (without("Rows"), "missing_size", "rows and columns"),
        (with_(Columns=0), "missing_size", "rows and columns"),
        (without("BitsAllocated"), "missing_header", "BitsAllocated"),
        (without("PhotometricInterpretation"), "missing_header", "PhotometricInterpretation"),
        (with_(Modality="CT"), "not_a_radiograph", "a CT slice"),
        (with_(Modality="MR"), "not_a_radiograph", "an MR slice"),
        (with_(Modality="ECG"), "not_a_radiograph", "ECG"),
        (with_(NumberOfFrames=2), "multi_frame", "several frames"),
        (with_(PhotometricInterpretation="PALETTE COLOR"), "unsupported_photometric", "PALETTE"),
        (with_(Rows=20000, Columns=20000), "too_many_pixels", "100 million"),
        (with_(Rows=1, Columns=1), "too_small", "1 x 1"),
        (with_(Rows=60), "truncated", "cut off"),
        (with_(BitsAllocated=64), "unsupported_bits", "64"),
    ],
)
def test_bad_files_are_refused(
    tmp_path: Path, spoil: Callable[[FileDataset], None], code: str, words: str
) -> None:
    dataset = dicom_dataset(tmp_path)
    spoil(dataset)
    reading = read_radiograph(saved(dataset, tmp_path))
    assert refusal(reading) == code
    assert words in reading.verdict.messages[0]


@pytest.mark.parametrize("stored_as", ["native", "JPEG", "RLE", "JPEG-LS", "JPEG 2000"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cut_off_file_is_refused(tmp_path: Path, stored_as: str, data: st.DataObject) -> None:
    path = tmp_path / "spoiled.dcm"
    if not path.exists():
        dataset = jpeg_dataset(tmp_path) if stored_as == "JPEG" else dicom_dataset(tmp_path)
        syntax = {"RLE": RLELossless, "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}
        if stored_as in syntax:
            compress(dataset, syntax[stored_as])
        saved(dataset, tmp_path)
    whole = path.read_bytes()
    # The end of an encapsulated stream, 8 bytes, and padding after it hold no pixels.
    kept = data.draw(st.integers(1, len(whole) - 32))
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[:kept])
    code = refusal(read_radiograph(cut))
    if kept > whole.index(b"\xe0\x7f\x10\x00") + 12:  # the header is whole, the pixels are not
        assert code in {"truncated", "undecodable"}
    else:
        assert code in {
            *("truncated", "corrupt", "no_pixels", "not_an_image"),
            *("missing_header", "missing_size", "not_a_radiograph"),
        }


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_headers_never_raise(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "valid.dcm"
    if not path.exists():
        dicom_dataset(tmp_path)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(132, 1200))] = data.draw(st.integers(0, 255))
    spoiled = tmp_path / "damaged.dcm"
    spoiled.write_bytes(damaged)
    reading = read_radiograph(spoiled)
    assert (reading.image is None) == reading.verdict.refused
    assert all("SECRET" not in message for message in reading.verdict.messages)


# --- writing --------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        write_radiograph_dicom(tmp_path / name, film(SHOWN), patient_id="P", seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c
    first, third = pydicom.dcmread(tmp_path / "a"), pydicom.dcmread(tmp_path / "c")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert first[keyword].value != third[keyword].value
        assert first[keyword].value.is_valid


def test_other_arrays_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="float32"):
        write_radiograph_dicom(tmp_path / "a", film(np.zeros((40, 40), np.float32)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy (dicom3tools) is not installed")
@pytest.mark.parametrize("source", ["patient", "detector", "unknown"])
def test_dciodvfy_finds_no_error(tmp_path: Path, source: str) -> None:
    image = film(SHOWN, spacing=(0.2, 0.2), spacing_source=source)
    write_radiograph_dicom(tmp_path / "a.dcm", image, patient_id="P1", patient_name="Film^One")
    said = subprocess.run(["dciodvfy", tmp_path / "a.dcm"], capture_output=True, text=True).stderr
    assert "CRImage" in said
    assert "Error" not in said


# --- real files -----------------------------------------------------------------------------


@pytest.mark.real
def test_real_dicom_files_are_all_judged() -> None:
    folder = os.environ.get("RADLOOP_REAL_DICOM")
    if not folder:
        pytest.skip("RADLOOP_REAL_DICOM names no folder with DICOM files (CT and MR)")
    for path in find_images([Path(folder)]):
        assert refusal(read_radiograph(path)) in {"not_a_radiograph", "no_pixels", "not_an_image"}
