"""The grid that a model works on: as fine as its training cases mostly are, and no finer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.images.volume_operations import reorient
from radloop.images.volumes.read import read_volume
from radloop.systems.lesions.channels import canonical

_ASKED = 50  # cases whose spacing is looked at


def working_spacing(
    cases: Sequence[Case], channels: Sequence[str], finest: float
) -> tuple[float, float, float]:
    """mm, (z, y, x) of upright volumes: the median of the cases' leading channel by axis (Isensee
    et al. 2021), rounded to .05 mm, nowhere below `finest`.

    Raises InputError when no case can be read.
    """
    step = max(1, len(cases) // _ASKED)
    found = [one for case in cases[::step] if (one := _spacing(case, channels)) is not None]
    if not found:
        raise InputError(
            "None of the training cases can be read.", "Run `radloop check` on the table."
        )
    median = np.maximum(np.median(np.asarray(found), axis=0), finest)
    z, y, x = (round(float(s) / 0.05) * 0.05 for s in median)
    return round(z, 2), round(y, 2), round(x, 2)


def _spacing(case: Case, channels: Sequence[str]) -> tuple[float, ...] | None:
    paths: dict[str, Path] = {}
    for name, path in case.images.items():
        paths[channels[0] if name == "image" else canonical(name)] = path
    leading = next((name for name in channels if name in paths), None)
    image = read_volume(paths[leading]).image if leading else None
    return reorient(image, "SPL").geometry.spacing if image is not None else None
