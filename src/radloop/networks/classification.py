"""Classifiers by name: CrackNet, ours, and every network of timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from radloop.errors import InputError
from radloop.networks.cracknet import CrackNet
from radloop.networks.registry import Standardised


class TimmClassifier(nn.Module):
    """timm's network `name` with a new head; one channel in. Weights are never fetched here."""

    def __init__(self, name: str, classes: int, dropout: float) -> None:
        import timm

        super().__init__()
        self.encoder_name = name
        self.encoder = timm.create_model(
            name, pretrained=False, in_chans=1, num_classes=classes, drop_rate=dropout
        )

    def forward(self, x: Any) -> Any:
        return self.encoder(x)


def build_classifier(name: str, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The named network from `(n, 1, y, x)` in 0..255 to logits `(n, classes)`: `cracknet`,
    `cracknet-plain` (without its Schmid filters) or a name of timm (`inception_v4`, `densenet121`).

    Raises InputError for an unknown name or an option it does not take.
    """
    try:
        if name in ("cracknet", "cracknet-plain"):
            return Standardised(CrackNet(classes, schmid=name == "cracknet", **options))
        return Standardised(TimmClassifier(name, classes, **{"dropout": 0.3, **options}))
    except TypeError as error:
        raise InputError(f"Network '{name}' does not take these options: {error}.") from error
    except RuntimeError as error:
        raise InputError(
            f"There is no classifier '{name}'.", "Known: cracknet, cracknet-plain, timm's names."
        ) from error
