"""The plane between the hemispheres, and the brain reflected at it.

A head is nearly its own mirror image. The plane is looked for at which the brain and its reflection
correlate most (Ardekani et al. 1997; Liu et al. 2001). From it follow the side of a lesion and the
mirrored channels of SUNet (Clerigues et al. 2020).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from radloop.images import grid
from radloop.images.image import Floats, Image
from radloop.images.volume_operations import block_means, resample_onto

_STEEPEST = 35.0  # degrees between the normal and the patient's left
_COARSE = 4.0  # mm of the grid that is looked at
_BLUR = 1.0  # samples of that grid
_BRIGHT = 98  # percentile beyond which a voxel counts no more: a lesion is on one side
_TURNS = (-20.0, -10.0, 0.0, 10.0, 20.0)  # degrees about two axes, and mm of shift, to start from
_SHIFTS = (-6.0, 0.0, 6.0)
_FEW, _MANY = 1000, 6000  # points of the brain that are looked at: of the starts, and then


@dataclass(frozen=True)
class Plane:
    """normal: unit vector, LPS, towards the patient's left. offset: mm; the plane is where
    `normal . p = offset`. found: False when it was not, and the plane stands upright in the middle
    of the brain."""

    normal: tuple[float, float, float]
    offset: float
    found: bool

    def distances(self, points_lps: npt.ArrayLike) -> Floats:
        """Signed distances of points `(n, 3)`, mm, positive on the patient's left."""
        points = np.asarray(points_lps, np.float64).reshape(-1, 3)
        return np.asarray(points @ np.asarray(self.normal) - self.offset, np.float64)

    @property
    def reflection(self) -> Floats:
        """`(4, 4)`, LPS mm to LPS mm."""
        normal = np.asarray(self.normal)
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(normal, normal)
        matrix[:3, 3] = 2 * self.offset * normal
        return matrix


def mid_sagittal_plane(image: Image, brain: npt.NDArray[np.bool_]) -> Plane:
    """The plane of symmetry of a brain. brain: its mask on the grid of `image`."""
    index = np.argwhere(brain)
    centre = grid.to_patient(index.mean(0), image.geometry)[0] if len(index) else np.zeros(3)
    upright = Plane((1.0, 0.0, 0.0), float(centre[0]), False)
    if len(index) < 100:
        return upright
    alike = _Symmetry(image, brain, centre)
    starts = [(u, v, w) for u in _TURNS for v in _TURNS for w in _SHIFTS]
    start = min(starts, key=alike.coarsely)
    found = optimize.minimize(
        alike, start, method="Nelder-Mead",
        options={"initial_simplex": [start, *np.add(start, np.diag([5.0, 5.0, 3.0]))],
                 "xatol": 0.02, "fatol": 1e-6, "maxfev": 300},
    )  # fmt: skip
    normal = _normal(found.x)
    if normal[0] < np.cos(np.radians(_STEEPEST)):
        return upright
    x, y, z = (float(v) for v in normal)
    return Plane((x, y, z), float(normal @ centre + found.x[2]), True)


class _Symmetry:
    """How unlike a brain and its reflection are, by the plane's two angles in degrees and its
    distance from the middle of the brain in mm: minus the correlation, -1 at best."""

    def __init__(self, image: Image, brain: npt.NDArray[np.bool_], centre: Floats) -> None:
        values = np.where(brain, np.nan_to_num(np.asarray(image.array, np.float32)), 0)
        values = np.minimum(values, np.percentile(values[brain], _BRIGHT))
        small = block_means(image.with_array(values.astype(np.float32)), (_COARSE,) * 3)
        self.values = ndimage.gaussian_filter(np.asarray(small.array, np.float32), _BLUR)
        index = np.argwhere(self.values > 0.05 * self.values.max())
        index = index[:: max(1, len(index) // _MANY)]
        self.points = grid.to_patient(index, small.geometry)
        self.here = self.values[tuple(index.T)]
        self.back = np.linalg.inv(grid.affine(small.geometry))
        self.centre = centre

    def __call__(self, place: npt.ArrayLike, step: int = 1) -> float:
        normal, shift = _normal(place), float(np.asarray(place)[2])
        points, here = self.points[::step], self.here[::step]
        away = points @ normal - (normal @ self.centre + shift)
        reflected = points - 2 * away[:, None] * normal
        index = self.back[:3, :3] @ reflected.T + self.back[:3, 3:]
        there = ndimage.map_coordinates(self.values, index, order=1, mode="constant")
        a, b = here - here.mean(), there - there.mean()
        size = float(np.sqrt((a @ a) * (b @ b)))
        return -float(a @ b) / size if size > 0 else 0.0

    def coarsely(self, place: npt.ArrayLike) -> float:
        return self(place, max(1, len(self.points) // _FEW))


def _normal(place: npt.ArrayLike) -> Floats:
    """The unit vector that the patient's left becomes when turned by two angles, degrees."""
    yaw, roll = np.radians(np.asarray(place, np.float64)[:2])
    return np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])


def mirrored(image: Image, plane: Plane) -> Image:
    """The volume reflected at the plane, on its own grid."""
    there = grid.from_affine(plane.reflection @ grid.affine(image.geometry), image.geometry.shape)
    return replace(resample_onto(image, there), geometry=image.geometry)
