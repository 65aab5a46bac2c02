"""Feature pyramids on any of timm's encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from radloop.errors import InputError


def encoder(name: str, strides: Sequence[int]) -> Any:
    """timm's network `name` without its head, giving the maps of these strides; one channel in.

    Weights are never fetched here (`training.weights` loads them when asked to).
    """
    try:
        whole: Any = timm.create_model(name, pretrained=False, features_only=True, in_chans=1)
        reductions = whole.feature_info.reduction()
        wanted = tuple(reductions.index(stride) for stride in strides)
        return timm.create_model(
            name, pretrained=False, features_only=True, in_chans=1, out_indices=wanted
        )
    except (RuntimeError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"timm has no encoder '{name}' with maps of strides {tuple(strides)}.",
            "Try resnet50, densenet121, inception_resnet_v2 or tf_efficientnet_lite0.",
        ) from error


class Block(nn.Sequential):
    """A 3x3 convolution, normalised. (Depthwise ones are the slower to train on a processor.)"""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(inplace=True),
        )


class PathAggregation(nn.Module):
    """Down from coarse to fine and up again (Liu et al. 2018, PANet), all maps `width` wide."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        steps = range(len(channels) - 1)
        self.down = nn.ModuleList(Block(width) for _ in steps)
        self.up = nn.ModuleList(Block(width, stride=2) for _ in steps)
        self.out = nn.ModuleList(Block(width) for _ in steps)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        laterals = [layer(x) for layer, x in zip(self.lateral, maps, strict=True)]
        for k in range(len(laterals) - 2, -1, -1):
            coarse = F.interpolate(laterals[k + 1], size=laterals[k].shape[-2:], mode="nearest")
            laterals[k] = self.down[k](laterals[k] + coarse)
        for k in range(len(laterals) - 1):
            laterals[k + 1] = self.out[k](laterals[k + 1] + self.up[k](laterals[k]))
        return laterals


def rare(share: float) -> float:
    """The bias at which a logit says `share`: heads start by finding next to nothing."""
    return -math.log((1 - share) / share)
