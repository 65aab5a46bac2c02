"""Where the head lies in its slices, and the same slices with the head upright in the middle.

Blood is found by comparing sides. So the stack is turned until its bones are as symmetric as they
can be, centred on the midline, and cut to the width of the skull: one rotation and one square for
the whole scan, so that slices stay above each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Stack = npt.NDArray[np.uint8]

_SMALL = 128
_MARGIN = 1.05
_ANGLES = np.arange(-90.0, 91.0, 2.0)
_LONG = 0.1  # how much of symmetry a head lying along the square may lack
_SHIFTS = range(-12, 13, 2)


@dataclass(frozen=True)
class Pose:
    """angle: degrees that turn the head upright, counter-clockwise. centre: (x, y) of the middle
    of the square, px of the slices. side: of the square, px of the slices.
    """

    angle: float
    centre: tuple[float, float]
    side: float

    def matrix(self, size: int) -> npt.NDArray[np.float64]:
        """`(2, 3)`, from (x, y) of the square with `size` px to (x, y) of the slices."""
        scale = self.side / size
        turn = cv2.getRotationMatrix2D((0, 0), -self.angle, scale)
        middle = np.array([size - 1.0, size - 1.0]) / 2
        return np.column_stack([turn[:, :2], np.array(self.centre) - turn[:, :2] @ middle])


def find_pose(windowed: Stack) -> Pose | None:
    """The pose of the head in slices `(z, y, x)` of the brain window; None without anything."""
    height, width = windowed.shape[1:]
    scale = max(height, width) / _SMALL
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    small = [cv2.resize(s, size, interpolation=cv2.INTER_AREA) for s in windowed]
    masks = np.stack([_largest(s) for s in small])
    areas = masks.sum((1, 2))
    if areas.max() < 0.02 * _SMALL**2:
        return None
    shape, bones = _symmetric_part(small, masks)
    angle, centre, shift = _upright(shape + 2 * bones, shape)
    turn = _turn(angle, centre, (_SMALL / 2 - shift, _SMALL / 2))
    upright = [cv2.warpAffine(m, turn, (_SMALL, _SMALL), flags=cv2.INTER_NEAREST) for m in masks]
    large = np.mean([m for m, a in zip(upright, areas, strict=True) if a >= np.median(areas)], 0)
    rows, columns = (np.nonzero(large.max(axis) > 0.3)[0] for axis in (1, 0))
    half = max(_SMALL / 2 - columns[0], columns[-1] - _SMALL / 2)
    side = _MARGIN * max(rows[-1] - rows[0] + 1, 2 * half + 1)
    middle = cv2.invertAffineTransform(turn) @ [_SMALL / 2, (rows[0] + rows[-1]) / 2, 1.0]
    x, y = (middle + 0.5) * scale - 0.5
    return Pose(float(angle), (float(x), float(y)), float(side * scale))


def upright_stack(greys: Stack, pose: Pose, size: int) -> Stack:
    """The slices `(z, y, x)` as `(z, size, size)` with the head upright in the middle."""
    blur = 0.4 * max(0.0, pose.side / size - 1.0)
    matrix = pose.matrix(size)
    out = np.empty((len(greys), size, size), np.uint8)
    for k, one in enumerate(greys):
        if blur > 0.1:
            one = cv2.GaussianBlur(one, (0, 0), blur)  # or fine texture would alias
        cv2.warpAffine(
            one, matrix, (size, size), out[k], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    return out


def _largest(small: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The largest thing in a slice that is neither air nor thin, like a head rest."""
    mask = cv2.morphologyEx(
        (small > 20).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)
    )
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), np.uint8)


def _symmetric_part(small: list[Any], masks: Stack) -> tuple[Any, Any]:
    """Mean outline and mean bone of the slices, blurred, float32 `(y, x)`."""
    shape = cv2.GaussianBlur(masks.mean(0).astype(np.float32), (0, 0), 1.5)
    bones = np.mean([(s >= 250) & (m > 0) for s, m in zip(small, masks, strict=True)], 0)
    return shape / 2, cv2.GaussianBlur(bones.astype(np.float32), (0, 0), 1.5) / 2


def _upright(seen: Any, shape: Any) -> tuple[float, tuple[float, float], float]:
    """Angle, centre (x, y) and sideways shift at which the picture equals its mirror best.

    A head is nearly symmetric about the line from ear to ear too, but longer from front to back.
    """
    ys, xs = np.arange(shape.shape[0]), np.arange(shape.shape[1])
    centre = (float(xs @ shape.sum(0) / shape.sum()), float(ys @ shape.sum(1) / shape.sum()))
    best, angle, shift = -1.0, 0.0, 0.0
    apart = (np.arange(_SMALL + 1) - _SMALL / 2) ** 2
    for candidate in _ANGLES:
        turn = _turn(candidate, centre, (_SMALL / 2, _SMALL / 2))
        turned = cv2.warpAffine(seen, turn, (_SMALL + 1, _SMALL + 1))
        mirrored = turned[:, ::-1]
        whole = float((turned * turned).sum())
        long = float(turned.sum(1) @ apart) / max(float(turned.sum(0) @ apart), 1e-6)
        for moved in _SHIFTS:
            alike = float((turned * np.roll(mirrored, moved, axis=1)).sum()) / max(whole, 1e-6)
            score = alike + _LONG * min(long, 1.3)
            if score > best:
                best, angle, shift = score, float(candidate), moved / 2
    return angle, centre, shift


def _turn(angle: float, centre: tuple[float, float], to: tuple[float, float]) -> Any:
    """`(2, 3)`: a rotation about `centre` that carries it to `to`."""
    matrix = cv2.getRotationMatrix2D(centre, angle, 1.0)
    matrix[:, 2] += np.subtract(to, centre)
    return matrix
