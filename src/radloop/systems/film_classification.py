"""Any questions about whole films: those that the labels of your case table answer.

Every label `label:<name>` is a question with yes or no, every group of labels
`label:<name>:<class>` one with several answers. What a label means is not known here, and so the
presets do not mirror films, but for `mirror`, which exchanges "left" and "right" in names and is
refused where a question has but one of them.
"""

from __future__ import annotations

from dataclasses import replace

from radloop.systems.base import Preset
from radloop.systems.films.system import FilmSystem
from radloop.systems.films.tiny import tiny_preset
from radloop.training.recipe import Augmentation, Recipe

_FILM = Augmentation(
    rotation=15, shear=5, shift=0.08, zoom=1.25, stretch=1.1, elastic=0, mirror=0.0, gamma=1.6,
    bias=0.15, noise=0.03, blur=1.0, equalise=0.05, clahe=0.1, blocks=0.05, negatives=0,
)  # fmt: skip
_STRONG = Recipe(
    size=256, cache_scale=1.15, batch=16, learning_rate=2e-3, weight_decay=5e-2, epochs=30,
    ema=0.99, validate_every=5, keep="last", encoder_rate=0.2, freeze=30, bfloat16=False,
    augmentation=_FILM,
)  # fmt: skip
_LITE = "tf_efficientnet_lite0"


class FilmClassification(FilmSystem):
    """The questions of a case table."""

    name = "film_classification"
    title = "Film classification"
    question = "What do the labels of your own case table ask of a film?"
    presets = {
        "strong": Preset(
            "strong", "EfficientNet-Lite0, 256 px", _LITE, {"dropout": 0.3}, _STRONG
        ),
        "equalise": Preset(
            "equalise", "As `strong`, the histogram of every film equalised", _LITE,
            {"dropout": 0.3, "contrast": "equalise"}, _STRONG,
        ),
        "clahe": Preset(
            "clahe", "As `strong`, every film equalised by tiles (CLAHE)", _LITE,
            {"dropout": 0.3, "contrast": "clahe"}, _STRONG,
        ),
        "mirror": Preset(
            "mirror", "As `strong`, with mirrored films: left and right in names change places",
            _LITE, {"dropout": 0.3}, replace(_STRONG, augmentation=replace(_FILM, mirror=0.5)),
        ),
        "transformer": Preset(
            "transformer", "ViT-S/16, 224 px, for thousands of films or pre-trained weights",
            "vit_small_patch16_224", {"dropout": 0.1},
            replace(_STRONG, size=224, learning_rate=3e-4, encoder_rate=0.1, freeze=0),
        ),
        "tiny": tiny_preset(replace(_FILM, rotation=5, gamma=1.0, bias=0, blocks=0, clahe=0)),
    }  # fmt: skip
