"""The rules of the data audit: each takes the scans and yields the problems it finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from radloop.cases.boxes.audit import box_problems
from radloop.cases.case import Case
from radloop.cases.near_duplicates import near_duplicates
from radloop.cases.scan import CaseScan, ImageScan
from radloop.cases.table import CaseTable, splits_by_patient

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")

_Item = TypeVar("_Item", Case, ImageScan)

# The fewest cases that say what is usual.
_ENOUGH = 8
# In robust standard deviations: far enough that a film of the same make never lies beyond.
_OUTLIER = 6.0
_MEASURED = {
    "brightness": "mean grey value",
    "contrast": "range of grey values",
    "size": "number of pixels",
    "aspect": "ratio of height to width",
}
_MOST_AREA = 0.9
_MANY_FRAGMENTS = 10


@dataclass(frozen=True)
class Problem:
    """One thing to look at: a stable code, a sentence, and the cases it concerns."""

    level: Level
    code: str
    message: str
    case_ids: tuple[str, ...] = ()


def find_problems(
    table: CaseTable, scans: Sequence[CaseScan], ranges: Mapping[str, tuple[float, float]]
) -> tuple[Problem, ...]:
    """All problems, the gravest first."""
    problems = [
        *unreadable_images(scans),
        *missing_files(scans),
        *shared_patients(table),
        *copies(scans),
        *bad_masks(scans),
        *swapped_sides(scans),
        *exchanged_masks(table, scans),
        *unbalanced_splits(table),
        *odd_values(table, ranges),
        *odd_images(scans),
        *mixed_geometry(scans),
        *box_problems(table),
    ]
    return tuple(sorted(problems, key=lambda problem: LEVELS.index(problem.level)))


def unreadable_images(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Images that the reader refused (error) or warned of; the code is the verdict's."""
    by_code: dict[tuple[Level, str], list[ImageScan]] = defaultdict(list)
    for image in _images(scans):
        if image.verdict.status != "accepted":
            level: Level = "error" if image.verdict.refused else "warning"
            by_code[level, image.verdict.code].append(image)
    for (level, code), images in by_code.items():
        said = " ".join(images[0].verdict.messages)
        what = "cannot be used" if level == "error" else "should be looked at"
        yield Problem(level, code, f"{_count(images, 'image')} {what}. {said}", _ids(images))


def missing_files(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Box files and slice tables that are not there (images and masks say so when read)."""
    for name in ("boxes", "slices"):
        missing = [
            scan.case
            for scan in scans
            if (path := getattr(scan.case.reference, name)) is not None and not path.exists()
        ]
        if missing:
            message = f"{_count(missing, 'case')} name a file of {name} that does not exist."
            yield Problem("error", "missing_file", message, _ids(missing))


def shared_patients(table: CaseTable) -> Iterator[Problem]:
    """Patients with cases in more than one split, and cases without a split."""
    splits = splits_by_patient(table.cases)
    shared = [case for case in table.cases if len(splits.get(case.patient_id, ())) > 1]
    if shared:
        patients = {case.patient_id for case in shared}
        yield Problem(
            "error",
            "patient_in_two_splits",
            f"{_count(patients, 'patient')} with cases in more than one split: what is measured "
            "on one split was seen in another. Split again with `radloop split`.",
            _ids(shared),
        )
    without = [case for case in table.cases if not case.split]
    if not table.splits:
        yield Problem("note", "no_splits", "The table is not split; see `radloop split`.")
    elif without:
        message = f"{_count(without, 'case')} without a split, which no command will use."
        yield Problem("warning", "without_split", message, _ids(without))


def copies(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Images that occur more than once: the same file, the same pixels, nearly the same."""
    cases = {scan.case.case_id: scan.case for scan in scans}
    by_pixels: dict[str, list[ImageScan]] = defaultdict(list)
    for image in _images(scans):
        if image.pixel_digest:
            by_pixels[image.pixel_digest].append(image)
    for images in by_pixels.values():
        if len(images) > 1:
            same_file = len({image.file_digest for image in images}) == 1
            yield _copied(
                [cases[image.case_id] for image in images],
                "same_file" if same_file else "same_pixels",
                "are the same file" if same_file else "have the same pixels",
            )
    ones = [images[0] for images in by_pixels.values()]
    thumbnails = [image.thumbnail for image in ones if image.thumbnail is not None]
    for copy in near_duplicates(thumbnails):
        mirrored = copy.kind == "mirrored"
        yield _copied(
            [cases[ones[copy.first].case_id], cases[ones[copy.second].case_id]],
            "mirrored_copy" if mirrored else "near_duplicate",
            "are mirror images of each other" if mirrored else "show the same image, altered",
        )


def _copied(cases: Sequence[Case], code: str, what: str) -> Problem:
    across = len({case.split for case in cases if case.split}) > 1
    patients = len({case.patient_id for case in cases})
    message = f"{len(cases)} images {what}"
    message += " and are in different splits." if across else "."
    if patients > 1:
        message += " They are listed as different patients: a split by patient may divide them."
    if across:
        return Problem("error", f"{code}_across_splits", message, _ids(cases))
    return Problem("warning", code, message, _ids(cases))


def bad_masks(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Masks that cannot be used, are empty, cover nearly everything, or lie in many pieces."""
    groups: dict[tuple[Level, str, str], list[tuple[Case, str]]] = defaultdict(list)
    for scan in scans:
        for mask in scan.masks:
            found: list[tuple[Level, str]] = []
            if mask.code != "ok":
                found.append(("error", f"mask_{mask.code}"))
            elif not mask.area:
                found.append(("warning", "mask_empty"))
            if mask.area > _MOST_AREA:
                found.append(("error", "mask_covers_image"))
            if mask.fragments > _MANY_FRAGMENTS:
                found.append(("warning", "mask_fragmented"))
            for level, code in found:
                groups[level, code, mask.structure].append((scan.case, mask.message))
    said = {
        "mask_empty": "is empty",
        "mask_covers_image": f"covers more than {_MOST_AREA:.0%} of the image",
        "mask_fragmented": f"lies in more than {_MANY_FRAGMENTS} separate pieces",
    }
    for (level, code, structure), members in groups.items():
        cases = [case for case, _ in members]
        what = said.get(code, "cannot be used")
        message = f"{_count(cases, 'case')} whose mask of {structure} {what}. {members[0][1]}"
        yield Problem(level, code, message.strip(), _ids(cases))


def swapped_sides(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """`left_X` lies on the side of the image where `right_X` belongs.

    On films as they are shown, the patient's left is on the right of the image.
    """
    swapped: dict[str, list[Case]] = defaultdict(list)
    for scan in scans:
        centres = {mask.structure: mask.centre[0] for mask in scan.masks if mask.area}
        for structure, left in centres.items():
            pair = structure.removeprefix("left_")
            if pair != structure and left < centres.get(f"right_{pair}", left):
                swapped[pair].append(scan.case)
    for pair, cases in swapped.items():
        yield Problem(
            "error",
            "sides_swapped",
            f"{_count(cases, 'case')} whose left_{pair} lies left of right_{pair} in the image; "
            "the patient's left belongs on the right. The masks are swapped or the film is "
            "mirrored.",
            _ids(cases),
        )


def exchanged_masks(table: CaseTable, scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Two masks of a case lie where, over all cases, those of the other structure lie."""
    places: dict[str, dict[str, npt.NDArray[np.float64]]] = defaultdict(dict)
    for scan in scans:
        for mask in scan.masks:
            if mask.area:
                places[mask.structure][scan.case.case_id] = np.array(mask.centre)
    usual = {
        structure: np.median(list(centres.values()), axis=0)
        for structure, centres in places.items()
        if len(centres) >= _ENOUGH
    }
    spread = {
        structure: np.median([_distance(at, place) for at in places[structure].values()])
        for structure, place in usual.items()
    }
    for one, other in combinations(usual, 2):
        # Structures that lie anywhere, as lesions do, have no usual place to be exchanged with.
        if _distance(usual[one], usual[other]) < 2 * (spread[one] + spread[other]):
            continue
        exchanged = []
        for case in table.cases:
            here, there = places[one].get(case.case_id), places[other].get(case.case_id)
            if here is None or there is None:
                continue
            as_named = _distance(here, usual[one]) + _distance(there, usual[other])
            as_exchanged = _distance(here, usual[other]) + _distance(there, usual[one])
            if as_exchanged < as_named / 2:
                exchanged.append(case)
        if exchanged:
            yield Problem(
                "warning",
                "masks_exchanged",
                f"{_count(exchanged, 'case')} whose mask of {one} lies where {other} usually "
                f"lies, and the other way round: the two seem to be exchanged.",
                _ids(exchanged),
            )


def unbalanced_splits(table: CaseTable) -> Iterator[Problem]:
    """Splits in which a label that varies in the table is all positive or all negative."""
    for label in table.names("label"):
        said = [(case.split, case.reference.labels.get(label)) for case in table.cases]
        if len({value for _, value in said} - {None}) < 2:
            word = "has no known cases" if all(v is None for _, v in said) else "never varies"
            yield Problem("warning", "label_constant", f"The label {label} {word} in the table.")
            continue
        for split in table.splits:
            known = {value for name, value in said if name == split} - {None}
            missing = [
                word
                for word, is_it in (("positive", True), ("negative", False))
                if is_it not in known
            ]
            if missing:
                yield Problem(
                    "warning",
                    "label_missing_in_split",
                    f"The split {split} has no case that is {' or '.join(missing)} for {label}.",
                )


def odd_values(table: CaseTable, ranges: Mapping[str, tuple[float, float]]) -> Iterator[Problem]:
    """Values that are impossible, or far from all others."""
    for name in table.names("value"):
        cases = [case for case in table.cases if name in case.reference.values]
        values = np.array([case.reference.values[name] for case in cases])
        low, high = ranges.get(name, (-np.inf, np.inf))
        outside = (values < low) | (values > high)
        if outside.any():
            found = _where(cases, outside)
            message = f"{_count(found, 'value')} of {name} outside {low:g} to {high:g}."
            yield Problem("error", "value_out_of_range", message, _ids(found))
        odd = (np.abs(robust_z(values)) > _OUTLIER) & ~outside
        if odd.any():
            found = _where(cases, odd)
            message = (
                f"{_count(found, 'value')} of {name} far from the others: {_span(values[odd])}, "
                f"where the median is {np.median(values):.4g}."
            )
            yield Problem("warning", "value_outlier", message, _ids(found))


def odd_images(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Images much brighter, darker, flatter, larger or of another shape than the others."""
    images = [image for image in _images(scans) if image.thumbnail is not None]
    if not images:
        return
    height, width = np.array([image.shape[:2] for image in images], float).T
    brightness = np.array([image.brightness for image in images])
    contrast = np.array([image.contrast for image in images])
    measures = (  # name, values, their scale for comparison, the least spread that counts
        ("brightness", brightness, brightness, 2.0),
        ("contrast", contrast, contrast, 2.0),
        ("size", height * width, np.log(height * width), 0.1),
        ("aspect", height / width, np.log(height / width), 0.05),
    )
    for name, values, scaled, floor in measures:
        odd = np.abs(robust_z(scaled, floor)) > _OUTLIER
        if odd.any():
            found = _where(images, odd)
            yield Problem(
                "warning",
                f"{name}_outlier",
                f"{_count(found, 'image')} whose {_MEASURED[name]} is far from that of the "
                f"others: {_span(values[odd])}, where the median is {np.median(values):.4g}.",
                _ids(found),
            )


def mixed_geometry(scans: Sequence[CaseScan]) -> Iterator[Problem]:
    """Several sizes; spacings that differ, or are known for some images only."""
    images = [image for image in _images(scans) if image.shape]
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        yield Problem("note", "mixed_sizes", f"The images have {len(sizes)} different sizes.")
    spacings = {image.spacing for image in images}
    if len(spacings - {None}) > 1:
        message = f"The images have {len(spacings - {None})} different spacings (mm per pixel)."
        yield Problem("note", "mixed_spacings", message)
    if None in spacings and len(spacings) > 1:
        without = [image for image in images if image.spacing is None]
        message = f"{_count(without, 'image')} without a spacing, while others have one."
        yield Problem("note", "spacing_unknown", message, _ids(without))


def robust_z(values: npt.NDArray[np.float64], floor: float = 0.0) -> npt.NDArray[np.float64]:
    """Distance from the median in units of the scaled median absolute deviation.

    floor: the least spread that is assumed, in the unit of the values, so that tiny differences
    within a uniform set are none. With fewer than 8 values, or no spread at all, every z is 0.
    """
    if len(values) < _ENOUGH:
        return np.zeros(len(values))
    distance = values - np.median(values)
    spread = max(1.4826 * float(np.median(np.abs(distance))), floor)
    return distance / spread if spread else np.zeros(len(values))


def _images(scans: Iterable[CaseScan]) -> list[ImageScan]:
    return [image for scan in scans for image in scan.images]


def _where(items: Sequence[_Item], keep: npt.NDArray[np.bool_]) -> list[_Item]:
    return [item for item, kept in zip(items, keep, strict=True) if kept]


def _span(values: npt.NDArray[np.float64]) -> str:
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(a - b))


def _ids(items: Iterable[Case | ImageScan]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.case_id for item in items))


def _count(items: Sized, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"
