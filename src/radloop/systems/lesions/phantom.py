"""Phantom brains: drawn volumes with known lesions, for demonstrations and tests.

Nothing of a patient is in them: a ball of grey and white matter with ventricles, some of it bright
where a lesion is. What learns from them knows phantoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.cases.case import Case, Reference
from radloop.cases.table import CaseTable, table_of, write_cases
from radloop.images.image import Geometry
from radloop.images.nifti import write_nifti
from radloop.systems.lesions.simulation import simulate_lesions

Floats = npt.NDArray[np.float32]

_TISSUES: Mapping[str, tuple[float, float, float]] = {  # grey matter, white matter, fluid
    "dwi": (220.0, 180.0, 40.0),
    "adc": (850.0, 750.0, 2900.0),
    "flair": (300.0, 240.0, 50.0),
    "t1": (450.0, 600.0, 200.0),
    "t2": (350.0, 280.0, 800.0),
}
_NOISE = 0.04


@dataclass(frozen=True)
class PhantomBrain:
    """channels: float32 `(z, y, x)`, all on `geometry`; lesions: bool."""

    channels: Mapping[str, Floats]
    lesions: npt.NDArray[np.bool_]
    geometry: Geometry


def draw_brain(
    seed: int, channels: Sequence[str] = ("dwi", "adc"), spacing: float = 4.0
) -> PhantomBrain:
    """A brain that the seed decides, with one to three lesions on one side, in air.

    spacing: mm of its even grid, which is upright: towards S, P, L.
    """
    rng = np.random.default_rng(seed)
    shape = tuple(round(side / spacing) for side in (140, 200, 168))
    z, y, x = (
        (np.arange(n) - (n - 1) / 2)[(slice(None),) + (None,) * (2 - k)] * spacing
        for k, n in enumerate(shape)
    )
    size = np.array([55, 80, 65]) * rng.uniform(0.93, 1.07, 3)
    # The front is narrower than the back, so that the brain has a front.
    taper = 1 + 0.15 * y / size[1]
    depth = 1 - np.sqrt((z / size[0]) ** 2 + (y / size[1]) ** 2 + (x / (size[2] * taper)) ** 2)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 8 / spacing)
    brain = depth > 0
    white = depth + 0.06 * field / field.std() > 0.22
    horns = (np.abs(np.abs(x) - 12) < 7) & (np.abs(y + 5) < 28) & (np.abs(z - 8) < 14)
    fluid = (horns & brain) | (brain & (depth < 0.04))
    volumes = {}
    for name in channels:
        grey, pale, water = _TISSUES[name]
        clean = np.where(fluid, water, np.where(white, pale, grey)) * brain
        volumes[name] = ndimage.gaussian_filter(clean, 0.5).astype(np.float32)
    tissue = brain & ~fluid & (depth > 0.08)
    made = simulate_lesions(volumes, tissue, (spacing,) * 3, seed)
    noisy = {
        name: np.abs(one + rng.normal(0, _NOISE * _TISSUES[name][0], shape)).astype(np.float32)
        for name, one in made.channels.items()
    }
    origin = tuple(float(-(n - 1) / 2 * spacing) for n in shape[::-1])
    directions = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    geometry = Geometry(
        shape, (spacing,) * 3, "patient", (origin[0], origin[1], origin[2]), directions
    )
    return PhantomBrain(noisy, made.lesions, geometry)


def write_phantoms(
    count: int, seed: int, out: Path, channels: Sequence[str] = ("dwi", "adc"),
    spacing: float = 4.0,
) -> CaseTable:  # fmt: skip
    """Phantoms number `seed` and on as NIfTI below `out`, with their table `cases.csv`."""
    cases = []
    for number in range(seed, seed + count):
        brain = draw_brain(number, channels, spacing)
        name = f"phantom-{number:04d}"
        files = {channel: out / f"{name}_{channel}.nii.gz" for channel in channels}
        for channel, file in files.items():
            write_nifti(brain.channels[channel], brain.geometry, file)
        mask = out / f"{name}_lesion.nii.gz"
        write_nifti(brain.lesions, brain.geometry, mask)
        cases.append(Case(name, name, files, reference=Reference(masks={"lesion": mask})))
    table = table_of(cases, out / "cases.csv")
    write_cases(table, table.path)
    return table
