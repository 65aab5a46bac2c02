"""What DICOM files say of their slices, read without decoding a pixel.

A file is one slice (CT, MR, PET image objects), many frames (enhanced multi-frame objects,
PS3.3 C.7.6.16), or one frame tiled with many slices (Siemens mosaic). All three become `Slice`s.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radloop.images.dicom_facts import number, numbers
from radloop.images.dicom_pixels import cut_off
from radloop.images.limits import VOLUME_LIMITS, ReadLimits, check_size
from radloop.images.read import looks_like_dicom, open_file
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, refused
from radloop.images.volumes.enhanced import frames_of
from radloop.images.volumes.mosaic import is_mosaic, slices_of_mosaic
from radloop.images.volumes.slices import Slice, pair, vector

_VOLUMES = {"CT", "MR", "PT"}
_FILMS = {"CR", "DX", "DR", "RG", "PX", "IO", "MG"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_TEXT = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID SeriesNumber SeriesDescription "
    "PatientID PatientName PatientBirthDate Modality Manufacturer ImageType BodyPartExamined "
    "ProtocolName StudyDescription ContrastBolusAgent ConvolutionKernel PatientPosition "
    "SpecificCharacterSet FrameOfReferenceUID AnatomicalOrientationType"
)
_NUMBERS = (
    "ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns SamplesPerPixel "
    "PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation RescaleSlope "
    "RescaleIntercept PixelPaddingValue PixelPaddingRangeLimit InstanceNumber AcquisitionNumber "
    "EchoTime EchoNumbers TemporalPositionIdentifier TriggerTime DiffusionBValue "
    "GantryDetectorTilt SliceThickness SpacingBetweenSlices WindowCenter WindowWidth "
    "NumberOfFrames ModalityLUTSequence SharedFunctionalGroupsSequence "
    "PerFrameFunctionalGroupsSequence"
)
_CSA_IMAGE_HEADER = [BaseTag(0x00290010), BaseTag(0x00291010)]
_TAGS: list[Any] = [*_TEXT.split(), *_NUMBERS.split(), *_CSA_IMAGE_HEADER]
# By what one series may hold several volumes, and what a person calls it.
_STACKS = {
    "ImageType": "image type",
    "EchoTime": "echo time",
    "EchoNumbers": "echo number",
    "TemporalPositionIdentifier": "time point",
    "DiffusionBValue": "b-value",
    "AcquisitionNumber": "acquisition number",
    "TriggerTime": "trigger time",
}


@dataclass(frozen=True)
class FileHeader:
    """A DICOM file: the series it belongs to, and its slices, or a refusal why it has none."""

    path: Path
    verdict: Verdict = ACCEPTED
    study_uid: str = ""
    series_uid: str = ""
    modality: str = ""
    description: str = ""
    slices: tuple[Slice, ...] = field(default=())


def read_header(path: Path, limits: ReadLimits = VOLUME_LIMITS) -> FileHeader | None:
    """The header of a DICOM file; None for a file that is something else.

    Never raises for what a file holds: a refused verdict says what is wrong. Codes: those of
    `open_file` and `check_size`, "no_pixels", "not_a_volume", "film", "screenshot", "localizer",
    "missing_size", "missing_header", "modality_lut", "mosaic", "truncated", "corrupt".
    """
    dataset = None
    try:
        with open_file(path) as file:
            start = file.read(132)
            file.seek(0)
            if not looks_like_dicom(start):
                return None
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=_TAGS
            )
            slices = _slices(dataset, path, _plain_offset(dataset, file), limits)
        return _header(path, dataset, ACCEPTED, slices)
    except Refusal as refusal:
        return _header(path, dataset, refusal.verdict)
    except EOFError:
        return _header(path, dataset, cut_off().verdict)
    except Exception:  # a parser fed with damaged bytes may raise anything
        message = "The DICOM file is damaged and cannot be read. Export it again."
        return _header(path, dataset, refused("corrupt", message))


def _header(
    path: Path, dataset: Dataset | None, verdict: Verdict, slices: tuple[Slice, ...] = ()
) -> FileHeader:
    """Even of a refused file, what can be said of its series is said."""
    if dataset is None:
        return FileHeader(path, verdict)
    return FileHeader(
        path,
        verdict,
        _text(dataset, "StudyInstanceUID"),
        _text(dataset, "SeriesInstanceUID"),
        _text(dataset, "Modality"),
        _text(dataset, "SeriesDescription"),
        slices,
    )


def _slices(
    dataset: Dataset, path: Path, offset: int | None, limits: ReadLimits
) -> tuple[Slice, ...]:
    _check_kind(dataset)
    rows, columns = number(dataset, "Rows"), number(dataset, "Columns")
    if not rows or not columns:
        raise Refusal(
            "missing_size",
            "The DICOM file does not say how many rows and columns it has. Export it again.",
        )
    check_size(int(rows), int(columns), limits)
    missing = [w for w in ("SamplesPerPixel", "BitsAllocated", "BitsStored") if w not in dataset]
    if missing:
        raise Refusal(
            "missing_header",
            f"The DICOM file lacks {', '.join(missing)}, without which its pixels cannot be "
            "understood. Export it again.",
        )
    if dataset.get("ModalityLUTSequence"):
        raise Refusal(
            "modality_lut",
            "The slice maps its values through a table (modality LUT), which volumes do not "
            "support. Export it with a rescale slope and intercept.",
        )
    single = _single(dataset, path, int(rows), int(columns), offset)
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return frames_of(dataset, single)
    if is_mosaic(dataset):
        return slices_of_mosaic(dataset, single)
    if (number(dataset, "NumberOfFrames") or 1) > 1:
        raise Refusal(
            "multi_frame",
            "The DICOM file holds several frames without saying where each lies. Export it as an "
            "enhanced multi-frame object, or as single slices.",
        )
    return (single,)


def _check_kind(dataset: Dataset) -> None:
    """Refuse what is no slice of a volume, by what the header says it is."""
    modality = _text(dataset, "Modality")
    kinds = [str(kind).strip().upper() for kind in _values(dataset, "ImageType")]
    if "Rows" not in dataset:
        raise Refusal("no_pixels", "A DICOM object without pixels (a report, an index, a state).")
    if _text(dataset, "SOPClassUID").startswith(_SECONDARY_CAPTURE) or "SCREEN SAVE" in kinds:
        raise Refusal("screenshot", "A screenshot (secondary capture), not a slice.")
    if (number(dataset, "SamplesPerPixel") or 1) > 1:
        raise Refusal("screenshot", "A colour image (a screenshot or a report), not a slice.")
    if modality in _FILMS:
        raise Refusal("film", "A radiograph, not a slice of a volume.")
    if modality not in _VOLUMES:
        raise Refusal(
            "not_a_volume", f"An image of modality {modality[:16]!r}, not a slice of a volume."
        )
    if "LOCALIZER" in kinds:
        raise Refusal("localizer", "A scout (localizer), not a slice of the volume.")


def _single(dataset: Dataset, path: Path, rows: int, columns: int, offset: int | None) -> Slice:
    orientation = numbers(dataset, "ImageOrientationPatient")
    whole = len(orientation) == 6
    padding = number(dataset, "PixelPaddingValue")
    limit = number(dataset, "PixelPaddingRangeLimit")
    instance = number(dataset, "InstanceNumber")
    return Slice(
        path,
        0,
        _text(dataset, "SOPInstanceUID"),
        "\n".join(_text(dataset, w) for w in ("PatientID", "PatientName", "PatientBirthDate")),
        rows,
        columns,
        vector(numbers(dataset, "ImagePositionPatient")),
        vector(orientation[3:]) if whole else None,
        vector(orientation[:3]) if whole else None,
        pair(numbers(dataset, "PixelSpacing")),
        number(dataset, "RescaleSlope") or 1.0,  # a slope of 0 would erase the slice
        number(dataset, "RescaleIntercept") or 0.0,
        None if padding is None else (padding, padding if limit is None else limit),
        None if instance is None else int(instance),
        offset,
        bits=(
            int(dataset.BitsAllocated),
            int(dataset.BitsStored),
            number(dataset, "PixelRepresentation") == 1,
        ),
        stacks={
            name: "\\".join(str(v) for v in _values(dataset, word))
            for word, name in _STACKS.items()
            if _values(dataset, word)
        },
        facts=_facts(dataset),
    )


def _facts(dataset: Dataset) -> dict[str, object]:
    window = (number(dataset, "WindowCenter"), number(dataset, "WindowWidth"))
    facts: dict[str, object] = {
        "manufacturer": _text(dataset, "Manufacturer"),
        "body_part": _text(dataset, "BodyPartExamined"),
        "protocol": _text(dataset, "ProtocolName"),
        "study": _text(dataset, "StudyDescription"),
        "contrast": _text(dataset, "ContrastBolusAgent"),
        "kernel": _text(dataset, "ConvolutionKernel"),
        "patient_position": _text(dataset, "PatientPosition"),
        "patient_id": _text(dataset, "PatientID"),
        "frame_of_reference": _text(dataset, "FrameOfReferenceUID"),
        "animal": _text(dataset, "AnatomicalOrientationType") == "QUADRUPED",
        "tilt_stated": number(dataset, "GantryDetectorTilt"),
        "thickness": number(dataset, "SliceThickness"),
        "window": window if None not in window else None,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _plain_offset(dataset: Dataset, file: BinaryIO) -> int | None:
    """Where the pixels of a little-endian, uncompressed file begin; `file` stands before them."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    head = file.read(12)
    if head[:4] != _PIXEL_DATA or len(head) < 12:
        return None
    explicit = syntax == ExplicitVRLittleEndian
    (length,) = struct.unpack("<I", head[8:12] if explicit else head[4:8])
    return None if length == 0xFFFFFFFF else file.tell() - (0 if explicit else 4)


def _text(dataset: Dataset, keyword: str) -> str:
    return "\\".join(str(value) for value in _values(dataset, keyword)).strip()


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    try:
        value = dataset.get(keyword)
    except Exception:  # a value that cannot be parsed says nothing
        return []
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, pydicom.multival.MultiValue) else [value]
