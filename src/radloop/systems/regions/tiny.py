"""The preset `tiny` of systems of regions: for tests and first steps."""

from __future__ import annotations

from dataclasses import replace

from radloop.systems.base import Preset
from radloop.training.recipe import Augmentation, Recipe


def tiny_preset(augmentation: Augmentation) -> Preset:
    """Both stages as small as they can be, so that a training takes seconds on a processor."""
    detector = Recipe(
        size=96, cache_scale=1.0, batch=8, learning_rate=5e-3, epochs=15, ema=0.9,
        validate_every=5, keep="last", bfloat16=False, augmentation=augmentation,
    )  # fmt: skip
    return Preset(
        "tiny",
        "Seconds on a processor: for tests and first steps, not for use",
        "yolox:mobilenetv3_small_050+cracknet",
        {"detector": {"width": 16, "depth": 1}, "classifier": {"widths": (13, 13, 26)}, "crop": 32},
        replace(detector, second=replace(detector, size=32, cache_scale=1.25, batch=16)),
    )
