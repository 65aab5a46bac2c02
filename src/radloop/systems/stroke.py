"""Stroke lesions on multimodal brain MRI: where, how large, on which side?

Any set of channels (DWI, ADC, FLAIR, T2, T1, perfusion maps). `paper` is the SUNet of Clerigues et
al. 2020 (arXiv 1810.13304): residual 3D U-Net on small balanced patches, each channel beside its
mirror image, focal loss with dynamic weights. `strong` reads larger patches with deep supervision.
"""

from __future__ import annotations

from radloop.systems.base import Preset
from radloop.systems.lesions.system import LesionSystem
from radloop.training.recipe import Augmentation, Recipe

_AUGMENTATION = Augmentation(
    rotation=20, zoom=1.2, mirror=0.5, gamma=1.25, bias=0.2, noise=0.15, blur=0.8
)
_NONE = Augmentation(rotation=0, zoom=1.0, mirror=0.0, gamma=1.0, bias=0.0, noise=0.0, blur=0.0)


class Stroke(LesionSystem):
    """Are there ischemic lesions in this brain, where, and how large?"""

    name = "stroke"
    title = "Stroke lesions"
    question = "Are there ischemic lesions on this brain MRI, on which side, and how large?"
    leading = ("dwi", "adc", "flair")
    finding = "stroke_lesion"
    presets = {
        "strong": Preset(
            "strong",
            "3D U-Net (DynUNet) with deep supervision, patches of 48x48x48, Dice and cross-entropy",
            "dynunet",
            {
                "filters": [16, 32, 64, 96],
                "deep_supervision": 2,
                "patch": [48, 48, 48],
                "window": [96, 112, 96],
                "loss": "ce+dice",
                "drop": 0.1,
            },
            Recipe(
                size=48, batch=2, learning_rate=2e-3, weight_decay=1e-2, epochs=200, repeats=8,
                validate_every=1000, keep="last", ema=0.995, cache_scale=1.0, bfloat16=False,
                augmentation=_AUGMENTATION,
            ),
        ),
        "paper": Preset(
            "paper",
            "SUNet: residual 3D U-Net with mirrored channels, patches of 16x24x24, focal loss with"
            " dynamic weights, Adadelta",
            "sunet",
            {
                "patch": [16, 24, 24],
                "mirrored": True,
                "loss": "focal-dynamic",
            },
            Recipe(
                size=24, batch=16, learning_rate=1.0, weight_decay=0.0, optimizer="adadelta",
                epochs=200, repeats=64, patience=8, validate_every=1, ema=0.0, cache_scale=1.0,
                bfloat16=False, augmentation=_NONE,
            ),
        ),
        "tiny": Preset(
            "tiny",
            "Seconds on a processor: for tests and first steps, not for use",
            "dynunet",
            {
                "filters": [8, 16, 32],
                "deep_supervision": 1,
                "patch": [16, 16, 16],
                "finest": 2.0,
                "loss": "ce+dice",
                "drop": 0.1,
            },
            Recipe(
                size=16, batch=4, learning_rate=5e-3, epochs=20, repeats=8, validate_every=1000,
                keep="last", ema=0.9, cache_scale=1.0, bfloat16=False, augmentation=_AUGMENTATION,
            ),
        ),
    }  # fmt: skip
