"""A scan published as pictures: a folder with one PNG, JPEG or TIFF a slice, named by number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from radloop.images.image import Geometry, Image, Reading
from radloop.images.limits import DEFAULT_LIMITS, ReadLimits
from radloop.images.pictures import picture_kind
from radloop.images.read import open_file, read_radiograph
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, refused, warned

_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def is_slice_folder(path: Path) -> bool:
    """Whether a folder directly holds pictures."""
    return path.is_dir() and bool(_pictures(path))


def slice_number(path: Path) -> int | None:
    """The last number in a file's name, which is that of its slice; None without any."""
    match = _LAST_NUMBER.search(path.stem)
    return int(match[1]) if match else None


def read_slice_folder(path: Path, limits: ReadLimits = DEFAULT_LIMITS) -> Reading:
    """The slices of a folder, `(z, y, x)`, in the order of the numbers in their names.

    Pictures say nothing of places: the order of numbers is taken for that of the slices, from the
    feet to the head or from the head to the feet, and the spacing is unknown. `acquisition` has
    "slices", the names in order.

    Refusals: "no_slices"; "slice_without_number", "slice_number_twice", "slices_differ" (in size
    or in bits), and those of `read_radiograph` for a slice that cannot be read. A number that is
    missing between two others is a warning, "slice_missing".
    """
    files = _pictures(path)
    try:
        ordered, verdict = _ordered(files)
        arrays = [_array(file, limits) for file in ordered]
    except Refusal as refusal:
        return Reading(None, refusal.verdict)
    kinds = {(array.shape, array.dtype) for array in arrays}
    if len(kinds) > 1:
        sizes = ", ".join(sorted(f"{s[1]} x {s[0]} px {d}" for s, d in kinds))
        return Reading(
            None,
            refused(
                "slices_differ", f"The slices are not of one kind: {sizes}. Export them alike."
            ),
        )
    stack = np.stack(arrays)
    image = Image(
        stack,
        Geometry(stack.shape),
        display_range=(0.0, 255.0) if stack.dtype == np.uint8 else _extremes(stack),
        acquisition={"format": "slices", "slices": tuple(file.name for file in ordered)},
        source=str(path),
    )
    return Reading(image, verdict)


def _pictures(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            with open_file(path) as file:
                if picture_kind(file.read(132)) is not None:
                    found.append(path)
        except Refusal:  # an empty picture is one: reading it says what is wrong
            if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif", ".tiff"):
                found.append(path)
    return found


def _ordered(files: list[Path]) -> tuple[list[Path], Verdict]:
    if not files:
        raise Refusal("no_slices", "The folder holds no pictures. Give a folder of slices.")
    numbers: dict[int, Path] = {}
    for file in files:
        number = slice_number(file)
        if number is None:
            raise Refusal(
                "slice_without_number",
                f"The name '{file.name}' has no number. Name slices by their place in the scan.",
            )
        if number in numbers:
            raise Refusal(
                "slice_number_twice",
                f"'{numbers[number].name}' and '{file.name}' have the same number. Keep one.",
            )
        numbers[number] = file
    ordered = sorted(numbers)
    missing = sorted(set(range(ordered[0], ordered[-1] + 1)) - set(ordered))
    verdict = ACCEPTED
    if missing:
        named = ", ".join(map(str, missing[:10])) + (" and more" if len(missing) > 10 else "")
        verdict = warned(
            "slice_missing",
            f"Slices are missing between {ordered[0]} and {ordered[-1]}: {named}. What they show"
            " was not read.",
        )
    return [numbers[k] for k in ordered], verdict


def _array(file: Path, limits: ReadLimits) -> np.ndarray:
    reading = read_radiograph(file, limits)
    if reading.image is None:
        verdict = reading.verdict
        raise Refusal(verdict.code, f"Slice '{file.name}': {' '.join(verdict.messages)}")
    return reading.image.array


def _extremes(stack: np.ndarray) -> tuple[float, float]:
    return float(stack.min()), float(stack.max())
