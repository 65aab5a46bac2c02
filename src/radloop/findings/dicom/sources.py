"""The images that a prediction is about: their headers, checked, and their slices in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from radloop.findings.dicom.marks import SourceError, is_ours
from radloop.images.image import Planes
from radloop.images.segmentation import filled

_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows",
           "Columns")  # fmt: skip
_ALIKE = {
    "StudyInstanceUID": "several studies",
    "PatientID": "several patients",
    "PatientName": "several patients",
}


@dataclass(frozen=True)
class Place:
    """A film, a slice, or a frame (from 1; None for an object with one frame)."""

    dataset: Dataset
    frame: int | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.dataset.Rows), int(self.dataset.Columns)


@dataclass(frozen=True)
class Sources:
    """headers: of every source instance. places: of the first instance's series, in the order of
    `where["slice"]`: from the feet to the head; a projection is the only place."""

    headers: tuple[Dataset, ...]
    places: tuple[Place, ...]
    planes: Planes | None = None

    @property
    def first(self) -> Dataset:
        """The header of the first place."""
        return self.places[0].dataset

    @property
    def is_scan(self) -> bool:
        """Slices with a place in the patient, and no film."""
        return self.planes is not None

    def place(self, where: Any) -> Place | None:
        """That of a finding's `where`; None for what is of the whole scan. Raises SourceError for
        a slice that is not there."""
        if "slice" not in where:
            return None if self.is_scan else self.places[0]
        number = int(where["slice"])
        if not 0 <= number < len(self.places):
            raise SourceError(
                f"The prediction speaks of slice {number}, but the source has"
                f" {len(self.places)} slices.",
                "Give the series that the model read, whole.",
            )
        return self.places[number]


def read_sources(given: Sequence[Dataset | Path]) -> Sources:
    """The headers of the images that were read; of paths, no pixel is loaded.

    given: all instances of the series that was read, that of the leading channel first; or the one
        film. Datasets are copied, never changed.

    Raises SourceError when there are none, when one is no DICOM image, lacks an identifier, or was
    made by Radloop, and for several studies or patients.
    """
    if not given:
        raise SourceError("No source image was given.", "Give the DICOM files that were read.")
    headers = list({str(h.SOPInstanceUID): h for h in map(_header, given)}.values())
    for keyword, what in _ALIKE.items():
        if len({str(h.get(keyword) or "") for h in headers}) > 1:
            raise SourceError(
                f"The source images are of {what} ({keyword} differs).",
                "Give the images of one study.",
            )
    series = headers[0].SeriesInstanceUID
    own = [h for h in headers if h.SeriesInstanceUID == series]
    placed = [(p, *where) for p in _frames(own) if (where := _plane(p)) is not None]
    if not placed or len(placed) < len(_frames(own)):
        return Sources(tuple(headers), (Place(headers[0]),))
    placed.sort(key=lambda one: one[1])
    places = tuple(one[0] for one in placed)
    return Sources(tuple(headers), places, _planes(placed))


def _header(given: Dataset | Path) -> Dataset:
    if isinstance(given, Dataset):
        header = Dataset()
        header.update({e.tag: e for e in given if e.keyword != "PixelData"})
        name = "A source image"
    else:
        name = given.name
        try:
            header = pydicom.dcmread(given, stop_before_pixels=True)
        except InvalidDicomError as error:
            raise SourceError(
                f"{name} is no DICOM file: only a DICOM image says to which patient and study the"
                " findings belong.",
                "Give the DICOM file; findings of pictures are written as FHIR alone.",
            ) from error
        except OSError as error:
            raise SourceError(f"{name} cannot be read.", "Check the path.") from error
    missing = [word for word in _NEEDED if not header.get(word)]
    if missing:
        raise SourceError(
            f"{name} is no DICOM image that can be referred to: it lacks {', '.join(missing)}.",
            "Give the original image.",
        )
    if is_ours(header):
        raise SourceError(f"{name} was made by Radloop.", "Give the images that were read.")
    return filled(header)


def _frames(headers: Sequence[Dataset]) -> list[Place]:
    places: list[Place] = []
    for header in headers:
        count = int(header.get("NumberOfFrames") or 1)
        numbers = range(1, count + 1) if count > 1 else (None,)
        places += [Place(header, number) for number in numbers]
    return places


def _plane(place: Place) -> tuple[float, Any, Any, tuple[float, float]] | None:
    """Depth along the normal, position, orientation and spacing, or None where not stated."""
    position = _stated(place, "PlanePositionSequence", "ImagePositionPatient")
    turn = _stated(place, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = _stated(place, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or turn is None or spacing is None:
        return None
    across = np.cross(turn[:3], turn[3:])
    return float(position @ across), position, turn, (float(spacing[0]), float(spacing[1]))


def _stated(place: Place, group: str, keyword: str) -> Any:
    holders = [place.dataset]
    for functional in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = place.dataset.get(functional) or []
        index = (place.frame or 1) - 1 if functional.startswith("Per") else 0
        if index < len(items):
            holders += list(items[index].get(group) or [])
    for holder in holders:
        value = holder.get(keyword)
        if value:
            return np.array([float(v) for v in value])
    return None


def _planes(placed: Sequence[tuple[Place, float, Any, Any, tuple[float, float]]]) -> Planes:
    first, _, _, turn, spacing = placed[0]
    origins = tuple(tuple(float(v) for v in position) for _, _, position, _, _ in placed)
    row, column = (tuple(float(v) for v in part) for part in (turn[3:], turn[:3]))
    return Planes((len(placed), *first.size), origins, row, column, spacing)  # type: ignore[arg-type]


def require_films_are_alike(sources: Sources, shape: tuple[int, ...]) -> None:
    """Raises SourceError when a mask `(y, x)` does not lie on the source's pixels."""
    if sources.places[0].size != tuple(shape):
        rows, columns = sources.places[0].size
        raise SourceError(
            f"The mask has {shape[1]} x {shape[0]} px, the source image {columns} x {rows}.",
            "Give the film that was read.",
        )
