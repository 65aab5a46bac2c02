"""Finding copies of an image: saved again, rescaled, made brighter, slightly cropped, mirrored.

Films of one body region resemble each other so closely that a perceptual hash calls many of them
copies. Two steps avoid that. *Candidates*: each thumbnail, and 24 slightly cropped forms of it, is
reduced to its local contrast on 32 x 32 samples; each image keeps the few others it correlates with
most. *Proof*: a candidate is aligned to the image by an affine transform (enhanced correlation
coefficient, Evangelidis & Psarakis 2008), and must then show the same fine detail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

THUMBNAIL = 128
"""Side of the thumbnails that are compared, in pixels."""

_SIDE = 32
_NEIGHBOURS = 4
_CANDIDATE = 0.80
# Of 416 chest films of three collections, the two different ones that agree most reach 0.82; a
# film and its copy saved as JPEG of quality 60, rescaled, or cropped by 4 % agree at 0.88 or more.
_SAME = 0.86
# With cropped forms, the number of images up to which the search (quadratic) stays in minutes.
_CROPS_UP_TO = 20_000
_BLOCK = 64

Thumbnail = npt.NDArray[np.uint8]
_Float = npt.NDArray[np.float32]
_Kind = Literal["copy", "mirrored"]


class _Crop(NamedTuple):
    """What is cut off each side, as a share of the image."""

    left: float = 0.0
    right: float = 0.0
    top: float = 0.0
    bottom: float = 0.0

    def affine(self, side_from: int, side_to: int) -> _Float:
        """The 2 x 3 transform from a pixel (x, y) of the cropped image to one of the whole."""
        rows = []
        for axis, (before, after) in enumerate(((self.left, self.right), (self.top, self.bottom))):
            scale = (1 - before - after) * side_from / side_to
            row = [0.0, 0.0, before * side_from + scale / 2 - 0.5]
            row[axis] = scale
            rows.append(row)
        return np.array(rows, np.float32)


_MARGINS = ((0.0, 0.0), (0.03, 0.03), (0.06, 0.0), (0.0, 0.06), (0.06, 0.06))
_CROPS = tuple(_Crop(*across, *down) for across, down in product(_MARGINS, _MARGINS))


@dataclass(frozen=True)
class Copy:
    """Two images that show the same: their places in the list, how, and how well they agree.

    agreement: correlation of the fine detail after alignment, in (0, 1].
    """

    first: int
    second: int
    kind: _Kind
    agreement: float


@dataclass(frozen=True)
class _Candidate:
    """`first`, cropped, resembles `second` (mirrored when `kind` says so)."""

    first: int
    second: int
    kind: _Kind
    crop: _Crop


def thumbnail(shown: npt.NDArray[np.uint8]) -> Thumbnail:
    """A displayed film `(y, x)` as a square thumbnail `(128, 128)`, its aspect not kept."""
    return _pixels(cv2.resize(shown, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))


def near_duplicates(thumbnails: Sequence[Thumbnail], threads: int = 2) -> list[Copy]:
    """Every pair of images that show the same, the first in the list first.

    thumbnails: made by `thumbnail`. Equal thumbnails are a pair too; an image without structure
    (all one grey) never is. Of many copies of one image, each is paired with a few of the others.
    Beyond 20,000 images cropped copies are not searched for.
    """
    if len(thumbnails) < 2:
        return []
    with ThreadPoolExecutor(threads) as pool:
        candidates = list(_candidates(thumbnails, pool))
        agreements = pool.map(lambda candidate: _agreement(thumbnails, candidate), candidates)
        best: dict[tuple[int, int], Copy] = {}
        for candidate, agreement in zip(candidates, agreements, strict=True):
            pair = (
                min(candidate.first, candidate.second),
                max(candidate.first, candidate.second),
            )
            if agreement >= _SAME and (pair not in best or agreement > best[pair].agreement):
                best[pair] = Copy(*pair, candidate.kind, agreement)
    return [best[pair] for pair in sorted(best)]


# --- candidates ----------------------------------------------------------------------------------


def _candidates(thumbnails: Sequence[Thumbnail], pool: ThreadPoolExecutor) -> Iterator[_Candidate]:
    crops = _CROPS if len(thumbnails) <= _CROPS_UP_TO else _CROPS[:1]
    plain = np.stack([_signature(thumb, _CROPS[0]) for thumb in thumbnails])
    targets: dict[_Kind, _Float] = {
        "copy": plain.reshape(len(plain), -1),
        "mirrored": plain[:, :, ::-1].reshape(len(plain), -1),
    }
    for start in range(0, len(thumbnails), _BLOCK):
        block = thumbnails[start : start + _BLOCK]
        forms = np.stack(list(pool.map(lambda thumb: _forms(thumb, crops), block)))
        for kind, target in targets.items():
            alike = (forms.reshape(-1, _SIDE * _SIDE) @ target.T).reshape(
                len(block), len(crops), -1
            )
            for row, scores in enumerate(alike):
                yield from _nearest(start + row, scores, kind, crops)


def _forms(thumb: Thumbnail, crops: Sequence[_Crop]) -> _Float:
    """The signatures of an image's cropped forms, `(crop, 32 * 32)`."""
    return np.stack([_signature(thumb, crop).ravel() for crop in crops])


def _signature(thumb: Thumbnail, crop: _Crop) -> _Float:
    """Local contrast of a cropped thumbnail, `(32, 32)`, of zero mean and unit norm."""
    side = 2 * _SIDE
    affine = crop.affine(THUMBNAIL, side)
    small = cv2.warpAffine(
        cv2.GaussianBlur(thumb, (0, 0), 1.0).astype(np.float32),
        affine,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    small = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    detail = _local_contrast(_floats(small), 2.5)
    detail -= detail.mean()
    norm = float(np.linalg.norm(detail))
    return detail / norm if norm > 1e-3 else np.zeros_like(detail)


def _local_contrast(image: _Float, radius: float) -> _Float:
    """The image without its slow changes, divided by the contrast around each pixel."""
    detail = image - cv2.GaussianBlur(image, (0, 0), radius)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), radius))
    # 2 grey values: below that, contrast is noise and must not be raised.
    return _floats(detail / (contrast + 2.0))


def _nearest(
    image: int, scores: _Float, kind: _Kind, crops: Sequence[_Crop]
) -> Iterator[_Candidate]:
    """The few others that an image resembles most; scores `(crop, other)`."""
    best = scores.max(axis=0)
    best[image] = -1.0
    for other in np.argsort(-best, kind="stable")[:_NEIGHBOURS]:
        if best[other] >= _CANDIDATE:
            crop = crops[int(scores[:, other].argmax())]
            yield _Candidate(image, int(other), kind, crop)


# --- proof ---------------------------------------------------------------------------------------


def _agreement(thumbnails: Sequence[Thumbnail], candidate: _Candidate) -> float:
    """Correlation of the fine detail where the two overlap once aligned; 0 without alignment."""
    image = _local_contrast(_floats(thumbnails[candidate.first]), 4.0)
    other = _local_contrast(_floats(thumbnails[candidate.second]), 4.0)
    if candidate.kind == "mirrored":
        other = np.ascontiguousarray(other[:, ::-1])
    size = (THUMBNAIL, THUMBNAIL)
    everywhere = np.ones(size, np.uint8)
    start = candidate.crop.affine(THUMBNAIL, THUMBNAIL)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        _, affine = cv2.findTransformECC(
            other, image, start, cv2.MOTION_AFFINE, stop, everywhere, 5
        )
    except cv2.error:  # it did not converge
        return 0.0
    nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    overlap = cv2.warpAffine(everywhere, affine, size, flags=nearest) > 0
    if overlap.mean() < 0.7:
        return 0.0
    linear = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpAffine(image, affine, size, flags=linear)
    first = cv2.GaussianBlur(aligned, (0, 0), 0.7)[overlap]
    second = cv2.GaussianBlur(other, (0, 0), 0.7)[overlap]
    if first.std() < 1e-3 or second.std() < 1e-3:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _floats(array: npt.NDArray[Any]) -> _Float:
    return np.asarray(array, np.float32)


def _pixels(array: npt.NDArray[Any]) -> Thumbnail:
    return np.asarray(array, np.uint8)
