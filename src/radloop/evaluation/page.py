"""What the pages of this folder share: rendering, numbers for people, pictures put inside."""

from __future__ import annotations

import math
from pathlib import Path

from radloop import pages
from radloop.errors import InputError

_MIME = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}


def render(template: str, **values: object) -> str:
    """The page of a template of this folder, every value escaped."""
    return pages.render(Path(__file__).with_name(template), **values)


def decimals(*values: float) -> int:
    """How many decimals show numbers side by side: three digits of the largest, at most four."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest == 0.0:
        return 3
    before_point = math.floor(math.log10(largest)) + 1
    return min(4, max(0, 3 - before_point) if largest > 1.0 else max(3, 3 - before_point))


def show(value: float, places: int) -> str:
    """The number with a true minus sign; "n/a" for NaN."""
    if math.isnan(value):
        return "n/a"
    text = "∞" if math.isinf(value) else f"{abs(value):.{places}f}"
    return f"−{text}" if value < 0 and text.strip("0.") else text


def show_interval(low: float, high: float, places: int) -> str:
    """ "0.951 to 0.959"; "n/a" when either end is unknown."""
    if math.isnan(low) or math.isnan(high):
        return "n/a"
    return f"{show(low, places)} to {show(high, places)}"


def data_uri(picture: Path) -> str:
    """The picture (PNG or JPEG) as an address that carries its bytes."""
    mime = _MIME.get(picture.suffix.lower())
    if mime is None:
        raise InputError(f"The picture {picture.name} is neither PNG nor JPEG.")
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise InputError(f"The picture {picture.name} of the report cannot be read.") from error
    return pages.data_uri(data, mime)
