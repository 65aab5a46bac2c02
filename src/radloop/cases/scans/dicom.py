"""`import dicom`: the series of studies to a case table; segmentations become masks."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom

from radloop.cases.case import Case, Reference
from radloop.cases.importing import ImportNote, ImportReport, note
from radloop.cases.table import table_of, write_cases
from radloop.cases.volume_masks import segment_name
from radloop.errors import InputError
from radloop.images.segmentation import read_segmentation
from radloop.images.volumes.series import Folder, Series, find_series

_NO_CHANNEL = r"\bfa\b|\bcolfa\b|tensor|\bexp\b|exponential|\beadc\b|difference|t2 ?\*|t2 ?star"
"""Maps and weightings that the patterns below would take for another."""
_KINDS: tuple[tuple[str, str], ...] = (
    ("adc", r"\badc\b|apparent|_adc|adc_"),
    ("tmax", r"t-?max"),
    ("ttp", r"\bttp\b|time.?to.?peak"),
    ("mtt", r"\bmtt\b|mean.?transit"),
    ("cbf", r"\br?(el)?cbf\b"),
    ("cbv", r"\br?(el)?cbv\b"),
    ("flair", r"^(?!.*t1).*(flair|dark.?fluid)"),  # T1 FLAIR is weighted like T1
    ("dwi", r"dwi|trace|diff|isotropic|b1000|b800"),
    ("t1c", r"t1.*(\+ ?c\b|post|gd|gad|contrast|\bce\b|\bkm\b)"),
    ("t1", r"t1|mprage|bravo|spgr|\btfl"),
    ("t2", r"t2"),
)
"""By what a description says, the first that fits; a diffusion map says more than its weighting."""


def import_dicom(
    folder: Path, channels: Mapping[str, str] | None = None, *, out: Path
) -> ImportReport:
    """Write the case table of the studies below a folder, a case each.

    A volume series becomes a channel: one whose description a pattern of `channels` (name ->
    regular expression, upper and lower case alike) fits, or without any pattern what the
    description of an MR series says it is. Where every study is a CT, it has a plain `image`. DICOM
    segmentations become masks, a structure a segment, of the study whose series they segment. The
    patient is the header's.

    Series that are refused, that hold several volumes, that no channel fits, or that are the
    smaller of two for one channel, are noted, and so are scouts, reports and other objects,
    segmentations without a series, and segments of one name. Raises InputError when no study is
    left, or a pattern is no expression.
    """
    rules = [(name, _compiled(text)) for name, text in (channels or {}).items()]
    found = find_series([folder])
    notes: list[ImportNote] = []
    lost = [f"{s.name}: {s.verdict.code}" for s in found.series if s.verdict.refused]
    note(notes, "series_refused", "Series that cannot be read as they are", lost)
    doubled: list[str] = []
    masks = _masks(found, doubled, notes)
    studies = _studies(found, notes)
    names = _names(studies)
    cases = []
    unnamed: list[str] = []
    smaller: list[str] = []
    several_kinds = bool(rules)
    for study, several in studies.items():
        images = _channels(several, rules, unnamed, smaller)
        if not images:
            continue
        of = _masks_of(several, masks, doubled)
        patient = str(_fact(several[0], "patient_id") or names[study])
        several_kinds = several_kinds or set(images) != {"ct"}
        paths = {name: _path(one, found) for name, one in images.items()}
        cases.append(Case(names[study], patient, paths, reference=Reference(masks=of)))
    note(notes, "series_without_channel", "Series that no channel fits", unnamed)
    note(notes, "series_doubled", "Series left out beside a larger one of their channel", smaller)
    note(notes, "masks_doubled", "Segments left out beside others of their name", doubled)
    left = [path.name for some in masks.values() for path in some.values()]
    note(notes, "masks_without_image", "Segmentations without their series", sorted(set(left)))
    if not cases:
        raise InputError(
            f"No study below {folder.name} has a series that can be used.",
            "See `radloop series` for what is there; name channels with --channel NAME=REGEX."
            + "".join(f" {one.message[:-1]} ({', '.join(one.names[:3])})." for one in notes),
        )
    if not several_kinds:  # in one table a plain `image` cannot stand beside channels
        cases = [replace(case, images={"image": case.image}) for case in cases]
    table = table_of(sorted(cases, key=lambda case: case.case_id), out)
    write_cases(table, out)
    return ImportReport(table, tuple(notes))


def channel_of(series: Series) -> str | None:
    """What an MR series is, by its description and protocol; "ct" for CT; None if not known."""
    if series.modality == "CT":
        return "ct"
    for text in (series.description, str(_fact(series, "protocol") or "")):
        plain = text.lower().replace("_", " ")
        if re.search(_NO_CHANNEL, plain):
            return None
        for name, pattern in _KINDS:
            if re.search(pattern, plain):
                return "t1c" if name == "t1" and _fact(series, "contrast") else name
    return None


def _channels(
    several: Sequence[Series],
    rules: Sequence[tuple[str, re.Pattern[str]]],
    unnamed: list[str],
    smaller: list[str],
) -> dict[str, Series]:
    """Channel -> its series, the one with the most slices."""
    chosen: dict[str, Series] = {}
    for series in sorted(several, key=lambda s: -_slice_count(s)):
        fits = (name for name, rule in rules if rule.search(series.description))
        name = next(fits, None) if rules else channel_of(series)
        if name is None:
            unnamed.append(series.name)
        elif name in chosen:
            smaller.append(series.name)
        else:
            chosen[name] = series
    return chosen


def _slice_count(series: Series) -> int:
    return len(series.layout.slices if series.layout else series.files)


def _studies(found: Folder, notes: list[ImportNote]) -> dict[str, list[Series]]:
    """Study -> its series, but for those that a path in the table cannot name."""
    volumes = Counter(series.uid for series in found.series if not series.verdict.refused)
    studies: dict[str, list[Series]] = defaultdict(list)
    several = []
    for series in found.series:
        if volumes[series.uid] > 1 and not series.verdict.refused:
            several.append(series.name)
        elif not series.verdict.refused:
            studies[series.study_uid].append(series)
    note(notes, "series_of_several_volumes", "Volumes that share a series, left out", several)
    return studies


def _compiled(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise InputError(
            f"'{text}' is not a regular expression: {error}.",
            "Give one that fits the series' descriptions, like 'adc|apparent'.",
        ) from None


def _fact(series: Series, name: str) -> object:
    return series.layout.slices[0].facts.get(name) if series.layout else None


def _names(studies: Mapping[str, Sequence[Series]]) -> dict[str, str]:
    """Study -> case: the folder that holds all of it, where that tells the studies apart, else the
    end of its UID."""
    folders = {
        uid: Path(os.path.commonpath([f.parent for s in several for f in s.files])).name
        for uid, several in studies.items()
    }
    unique = len(set(folders.values())) == len(folders) and all(folders.values())
    return folders if unique else {uid: f"study-{uid[-12:].strip('.')}" for uid in studies}


def _path(series: Series, found: Folder) -> Path:
    """`FOLDER`, or `FOLDER/UID` where the folder holds more than this series."""
    folder = Path(os.path.commonpath([file.parent for file in series.files]))
    alone = all(
        one.uid == series.uid or not any(folder in file.parents for file in one.files)
        for one in found.series
    )
    return folder if alone else folder / series.uid


def _masks_of(
    several: Sequence[Series], masks: dict[str, dict[str, Path]], doubled: list[str]
) -> dict[str, Path]:
    """Structure -> segmentation file of a study's series, which are taken out of `masks`."""
    chosen: dict[str, Path] = {}
    for series in several:
        for name, path in masks.pop(series.uid, {}).items():
            if name in chosen:
                doubled.append(f"{path.name}: {name}")
            else:
                chosen[name] = path
    return chosen


def _masks(
    found: Folder, doubled: list[str], notes: list[ImportNote]
) -> dict[str, dict[str, Path]]:
    """Series -> structure -> segmentation file."""
    masks: dict[str, dict[str, Path]] = defaultdict(dict)
    unread, others = [], []
    for path, verdict in found.others.items():
        if verdict is None:
            continue
        if not _is_segmentation(path):
            others.append(f"{path.name}: {verdict.code}")
            continue
        segmentation = read_segmentation(path)
        if segmentation.labels is None or not segmentation.series_uid:
            unread.append(f"{path.name}: {segmentation.verdict.code}")
        count = Counter(segment_name(name) for name in segmentation.names)
        own = masks[segmentation.series_uid]
        for name, often in count.items():
            if often > 1 or name in own:
                doubled.append(f"{path.name}: {name}")
            else:
                own[name] = path
    note(notes, "objects_left_out", "Scouts, reports and other objects left out", others)
    note(notes, "masks_unread", "Segmentations that cannot be read", unread)
    return masks


def _is_segmentation(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
    except Exception:  # a parser fed with damaged bytes may raise anything
        return False
    return bool(dataset.get("Modality") == "SEG")
