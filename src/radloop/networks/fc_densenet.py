"""FC-DenseNet, "The One Hundred Layers Tiramisu" (Jegou et al. 2017, arXiv 1611.09326).

Written from the paper's tables 1 and 2. A *layer* is batch normalisation, ReLU, 3x3 convolution to
`growth` maps and dropout .2; a *dense block* feeds each of its layers the maps of all before it.
Going down, a block's input is kept beside its new maps; going up, only the maps that the last
block *made* are upsampled, and the skip from the encoder is put beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DenseLayer(nn.Sequential):
    """Batch normalisation, ReLU, 3x3 convolution to `growth` maps, dropout."""

    def __init__(self, channels: int, growth: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=False),
            nn.Conv2d(channels, growth, 3, padding=1),
            nn.Dropout2d(dropout),
        )


class DenseBlock(nn.Module):
    """`layers` dense layers; returns only the `layers * growth` maps that it made."""

    def __init__(self, channels: int, growth: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DenseLayer(channels + k * growth, growth, dropout) for k in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        made: list[Tensor] = []
        for layer in self.layers:
            made.append(layer(torch.cat([x, *made], dim=1)))
        return torch.cat(made, dim=1)


class TransitionDown(nn.Sequential):
    """Batch normalisation, ReLU, 1x1 convolution, dropout, 2x2 max-pooling."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Dropout2d(dropout),
            nn.MaxPool2d(2),
        )


class FCDenseNet(nn.Module):
    """Fully convolutional DenseNet.

    layers: dense layers in each block going down; `bottleneck`: in the coarsest block; the way up
    mirrors the way down. growth: maps a layer makes (12 or 16). first: maps of the first
    convolution (48). Input `(n, channels_in, y, x)`, y and x divisible by `2 ** len(layers)`;
    output logits `(n, classes, y, x)`.
    """

    def __init__(
        self,
        channels_in: int = 3,
        classes: int = 11,
        layers: Sequence[int] = (4, 5, 7, 10, 12),
        bottleneck: int = 15,
        growth: int = 16,
        first: int = 48,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, first, 3, padding=1)
        channels = first
        skips: list[int] = []
        self.down_blocks = nn.ModuleList()
        self.downs = nn.ModuleList()
        for count in layers:
            self.down_blocks.append(DenseBlock(channels, growth, count, dropout))
            channels += count * growth
            skips.append(channels)
            self.downs.append(TransitionDown(channels, dropout))
        self.bottleneck = DenseBlock(channels, growth, bottleneck, dropout)
        made = bottleneck * growth
        self.ups = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        for count in reversed(layers):
            self.ups.append(
                nn.ConvTranspose2d(made, made, 3, stride=2, padding=1, output_padding=1)
            )
            channels = made + skips.pop()
            self.up_blocks.append(DenseBlock(channels, growth, count, dropout))
            made = count * growth
        # The last block keeps its input beside its maps (256 maps before the head in table 2).
        self.head = nn.Conv2d(channels + made, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skips: list[Tensor] = []
        for block, down in zip(self.down_blocks, self.downs, strict=True):
            x = torch.cat([x, block(x)], dim=1)
            skips.append(x)
            x = down(x)
        made = self.bottleneck(x)
        for up, block in zip(self.ups, self.up_blocks, strict=True):
            x = torch.cat([up(made), skips.pop()], dim=1)
            made = block(x)
        logits: Tensor = self.head(torch.cat([x, made], dim=1))
        return logits


def fc_densenet56(channels_in: int = 3, classes: int = 11, **options: float) -> FCDenseNet:
    """56 layers: 4 a block, growth 12; 1.5 million parameters in the paper."""
    return FCDenseNet(channels_in, classes, (4,) * 5, 4, 12, **options)  # type: ignore[arg-type]


def fc_densenet67(channels_in: int = 3, classes: int = 11, **options: float) -> FCDenseNet:
    """67 layers: 5 a block, growth 16; 3.5 million parameters in the paper."""
    return FCDenseNet(channels_in, classes, (5,) * 5, 5, 16, **options)  # type: ignore[arg-type]


def fc_densenet103(channels_in: int = 3, classes: int = 11, **options: float) -> FCDenseNet:
    """103 layers: 4, 5, 7, 10, 12, 15 a block, growth 16; 9.4 million parameters in the paper."""
    return FCDenseNet(channels_in, classes, **options)  # type: ignore[arg-type]
