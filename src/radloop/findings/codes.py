"""The one reviewed table of codes, keyed by our own finding name.

Where no standard code was confirmed by its name *and* its meaning, the concept has a private code
in our own scheme, `99RADLOOP`: a receiver may not know it, but can never take it for something
else. Each row says what was looked at, so that a review can repeat it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from radloop.errors import InputError
from radloop.findings.finding import Code

PRIVATE_SCHEME = "99RADLOOP"
_VALUE_LENGTH, _MEANING_LENGTH = 16, 64  # DICOM PS3.5: VR SH of Code Value, LO of Code Meaning


@dataclass(frozen=True)
class CodeRow:
    """A code and where it was confirmed."""

    code: Code
    confirmed: str


def private_code(value: str, meaning: str) -> Code:
    """A code in our own scheme; `value` at most 16 characters, `meaning` at most 64 (DICOM)."""
    if not 0 < len(value) <= _VALUE_LENGTH or not 0 < len(meaning) <= _MEANING_LENGTH:
        raise ValueError(
            f"a code value has 1 to {_VALUE_LENGTH} characters and its meaning 1 to"
            f" {_MEANING_LENGTH}, not {value!r}, {meaning!r}"
        )
    return Code(value, PRIVATE_SCHEME, meaning)


TABLE: dict[str, CodeRow] = {
    "cardiomegaly": CodeRow(
        private_code("CARDIOMEGALY", "Cardiomegaly"),
        "Private: SCT 287272002 is in pydicom 3.0.2's dictionary (CID 12248, 12249) both as"
        " 'Cardiomegaly' and as 'Enlarged septal foramen of heart', so it may mean another thing.",
    ),
    "cardiothoracic_ratio": CodeRow(
        private_code("CTR", "Cardiothoracic ratio of widest transverse diameters"),
        "Private: LOINC 59076-0 and 59074-5 (pydicom 3.0.2, CID 12279) are the ratios of areas and"
        " of circumferences; no code of the ratio of diameters was found.",
    ),
    "lesion_volume": CodeRow(
        Code("118565006", "SCT", "Volume"), "Named 'Volume' in pydicom 3.0.2's dictionary."
    ),
    "total_lesion_volume": CodeRow(
        private_code("LESION-VOLUME", "Volume of all lesions together"),
        "Private: SCT 118565006 is the volume of the thing that was found.",
    ),
    "fracture": CodeRow(
        private_code("FRACTURE", "Fracture of bone"),
        "Private: no code for a fracture of any bone was confirmed by name and meaning.",
    ),
    "wrist_fracture": CodeRow(
        private_code("FX-DISTAL-RADIUS", "Fracture of distal end of radius"),
        "Private: no code for it was confirmed by name and meaning.",
    ),
    "wrist_not_found": CodeRow(
        private_code("WRIST-NOT-FOUND", "Wrist not found on the film"),
        "Private: it says something of the reading, not of the patient.",
    ),
    "hip_fracture": CodeRow(
        private_code("FX-HIP", "Fracture of hip"),
        "Private: no code for it was confirmed by name and meaning.",
    ),
    "hip_metalwork": CodeRow(
        private_code("HIP-METALWORK", "Metal in the hip: prosthesis, nail, plate or screws"),
        "Private: SCT codes are of single kinds of implants.",
    ),
    "hip_not_found": CodeRow(
        private_code("HIP-NOT-FOUND", "Hip not found on the film"),
        "Private: it says something of the reading, not of the patient.",
    ),
    "caries": CodeRow(
        private_code("CARIES", "Dental caries"),
        "Private: no code for it was found in pydicom 3.0.2's dictionary.",
    ),
    "restoration": CodeRow(
        private_code("RESTORATION", "Dental filling or crown"),
        "Private: SCT 272287005 is an inlay, one of several kinds.",
    ),
    "root_canal": CodeRow(
        private_code("ROOT-CANAL", "Root canal treatment"),
        "Private: no code for it was confirmed by name and meaning.",
    ),
    "implant": CodeRow(
        private_code("DENTAL-IMPLANT", "Dental implant"),
        "Private: SCT 40388003 is an implant of any kind.",
    ),
    "missing_tooth": CodeRow(
        private_code("TOOTH-MISSING", "Tooth not seen at its place"),
        "Private: whether it was lost, never grew or is not on the film is not known.",
    ),
    "extra_tooth": CodeRow(
        private_code("TOOTH-EXTRA", "Tooth that fits no place of its arch"),
        "Private: the codes of supernumerary teeth (CID 4025) name a place.",
    ),
    "stroke_lesion": CodeRow(
        private_code("STROKE-LESION", "Ischemic lesion of the brain"),
        "Private: no code of an ischemic lesion of the brain on imaging was confirmed by name and"
        " meaning in pydicom 3.0.2's dictionary.",
    ),
    "ms_lesion": CodeRow(
        private_code("MS-LESION", "Demyelinating lesion of the brain"),
        "Private: no code of a demyelinating lesion was found in pydicom 3.0.2's dictionary.",
    ),
    "intracranial_hemorrhage": CodeRow(
        private_code("ICH", "Intracranial hemorrhage"),
        "Private: SCT 1386000 is in pydicom 3.0.2's dictionary both as 'Intracranial hemorrhage'"
        " and as 'Occlusion of artery', so it may mean another thing.",
    ),
    **{
        f"{kind}_hemorrhage": CodeRow(
            private_code(value, f"{kind.capitalize()} hemorrhage"),
            f"Private: no code for {kind} hemorrhage was found in pydicom 3.0.2's dictionary;"
            " those in public repositories were not confirmed.",
        )
        for kind, value in (
            ("epidural", "ICH-EPIDURAL"),
            ("intraparenchymal", "ICH-PARENCHYMAL"),
            ("intraventricular", "ICH-VENTRICULAR"),
            ("subarachnoid", "ICH-SUBARACH"),
            ("subdural", "ICH-SUBDURAL"),
        )
    },
    **{
        f"{question}:{answer}": CodeRow(
            Code(value, "SCT", meaning),
            f"Named '{meaning}' in pydicom 3.0.2's dictionary ({group}).",
        )
        for question, answer, value, meaning, group in (
            ("laterality", "left", "7771000", "Left", "CID 244"),
            ("laterality", "right", "24028007", "Right", "CID 244"),
            ("body_part", "elbow", "16953009", "Elbow joint", "CID 4031"),
            ("body_part", "finger", "7569003", "Finger", "CID 4031"),
            ("body_part", "foot", "56459004", "Foot", "CID 4031"),
            ("body_part", "forearm", "14975008", "Forearm", "CID 4031"),
            ("body_part", "hand", "85562004", "Hand", "CID 4031"),
            ("body_part", "hip", "29836001", "Hip", "CID 4031"),
            ("body_part", "humerus", "85050009", "Humerus", "CID 4031"),
            ("body_part", "knee", "72696002", "Knee", "CID 4031"),
            ("body_part", "shoulder", "16982005", "Shoulder", "CID 4031"),
            ("body_part", "wrist", "74670003", "Wrist joint", "CID 4031"),
            ("laterality", "both", "51440002", "Bilateral", "CID 244"),
            ("site", "brain", "12738006", "Brain", "CID 4030"),
            ("site", "distal radius", "75129005", "Distal Radius", "CID 7304"),
            ("site", "heart", "80891009", "Heart", "CID 4030"),
            ("result", "positive", "10828004", "Positive", "CID 250"),
            ("result", "negative", "260385009", "Negative", "CID 250"),
            ("procedure", "imaging", "363679005", "Imaging procedure", "CID 100"),
            ("concept", "laterality", "272741003", "Laterality", "CID 210"),
        )
    },
    "concept:probability": CodeRow(
        Code("122157", "DCM", "Probability"),
        "Named 'Probability' in pydicom 3.0.2's dictionary.",
    ),
    **{
        f"concept:{name}": CodeRow(private_code(value, meaning), f"Private: {why}.")
        for name, value, meaning, why in (
            ("result", "RESULT", "Result of the model at its threshold", "says how it was called"),
            ("threshold", "THRESHOLD", "Threshold of the model", "no code was confirmed"),
            ("reading", "READING", "Reading by the model", "it says something of the reading"),
            ("verdict", "VERDICT", "Verdict on the input", "Radloop's own term"),
            ("accepted", "ACCEPTED", "Accepted", "Radloop's own term"),
            ("warned", "WARNED", "Accepted with warnings", "Radloop's own term"),
            ("refused", "REFUSED", "Refused: not read", "Radloop's own term"),
        )
    },
}


_BRAIN = (
    "intracranial_hemorrhage epidural_hemorrhage intraparenchymal_hemorrhage"
    " intraventricular_hemorrhage subarachnoid_hemorrhage subdural_hemorrhage stroke_lesion"
    " ms_lesion"
)
SITES: dict[str, str] = {
    "cardiomegaly": "site:heart",
    "wrist_fracture": "site:distal radius",
    **dict.fromkeys(("hip_fracture", "hip_metalwork"), "body_part:hip"),
    **dict.fromkeys(_BRAIN.split(), "site:brain"),
}
"""Finding -> the row of the body part it is of, where the finding's name says so. (Teeth have the
code of their own number.)"""


STOCK = frozenset(
    {"tooth", "missing_tooth", "extra_tooth", "restoration", "root_canal", "implant",
     "hip_metalwork"}
)  # fmt: skip
"""Findings that say what is there, or was done, and call for nobody: they order no worklist. (A
`tooth` has the code of the structure, see `tooth_codes`.)"""


def code(name: str) -> Code:
    """The reviewed code of a finding or measurement name."""
    if name not in TABLE:
        raise InputError(
            f"There is no reviewed code for '{name}'.",
            "Add a row to radloop/findings/codes.py, or state one with private_code().",
        )
    return TABLE[name].code


def code_or_private(name: str) -> Code:
    """The reviewed code of a name; of one that users made up, a private code made of it.

    The code's value is the name's letters and digits; where that is longer than 16, its beginning
    and a check sum, so that names that begin alike stay apart.
    """
    if name in TABLE:
        return TABLE[name].code
    value = re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")
    if len(value) > _VALUE_LENGTH or not value:
        check = hashlib.sha256(name.encode()).hexdigest()[:6].upper()
        value = f"{value[: _VALUE_LENGTH - 7]}-{check}".strip("-")
    meaning = name.replace("_", " ").replace(":", ": ").strip()[:_MEANING_LENGTH]
    return private_code(value, meaning[:1].upper() + meaning[1:])
