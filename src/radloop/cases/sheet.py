"""The contact sheet: every film of a table at a glance, with its masks outlined."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from radloop.cases.near_duplicates import THUMBNAIL
from radloop.cases.scan import MASK_BITS, CaseScan, ImageScan

_LIMIT = 400
_GAP, _CAPTION, _HEADER = 8, 16, 34
_PAPER, _INK, _FAINT, _ALARM = (24, 26, 30), (232, 232, 228), (150, 152, 156), (255, 92, 72)
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (255, 255, 255),
)


def draw_sheet(
    scans: Sequence[CaseScan], structures: Sequence[str], flagged: Collection[str] = ()
) -> npt.NDArray[np.uint8]:
    """The sheet as RGB `(y, x, 3)`: a tile a case, in the order of the table, with its place.

    structures: the masks' names by bit. flagged: the case_ids to frame in red. Of more than 400
    cases 400 are shown, evenly taken; the heading says so.
    """
    step = max(1, math.ceil(len(scans) / _LIMIT))
    shown = list(enumerate(scans, start=1))[::step]
    columns = max(4, min(20, math.ceil(math.sqrt(len(shown) * 1.3))))
    rows = max(1, math.ceil(len(shown) / columns))
    size = (
        columns * (THUMBNAIL + _GAP) + _GAP,
        rows * (THUMBNAIL + _CAPTION + _GAP) + _GAP + _HEADER,
    )
    sheet = Pillow.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    _heading(draw, len(shown), len(scans), structures)
    font = ImageFont.load_default(11)
    for place, (number, scan) in enumerate(shown):
        x = _GAP + place % columns * (THUMBNAIL + _GAP)
        y = _HEADER + place // columns * (THUMBNAIL + _CAPTION + _GAP)
        sheet.paste(Pillow.fromarray(_tile(scan)), (x, y))
        is_flagged = scan.case.case_id in flagged
        if is_flagged:
            box = (x - 3, y - 3, x + THUMBNAIL + 2, y + THUMBNAIL + 2)
            draw.rectangle(box, outline=_ALARM, width=3)
        caption = _caption(number, scan)
        draw.text((x, y + THUMBNAIL + 2), caption, _ALARM if is_flagged else _FAINT, font)
    return np.asarray(sheet)


def _heading(draw: Any, shown: int, of: int, structures: Sequence[str]) -> None:
    font = ImageFont.load_default(14)
    text = f"{of} cases" if shown == of else f"{shown} of {of} cases"
    draw.text((_GAP, 8), text, _INK, font)
    x = _GAP + draw.textlength(text, font) + 24
    for structure, colour in zip(structures[:MASK_BITS], COLOURS, strict=False):
        draw.rectangle((x, 11, x + 11, 22), outline=colour, width=3)
        draw.text((x + 17, 8), structure, _INK, font)
        x += 17 + draw.textlength(structure, font) + 20


def _caption(number: int, scan: CaseScan) -> str:
    """The place in the table and the end of the name, which tells names apart best."""
    name = scan.case.case_id
    return f"{number} {name if len(name) <= 15 else '…' + name[-14:]}"


def _tile(scan: CaseScan) -> npt.NDArray[np.uint8]:
    """The film in its own aspect on a 128 x 128 tile, RGB, with outlines; a cross if unreadable."""
    tile = np.full((THUMBNAIL, THUMBNAIL, 3), 40, np.uint8)
    image = next((image for image in scan.images if image.thumbnail is not None), None)
    if image is None or image.thumbnail is None:
        for x in (32, THUMBNAIL - 32):
            cv2.line(tile, (x, 32), (THUMBNAIL - x, THUMBNAIL - 32), _ALARM, 3, cv2.LINE_AA)
        return tile
    film = cv2.cvtColor(image.thumbnail, cv2.COLOR_GRAY2RGB)
    bits = scan.mask_bits if scan.mask_bits is not None else np.zeros((0, 0), np.uint8)
    for bit, colour in enumerate(COLOURS):
        mask = np.asarray(bits >> bit & 1, np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(film, contours, -1, colour)
    width, height = _fitted(image)
    x, y = (THUMBNAIL - width) // 2, (THUMBNAIL - height) // 2
    small = cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA)
    tile[y : y + height, x : x + width] = small
    return tile


def _fitted(image: ImageScan) -> tuple[int, int]:
    """(width, height) of the film on its tile."""
    height, width = image.shape[:2]
    longest = max(height, width)
    return (
        max(1, round(THUMBNAIL * width / longest)),
        max(1, round(THUMBNAIL * height / longest)),
    )
