"""The channels of a brain MRI: their names, and the one whose numbers have a unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.images.verdict import ACCEPTED, Verdict, warned

CHANNELS = ("dwi", "adc", "flair", "t2", "t1", "t1c", "cbf", "cbv", "ttp", "tmax", "mtt")
"""Every channel that has a name here, in the order in which a model takes them."""
_ALIASES = {
    "trace": "dwi", "b1000": "dwi", "t1w": "t1", "t2w": "t2", "t1ce": "t1c", "t1gd": "t1c",
    "t1post": "t1c", "rcbf": "cbf", "rcbv": "cbv",
}  # fmt: skip
_LOW, _HIGH = 500.0, 2500.0
"""Between them lies the median ADC of a living brain with its fluid, 1e-6 mm2/s (grey and white
matter 700 to 900, fluid 3000; Helenius et al. 2002)."""


def canonical(name: str) -> str:
    """The channel's name in `CHANNELS`; InputError when there is none."""
    plain = name.strip().lower()
    plain = _ALIASES.get(plain, plain)
    if plain not in CHANNELS:
        raise InputError(
            f"There is no MR channel '{name}'.",
            f"Name the column image:<channel> with one of: {', '.join(CHANNELS)}.",
        )
    return plain


def declared_channels(cases: Iterable[Case], leading: Sequence[str]) -> tuple[str, ...]:
    """The channels that cases have, first those that the system prefers to lead, in its order; the
    only image of a case, without a channel's name, counts as the first of them.

    Raises InputError for a column that names no channel.
    """
    names = {name for case in cases for name in case.images}
    found = {leading[0] if name == "image" else canonical(name) for name in names}
    order = [*leading, *(name for name in CHANNELS if name not in leading)]
    return tuple(name for name in order if name in found)


def in_square_microns(
    adc: npt.NDArray[Any], brain: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], Verdict]:
    """An ADC map in 1e-6 mm2/s, whatever power of ten its file counts in.

    Files hold mm2/s, 1e-3 or 1e-6 mm2/s and seldom say which; the median of the brain decides,
    since the three lie a thousandfold apart. A warning when no power of ten gives a plausible one.
    """
    inside = adc[brain]
    inside = inside[inside > 0]
    median = float(np.median(inside)) if inside.size else 0.0
    if median <= 0:
        return adc.astype(np.float32), warned("adc_implausible", "The ADC map is empty.")
    factor = 10.0 ** round(np.log10(1000.0 / median))
    scaled = adc.astype(np.float32) * np.float32(factor)
    if not _LOW <= median * factor <= _HIGH:
        return scaled, warned(
            "adc_implausible",
            f"The brain's median ADC would be {median * factor:.0f} x 1e-6 mm2/s, which no unit "
            "explains: check that the channel is an ADC map.",
        )
    return scaled, ACCEPTED
