"""The first rule: of two boxes on one tooth only the surer one stays (Chen et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from radloop.measures.detection import box_overlap
from radloop.systems.jaw.tooth import Tooth

OVERLAP = 0.7
"""Boxes of any numbers that overlap more (IoU) are of one tooth."""


def drop_doubles(teeth: Sequence[Tooth], overlap: float = OVERLAP) -> tuple[Tooth, ...]:
    """The teeth that stay, by falling score: of any two whose boxes overlap by more than `overlap`
    (IoU), whatever their numbers, the one with the lower score goes."""
    kept: list[Tooth] = []
    for tooth in sorted(teeth, key=lambda t: -t.score):
        others = [other.corners for other in kept]
        if not kept or box_overlap([tooth.corners], others).max() <= overlap:
            kept.append(tooth)
    return tuple(kept)
