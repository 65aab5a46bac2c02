"""What happens to which attribute: PS3.15 table E.1-1 and its options (CID 7050).

The table of the basic profile is the 2026c edition as the `dicom-anonymizer` package carries it;
the options' columns below are ours, attribute by attribute as the standard lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Literal

from pydicom.datadict import dictionary_has_tag, tag_for_keyword
from pydicom.tag import BaseTag

Dates = Literal["remove", "shift", "keep"]


class Action(Enum):
    """PS3.15 table E.1-1a, reduced to what we do. Where the table leaves a choice, the first of
    dummy, empty, removed is taken that any attribute type allows: "X/Z/D" becomes a dummy."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    CLEAN = "C"
    SHIFT = "S"


@dataclass(frozen=True)
class Options:
    """The options of PS3.15 E.3 that are applied; all of them off is the basic profile alone.

    dates: removed, shifted by one number of days a patient, or kept. descriptions: keep of
    descriptions the words of an allow-list (`words.py`).
    """

    uids: bool = False
    device: bool = False
    institution: bool = False
    patient: bool = False
    dates: Dates = "remove"
    descriptions: bool = False
    safe_private: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """Values of CID 7050 for (0012,0064)."""
        applied = {
            "113100": True,  # Basic Application Confidentiality Profile
            "113105": self.descriptions,
            "113106": self.dates == "keep",
            "113107": self.dates == "shift",
            "113108": self.patient,
            "113109": self.device,
            "113110": self.uids,
            "113111": self.safe_private,
            "113112": self.institution,
        }
        return tuple(code for code, is_on in applied.items() if is_on)


MEANINGS = {
    "113100": "Basic Application Confidentiality Profile",
    "113105": "Clean Descriptors Option",
    "113106": "Retain Longitudinal Temporal Information Full Dates Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113110": "Retain UIDs Option",
    "113111": "Retain Safe Private Option",
    "113112": "Retain Institution Identity Option",
}

_DEVICE = """
    CassetteID DetectorID DeviceDescription DeviceLabel DeviceSerialNumber DeviceUID GantryID
    GeneratorID PerformedStationAETitle PerformedStationGeographicLocationCodeSequence
    PerformedStationName PerformedStationNameCodeSequence PlateID ScheduledStationAETitle
    ScheduledStationGeographicLocationCodeSequence ScheduledStationName
    ScheduledStationNameCodeSequence ScheduledStudyLocation ScheduledStudyLocationAETitle
    StationName StationAETitle UDISequence UniqueDeviceIdentifier XRaySourceID XRayDetectorID
"""
_INSTITUTION = """
    InstitutionName InstitutionAddress InstitutionCodeSequence InstitutionalDepartmentName
    InstitutionalDepartmentTypeCodeSequence ClinicalTrialCoordinatingCenterName
    ClinicalTrialProtocolEthicsCommitteeName ClinicalTrialSiteID ClinicalTrialSiteName
"""
_PATIENT = """
    PatientAge PatientSex PatientSize PatientWeight EthnicGroup SmokingStatus PregnancyStatus
    PatientSexNeutered
"""
# Descriptions that the clean descriptors option may keep parts of.
_DESCRIPTIONS = """
    StudyDescription SeriesDescription ProtocolName AcquisitionProtocolDescription
    AcquisitionDeviceProcessingDescription ContrastBolusAgent DerivationDescription
    PerformedProcedureStepDescription RequestedProcedureDescription ImageComments
    RequestedContrastAgent ScheduledProcedureStepDescription
"""
# PS3.15 table E.3.10-1, of which those that reconstruction from images needs: diffusion weights
# and directions. (creator, group, element below the block).
_SAFE_PRIVATE = {
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("SIEMENS MR HEADER", 0x0019, 0x0D),
    ("SIEMENS MR HEADER", 0x0019, 0x0E),
    ("SIEMENS MR HEADER", 0x0019, 0x27),
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("PHILIPS IMAGING DD 001", 0x2001, 0x03),
    ("PHILIPS IMAGING DD 001", 0x2001, 0x04),
}
_BIRTH = "PatientBirthDate PatientBirthTime"  # which no option retains
_TEMPORAL = {"DA", "DT", "TM"}


def is_safe_private(creator: str, tag: BaseTag) -> bool:
    """Whether the retain safe private option may keep this attribute."""
    return (creator.strip().upper(), tag.group, tag.element & 0xFF) in _SAFE_PRIVATE


def action_of(tag: BaseTag, vr: str, options: Options) -> Action:
    """What happens to a standard attribute.

    What the table does not list is kept, except for what could hold anything: attributes that the
    dictionary does not know, of unknown representation, and names of people.
    """
    listed = _listed(tag)
    if listed is None:
        if not dictionary_has_tag(tag) or vr == "UN":
            return Action.REMOVE
        return Action.EMPTY if vr == "PN" else Action.KEEP
    if _is_kept(tag, options):
        return Action.KEEP
    if listed == Action.UID:
        return Action.KEEP if options.uids else Action.UID
    if vr in _TEMPORAL and tag not in _tags(_BIRTH) and options.dates != "remove":
        return Action.KEEP if options.dates == "keep" or vr == "TM" else Action.SHIFT
    if options.descriptions and tag in _tags(_DESCRIPTIONS):
        return Action.CLEAN
    return listed


def _is_kept(tag: BaseTag, options: Options) -> bool:
    return (
        (options.device and tag in _tags(_DEVICE))
        or (options.institution and tag in _tags(_INSTITUTION))
        or (options.patient and tag in _tags(_PATIENT))
    )


@lru_cache
def _tags(keywords: str) -> frozenset[int]:
    found = {word: tag_for_keyword(word) for word in keywords.split()}
    return frozenset(tag for tag in found.values() if tag is not None)


def _listed(tag: BaseTag) -> Action | None:
    action = _table().get(int(tag))
    if action is not None:
        return action
    # Curves (50xx) and overlays (60xx), which repeat over groups, go as a whole.
    repeating = 0x5000 <= tag.group <= 0x50FF or 0x6000 <= tag.group <= 0x60FF
    return Action.REMOVE if repeating else None


@lru_cache
def _table() -> dict[int, Action]:
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table

    choices = {
        Action.DUMMY: (table.D_TAGS, table.Z_D_TAGS, table.X_D_TAGS, table.X_Z_D_TAGS),
        Action.EMPTY: (table.Z_TAGS, table.X_Z_TAGS),
        Action.REMOVE: (table.X_TAGS,),
        Action.UID: (table.U_TAGS, table.X_Z_U_STAR_TAGS),
    }
    return {
        (tag[0] << 16) | tag[1]: action
        for action, lists in choices.items()
        for tags in lists
        for tag in tags
        if len(tag) == 2
    }
