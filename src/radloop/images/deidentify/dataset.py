"""One DICOM object through the profile: every attribute, at every depth of its sequences."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

from radloop.images.deidentify.profile import MEANINGS, Action, Options, action_of, is_safe_private
from radloop.images.deidentify.pseudonyms import Pseudonyms
from radloop.images.deidentify.words import cleaned

_PATIENT_ID, _PATIENT_NAME = 0x00100020, 0x00100010
_OLDEST = 89  # years; an older patient's age tells too much (HIPAA 164.514)
# Identifiers of classes, codes and syntaxes, which name no instance.
_CLASSES = ("ClassUID", "SyntaxUID", "SchemeUID", "ContextUID", "ResourceUID", "GroupUID")
_DUMMIES = {
    "AE": "REMOVED", "AS": "000Y", "CS": "REMOVED", "DA": "19000101", "DS": "0",
    "DT": "19000101000000", "IS": "0", "LO": "REMOVED", "LT": "REMOVED", "PN": "REMOVED",
    "SH": "REMOVED", "ST": "REMOVED", "TM": "000000", "UC": "REMOVED", "UT": "REMOVED",
}  # fmt: skip
_NUMBERS = {"FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"}


def deidentify(dataset: Dataset, pseudonyms: Pseudonyms, options: Options) -> Counter[str]:
    """Apply the profile to `dataset`, in place; its pixels stay as they are.

    Returns how many attributes met each action, by the action's name. What cannot be parsed is
    removed. The object then says that and how it was de-identified (0012,0062-0064; 0028,0303).
    """
    patient = _first(dataset, "PatientID") or _first(dataset, "PatientName")
    counts: Counter[str] = Counter()
    _Walk(pseudonyms, options, patient, counts).through(dataset)
    _declare(dataset, options)
    _replace_meta(dataset)
    return counts


class _Walk:
    def __init__(
        self, pseudonyms: Pseudonyms, options: Options, patient: str, counts: Counter[str]
    ) -> None:
        self.pseudonyms, self.options = pseudonyms, options
        self.patient, self.counts = patient, counts

    def through(self, dataset: Dataset) -> None:
        """Every attribute of one level, and of what lies below it."""
        kept_blocks: set[tuple[int, int]] = set()
        for tag in list(dataset.keys()):
            if tag.is_private_creator:
                continue
            if tag.is_private:
                if self._keeps_private(dataset, tag):
                    kept_blocks.add((tag.group, tag.element >> 8))
                else:
                    self._remove(dataset, tag)
            else:
                self._standard(dataset, tag)
        for tag in list(dataset.keys()):
            if tag.is_private_creator and (tag.group, tag.element & 0xFF) not in kept_blocks:
                self._remove(dataset, tag)

    def _standard(self, dataset: Dataset, tag: BaseTag) -> None:
        try:
            element = dataset[tag]
            action = Action.REMOVE if tag.element == 0 else action_of(tag, element.VR, self.options)
            if element.VR == "SQ":
                self._sequence(dataset, element, action)
            else:
                self._value(dataset, element, action)
        except Exception:  # what cannot be understood cannot be kept
            self._remove(dataset, tag)

    def _sequence(self, dataset: Dataset, element: DataElement, action: Action) -> None:
        if action in (Action.REMOVE, Action.DUMMY):
            self._remove(dataset, element.tag)
        elif action == Action.EMPTY:
            element.value = Sequence()
            self.counts["emptied"] += 1
        else:
            for item in element.value:
                self.through(item)

    def _value(self, dataset: Dataset, element: DataElement, action: Action) -> None:
        if element.tag in (_PATIENT_ID, _PATIENT_NAME):
            element.value = self.pseudonyms.patient(self.patient)
            self.counts["replaced"] += 1
        elif element.VR == "UI":
            self._uid(dataset, element, action)
        elif action == Action.KEEP:
            self._keep(element)
        elif action == Action.REMOVE:
            self._remove(dataset, element.tag)
        elif action == Action.EMPTY:
            element.value = None
            self.counts["emptied"] += 1
        elif action == Action.SHIFT:
            values = [self.pseudonyms.shifted(str(v), self.patient) for v in _values(element)]
            element.value = values if len(values) > 1 else (values or [""])[0]
            self.counts["shifted"] += 1
        elif action == Action.CLEAN:
            element.value = cleaned(" ".join(str(value) for value in _values(element)))
            self.counts["cleaned"] += 1
        else:
            self._dummy(dataset, element)

    def _uid(self, dataset: Dataset, element: DataElement, action: Action) -> None:
        """Instances get new identifiers, listed or not, unless they are to be retained."""
        names_a_class = str(element.keyword).endswith(_CLASSES)
        if action == Action.REMOVE:
            self._remove(dataset, element.tag)
        elif not self.options.uids and not (names_a_class and action == Action.KEEP):
            uids = [UID(self.pseudonyms.uid(str(value))) for value in _values(element)]
            element.value = uids if len(uids) > 1 else uids[0] if uids else None
            self.counts["replaced"] += 1
        else:
            self.counts["kept"] += 1

    def _keep(self, element: DataElement) -> None:
        if element.VR == "AS" and element.value:
            age = str(element.value)
            if age.endswith("Y") and age[:3].isdigit() and int(age[:3]) > _OLDEST:
                element.value = f"{_OLDEST + 1:03d}Y"
        self.counts["kept"] += 1

    def _dummy(self, dataset: Dataset, element: DataElement) -> None:
        if element.VR in _DUMMIES:
            element.value = _DUMMIES[element.VR]
        elif element.VR in _NUMBERS:
            element.value = 0
        else:
            return self._remove(dataset, element.tag)
        self.counts["replaced"] += 1
        return None

    def _keeps_private(self, dataset: Dataset, tag: BaseTag) -> bool:
        if not self.options.safe_private:
            return False
        with suppress(Exception):  # a block without its creator
            creator = str(dataset[tag.private_creator].value)
            if is_safe_private(creator, tag) and dataset[tag].VR != "SQ":
                self.counts["kept"] += 1
                return True
        return False

    def _remove(self, dataset: Dataset, tag: BaseTag) -> None:
        del dataset[tag]
        self.counts["removed"] += 1


def _values(element: DataElement) -> list[object]:
    value = element.value
    if value is None or value == "":
        return []
    return list(value) if element.VM > 1 else [value]


def _first(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip()
    except Exception:  # a value that cannot be parsed names nobody
        return ""


def _declare(dataset: Dataset, options: Options) -> None:
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "radloop, PS3.15 basic profile"
    items = []
    for value in options.codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = value, "DCM"
        item.CodeMeaning = MEANINGS[value]
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Sequence(items)
    dataset.LongitudinalTemporalInformationModified = {
        "remove": "REMOVED", "shift": "MODIFIED", "keep": "UNMODIFIED",
    }[options.dates]  # fmt: skip


def _replace_meta(dataset: Dataset) -> None:
    """File meta information that says nothing of where the file came from."""
    old = getattr(dataset, "file_meta", FileMetaDataset())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    meta.TransferSyntaxUID = old.TransferSyntaxUID
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
