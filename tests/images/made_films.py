"""Small films that the tests of this folder make for themselves, and what they ask of readings."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import pydicom
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from radloop.images import Geometry, Image, Reading, read_radiograph, write_radiograph_dicom


def noise(rows: int = 40, columns: int = 56, top: int = 255) -> npt.NDArray[np.uint16]:
    """A reproducible noisy array `(rows, columns)` that holds both 0 and `top`."""
    array = np.random.default_rng(7).integers(0, top + 1, (rows, columns)).astype(np.uint16)
    array[0, 0], array[0, 1] = 0, top
    return array


def film(array: npt.NDArray[np.generic], **geometry: object) -> Image:
    return Image(array, Geometry(array.shape, **geometry))  # type: ignore[arg-type]


def dicom_dataset(folder: Path, array: npt.NDArray[np.generic] | None = None) -> FileDataset:
    """A valid CR object, to be spoiled by the test and written again with `saved`."""
    array = noise().astype(np.uint8) if array is None else array
    path = folder / "valid.dcm"
    write_radiograph_dicom(path, film(array), patient_id="SECRET-17")
    dataset = pydicom.dcmread(path)
    del dataset.WindowCenter, dataset.WindowWidth
    return dataset


def saved(dataset: FileDataset, folder: Path) -> Path:
    path = folder / "spoiled.dcm"
    dataset.save_as(path, enforce_file_format=False)
    return path


def compress(dataset: FileDataset, syntax: pydicom.uid.UID) -> None:
    """By pydicom's encoders, or Pillow's for JPEG 2000."""
    if syntax != JPEG2000Lossless:
        dataset.compress(syntax)
        return
    stream = io.BytesIO()
    picture = PIL.Image.fromarray(dataset.pixel_array)
    picture.save(stream, "JPEG2000", no_jp2=True, irreversible=False)
    put_stream(dataset, stream.getvalue(), syntax)


def put_stream(dataset: FileDataset, stream: bytes, syntax: pydicom.uid.UID) -> None:
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


def jpeg_dataset(folder: Path) -> FileDataset:
    smooth = cv2.GaussianBlur(noise().astype(np.uint8), (9, 9), 3)
    dataset = dicom_dataset(folder, smooth)
    jpeg = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    put_stream(dataset, jpeg, JPEGBaseline8Bit)
    return dataset


def image_of(path: Path, status: str = "accepted") -> Image:
    reading = read_radiograph(path)
    assert reading.verdict.status == status, reading.verdict
    assert reading.image is not None
    return reading.image


def refusal(reading: Reading) -> str:
    assert reading.image is None
    assert reading.verdict.refused
    (message,) = reading.verdict.messages
    assert "SECRET-17" not in message
    return reading.verdict.code
