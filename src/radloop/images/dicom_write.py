"""Write a film as a small valid DICOM file, for demonstration films and tests."""

from __future__ import annotations

import uuid
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from radloop import __version__
from radloop.errors import InputError
from radloop.images.image import Image
from radloop.images.write import write_bytes

# A UID root that needs no registration: 2.25 followed by a UUID as a decimal number (PS3.5 B.2).
_UID_ROOT = "2.25"


def write_radiograph_dicom(
    path: Path,
    image: Image,
    *,
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2",
    patient_id: str = "",
    patient_name: str = "",
    seed: str = "",
    view: str = "PA",
    body_part: str = "CHEST",
) -> None:
    """Write `image` as a Computed Radiography object, explicit VR little endian.

    image: `(y, x)`, uint8 or uint16. Its spacing goes where its source says: "detector" to
        ImagerPixelSpacing, "patient" to PixelSpacing as calibrated by geometry, "unknown" to
        PixelSpacing alone. Its display range becomes the window.
    seed: study, series and instance UIDs are derived from it (and nothing else): the same seed
        gives the same file, another one another study. Empty: the patient ID and file name.

    CR rather than DX, since DX demands a detector spacing, which exported films have lost.

    Raises InputError for other arrays, WriteError when the file cannot be written.
    """
    if image.array.ndim != 2 or image.array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"An array {image.array.shape} of {image.array.dtype} cannot be written as a film.",
            "Give one film (y, x) of uint8 or uint16.",
        )
    seed = seed or f"{patient_id}/{path.name}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(seed, "instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("", "implementation")
    meta.ImplementationVersionName = f"RADLOOP_{__version__}"[:16]
    buffer = BytesIO()
    dataset = FileDataset(buffer, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    _put_identity(dataset, seed, patient_id, patient_name)
    _put_series(dataset, view, body_part)
    _put_spacing(dataset, image)
    _put_pixels(dataset, image, photometric)
    dataset.save_as(buffer, enforce_file_format=True)
    write_bytes(path, buffer.getbuffer())


def _uid(seed: str, role: str) -> UID:
    return UID(f"{_UID_ROOT}.{uuid.uuid5(uuid.NAMESPACE_URL, f'radloop/{role}/{seed}').int}")


def _put_identity(dataset: Dataset, seed: str, patient_id: str, patient_name: str) -> None:
    dataset.PatientName = patient_name
    dataset.PatientID = patient_id
    dataset.StudyInstanceUID = _uid(seed, "study")
    dataset.SeriesInstanceUID = _uid(seed, "series")
    for required_but_unknown in (
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyID",
        "ContentDate",
        "ContentTime",
    ):
        setattr(dataset, required_but_unknown, "")


def _put_series(dataset: Dataset, view: str, body_part: str) -> None:
    dataset.Modality = "CR"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Manufacturer = "Radloop"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.BodyPartExamined = body_part
    dataset.ViewPosition = view
    # As PA and AP films are looked at: rows run to the patient's left, columns to the feet.
    dataset.PatientOrientation = ["L", "F"] if view in ("PA", "AP") else ""


def _put_spacing(dataset: Dataset, image: Image) -> None:
    if image.geometry.spacing is None:
        return
    spacing = [f"{value:.10g}" for value in image.geometry.spacing]
    if image.geometry.spacing_source == "detector":
        dataset.ImagerPixelSpacing = spacing
        return
    dataset.PixelSpacing = spacing
    if image.geometry.spacing_source == "patient":
        dataset.PixelSpacingCalibrationType = "GEOMETRY"
        dataset.PixelSpacingCalibrationDescription = "As stated by the source of the film"


def _put_pixels(dataset: Dataset, image: Image, photometric: str) -> None:
    bits = image.array.dtype.itemsize * 8
    stored, (low, high) = image.array, image.display_range
    if photometric == "MONOCHROME1":
        top = 2**bits - 1
        stored, (low, high) = top - stored, (top - high, top - low)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = f"{(low + high + 1) / 2:.10g}"
    dataset.WindowWidth = f"{high - low + 1:.10g}"
    content = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
