"""Heart and lung maps: preparing the film, cleaning what the network found, enlarging it.

Maps are uint8 `(3, y, x)` in the order heart, left lung, right lung; 255 = certain. The left lung
is the patient's, on the right of the film.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from radloop.images.image import Image

Maps = npt.NDArray[np.uint8]
_HALO = np.ones((5, 5), np.uint8)


def prepare_film(image: Image, size: int) -> npt.NDArray[np.uint8]:
    """The film as shown, uint8 `(size, size)`; averaged over areas when it shrinks.

    Stretched to the whole range before it is rounded: many films use a part of it, and the edge of
    the heart on the liver is then a level or two.
    """
    film = image.as_uint8().astype(np.float32)
    if film.shape != (size, size):
        how = cv2.INTER_AREA if min(film.shape) >= size else cv2.INTER_LINEAR
        film = np.asarray(cv2.resize(film, (size, size), interpolation=how), np.float32)
    # Markers are the brightest half per cent of a dark film.
    low, high = float(film.min()), float(np.percentile(film[::4, ::4], 99.5))
    scale = 255.0 / max(high - low, 1.0)
    return np.asarray(np.clip((film - low) * scale + 0.5, 0, 255), np.uint8)


def label_map(maps: Maps) -> npt.NDArray[np.uint8]:
    """The most probable structure of each pixel: 0 background, 1 heart, 2 left, 3 right lung."""
    heart, left, right = maps
    background = 255 - cv2.add(cv2.add(heart, left), right)  # cv2.add stops at 255
    lung = np.maximum(left, right)
    labels = np.where(left >= right, np.uint8(2), np.uint8(3))
    labels = np.where(heart >= lung, np.uint8(1), labels)
    found = np.maximum(heart, lung) > background
    return np.asarray(labels * found, np.uint8)


def clean(maps: Maps) -> Maps:
    """Largest component of the heart and of each lung, holes filled; the rest set to zero.

    The maps stay soft at the edge of what is kept, so that edges can be located between pixels.
    """
    labels = label_map(maps)
    cleaned = np.zeros_like(maps)
    for k in range(3):
        whole = (labels == k + 1).astype(np.uint8)
        box = _box(whole)  # most of a film is background: work on the part around the structure
        mask = np.ascontiguousarray(whole[box])
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        if count < 2:
            continue
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        kept = (parts == largest).astype(np.uint8)
        rest = mask & (kept ^ 1)
        filled = _fill(kept)
        halo = cv2.dilate(filled, _HALO) & (rest ^ 1)
        cleaned[k][box] = np.where(filled > kept, np.uint8(255), maps[k][box] * halo)
    return cleaned


def _box(mask: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    """The box around a mask, with room for its halo."""
    x, y, width, height = cv2.boundingRect(mask)
    margin = len(_HALO) // 2
    return (
        slice(max(0, y - margin), y + height + margin),
        slice(max(0, x - margin), x + width + margin),
    )


def _fill(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The mask with its holes: what the outside, entered from a margin, does not reach."""
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 1)
    holes = framed[1:-1, 1:-1] == 0
    return np.asarray(mask | holes, np.uint8)


def enlarge(maps: Maps, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The label map on a grid of `shape`, from maps interpolated linearly, as bytes."""
    rows, columns = shape
    if maps.shape[1:] == (rows, columns):
        return label_map(maps)
    large = [cv2.resize(m, (columns, rows), interpolation=cv2.INTER_LINEAR) for m in maps]
    return label_map(np.stack(large))
