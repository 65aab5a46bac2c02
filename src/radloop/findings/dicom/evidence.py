"""The evidence of a prediction on its source images: boxes, masks and measured lines.

Image coordinates are DICOM's for both reports (PS3.3 C.18.6.1.2) and presentation states (C.10.5):
`(column, row)` with 0, 0 at the upper left corner of the first pixel and the pixel's centre at
0.5, 0.5. The boxes of findings have their edges at whole numbers: they are the same coordinates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.findings.dicom.sources import Place, Sources, require_films_are_alike
from radloop.findings.finding import Finding, Prediction

LABELS = "labels.json"
CARDIOTHORACIC = "cardiothoracic_ratio"


@dataclass(frozen=True)
class Masks:
    """labels: `(places, y, x)`, k + 1 for `names[k]`, on `Sources.places` in their order."""

    labels: npt.NDArray[Any]
    names: tuple[str, ...]


@dataclass(frozen=True)
class MeasuredLine:
    """A line that was measured, `(column, row)` at both ends, and what it is called."""

    points: tuple[tuple[float, float], tuple[float, float]]
    label: str


def read_masks(
    prediction: Prediction,
    folder: Path,
    sources: Sources,
    structures: Sequence[str] | None = None,
) -> Masks | None:
    """The prediction's mask on the pixels of its sources; None without one.

    structures: names of the labels from 1 on; without, from `labels.json` in `folder`.

    A film's PNG lies on the film's pixels. A volume's NIfTI is carried to the slices through the
    patient's millimetres, so that tilted and uneven series keep their places. Raises InputError,
    SourceError.
    """
    if "mask" not in prediction.files:
        return None
    path = folder / prediction.files["mask"]
    if path.name.endswith((".nii", ".nii.gz")):
        labels = _on_slices(path, sources)
    else:
        labels = _read_png(path)
        require_films_are_alike(sources, labels.shape)
        labels = labels[None]
    highest = int(labels.max())
    names = tuple(structures) if structures is not None else _names(folder)
    if len(names) < highest:
        raise InputError(
            f"{path.name} has the label {highest}, but {len(names)} structures are named.",
            f"Keep {LABELS} of the model that drew it.",
        )
    return Masks(labels, names)


def _names(folder: Path) -> tuple[str, ...]:
    try:
        numbers = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        return tuple(name for name, k in sorted(numbers.items(), key=lambda i: i[1]) if k > 0)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"There is no readable {LABELS} beside the predictions.",
            "Give the folder that `radloop predict` wrote.",
        ) from error


def _read_png(path: Path) -> npt.NDArray[Any]:
    import cv2

    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 2:
        raise InputError(f"The mask {path.name} is missing or no grey PNG.", "Predict again.")
    return np.asarray(array)


def _on_slices(path: Path, sources: Sources) -> npt.NDArray[Any]:
    from radloop.images.image import Image
    from radloop.images.nifti import read_nifti
    from radloop.images.volume_operations import labels_to_original

    if sources.planes is None:
        raise InputError(
            "The source images do not say where they lie in the patient, so that the mask of the"
            " volume cannot be laid on them.",
            "Give the slices of the series that was read.",
        )
    reading = read_nifti(path)
    if reading.image is None:
        raise InputError(f"{path.name}: {' '.join(reading.verdict.messages)}")
    image = reading.image
    labels = np.rint(image.array).astype(np.uint16)
    return labels_to_original(
        labels, Image(labels, image.geometry, original=sources.planes, source=path.name)
    )


def box_of(finding: Finding, place: Place) -> tuple[float, float, float, float] | None:
    """The finding's box, cut to the image; None without one, or where nothing is left."""
    box = finding.where.get("box")
    if box is None:
        return None
    rows, columns = place.size
    x0, x1 = (float(np.clip(v, 0, columns)) for v in (box[0], box[2]))
    y0, y1 = (float(np.clip(v, 0, rows)) for v in (box[1], box[3]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def outline(box: Sequence[float]) -> npt.NDArray[np.float64]:
    """The closed polyline of a box, `(5, 2)`: columns and rows."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float64)


def chest_lines(
    labels: npt.NDArray[Any], names: Sequence[str]
) -> Mapping[str, tuple[MeasuredLine, ...]]:
    """The lines of the cardiothoracic ratio, from the masks `(y, x)`, by structure.

    "heart": from the midline of the chest to the heart's two borders (MRD, MLD); "thorax": the
    extent of both lungs. They run between the edges of pixels, so that they may differ by a pixel
    from what was measured between them. Empty where a structure is missing.
    """
    number = {name: k for k, name in enumerate(names, start=1)}
    if not {"heart", "left_lung", "right_lung"} <= number.keys():
        return {}
    heart = labels == number["heart"]
    lungs = (labels == number["left_lung"]) | (labels == number["right_lung"])
    if not heart.any() or not lungs.any():
        return {}
    (left, right), (first, last) = _extent(heart), _extent(lungs)
    middle = (first + last) / 2
    widths = np.where(lungs.any(1), lungs.shape[1] - lungs[:, ::-1].argmax(1) - lungs.argmax(1), 0)
    row = float(widths.argmax()) + 0.5
    left_row, right_row = (_middle(heart[:, column]) for column in (int(left), int(right) - 1))
    return {
        "heart": (
            MeasuredLine(((left, left_row), (middle, left_row)), "MRD"),
            MeasuredLine(((middle, right_row), (right, right_row)), "MLD"),
        ),
        "thorax": (MeasuredLine(((first, row), (last, row)), "thorax"),),
    }


def _extent(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    columns = np.flatnonzero(mask.any(0))
    return float(columns[0]), float(columns[-1] + 1)


def _middle(column: npt.NDArray[np.bool_]) -> float:
    return float(np.flatnonzero(column).mean() + 0.5)


def label_of(finding: Finding) -> str:
    """What stands beside a finding: "Cardiomegaly 0.91, 0.541 (0.522-0.560)"."""
    words = [finding.code.meaning]
    if "tooth" in finding.where:
        words.append(str(finding.where["tooth"]))
    if finding.where.get("side"):
        words.append(str(finding.where["side"]))
    text = f"{' '.join(words)} {finding.probability:.2f}"
    return f"{text}, {finding.measurement.text()}" if finding.measurement else text
