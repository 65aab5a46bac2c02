"""What all our objects share: identifiers made from a key, who made them, how they are known."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

import radloop
from radloop.errors import InputError
from radloop.findings.finding import Prediction
from radloop.images.segmentation import keep_names_out_of_warnings
from radloop.images.verdict import Verdict

MANUFACTURER = "Radloop"
RESEARCH_ONLY = "Research use only. Not a medical device; not for clinical decisions."
PRIVATE_CREATOR = "RADLOOP FINDINGS 1"
PRIVATE_GROUP = 0x0075

_EMPTY_IS_WRONG = ("DeidentificationMethod", "PatientIdentityRemoved", "PatientSpeciesDescription",
                   "ResponsiblePersonRole", "ClinicalTrialSubjectReadingID")  # fmt: skip
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_PRESENTATION_STATES = "1.2.840.10008.5.1.4.1.1.11."
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"


class SourceError(InputError):
    """Source images from which no object can be made: none, not DICOM, of several patients."""


class NothingToWriteError(InputError):
    """An object that this prediction has nothing for: no mask, no picture, nothing to draw."""


def made_uid(key: str, role: str) -> UID:
    """`2.25.` and a UUID (PS3.5 B.2) of the key and the role: the same again for the same two."""
    name = f"radloop/findings/{key}/{role}"
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}")


def uid_maker(key: str, kind: str) -> Callable[[str], str]:
    """The UIDs of one object by role. Raises ValueError for an empty key."""
    if not key:
        raise ValueError("an object's UIDs are made from a key, which may not be empty")
    return lambda role: str(made_uid(key, f"{kind}/{role}"))


def equipment(prediction: Prediction) -> dict[str, Any]:
    """The equipment as highdicom's constructors take it: our name, the model, its SHA-256."""
    keep_names_out_of_warnings()
    model = prediction.model
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": prediction.system[:64],
        "device_serial_number": model.sha256[:64] or "0",
        "software_versions": [f"radloop {radloop.__version__}", f"{model.name} {model.version}"],
        "specific_character_set": "ISO_IR 192",
    }


def finish(made: Dataset, prediction: Prediction, kind: str, source: Dataset) -> Dataset:
    """The object itself with what every one of ours carries.

    The private block (0075,10xx) holds the kind, the model and its SHA-256, and the verdict.
    """
    now = datetime.now()  # local, as the times of the study that are taken over
    made.SpecificCharacterSet = "ISO_IR 192"
    whens = {"Date": now.strftime("%Y%m%d"), "Time": now.strftime("%H%M%S")}
    for what in ("Series", "InstanceCreation", "PresentationCreation", "Content"):
        for part, value in whens.items():
            if what + part in made or what == "Series":
                setattr(made, what + part, value)
    for keyword in _EMPTY_IS_WRONG:  # taken over from a source that has it wrong
        if keyword in made and made.get(keyword) in (None, ""):
            delattr(made, keyword)
    if made.get("PatientIdentityRemoved") == "YES" and not (
        made.get("DeidentificationMethod") or made.get("DeidentificationMethodCodeSequence")
    ):
        made.DeidentificationMethod = "Not stated by the source image"  # type 1C
    made.StudyDescription = str(source.get("StudyDescription") or "")[:64]
    block = made.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    model = prediction.model
    for element, vr, value in (
        (0x01, "CS", kind.upper()),
        (0x02, "LO", f"{model.name} {model.version}"[:64]),
        (0x03, "LO", model.sha256[:64]),
        (0x04, "CS", prediction.verdict.status.upper()),
        (0x05, "LO", RESEARCH_ONLY[:64]),
    ):
        block.add_new(element, vr, value)
    return made


def is_ours(dataset: Dataset) -> bool:
    """Whether Radloop made this object of findings (and so must not read it).

    By the private block; where an archive dropped it, by the manufacturer on an object of the
    kinds we make. A film that Radloop wrote for a demonstration is an image and is read.
    """
    if any(
        element.value == PRIVATE_CREATOR
        for element in dataset.group_dataset(PRIVATE_GROUP)
        if element.tag.is_private_creator
    ):
        return True
    if str(dataset.get("Manufacturer") or "").strip() != MANUFACTURER:
        return False
    sop_class = str(dataset.get("SOPClassUID") or "")
    return (
        sop_class in _SEGMENTATIONS
        or sop_class == _CAPTURES
        or sop_class.startswith((_REPORTS, _PRESENTATION_STATES, _CAPTURES + "."))
    )


def series_description(prediction: Prediction, what: str) -> str:
    """ "Radloop cardiomegaly: report (research only)", at most 64 characters (LO)."""
    return f"Radloop {prediction.system}: {what} (research only)"[:64]


def verdict_text(verdict: Verdict) -> str:
    """The status and its reasons in a sentence or two."""
    said = {"accepted": "Read.", "warned": "Read, with warnings.", "refused": "Refused: not read."}
    return " ".join([said[verdict.status], *verdict.messages])
