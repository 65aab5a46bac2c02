"""One slice of a series, as its header states it: where it lies and how its pixels are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from radloop.images.image import Floats

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Slice:
    """A frame of a DICOM file; a file with one frame is a slice, one with many holds many.

    path, frame: the file, and the frame's number in it, from 0. offset: bytes before the pixel
    data element, or None where the pixels are not stored plainly. tile: rows and columns from the
    frame's first pixel to the slice's, and the frame's own rows and columns, for slices that lie
    side by side in one frame (Siemens mosaic); None for a slice that is the whole frame.
    position: centre of the first pixel, LPS mm. row, column: unit vectors along which the row
    index and the column index grow. spacing: mm between rows, and between columns.
    slope, intercept: of the modality rescale. padding: stored values that are no image, from and
    to. stacks: attributes by which one series may hold several volumes (echo, phase, ...).
    facts: what else later stations use, each only when the file states it.
    """

    path: Path
    frame: int
    sop_uid: str
    patient: str
    rows: int
    columns: int
    position: Vector | None
    row: Vector | None
    column: Vector | None
    spacing: tuple[float, float] | None
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[float, float] | None = None
    instance: int | None = None
    offset: int | None = None
    tile: tuple[int, int, int, int] | None = None
    bits: tuple[int, int, bool] = (16, 16, True)  # allocated, stored, signed
    stacks: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def normal(self) -> Floats:
        """Unit vector across the slice: columns' direction cross rows' (PS3.3 C.7.6.2.1.1)."""
        assert self.row is not None and self.column is not None
        normal = np.cross(np.asarray(self.column), np.asarray(self.row))
        return np.asarray(normal / np.linalg.norm(normal), np.float64)

    @property
    def depth(self) -> float:
        """Millimetres along the normal."""
        assert self.position is not None
        return float(np.asarray(self.position) @ self.normal)

    @property
    def where(self) -> str:
        """How a person finds the slice: its number in the series, or its file."""
        return str(self.instance) if self.instance is not None else self.file

    @property
    def file(self) -> str:
        """The name of its file, and the frame of one with several."""
        return self.path.name if self.frame == 0 else f"{self.path.name}#{self.frame + 1}"


def place(slices: Sequence[Slice], most: int = 6) -> str:
    """The slices by number, or by file where numbers repeat: "slices 3, 4, 5 and 12 more"."""
    numbered = len({s.where for s in slices}) == len(slices)
    named = [s.where if numbered else s.file for s in slices[:most]]
    rest = len(slices) - len(named)
    word = "slice" if len(slices) == 1 else "slices"
    return f"{word} {', '.join(named)}" + (f" and {rest} more" if rest else "")


def vector(values: tuple[float, ...]) -> Vector | None:
    """Three numbers, or None."""
    return (values[0], values[1], values[2]) if len(values) == 3 else None


def pair(values: tuple[float, ...]) -> tuple[float, float] | None:
    """Two positive numbers, or None."""
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None
