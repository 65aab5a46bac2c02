"""The plane between the hemispheres, and the brain reflected at it.

A head is nearly its own mirror image. The volume mirrored left to right is registered onto itself;
the reflection and the motion together are a reflection at the plane that was looked for (Liu et al.
2001). From it follow the side of a lesion and the mirrored channels of SUNet (Clerigues et al.
2020).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from radloop.images import grid
from radloop.images.image import Floats, Image
from radloop.images.registration import register_rigid
from radloop.images.volume_operations import resample_onto

_STEEPEST = 35.0  # degrees between the normal and the patient's left


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
    inside = image.with_array(np.where(brain, np.asarray(image.array, np.float32), 0))
    rigid = register_rigid(mirrored(inside, upright), inside)
    # image(p) is alike to mirrored(R p) = image(F R p).
    both = upright.reflection @ rigid.matrix
    values, vectors = np.linalg.eig(both[:3, :3])
    normal = np.real(vectors[:, int(np.argmin(np.abs(values + 1)))])
    normal = normal / np.linalg.norm(normal) * (1 if normal[0] >= 0 else -1)
    if normal[0] < np.cos(np.radians(_STEEPEST)):
        return upright
    other = both[:3, :3] @ centre + both[:3, 3]
    x, y, z = (float(v) for v in normal)
    return Plane((x, y, z), float(normal @ (centre + other) / 2), True)


def mirrored(image: Image, plane: Plane) -> Image:
    """The volume reflected at the plane, on its own grid."""
    there = grid.from_affine(plane.reflection @ grid.affine(image.geometry), image.geometry.shape)
    return replace(resample_onto(image, there), geometry=image.geometry)
