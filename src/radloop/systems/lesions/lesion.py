"""Lesions on the grid of the file, from the probabilities on the working grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radloop.images import grid
from radloop.images.image import Geometry, Image
from radloop.images.volume_operations import resample_onto
from radloop.measures.lesions import surface_area_mm2
from radloop.systems.lesions.calibration import without_small
from radloop.systems.lesions.study import Study

Box = tuple[slice, slice, slice]
_SLAB = 16  # slices of the file that are interpolated at a time
_ONE_SIDED = 0.9


@dataclass(frozen=True)
class Lesion:
    """One lesion, in the patient's space.

    number: in the label map, 1 the largest. centre: LPS mm. slices: first and last slice of the
    file. side: "left", "right" or "both" (less than nine tenths on one side). probability: its
    mean. entropy: the mean entropy of its voxels, bits: 0 = sure, 1 = tossed. adc: mean, in
    1e-6 mm2/s, None without an ADC map.
    """

    number: int
    volume_ml: float
    surface_mm2: float
    side: str
    centre: tuple[float, float, float]
    slices: tuple[int, int]
    probability: float
    entropy: float
    adc: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "volume_ml": round(self.volume_ml, 4),
            "surface_mm2": round(self.surface_mm2, 1),
            "side": self.side,
            "centre_lps_mm": [round(c, 1) for c in self.centre],
            "slices": list(self.slices),
            "mean_probability": round(self.probability, 4),
            "entropy_bits": round(self.entropy, 4),
            **({} if self.adc is None else {"mean_adc_1e-6_mm2_s": round(self.adc, 1)}),
        }


def find_lesions(
    study: Study, probability: npt.NDArray[Any], settings: Mapping[str, Any]
) -> tuple[npt.NDArray[np.uint8], list[Lesion]]:
    """The label map on the grid of the study's file, uint8 `(z, y, x)`, 1 = lesion, and the
    lesions by falling size.

    probability: on the working grid. settings: "threshold" and "smallest_ml". The map is
    interpolated linearly, then cut at the threshold, a few slices at a time; the whole of the
    file's grid never holds a probability.
    """
    threshold = float(settings.get("threshold", 0.5))
    labels = np.zeros(study.array.shape, np.uint8)
    box = _reach(probability >= 0.5 * threshold, study)
    if box is None:
        return labels, []
    field = _as_image(probability.astype(np.float32), study.work)
    found = np.zeros([s.stop - s.start for s in box], np.bool_)
    for start in range(0, len(found), _SLAB):
        stop = min(start + _SLAB, len(found))
        part = (slice(box[0].start + start, box[0].start + stop), *box[1:])
        found[start:stop] = resample_onto(field, _part(study.geometry, part)).array >= threshold
    voxel_ml = float(np.prod(study.geometry.spacing or (1.0,))) / 1000
    numbers, count = without_small(found, voxel_ml, float(settings.get("smallest_ml", 0.0)))
    labels[box] = numbers > 0
    places = ndimage.find_objects(numbers, count)
    lesions = [
        _lesion(number, numbers[place] == number, place, box, study, probability)
        for number, place in enumerate(places, start=1)
    ]
    return labels, lesions


def _lesion(
    number: int,
    mask: npt.NDArray[np.bool_],
    place: Box,
    box: Box,
    study: Study,
    probability: npt.NDArray[Any],
) -> Lesion:
    spacing = study.geometry.spacing or (1.0, 1.0, 1.0)
    start = [b.start + p.start for b, p in zip(box, place, strict=True)]
    index = np.argwhere(mask) + start
    points = grid.to_patient(index, study.geometry)
    at = grid.to_index(points, study.work).T
    p = np.clip(ndimage.map_coordinates(probability.astype(np.float32), at, order=1), 1e-6, 1)
    certain = np.clip(p, 1e-6, 1 - 1e-6)
    entropy = -(certain * np.log2(certain) + (1 - certain) * np.log2(1 - certain))
    adc = None
    if study.adc is not None:
        adc = float(ndimage.map_coordinates(study.adc, at, order=1, mode="nearest").mean())
    middle = points.mean(0)
    return Lesion(
        number,
        float(np.count_nonzero(mask) * np.prod(spacing) / 1000),
        surface_area_mm2(mask, spacing),
        side_of(points, study),
        (float(middle[0]), float(middle[1]), float(middle[2])),
        (int(index[:, 0].min()), int(index[:, 0].max())),
        float(p.mean()),
        float(entropy.mean()),
        adc,
    )


def side_of(points: npt.NDArray[np.float64], study: Study) -> str:
    """ "left", "right" or "both": where most of the points, LPS mm, lie in the patient."""
    left = float((study.distance_to_left(points) > 0).mean())
    if left >= _ONE_SIDED:
        return "left"
    return "right" if left <= 1 - _ONE_SIDED else "both"


def _reach(maybe: npt.NDArray[np.bool_], study: Study) -> Box | None:
    """The box of the file's grid around all that may be a lesion on the working grid."""
    index = np.argwhere(maybe)
    if not len(index):
        return None
    low, high = index.min(0) - 1.0, index.max(0) + 1.0
    corners = np.array([[(low, high)[b >> k & 1][k] for k in range(3)] for b in range(8)])
    there = grid.to_index(grid.to_patient(corners, study.work), study.geometry)
    box = []
    for axis, n in enumerate(study.array.shape):
        first = max(0, int(np.floor(there[:, axis].min())))
        last = min(n, int(np.ceil(there[:, axis].max())) + 1)
        if first >= last:
            return None
        box.append(slice(first, last))
    return box[0], box[1], box[2]


def _part(geometry: Geometry, part: Box) -> Geometry:
    matrix = grid.affine(geometry)
    matrix[:3, 3] = grid.to_patient([[s.start for s in part]], geometry)[0]
    return grid.from_affine(matrix, tuple(s.stop - s.start for s in part))


def _as_image(array: npt.NDArray[np.float32], geometry: Geometry) -> Image:
    return Image(array, geometry, original=geometry)
