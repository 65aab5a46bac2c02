"""The masks of volumes in a case table: NIfTI files and DICOM segmentations, on any grid."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Geometry, Image
from radloop.images.nifti import is_nifti, read_nifti
from radloop.images.registration import same_grid
from radloop.images.segmentation import read_segmentation
from radloop.images.volume_operations import resample_onto

Mask = npt.NDArray[np.bool_]


def read_volume_mask(case: Case, structure: str, geometry: Geometry) -> Mask:
    """The mask of a structure on the grid `geometry`, `(z, y, x)`.

    A NIfTI file counts where it is above 0; of a DICOM segmentation, the segment of that name (see
    `segment_name`). On the same grid (to .05 mm) the voxels are taken as they are; from another
    each voxel takes the value at its place in the patient; what is finer than it may be lost.

    Raises InputError, naming the case: no such mask, one that cannot be read, or one that lies
    wholly outside the grid.
    """
    image = mask_image(case, structure)
    mask = np.asarray(image.array > 0)
    if same_grid(image.geometry, geometry):
        return mask
    on_grid = replace(image, array=mask.astype(np.uint8))
    found = resample_onto(on_grid, geometry, "nearest").array > 0
    if mask.any() and not found.any() and _outside(mask, image.geometry, geometry):
        raise InputError(
            f"The mask '{structure}' of case '{case.case_id}' lies outside its image.",
            "Check that both are of the same patient and in one frame of reference.",
        )
    return np.asarray(found, np.bool_)


def _outside(mask: Mask, own: Geometry, other: Geometry) -> bool:
    """Whether no voxel of `mask` lies within the voxels of `other`."""
    index = grid.to_index(grid.to_patient(np.argwhere(mask), own), other)
    within = (index >= -0.5) & (index <= np.asarray(other.shape) - 0.5)
    return not bool(within.all(axis=1).any())


def mask_image(case: Case, structure: str) -> Image:
    """The mask of a structure on its own grid: above 0 is the structure. Raises InputError."""
    path = case.reference.masks.get(structure)
    if path is None:
        known = ", ".join(case.reference.masks) or "none"
        raise InputError(
            f"Case '{case.case_id}' has no mask '{structure}' (it has: {known}).",
            f"Give the table a column mask:{structure}.",
        )
    return _nifti(case, path) if is_nifti(path) else _segment(case, path, structure)


def segment_name(text: str) -> str:
    """The structure of a segment: its label in lower case, other characters as `_`."""
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_")


def _nifti(case: Case, path: Path) -> Image:
    reading = read_nifti(path)
    if reading.image is None:
        raise _unreadable(case, path, " ".join(reading.verdict.messages))
    return reading.image


def _segment(case: Case, path: Path, structure: str) -> Image:
    found = read_segmentation(path)
    if found.labels is None or found.geometry is None:
        raise _unreadable(case, path, " ".join(found.verdict.messages))
    names, structure = [segment_name(name) for name in found.names], segment_name(structure)
    if names.count(structure) > 1:
        raise _unreadable(case, path, f"Several of its segments are named '{structure}'.")
    if structure not in names:
        raise _unreadable(case, path, f"It has the segments {', '.join(names)}.")
    labels = (found.labels == names.index(structure) + 1).astype(np.uint8)
    return Image(labels, found.geometry, original=found.geometry)


def _unreadable(case: Case, path: Path, why: str) -> InputError:
    return InputError(f"The mask {path.name} of case '{case.case_id}' cannot be read: {why}")
