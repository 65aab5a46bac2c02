"""Siemens mosaics: the slices of an MR volume side by side in one frame.

Their number and order stand in a private header ("CSA"), which nibabel reads. The stated position
is that of a frame which big slices would have had: the first tile lies half the difference further
in. See also https://nipy.org/nibabel/dicom/dicom_mosaic.html.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from radloop.images.dicom_facts import number
from radloop.images.verdict import Refusal
from radloop.images.volumes.slices import Slice


def is_mosaic(dataset: Dataset) -> bool:
    """Whether the file says that its frame is tiled with slices."""
    return "MOSAIC" in [str(kind).upper() for kind in dataset.get("ImageType") or ()]


def slices_of_mosaic(dataset: Dataset, frame: Slice) -> tuple[Slice, ...]:
    """A slice for each tile of `frame`, first to last.

    Raises Refusal ("mosaic") when the private header is missing or does not fit the frame.
    """
    count, normal = _csa(dataset)
    between = number(dataset, "SpacingBetweenSlices") or number(dataset, "SliceThickness")
    if not between or frame.position is None or frame.row is None or frame.column is None:
        raise _unknown()
    side = math.ceil(math.sqrt(count))
    rows, columns = frame.rows // side, frame.columns // side
    if not rows or not columns or frame.spacing is None:
        raise _unknown()
    row, column = np.asarray(frame.row), np.asarray(frame.column)
    first = (
        np.asarray(frame.position)
        + row * frame.spacing[0] * (frame.rows - rows) / 2
        + column * frame.spacing[1] * (frame.columns - columns) / 2
    )
    slices = []
    for k in range(count):
        x, y, z = (float(v) for v in first + k * between * normal)
        tile = (k // side * rows, k % side * columns, rows, columns)
        slices.append(
            replace(
                frame, frame=0, rows=rows, columns=columns, position=(x, y, z), instance=k + 1,
                offset=None, tile=tile,
            )
        )  # fmt: skip
    return tuple(slices)


def _csa(dataset: Dataset) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Number of slices, and the unit vector along which they follow each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing it warns of its other, unused parts
        from nibabel.nicom import csareader
    try:
        tags = csareader.read(dataset[0x0029, 0x1010].value)["tags"]
        count = int(tags["NumberOfImagesInMosaic"]["items"][0])
        normal = np.asarray(tags["SliceNormalVector"]["items"], np.float64)
    except Exception as error:
        raise _unknown() from error
    length = float(np.linalg.norm(normal)) if normal.shape == (3,) else 0.0
    if count < 1 or not math.isclose(length, 1, abs_tol=1e-3):
        raise _unknown()
    return count, normal / length


def _unknown() -> Refusal:
    return Refusal(
        "mosaic",
        "The image is a mosaic of slices, and the private header that says how many and where "
        "is missing or damaged. Export the series with its private elements.",
    )
