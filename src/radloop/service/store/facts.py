"""What the store keeps of an incoming file: `InstanceFacts`, from a DICOM header or a picture.

UIDs are checked (digits and dots, at most 64) before anything else uses them; texts lose control
characters and are cut. Nothing here writes.
"""

from __future__ import annotations

import io
import re
import unicodedata
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

from radloop.errors import InputError
from radloop.findings.dicom.marks import PRIVATE_GROUP, is_ours

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
VOLUMES = (".nii", ".nii.gz")
_UID = re.compile(r"\d+(\.\d+)*")
_SPACE = uuid.UUID("5a2c1a3e-6f0b-5d51-9c6e-0f6a1d6b7c11")
_LONGEST = 256
_KEYWORDS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID",
    "PatientName", "PatientSex", "PatientAge", "AccessionNumber", "StudyDescription", "StudyDate",
    "Modality", "BodyPartExamined", "ViewPosition", "SeriesDescription", "ProtocolName",
    "Manufacturer", "InstanceNumber", "NumberOfStudyRelatedInstances", "SpecificCharacterSet",
)  # fmt: skip
_CREATORS = [(PRIVATE_GROUP << 16) + number for number in range(0x10, 0x20)]
_TAGS = [tag for word in _KEYWORDS if (tag := tag_for_keyword(word)) is not None] + _CREATORS


class IntakeError(InputError):
    """A file that cannot be registered: not DICOM, a UID that is none, a patient who differs."""


@dataclass(frozen=True)
class InstanceFacts:
    """One file: what it is of, whose, and from where. Texts are sanitised, UIDs are UIDs.

    expected: how many instances the study has, where the sender says so. own: made by Radloop.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str = ""
    transfer_syntax: str = ""
    number: int | None = None
    patient_id: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    accession: str = ""
    study_description: str = ""
    study_date: str = ""
    modality: str = ""
    body_part: str = ""
    view: str = ""
    series_description: str = ""
    manufacturer: str = ""
    own: bool = False
    expected: int | None = None


def facts_of(source: Any) -> InstanceFacts:
    """The facts of a pydicom Dataset, of the bytes of a DICOM file (its beginning is enough, up to
    the pixels), or of a path to one. Raises IntakeError, whose message quotes nothing of it."""
    dataset = source if hasattr(source, "SOPInstanceUID") else _header(source)
    meta = getattr(dataset, "file_meta", None)

    def text(keyword: str) -> str:
        return clean_text(_value(dataset, keyword))

    return InstanceFacts(
        study_uid=checked_uid(_value(dataset, "StudyInstanceUID"), "study"),
        series_uid=checked_uid(_value(dataset, "SeriesInstanceUID"), "series"),
        sop_uid=checked_uid(_value(dataset, "SOPInstanceUID"), "instance"),
        sop_class=checked_uid(_value(dataset, "SOPClassUID"), "class"),
        transfer_syntax=text_uid(getattr(meta, "TransferSyntaxUID", "")),
        number=_integer(_value(dataset, "InstanceNumber")),
        patient_id=text("PatientID"),
        patient_name=text("PatientName"),
        patient_sex=text("PatientSex")[:16],
        patient_age=text("PatientAge")[:16],
        accession=text("AccessionNumber"),
        study_description=text("StudyDescription"),
        study_date=text("StudyDate")[:16],
        modality=text("Modality").upper()[:16],
        body_part=text("BodyPartExamined").upper(),
        view=text("ViewPosition").upper(),
        series_description=text("SeriesDescription") or text("ProtocolName"),
        manufacturer=text("Manufacturer"),
        own=_own(dataset),
        expected=_positive(_integer(_value(dataset, "NumberOfStudyRelatedInstances"))),
    )


def facts_of_picture(name: str, sha256: str) -> InstanceFacts:
    """The facts of a picture or NIfTI file: a study of its own, its UIDs made from its content.

    Raises IntakeError for another kind of file.
    """
    suffix = suffix_of(name)
    if not suffix:
        raise IntakeError(
            "This is no DICOM file, film or volume.", "Give DICOM, PNG, JPEG, TIFF or NIfTI files."
        )
    shown = clean_text(name[: len(name) - len(suffix)])[:64]
    return InstanceFacts(
        study_uid=made_uid("study", sha256),
        series_uid=made_uid("series", sha256),
        sop_uid=made_uid("instance", sha256),
        transfer_syntax=suffix,
        number=1,
        study_description=shown,
        series_description=shown,
    )


def suffix_of(name: str) -> str:
    """The suffix of a picture or a volume as listed above, "" for another file."""
    lower = name.lower()
    return next((s for s in sorted((*PICTURES, *VOLUMES), key=len)[::-1] if lower.endswith(s)), "")


def checked_uid(value: Any, what: str) -> str:
    """The UID; raises IntakeError for anything but digits and dots, at most 64."""
    uid = str(value or "").strip().rstrip("\0")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise IntakeError(f"The file has no valid {what} UID.", "Ask the sender to correct it.")
    return uid


def text_uid(value: Any) -> str:
    """A UID that only describes: "" where it is none."""
    uid = str(value or "").strip().rstrip("\0")
    return uid if len(uid) <= 64 and _UID.fullmatch(uid) else ""


def made_uid(*parts: str) -> str:
    """A UID that follows from the parts: the same for the same, wherever it is made (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_SPACE, chr(0).join(parts)).int}"


def clean_text(value: Any) -> str:
    """One line without control characters or unpaired surrogates, cut at 256 characters."""
    text = str(value if value is not None else "").encode("utf-8", "replace").decode()
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * _LONGEST])
    return " ".join(kept.split())[:_LONGEST]


def _header(source: Any) -> Any:
    import pydicom

    try:
        file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=False)
    except Exception as error:  # pydicom raises whatever a broken file makes it trip over
        raise IntakeError(
            "This is no DICOM file that can be read.", "Give the file as the machine wrote it."
        ) from error


def _own(dataset: Any) -> bool:
    try:
        return is_ours(dataset)
    except Exception:  # an element that cannot be decoded is not one of ours
        return False


def _value(dataset: Any, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:  # a value that cannot be decoded is treated as absent
        return None


def _integer(value: Any) -> int | None:
    try:
        number = int(str(value))
    except (TypeError, ValueError):
        return None
    return number if -(2**31) <= number < 2**31 else None


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's preamble."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
