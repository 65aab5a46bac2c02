"""What a DICOM radiograph states about itself beside its pixels: spacing, side, view, patient."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

from radloop.images.image import Geometry, SpacingSource
from radloop.images.verdict import ACCEPTED, Verdict, warned

_CALIBRATED = {"FIDUCIAL", "GEOMETRY"}


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The numbers of an element; empty when it is absent, empty or holds something else."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return ()
        values = value if isinstance(value, list | tuple) or hasattr(value, "insert") else [value]
        found = tuple(float(item) for item in values)
    except (TypeError, ValueError):
        return ()
    return found if all(math.isfinite(item) for item in found) else ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first number of an element, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def geometry_of(dataset: Dataset) -> tuple[Geometry, Verdict]:
    """Shape and spacing (mm, row spacing first) of a projection image, which has no origin.

    PS3.3 10.7.1.3: PixelSpacing beside an equal ImagerPixelSpacing, without a calibration type,
    was not corrected for magnification; beside a different one, it was. Alone and without a type
    it may be either.
    """
    shape = (int(dataset.Rows), int(dataset.Columns))
    calibrated = _spacing(dataset, "PixelSpacing")
    detector = _spacing(dataset, "ImagerPixelSpacing") or _spacing(
        dataset, "NominalScannedPixelSpacing"
    )
    source: SpacingSource = "unknown"
    if calibrated and str(dataset.get("PixelSpacingCalibrationType") or "") in _CALIBRATED:
        source = "patient"
    elif calibrated and detector:
        source = "detector" if _close(calibrated, detector) else "patient"
    elif detector:
        source = "detector"
    spacing = calibrated or detector
    return Geometry(shape, spacing, source), _spacing_verdict(dataset, spacing)


def _spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(dataset, keyword)
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None


def _close(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-4) for x, y in zip(a, b, strict=True))


def _spacing_verdict(dataset: Dataset, spacing: tuple[float, float] | None) -> Verdict:
    stated = any(
        dataset.get(word) not in (None, "") for word in ("PixelSpacing", "ImagerPixelSpacing")
    )
    if stated and spacing is None:
        return warned(
            "invalid_spacing",
            "The pixel spacing in the DICOM file is not valid and was ignored: "
            "nothing can be measured in mm.",
        )
    aspect = spacing or _spacing(dataset, "PixelAspectRatio")
    if aspect and not math.isclose(aspect[0], aspect[1], rel_tol=1e-2):
        return warned(
            "non_square_pixels",
            "The pixels of the film are not square: its shape is distorted where they are shown "
            "as if they were.",
        )
    return ACCEPTED


def acquisition_of(dataset: Dataset) -> tuple[dict[str, Any], Verdict]:
    """The facts that later stations use, each only when the file states it."""
    facts: dict[str, Any] = {
        "format": "DICOM",
        "photometric": str(dataset.PhotometricInterpretation),
        "bits": int(dataset.BitsStored),
        "view": _text(dataset, "ViewPosition"),
        "laterality": _text(dataset, "ImageLaterality") or _text(dataset, "Laterality"),
        "body_part": _text(dataset, "BodyPartExamined"),
        "patient_id": _text(dataset, "PatientID"),
        "patient_orientation": _orientation(dataset),
        "magnification": number(dataset, "EstimatedRadiographicMagnificationFactor"),
        "pixel_aspect_ratio": _spacing(dataset, "PixelAspectRatio"),
    }
    return {name: fact for name, fact in facts.items() if fact}, _mirrored(facts)


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()


def _orientation(dataset: Dataset) -> tuple[str, ...]:
    """Towards which side of the patient rows and columns run, as in ("L", "F")."""
    value = dataset.get("PatientOrientation")
    return tuple(str(item) for item in value) if value and not isinstance(value, str) else ()


def _mirrored(facts: dict[str, Any]) -> Verdict:
    orientation = facts["patient_orientation"]
    if not (len(orientation) == 2 and orientation[0][:1] == "R" and orientation[1][:1] == "F"):
        return ACCEPTED
    return warned(
        "mirrored",
        "By its header the film shows the patient's left on the left, the other way round than "
        "usual. It was read as stored: check the side of every finding.",
    )
