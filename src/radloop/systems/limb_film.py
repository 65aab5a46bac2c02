"""Four questions about a film of a limb (Olczak et al. 2017, Acta Orthop 88:581).

Is there a fracture, which part of the body is it, which side, and from where was it taken: one
network answers all four from the whole film, shown at 256 px. Those are asked that the training
cases answer, so that films without a known side or view are of use. The paper took five stock
networks, of which VGG-16 was the best on fractures.
"""

from __future__ import annotations

from dataclasses import replace

from radloop.systems.base import Preset
from radloop.systems.films.questions import Question
from radloop.systems.films.system import FilmSystem
from radloop.systems.films.tiny import tiny_preset
from radloop.training.recipe import Augmentation, Recipe

_FILM = Augmentation(
    rotation=25, shear=6, shift=0.08, zoom=1.3, stretch=1.1, elastic=0, mirror=0.5, gamma=1.8,
    bias=0.15, noise=0.03, blur=1.0, equalise=0.05, clahe=0.1, blocks=0.05, negatives=0,
)  # fmt: skip
_PLAIN = Augmentation(
    rotation=0, shear=0, shift=0.08, zoom=1.15, stretch=1.0, elastic=0, mirror=0.5, gamma=1.0,
    bias=0, noise=0, blur=0, equalise=0, blocks=0, negatives=0,
)  # fmt: skip
_STRONG = Recipe(
    size=256, cache_scale=1.15, batch=16, learning_rate=2e-3, weight_decay=5e-2, epochs=30,
    ema=0.99, validate_every=5, keep="last", encoder_rate=0.2, freeze=30, bfloat16=False,
    augmentation=_FILM,
)  # fmt: skip


class LimbFilm(FilmSystem):
    """Fracture, body part, side and view, from one network."""

    name = "limb_film"
    title = "Film of a limb"
    question = "Is there a fracture, which body part and side is this, and which view?"
    asked = (
        Question("fracture"),
        Question("body_part", of_table=True),
        Question("laterality", ("left", "right")),
        Question("view", of_table=True),
    )
    presets = {
        "strong": Preset(
            "strong", "EfficientNet-Lite0, 256 px",
            "tf_efficientnet_lite0", {"dropout": 0.3}, _STRONG,
        ),
        "paper": Preset(
            "paper", "VGG-16, 256 px, as Olczak et al. 2017", "vgg16", {"dropout": 0.5},
            replace(_STRONG, cache_scale=1.0, learning_rate=1e-4, weight_decay=5e-4, ema=0.0,
                    encoder_rate=1.0, freeze=0, augmentation=_PLAIN),
        ),
        "tiny": tiny_preset(_PLAIN),
    }  # fmt: skip
