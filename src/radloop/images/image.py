"""`Image`: pixels together with where they lie, what made them, and how to get back.

An `Image` is a value: no operation changes one, each returns a new one and records the step it
took, so that a mask or a point found on the new grid can be carried back to the grid of the file
(`to_original`, `points_to_original` in `operations.py`). It is *not* a container for a study, and
it knows nothing of labels or networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from radloop.images.verdict import Verdict

Floats = npt.NDArray[np.float64]
SpacingSource = Literal["patient", "detector", "unknown"]


@dataclass(frozen=True)
class Geometry:
    """Where the array's samples lie.

    shape: samples along each array axis, `(y, x)` for films, `(z, y, x)` for volumes.
    spacing: mm between samples along each array axis, or None when the file does not say.
    spacing_source: "patient" when the spacing holds in the patient (DICOM PixelSpacing that
        was calibrated), "detector" when it holds at the detector only and a length measured with
        it is magnified (DICOM ImagerPixelSpacing), "unknown" without spacing, or when the file
        does not say in which of the two planes it holds.
    origin, direction: centre of the first sample in patient LPS mm and the unit vectors of the
        array axes (one row an axis), or None for projection films, which have no place in the
        patient.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    spacing_source: SpacingSource = "unknown"
    origin: tuple[float, float, float] | None = None
    direction: tuple[tuple[float, float, float], ...] | None = None


@dataclass(frozen=True)
class Planes:
    """Where the slices of a series lie, one by one: they need be neither even nor upright.

    shape: `(slices, rows, columns)`.
    origins: centre of each slice's first pixel, LPS mm, in the order of the volume.
    row, column: unit vectors along which the row index and the column index grow.
    spacing: mm between rows, and between columns.
    """

    shape: tuple[int, int, int]
    origins: tuple[tuple[float, float, float], ...]
    row: tuple[float, float, float]
    column: tuple[float, float, float]
    spacing: tuple[float, float]

    @property
    def normal(self) -> Floats:
        """Unit vector across the slices, towards which the slices are in order."""
        normal = np.cross(np.asarray(self.row), np.asarray(self.column))
        way = np.asarray(self.origins[-1]) - np.asarray(self.origins[0])
        return normal if way @ normal >= 0 else -normal

    def points_of(self, k: int) -> Floats:
        """`(4, 4)` matrix from (y, x) of slice `k`, as (0, y, x, 1), to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.normal
        matrix[:3, 1] = np.asarray(self.row) * self.spacing[0]
        matrix[:3, 2] = np.asarray(self.column) * self.spacing[1]
        matrix[:3, 3] = self.origins[k]
        return matrix


@dataclass(frozen=True)
class Step:
    """One recorded geometric operation: its name, and the shapes before and after.

    `scale`, `offset` and `axes` map an index of the new grid to the old, in samples, with the
    *centres* of samples at whole numbers: `old[axes[i]] = new[i] * scale[i] + offset[i]` for each
    new axis i. A mirrored axis has a negative scale; a quarter turn exchanges the axes. All three
    are empty for a volume that was resampled onto a turned grid: the patient's millimetres alone
    lead back.
    """

    name: str
    shape_before: tuple[int, ...]
    shape_after: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Image:
    """One image.

    array: `(y, x)` (films) or `(z, y, x)` (volumes), integer or float32; larger is brighter (a
        MONOCHROME1 film is inverted when it is read).
    display_range: the intensities that are shown as black and white, in the array's units.
    acquisition: facts as the file states them: "view" ("PA", "AP", "LL", "RL"), "laterality"
        ("L", "R", "B"), "body_part", "patient_id", "photometric", "bits", ...
    source: the file or folder it was read from.
    history: the operations applied since, first to last.
    original: for volumes, the grid of the file or the planes of its slices: through the patient's
        millimetres a mask goes back to it, whatever was done since.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    modality: str = "unknown"
    display_range: tuple[float, float] = (0.0, 255.0)
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    history: tuple[Step, ...] = ()
    original: Geometry | Planes | None = None

    def __post_init__(self) -> None:
        if tuple(self.array.shape) != tuple(self.geometry.shape):
            raise ValueError(
                f"array of shape {self.array.shape} under a geometry of {self.geometry.shape}"
            )

    def with_array(self, array: npt.NDArray[Any], **changes: Any) -> Image:
        """A copy with other pixels on the *same* grid."""
        return replace(self, array=array, **changes)

    def as_uint8(self) -> npt.NDArray[np.uint8]:
        """The pixels as shown: the display range stretched to 0..255, values beyond it clipped."""
        low, high = self.display_range
        if self.array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
            return self.array
        scale = 255.0 / max(high - low, 1e-12)
        shown = (self.array.astype(np.float32) - np.float32(low)) * np.float32(scale)
        return np.asarray(np.clip(shown + 0.5, 0, 255), np.uint8)


@dataclass(frozen=True)
class Reading:
    """What a reader returns: the image, or None when the verdict is a refusal."""

    image: Image | None
    verdict: Verdict


def brightness_range(array: npt.NDArray[Any]) -> tuple[float, float]:
    """What to show as black and white when the file does not say: the full scale of 8 bits, and
    the darkest and brightest pixel of deeper images, which seldom use all their bits."""
    if array.dtype == np.uint8:
        return 0.0, 255.0
    return float(array.min()), float(array.max())
