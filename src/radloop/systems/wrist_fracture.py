"""Distal radius fracture on films of the wrist (Gan et al. 2019, Acta Orthop 90:394).

Faster R-CNN finds the region of the distal radius; Inception-v4 looks at the crop, at the film's
own resolution, and decides. The table's boxes enclose the region, broken or not; whether it is
broken says the table's label `wrist_fracture`, or the class of the box. A film on which no wrist is
found has that as its finding. Histograms are equalised, since several machines feed the system.
"""

from __future__ import annotations

import re

from radloop.measures.spec import MeasureSpec
from radloop.systems.base import Preset
from radloop.systems.regions.measures import DECISION, REGIONS
from radloop.systems.regions.system import RegionSystem
from radloop.systems.regions.tiny import tiny_preset
from radloop.training.recipe import Augmentation, Recipe

_PAPER = Augmentation(
    rotation=15, shear=8, shift=0.08, zoom=1.2, stretch=1.0, elastic=0, mirror=0.5, gamma=1.0,
    bias=0, noise=0, blur=0, equalise=0, blocks=0, negatives=0,
)  # fmt: skip
_WIDE = Augmentation(
    rotation=25, shear=8, shift=0.08, zoom=1.35, stretch=1.1, elastic=0, mirror=0.5, gamma=1.6,
    bias=0.15, noise=0.03, blur=1.0, equalise=0, clahe=0.1, blocks=0.05, negatives=0,
)  # fmt: skip

_HEALTHY = re.compile(r"\b(no|not|non|without|normal|healthy|negative|intact)\b", re.IGNORECASE)
_BROKEN = re.compile(r"fractur|broken|positive", re.IGNORECASE)


def _share_found(values: object) -> float:
    import numpy as np

    return float(np.mean(np.asarray(values, np.float64)))


class WristFracture(RegionSystem):
    """Is the distal radius broken?"""

    name = "wrist_fracture"
    title = "Distal radius fracture"
    question = "Is there a fracture of the distal radius on this film of the wrist?"
    disease = "wrist_fracture"
    region = "wrist"
    contrast = "equalise"
    margin = 0.15
    certain = 0.3
    measures = (
        *DECISION,
        MeasureSpec("region_found", ("region_found",), _share_found, "Films with a wrist found"),
        *REGIONS,
    )
    presets = {
        "strong": Preset(
            "strong",
            "YOLOX on EfficientNet-Lite0 finds the wrist, EfficientNet-Lite0 judges it",
            "yolox:tf_efficientnet_lite0+tf_efficientnet_lite0",
            {"crop": 192},
            Recipe(
                size=320, cache_scale=1.0, batch=8, learning_rate=1e-3, weight_decay=5e-2,
                epochs=40, ema=0.99, validate_every=5, keep="last", encoder_rate=0.3, freeze=15,
                augmentation=_WIDE,
                second=Recipe(
                    size=192, cache_scale=1.25, batch=16, learning_rate=1e-3, weight_decay=5e-2,
                    epochs=40, ema=0.99, validate_every=5, keep="last", encoder_rate=0.2,
                    augmentation=_WIDE,
                ),
            ),
        ),
        "paper": Preset(
            "paper",
            "Faster R-CNN on ResNet-50 finds the wrist, Inception-v4 judges it (Gan et al. 2019)",
            "faster_rcnn:resnet50+inception_v4",
            {"crop": 299},
            Recipe(
                size=512, cache_scale=1.0, batch=4, learning_rate=2e-4, weight_decay=1e-4,
                epochs=40, ema=0.0, validate_every=2, bfloat16=False, augmentation=_PAPER,
                second=Recipe(
                    size=299, cache_scale=1.25, batch=16, learning_rate=3e-4, weight_decay=1e-4,
                    epochs=40, ema=0.0, validate_every=2, augmentation=_PAPER,
                ),
            ),
        ),
        "few": Preset(
            "few",
            "As `paper`, for few films: the detector's last layers learn first, then all of it",
            "torchvision:fasterrcnn_resnet50_fpn+inception_v4",
            {"crop": 299},
            Recipe(
                size=512, cache_scale=1.0, batch=4, learning_rate=1e-4, weight_decay=1e-4,
                epochs=20, ema=0.0, validate_every=2, bfloat16=False, freeze=-20, thaw=0.5,
                augmentation=_PAPER,
                second=Recipe(
                    size=299, cache_scale=1.25, batch=16, learning_rate=3e-4, weight_decay=1e-4,
                    epochs=40, ema=0.0, validate_every=2, augmentation=_PAPER,
                ),
            ),
        ),
        "tiny": tiny_preset(_PAPER),
    }  # fmt: skip

    def diseased(self, label: str) -> bool | None:
        if _HEALTHY.search(label):
            return False
        return True if _BROKEN.search(label) else None
