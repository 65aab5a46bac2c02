"""Fractures of any bone on films of the limbs (Ma and Luo 2020, Inform Med Unlocked 22:100452).

The paper's way in two stages: Faster R-CNN finds candidate regions, CrackNet, whose early layers
answer to lines, judges each; the film is positive if any region is. The modern way in one: a
detector of the fracture itself, which also judges the film as a whole. Both learn from the same
table, whose boxes (or outlines) enclose the fractures; a film without any is a healthy one.
"""

from __future__ import annotations

from radloop.systems.base import Preset
from radloop.systems.regions.system import RegionSystem
from radloop.systems.regions.tiny import tiny_preset
from radloop.training.recipe import Augmentation, Recipe

_FILM = Augmentation(
    rotation=25, shear=6, shift=0.08, zoom=1.35, stretch=1.1, elastic=0, mirror=0.5, gamma=1.8,
    bias=0.15, noise=0.03, blur=1.0, equalise=0.05, clahe=0.1, blocks=0.05, negatives=0,
)  # fmt: skip
_PAPER = Augmentation(
    rotation=10, shear=4, shift=0.05, zoom=1.2, stretch=1.0, elastic=0, mirror=0.5, gamma=1.2,
    bias=0, noise=0.02, blur=0, equalise=0, blocks=0, negatives=0,
)  # fmt: skip
_CROP = Augmentation(
    rotation=25, shear=6, shift=0.08, zoom=1.25, stretch=1.1, elastic=0, mirror=0.5, gamma=1.8,
    bias=0.15, noise=0.03, blur=1.0, equalise=0.05, clahe=0.1, blocks=0, negatives=0,
)  # fmt: skip

_ONE_STAGE = Recipe(
    size=320, cache_scale=1.0, batch=8, learning_rate=2e-3, weight_decay=5e-2, epochs=40,
    ema=0.998, validate_every=4, keep="last", encoder_rate=0.15, freeze=15, augmentation=_FILM,
)  # fmt: skip
_CRACKS = Recipe(
    size=128, cache_scale=1.3, batch=32, learning_rate=2e-3, weight_decay=5e-2, epochs=30,
    ema=0.998, validate_every=3, keep="last", augmentation=_CROP,
)  # fmt: skip


def _two_stage(classifier: str, summary: str, name: str) -> Preset:
    recipe = Recipe(**{**vars(_ONE_STAGE), "second": _CRACKS})
    return Preset(name, summary, f"yolox:tf_efficientnet_lite0+{classifier}", {}, recipe)


class BoneFracture(RegionSystem):
    """Is any bone on this film broken, and where?"""

    name = "bone_fracture"
    title = "Bone fracture"
    question = "Is there a fracture on this film of a limb, and where?"
    disease = "fracture"
    region = "fracture"
    presets = {
        "strong": Preset(
            "strong",
            "One stage: YOLOX on EfficientNet-Lite0 that also judges the film, 320 px",
            "yolox:tf_efficientnet_lite0",
            recipe=_ONE_STAGE,
        ),
        "two-stage": _two_stage(
            "cracknet", "Two stages: the same detector, then CrackNet on its candidates",
            "two-stage",
        ),
        "two-stage-plain": _two_stage(
            "cracknet-plain", "As `two-stage`, CrackNet without its Schmid filters",
            "two-stage-plain",
        ),
        "paper": Preset(
            "paper",
            "Faster R-CNN on ResNet-50, then CrackNet, 640 px",
            "faster_rcnn:resnet50+cracknet",
            {"crop": 128},
            Recipe(
                size=640, cache_scale=1.0, batch=4, learning_rate=2e-4, weight_decay=1e-4,
                epochs=40, ema=0.0, validate_every=2, bfloat16=False, augmentation=_PAPER,
                second=_CRACKS,
            ),
        ),
        "tiny": tiny_preset(_PAPER),
    }  # fmt: skip
