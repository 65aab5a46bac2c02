"""Read a mask: which pixels belong to a structure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images.limits import ReadLimits
from radloop.images.pictures import decode_picture, picture_kind
from radloop.images.read import open_file
from radloop.images.verdict import Refusal

# A mask may be smaller than a readable film; larger it can never be.
_LIMITS = ReadLimits(min_side=1)
# Of a mask that was smoothed or enlarged, this much may lie between empty and full. Measured on
# the chest masks: at most .02 of the foreground. Small structures have relatively more border.
_MOST_BETWEEN = 0.5


class MaskError(InputError):
    """A mask file that cannot be used; `code` says why, for the data audit."""

    def __init__(self, code: str, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.code = code


@dataclass(frozen=True)
class MaskFacts:
    """area: foreground as a fraction of all pixels. box: x0, y0, x1, y1 around it in px, the end
    excluded; None when the mask is empty. touches_border: foreground lies on the image's edge."""

    area: float
    box: tuple[int, int, int, int] | None
    touches_border: bool


def read_mask(path: Path, shape: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
    """The foreground `(y, x)` of a mask picture (PNG or TIFF; JPEG as well, though it blurs).

    Values 0 and 1 are taken as they are. Otherwise foreground is what reaches half of the full
    scale (128 of 8 bits), as after interpolation. An empty mask is valid.

    shape: (rows, columns) of the film it belongs to, when known.

    Raises MaskError with code "other_size", "unknown_values" (a label map, NaN), "colour", or the
    reason why the file cannot be read ("missing_file", "truncated", "not_an_image", ...).
    """
    try:
        with open_file(path) as file:
            header = file.read(16)
            file.seek(0)
            kind = picture_kind(header)
            if kind is None:
                raise Refusal("not_an_image", "It is no PNG, TIFF or JPEG.")
            picture = decode_picture(file, kind, _LIMITS, palette_indices=True)
    except Refusal as refusal:
        code = refusal.verdict.code
        if code == "not_finite":
            code = "unknown_values"
        raise MaskError(code, f"The mask {path.name} cannot be used. {refusal}") from refusal
    if picture.colour:
        raise MaskError(
            "colour",
            f"The mask {path.name} has colours, which do not say what is foreground.",
            "Store each structure as a mask of its own, 0 and 255.",
        )
    if shape is not None and picture.array.shape != tuple(shape):
        rows, columns = picture.array.shape
        raise MaskError(
            "other_size",
            f"The mask {path.name} has {columns} x {rows} px, its film {shape[1]} x {shape[0]}.",
            "Give the mask that was drawn on this film, at its full size.",
        )
    return _foreground(picture.array, path.name)


def _foreground(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
    lowest, highest = array.min(), array.max()
    if lowest >= 0 and highest <= 1:
        if array.dtype.kind == "f":  # a probability or a fraction: its full scale is 1
            return np.asarray(array >= 0.5)
        return np.asarray(array > 0)
    full = float(np.iinfo(array.dtype).max) if array.dtype.kind in "ui" else 255.0
    if array.dtype.kind in "if":  # a signed or float TIFF that holds an 8- or 16-bit mask
        full = 255.0 if highest <= 255 else 65535.0
    mask = np.asarray(array >= full / 2)
    between = np.count_nonzero((array > full / 16) & (array < full - full / 16))
    # The first test finds label maps (0, 1, 2, 3), the second those whose labels were spread.
    if lowest < 0 or highest < full / 2 or between > _MOST_BETWEEN * np.count_nonzero(mask):
        raise MaskError(
            "unknown_values",
            f"The mask {name} has values from {lowest:g} to {highest:g} and does not say which "
            "of them are foreground: it looks like a map of several structures.",
            "Store each structure as a mask of its own, 0 and 255.",
        )
    return mask


def mask_facts(mask: npt.NDArray[np.bool_]) -> MaskFacts:
    """What the data audit looks at. mask: `(y, x)`."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return MaskFacts(0.0, None, False)
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    height, width = mask.shape
    touches = box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
    return MaskFacts(float(mask.mean()), box, touches)
