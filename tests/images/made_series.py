"""Series of DICOM slices, made so that what they hold is known by a formula in patient millimetres.

Every slice samples the same linear field of the patient's coordinates, which linear interpolation
reproduces exactly, wherever the slices lie and however the grid is turned.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian
from scipy.spatial.transform import Rotation

STEP = 0.01  # HU: the rescale slope, and so twice the largest error of a stored value
COEFFICIENTS = np.array([0.31, -0.47, 0.23])


def field(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """HU at LPS mm `(..., 3)`."""
    return np.asarray(points, np.float64) @ COEFFICIENTS + 12.5


@dataclass(frozen=True)
class Made:
    """How a series is made. gaps: mm along the way of the table; tilt: degrees towards the rows'
    direction; turn: Euler angles of the whole in degrees."""

    gaps: tuple[float, ...] = (2.5,) * 5
    rows: int = 11
    columns: int = 13
    spacing: tuple[float, float] = (0.8, 0.6)
    tilt: float = 0.0
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    origin: tuple[float, float, float] = (-20.0, 14.0, -33.0)

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        """Columns: directions of the column index, of the row index, and the normal."""
        return Rotation.from_euler("zyx", self.turn, degrees=True).as_matrix()

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        lean = np.radians(self.tilt)
        way = np.cos(lean) * self.axes[:, 2] + np.sin(lean) * self.axes[:, 1]
        return np.asarray(self.origin) + np.outer(np.cumsum((0, *self.gaps)), way)

    def points(self, k: int) -> npt.NDArray[np.float64]:
        """LPS mm `(y, x, 3)` of the pixels of slice `k`."""
        y, x = np.mgrid[: self.rows, : self.columns].astype(np.float64)
        along_rows = (y * self.spacing[0])[..., None] * self.axes[:, 1]
        along_columns = (x * self.spacing[1])[..., None] * self.axes[:, 0]
        return self.positions[k] + along_rows + along_columns


def uid(*parts: object) -> UID:
    """The same unique identifier for the same words."""
    return UID(f"2.25.{zlib.crc32(repr(parts).encode())}{zlib.adler32(repr(parts).encode())}")


def slice_dataset(made: Made, k: int, series: str = "a") -> Dataset:
    """Slice `k` as a CT object."""
    dataset = _object(CTImageStorage, uid(series, k), series)
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = [float(v) for v in made.positions[k]]
    dataset.ImageOrientationPatient = [float(v) for v in made.axes[:, :2].T.ravel()]
    dataset.PixelSpacing, dataset.SliceThickness = list(made.spacing), 2
    dataset.RescaleSlope, dataset.RescaleIntercept = STEP, 0
    put_pixels(dataset, np.rint(field(made.points(k)) / STEP).astype(np.int16))
    return dataset


def _object(sop_class: UID, sop_uid: UID, series: str) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series", series)
    dataset.PatientID, dataset.PatientName = "made-1", "Made^One"
    dataset.Modality, dataset.SeriesDescription = "CT", "made"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    return dataset


def put_pixels(dataset: Dataset, stored: npt.NDArray[np.generic]) -> None:
    """`stored` `(y, x)` or `(frames, y, x)` as plain pixels."""
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    data = stored.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def save(dataset: Dataset, path: Path) -> Path:
    """Write with file meta information."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    made: Made = Made(),
    edit: Callable[[Dataset, int], None] | None = None,
    series: str = "a",
) -> list[Path]:
    """All slices, under names whose order says nothing of their place."""
    paths = []
    for k in range(len(made.gaps) + 1):
        dataset = slice_dataset(made, k, series)
        if edit is not None:
            edit(dataset, k)
        paths.append(save(dataset, folder / f"{series}{zlib.crc32(bytes([k])):08x}.dcm"))
    return paths


def enhanced_dataset(made: Made, order: Sequence[int]) -> Dataset:
    """The whole series as one enhanced multi-frame CT object, its frames in `order`."""
    dataset = _object(EnhancedCTImageStorage, uid("enhanced"), "enhanced")
    measures, orientation, values = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(made.spacing), 2
    orientation.ImageOrientationPatient = [float(v) for v in made.axes[:, :2].T.ravel()]
    values.RescaleSlope, values.RescaleIntercept = STEP, 0
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    shared.PixelValueTransformationSequence = Items([values])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for k in order:
        position, groups = Dataset(), Dataset()
        position.ImagePositionPatient = [float(v) for v in made.positions[k]]
        groups.PlanePositionSequence = Items([position])
        frames.append(groups)
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    dataset.NumberOfFrames = len(frames)
    stored = [np.rint(field(made.points(k)) / STEP).astype(np.int16) for k in order]
    put_pixels(dataset, np.stack(stored))
    return dataset
