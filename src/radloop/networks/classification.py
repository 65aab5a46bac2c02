"""Classifiers by name: CrackNet, ours, and every network of timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

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


class FilmClassifier(nn.Module):
    """timm's network `name` as the trunk of several heads; one channel in. Weights are never
    fetched here.

    The heads are one linear layer on the pooled features: its rows are those of all questions.
    size: side of the film, px, for networks that are built for one (ViT). Layers of normalisation
    whose parameters are frozen keep their statistics, too.
    """

    def __init__(
        self, name: str, outputs: int, size: int, dropout: float = 0.3, **own: Any
    ) -> None:
        import timm

        super().__init__()
        self.encoder_name = name
        fixed = timm.get_pretrained_cfg_value(name, "fixed_input_size")
        own = {**own, "img_size": size} if fixed else own
        self.encoder = timm.create_model(
            name, pretrained=False, in_chans=1, num_classes=0, **own
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(self.encoder.head_hidden_size), outputs)  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> FilmClassifier:
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                frozen = module.weight is not None and not module.weight.requires_grad
                module.train(mode and not frozen)
        return self

    def forward(self, x: Any) -> Any:
        features: Tensor = self.encoder(x)
        return self.head(self.dropout(features))


def build_film_classifier(
    name: str, outputs: int, size: int, options: Mapping[str, Any]
) -> nn.Module:
    """The named network of timm (`resnet50`, `densenet121`, `inception_v4`, `inception_resnet_v2`,
    `vit_small_patch16_224`, `convnext_tiny`, ...) from films `(n, 1, size, size)` in 0..255 to
    logits `(n, outputs)`.

    Raises InputError for an unknown name, an option it does not take, and a size it cannot have.
    """
    import timm

    if not timm.is_model(name):
        raise InputError(
            f"There is no classifier '{name}'.", "Known: the names of timm's models, as 'resnet50'."
        )
    try:
        return Standardised(FilmClassifier(name, outputs, size, **options))
    except (TypeError, AssertionError, ValueError) as error:
        raise InputError(
            f"Network '{name}' cannot be built for films of {size} px: {error}.",
            "Choose another network or preset.",
        ) from error
