"""Text in the pixels: what the header says of it, and what looks like it.

No software finds all of it. A warning says where a person should look; its absence says nothing.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from radloop.images.verdict import ACCEPTED, Verdict, warned

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_ALWAYS = {"US", "ES", "XC", "GM", "SM", "OT", "SC"}  # frames grabbed from a screen, mostly
_ROW = 4  # characters of one height on one line
_THIN_MM = 1.6  # head slices thinner than this show a face when they are stacked


def warnings_of(dataset: Dataset, pixels: npt.NDArray[Any] | None) -> Verdict:
    """Warnings "burned_in_stated", "burned_in_likely", "burned_in_text", "face".

    pixels: `(y, x)` or `(y, x, colours)`, None when they could not be decoded.
    """
    verdict = ACCEPTED
    kinds = [str(kind).upper() for kind in dataset.get("ImageType") or []]
    modality = str(dataset.get("Modality") or "")
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        verdict = verdict.merge(
            warned("burned_in_stated", "The header says that the pixels hold annotations.")
        )
    elif (
        str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURE)
        or "SCREEN SAVE" in kinds
        or modality in _ALWAYS
    ):
        verdict = verdict.merge(
            warned(
                "burned_in_likely",
                "A secondary capture, a screenshot or an ultrasound image: its pixels often hold "
                "the patient's name. Look at it.",
            )
        )
    rows = 0 if pixels is None else len(text_rows(pixels))
    if rows:
        verdict = verdict.merge(
            warned(
                "burned_in_text",
                f"The pixels hold {rows} {'row' if rows == 1 else 'rows'} of what looks like text. "
                "Look at it.",
            )
        )
    return verdict.merge(_face(dataset, modality))


def _face(dataset: Dataset, modality: str) -> Verdict:
    part = str(dataset.get("BodyPartExamined") or "").upper()
    try:
        thickness = float(dataset.get("SliceThickness") or 99)
    except (TypeError, ValueError):
        thickness = 99.0
    if modality not in ("CT", "MR") or thickness > _THIN_MM:
        return ACCEPTED
    if part not in ("HEAD", "BRAIN", "FACE", "SKULL", "NECK", "HEADNECK"):
        return ACCEPTED
    return warned(
        "face",
        "Thin slices of a head: the face can be reconstructed from them. Deface the volume before "
        "it is given away.",
    )


def text_rows(pixels: npt.NDArray[Any]) -> list[tuple[int, int, int, int]]:
    """Boxes (x0, y0, x1, y1) of rows of character-like strokes of the very brightest or darkest
    grey: four or more of one height, side by side on one line."""
    grey = pixels if pixels.ndim == 2 else pixels[..., :3].max(-1)
    if min(grey.shape) < 16 or grey.max() == grey.min():
        return []
    found = []
    for extreme in (grey.max(), grey.min()):
        strokes = (grey == extreme).astype(np.uint8)
        if 0 < strokes.mean() < 0.2:
            found += _rows(strokes)
    return found


def _rows(strokes: npt.NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    x, y, width, height, area = stats[1:].T
    character = (
        (height >= 6)
        & (height <= 64)
        & (width >= 1)
        & (width <= 1.6 * height)
        & (area >= 0.12 * width * height)
        & (area <= 0.85 * width * height + (width <= 0.35 * height) * width * height)
    )
    boxes = sorted(zip(*(v[character].tolist() for v in (x, y, width, height)), strict=True))
    rows: list[list[tuple[int, int, int, int]]] = []
    for box in boxes:
        for row in rows:
            if _continues(row[-1], box):
                row.append(box)
                break
        else:
            rows.append([box])
    return [
        (
            row[0][0],
            min(b[1] for b in row),
            row[-1][0] + row[-1][2],
            max(b[1] + b[3] for b in row),
        )
        for row in rows
        if len(row) >= _ROW
    ]


def _continues(last: tuple[int, int, int, int], box: tuple[int, int, int, int]) -> bool:
    """Whether a character follows another on its line."""
    gap = box[0] - (last[0] + last[2])
    tall = max(last[3], box[3])
    level = abs((last[1] + last[3]) - (box[1] + box[3])) <= 0.3 * tall
    return -2 <= gap <= 1.2 * tall and level and min(last[3], box[3]) >= 0.55 * tall
