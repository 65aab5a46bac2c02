"""The SNOMED CT codes of all teeth by ISO 3950 number (DICOM PS3.16, CID 4018 and 4019).

The values and meanings are those of pydicom 3.0.2's dictionary, the order that of the numbers.
"""

from __future__ import annotations

from radloop.errors import InputError
from radloop.findings.finding import Code

_JAWS = {
    "1": "maxillary right", "2": "maxillary left",
    "3": "mandibular left", "4": "mandibular right",
}  # fmt: skip
_PERMANENT = {
    "1": "422653006 424877001 860767006 57826002 36492000 865995000 863902006 68085002",
    "2": "424399000 423185002 860780009 61897005 23226009 865988009 863901004 87704003",
    "3": "425106001 423331005 860782001 2400006 24573005 866006002 863898000 74344005",
    "4": "424575004 423937004 860785004 80140008 8873007 866005003 863899008 38994002",
}
_DECIDUOUS = {
    "1": "88824007 65624003 30618001 17505006 27855007",
    "2": "51678005 43622005 73937000 45234009 51943008",
    "3": "89552004 14770005 43281008 38896004 49330006",
    "4": "67834006 22445006 6062009 58646007 61868007",
}
TEETH = {
    False: ("central incisor", "lateral incisor", "canine", "first premolar", "second premolar",
            "first molar", "second molar", "third molar"),
    True: ("central incisor", "lateral incisor", "canine", "first molar", "second molar"),
}  # fmt: skip
"""The teeth of a quadrant from the midline, permanent ones and (True) deciduous."""


def tooth_code(number: str) -> Code:
    """The code of a tooth, permanent ("11" to "48") or deciduous ("51" to "85")."""
    first = number[:1] in ("5", "6", "7", "8")
    quadrant = str((int(number[0]) - 1) % 4 + 1) if number[:1].isdigit() else ""
    values = (_DECIDUOUS if first else _PERMANENT).get(quadrant, "").split()
    place = int(number[1:]) - 1 if number[1:].isdigit() else -1
    if len(number) != 2 or not 0 <= place < len(values):
        raise InputError(f"'{number}' is no number of a tooth.", "ISO 3950: 11 to 48, 51 to 85.")
    jaw, tooth = _JAWS[quadrant], TEETH[first][place]
    if first:
        return Code(values[place], "SCT", f"Deciduous {jaw} {tooth} tooth")
    if number == "32":  # the dictionary's own wording
        return Code(values[place], "SCT", "Mandibular left lateral tooth")
    meaning = f"{jaw} {tooth} tooth"
    return Code(
        values[place], "SCT",
        f"Permanent {meaning}" if quadrant in "12" else meaning.capitalize(),
    )  # fmt: skip
