"""The brain without the skull: what a bleed is looked for in.

Bone is far denser than blood, and its edges outshine a bleed in everything a network pools over a
slice. So what is not brain is painted over with the slice's own brain, and a bleed is the densest
thing left.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.systems.head.gate import shows_a_skull
from radloop.systems.head.scale import brain_window

Stack = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_SIDE = 256  # px of the square on which the skull is sought; areas below are in its pixels
_BONE = 246  # grey of the 0 to 80 HU window: 77 HU, above any bleed but the densest clot
_SKULL = 150  # px: smaller bright parts are calcifications or crumbs of the skull base
_LEAST = 200  # px: smaller parts of the inside are crumbs
_CLOSED = 0.5  # share of the skull's hull; with less inside, the skull was open
_FEW = 0.01  # share of the square; a slice with less brain has no median of its own
_BRAIN = (30, 223)  # greys of 9 to 70 HU
_MOSTLY = 0.7  # a part is brain when that much of it shows `_BRAIN`: an air-filled sinus does not


def only_brain(stack: Stack) -> Stack:
    """The upright slices `(z, size, size)` with all that is not brain at the brain's median."""
    masks = [brain_mask(one) for one in stack]
    brain = np.concatenate([one[inside] for one, inside in zip(stack, masks, strict=True)])
    usual = float(np.median(brain)) if brain.size else 0.0
    out = np.empty_like(stack)
    for k, (one, inside) in enumerate(zip(stack, masks, strict=True)):
        grey = float(np.median(one[inside])) if inside.mean() > _FEW else usual
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), len(one) / _SIDE) * inside
        out[k] = np.rint(one * soft + grey * (1 - soft))
    return out


def brain_mask(greys: Stack) -> Mask:
    """Which pixels of an upright slice `(size, size)` lie within the skull.

    The skull's gaps (sutures, foramina, a burr hole) are closed first. Where it stays open though
    most directions meet bone, as after a craniectomy, its convex hull counts.
    """
    size = greys.shape[-1]
    shown = cv2.resize(brain_window(greys), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    bone = _large((shown >= _BONE).astype(np.uint8), _SKULL)
    border = cv2.copyMakeBorder(bone, 32, 32, 32, 32, cv2.BORDER_CONSTANT)
    closed = cv2.morphologyEx(border, cv2.MORPH_CLOSE, _disc(25))[32:-32, 32:-32]
    inside = _soft(_filled(closed), bone, shown)
    if bone.any():
        hull = _hull(bone)
        if inside.sum() < _CLOSED * hull.sum() and shows_a_skull(greys, directions=0.6):
            inside = _soft(hull, bone, shown)
    if size >= _SIDE:
        return np.asarray(cv2.resize(inside, (size, size), interpolation=cv2.INTER_NEAREST) > 0)
    share = cv2.resize(inside * 255, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(share == 255)  # a pixel that bone shares is bone


def _soft(inside: Any, bone: Any, shown: Any) -> Any:
    """What of the inside is neither bone nor its blurred edge nor air, without crumbs."""
    head = cv2.morphologyEx((shown > 8).astype(np.uint8), cv2.MORPH_CLOSE, _disc(7))
    kept = inside & _filled(head) & (1 - cv2.dilate(bone, _disc(5)))
    kept = cv2.morphologyEx(kept, cv2.MORPH_OPEN, _disc(7))
    _, _, stats, _ = cv2.connectedComponentsWithStats(kept)
    largest = stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    kept = _large(kept, max(_LEAST, 0.1 * largest))
    count, labels = cv2.connectedComponents(kept)
    for label in range(1, count):
        part = labels == label
        brain = (shown[part] >= _BRAIN[0]) & (shown[part] <= _BRAIN[1])
        if brain.mean() < _MOSTLY:
            kept[part] = 0
    return kept


def _large(mask: Any, least: float) -> Any:
    """The connected parts of more than `least` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = stats[:, cv2.CC_STAT_AREA] > least
    large[0] = False
    return large.astype(np.uint8)[labels]


def _filled(mask: Any) -> Any:
    """The mask with its holes."""
    outside = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside[1:-1, 1:-1] != 2).astype(np.uint8)


def _hull(mask: Any) -> Any:
    points = cv2.findNonZero(mask)
    return cv2.fillConvexPoly(np.zeros_like(mask), cv2.convexHull(points), 1)


def _disc(side: int) -> Any:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
