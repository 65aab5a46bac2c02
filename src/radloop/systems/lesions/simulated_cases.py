"""A case table of simulated lesions in the brains of another table; see `simulation.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case, Reference
from radloop.cases.table import CaseTable, table_of, write_cases
from radloop.cases.volume_masks import read_volume_mask
from radloop.errors import InputError
from radloop.images.image import Image
from radloop.images.nifti import write_nifti
from radloop.images.registration import align, same_grid
from radloop.images.volumes.read import read_volume
from radloop.systems.lesions.brain import brain_mask
from radloop.systems.lesions.channels import canonical, declared_channels, in_square_microns
from radloop.systems.lesions.simulation import Floats, simulate_lesions, tissue_of

LESION = "lesion"


@dataclass(frozen=True)
class Brain:
    """A real examination: its channels on the grid of the first, where its own lesions are, and
    where others may be put."""

    case: Case
    lead: Image
    channels: Mapping[str, Floats]
    own: npt.NDArray[np.bool_]
    tissue: npt.NDArray[np.bool_]


def simulate_cases(
    table: CaseTable, count: int, seed: int, out: Path, leading: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> CaseTable:  # fmt: skip
    """`count` cases of each case of `table`, as NIfTI below `out`, with their table `cases.csv`.

    Patient and split are those of the brain, so that no brain is on both sides of a split. The
    patient's own lesions, where the table has a mask, stay and count. Raises InputError for a case
    that cannot be read.
    """
    cases: list[Case] = []
    for number, case in enumerate(table.cases):
        brain = read_brain(case, declared_channels([case], leading))
        for k in range(count):
            cases.append(_write(brain, k, seed + number * count + k, out))
            if progress is not None:
                progress(len(cases), len(table.cases) * count)
    made = table_of(cases, out / "cases.csv")
    write_cases(made, made.path)
    return made


def read_brain(case: Case, channels: Sequence[str]) -> Brain:
    """The channels of a case on the grid of the first of them."""
    paths = {canonical(name): path for name, path in case.images.items()}
    lead = _volume(case, paths[channels[0]])
    volumes = {channels[0]: np.asarray(lead.array, np.float32)}
    for name in channels[1:]:
        image = _volume(case, paths[name])
        same = True if same_grid(image.geometry, lead.geometry) else None
        moved, verdict = align(image, lead, same)
        if moved is None:
            raise InputError(f"Case '{case.case_id}', {name}: {' '.join(verdict.messages)}")
        volumes[name] = np.asarray(moved.array, np.float32)
    own = np.zeros(lead.array.shape, np.bool_)
    if LESION in case.reference.masks:
        own = read_volume_mask(case, LESION, lead.geometry)
    inside = brain_mask(lead).mask
    adc = in_square_microns(volumes["adc"], inside)[0] if "adc" in volumes else None
    return Brain(case, lead, volumes, own, tissue_of(inside, adc, own))


def _volume(case: Case, path: Path) -> Image:
    reading = read_volume(path)
    if reading.image is None:
        raise InputError(f"Case '{case.case_id}': {' '.join(reading.verdict.messages)}")
    return reading.image


def _write(brain: Brain, number: int, seed: int, out: Path) -> Case:
    geometry = brain.lead.geometry
    made = simulate_lesions(brain.channels, brain.tissue, geometry.spacing or (1.0, 1.0, 1.0), seed)
    name = f"{brain.case.case_id}-sim{number:03d}"
    files = {channel: out / f"{name}_{channel}.nii.gz" for channel in made.channels}
    for channel, file in files.items():
        write_nifti(made.channels[channel], geometry, file)
    mask = out / f"{name}_lesion.nii.gz"
    write_nifti(made.lesions | brain.own, geometry, mask)
    reference = Reference(masks={LESION: mask})
    return Case(name, brain.case.patient_id, files, brain.case.split, reference)
