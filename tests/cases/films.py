"""Films that the tests of this folder make for themselves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Film = npt.NDArray[np.uint8]


def film(seed: int, shape: tuple[int, int] = (160, 160)) -> Film:
    """A film `(y, x)` with structure at several scales, another for each seed."""
    random = np.random.default_rng(seed)
    picture = np.zeros(shape)
    for side, strength in ((4, 50.0), (12, 35.0), (40, 18.0)):
        noise = random.standard_normal((side, side))
        picture += strength * cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + 120, 0, 255).astype(np.uint8)


def box_mask(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = (160, 160)) -> Film:
    """255 inside the box, the end excluded."""
    mask = np.zeros(shape, np.uint8)
    mask[y0:y1, x0:x1] = 255
    return mask


def save(path: Path, picture: Film) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path
