"""From the index of a volume to millimetres in the patient, and back.

A volume has the axes `(z, y, x)`; its indices are fractional, with the centres of samples at whole
numbers. Patient coordinates are DICOM's LPS, in mm: x grows to the patient's left, y to the back,
z to the head. NIfTI's RAS differs by the sign of x and y (`nifti.py` turns it).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.images.image import Floats, Geometry, Planes

__all__ = ["Planes", "affine", "from_affine", "is_orthogonal", "letters", "to_index", "to_patient"]

_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))  # towards plus and minus of x, y, z


def affine(geometry: Geometry) -> Floats:
    """`(4, 4)` matrix from (z, y, x, 1) in samples to LPS mm. Raises ValueError without a place."""
    if geometry.spacing is None or geometry.direction is None or geometry.origin is None:
        raise ValueError("this geometry has no place in the patient")
    matrix = np.eye(4)
    matrix[:3, :3] = (np.asarray(geometry.direction) * np.asarray(geometry.spacing)[:, None]).T
    matrix[:3, 3] = geometry.origin
    return matrix


def from_affine(matrix: npt.ArrayLike, shape: tuple[int, ...]) -> Geometry:
    """The geometry of `shape` (z, y, x) whose samples lie where `matrix` (see `affine`) says.

    Raises ValueError for a matrix that is singular or not finite.
    """
    full = np.asarray(matrix, np.float64)
    columns = full[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    if not np.isfinite(full).all() or spacing.min() <= 0:
        raise ValueError("the matrix leaves no volume")
    unit = columns / spacing
    if abs(np.linalg.det(unit)) < 1e-6:
        raise ValueError("the matrix leaves no volume")
    return Geometry(
        tuple(int(n) for n in shape),
        tuple(float(s) for s in spacing),
        "patient",
        _triple(full[:3, 3]),
        tuple(_triple(axis) for axis in unit.T),
    )


def to_patient(points_zyx: npt.ArrayLike, geometry: Geometry) -> Floats:
    """Indices `(n, 3)`, rows of (z, y, x), as LPS mm."""
    matrix = affine(geometry)
    points: Floats = np.asarray(points_zyx, np.float64).reshape(-1, 3)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def to_index(points_lps: npt.ArrayLike, geometry: Geometry) -> Floats:
    """LPS mm `(n, 3)` as fractional indices, rows of (z, y, x)."""
    matrix = affine(geometry)
    points: Floats = np.asarray(points_lps, np.float64).reshape(-1, 3)
    return np.asarray(np.linalg.solve(matrix[:3, :3], (points - matrix[:3, 3]).T).T, np.float64)


def letters(geometry: Geometry) -> str:
    """Towards what each array axis runs, nearest of L, R, P, A, S, I: "SPL" for an axial CT."""
    matrix = affine(geometry)[:3, :3]
    unit = matrix / np.linalg.norm(matrix, axis=0)
    order = _nearest_axes(unit)
    return "".join(_LETTERS[axis][int(unit[axis, i] < 0)] for i, axis in enumerate(order))


def is_orthogonal(geometry: Geometry, tolerance: float = 1e-3) -> bool:
    """Whether the array axes stand upright on each other (cosines below `tolerance`)."""
    unit = np.asarray(geometry.direction, np.float64)
    return bool(np.abs(unit @ unit.T - np.eye(3)).max() < tolerance)


def _nearest_axes(unit: Floats) -> list[int]:
    """For each array axis (column of `unit`) its own patient axis, the best matches first."""
    left = np.abs(unit).copy()
    order = [0, 0, 0]
    for _ in range(3):
        patient, array = np.unravel_index(int(np.argmax(left)), left.shape)
        order[int(array)] = int(patient)
        left[patient, :] = -1
        left[:, array] = -1
    return order


def _triple(values: npt.NDArray[Any]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
