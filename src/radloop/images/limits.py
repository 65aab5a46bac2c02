"""How large and how small an image may be; checked from the header, before pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from radloop.images.verdict import Refusal


@dataclass(frozen=True)
class ReadLimits:
    """max_pixels: rows times columns, against memory exhaustion. min_side: px, of either side.
    max_voxels: of a volume."""

    max_pixels: int = 100_000_000
    min_side: int = 32
    max_voxels: int = 1_000_000_000


DEFAULT_LIMITS = ReadLimits()
VOLUME_LIMITS = ReadLimits(min_side=2)


def check_size(rows: int, columns: int, limits: ReadLimits) -> None:
    """Raises Refusal ("too_small", "too_many_pixels")."""
    if min(rows, columns) < limits.min_side:
        raise Refusal(
            "too_small",
            f"The image has only {columns} x {rows} px, at least {limits.min_side} on each side "
            "are needed. Give the original film, not a thumbnail.",
        )
    if rows * columns > limits.max_pixels:
        raise Refusal(
            "too_many_pixels",
            f"The image claims {columns} x {rows} px, more than the limit of "
            f"{limits.max_pixels / 1e6:g} million, and was not decoded. Give a smaller export.",
        )
