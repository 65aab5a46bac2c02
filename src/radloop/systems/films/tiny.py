"""The preset `tiny` of systems of whole films: for tests and first steps."""

from __future__ import annotations

from radloop.systems.base import Preset
from radloop.training.recipe import Augmentation, Recipe


def tiny_preset(augmentation: Augmentation, network: str = "test_efficientnet") -> Preset:
    """As small as a network of timm can be, so that a training takes seconds on a processor."""
    return Preset(
        "tiny",
        "Seconds on a processor: for tests and first steps, not for use",
        network,
        {"dropout": 0.0},
        Recipe(
            size=64, cache_scale=1.0, batch=8, learning_rate=5e-3, epochs=20, ema=0.9,
            validate_every=5, keep="last", bfloat16=False, augmentation=augmentation,
        ),
    )  # fmt: skip
