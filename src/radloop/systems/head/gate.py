"""Is this a scan on which a bleed can be looked for? Each refusal has a name and a remedy."""

from __future__ import annotations

import re

import cv2
import numpy as np
import numpy.typing as npt

from radloop.images.image import Image
from radloop.images.verdict import ACCEPTED, Verdict, refused, warned
from radloop.systems.head.scale import brain_window

FEWEST_SLICES = 8
THICKEST = 8.0
_FEWEST_RINGED = 3
_DIRECTIONS = 72
_WIDTH = (105.0, 260.0)
_BONE_KERNEL = re.compile(
    r"BONE|EDGE|SHARP|^(B|H|U|J|HR|BR)[67]\d|^FC(30|8\d)|^Y[DE]$", re.IGNORECASE
)
_NO_HEAD = ("Give a CT scan of the head without contrast, axial, from the base of the skull to its"
            " top.")  # fmt: skip


def examine_file(image: Image) -> Verdict:
    """What the file says of itself."""
    facts = image.acquisition
    z = image.array.shape[0]
    if image.modality not in ("CT", "unknown"):
        return refused("not_ct", f"This is {image.modality}, not CT. {_NO_HEAD}")
    if z < FEWEST_SLICES:
        return refused(
            "too_few_slices", f"The scan has {z} slices, fewer than {FEWEST_SLICES}. {_NO_HEAD}"
        )
    if facts.get("contrast"):
        return refused(
            "contrast",
            "The file says that contrast was given: it is as dense as blood. Give the scan that was"
            " taken before.",
        )
    verdict = ACCEPTED
    kernel = str(facts.get("kernel", ""))
    if _BONE_KERNEL.search(kernel):
        return refused(
            "bone_kernel",
            f"The scan was reconstructed for bone (kernel {kernel}): its noise hides blood. Give"
            " the series with the soft-tissue kernel.",
        )
    spacing = image.geometry.spacing
    if spacing is not None and spacing[0] > THICKEST:
        verdict = warned(
            "thick_slices",
            f"The slices are {spacing[0]:.1f} mm apart: small bleeds may lie between them.",
        )
    return verdict


def examine_head(stack: npt.NDArray[np.uint8], width_mm: float | None) -> Verdict:
    """What the prepared slices `(z, size, size)` show. width_mm: of the head, where known."""
    ringed = sum(shows_a_skull(one) for one in stack)
    if ringed < _FEWEST_RINGED:
        return refused(
            "not_a_head", f"A skull was found in {ringed} of {len(stack)} slices. {_NO_HEAD}"
        )
    if width_mm is not None and not _WIDTH[0] <= width_mm <= _WIDTH[1]:
        return refused(
            "not_a_head",
            f"What looks like a head would be {width_mm:.0f} mm long. {_NO_HEAD}",
        )
    return ACCEPTED


def shows_a_skull(greys: npt.NDArray[np.uint8], directions: float = 0.9) -> bool:
    """Whether an upright slice `(size, size)` shows brain in a ring of bone.

    From the middle outwards that share of the directions meets bone, and what lies before it is
    soft. A gap, as an infant's sutures or an operation leave, does no harm.
    """
    radius = greys.shape[0] // 2
    middle = (greys.shape[0] - 1) / 2
    polar = cv2.warpPolar(
        brain_window(greys), (radius, _DIRECTIONS), (middle, middle), radius, cv2.INTER_LINEAR
    )
    bone = polar >= 200
    bone[:, : radius // 5] = False  # what is dense in the middle is no skull
    meets = bone.any(1)
    if meets.mean() < directions:
        return False
    before = np.arange(radius) < 0.8 * np.where(meets, bone.argmax(1), 0)[:, None]
    soft = (polar[before] > 50) & (polar[before] < 215)
    return bool(soft.mean() >= 0.8)
