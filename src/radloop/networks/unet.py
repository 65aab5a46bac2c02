"""2D U-Net (Ronneberger et al. 2015, arXiv 1505.04597).

Two forms on one module: the paper's own (unpadded or padded 3x3 convolutions, no normalisation)
and the lean one that the shipped model uses (batch normalisation, a strided stem, one convolution
a decoder level), which spends its multiplications on coarse levels, where the shape is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """`n` times (3x3 convolution, batch normalisation if asked for, ReLU)."""

    def __init__(self, channels_in: int, channels_out: int, n: int = 2, norm: bool = True) -> None:
        layers: list[nn.Module] = []
        for k in range(n):
            source = channels_in if k == 0 else channels_out
            layers.append(nn.Conv2d(source, channels_out, 3, padding=1, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(channels_out))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity (He et al. 2016), dropout between them."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, n=1)
        self.dropout = nn.Dropout2d(dropout)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.dropout(self.first(x))))


class UNet(nn.Module):
    """The paper's U-Net with padded convolutions, so that the output has the input's size.

    widths: channels a level, finest first; the paper's are (64, 128, 256, 512, 1024), which gives
    its 31.0 million parameters. Input `(n, channels_in, y, x)` with y and x divisible by
    `2 ** (len(widths) - 1)`; output logits `(n, classes, y, x)`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 2,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        norm: bool = True,
    ) -> None:
        super().__init__()
        sources = (channels_in, *widths[:-1])
        self.encoder = nn.ModuleList(
            ConvBlock(a, b, norm=norm) for a, b in zip(sources, widths, strict=True)
        )
        coarse_to_fine = list(widths[::-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairwise(coarse_to_fine)
        )
        self.decoder = nn.ModuleList(ConvBlock(2 * b, b, norm=norm) for b in coarse_to_fine[1:])
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1))
        head: Tensor = self.head(x)
        return head


class LeanUNet(nn.Module):
    """A U-Net for fast reading: strided stem, residual coarse levels, additive skips.

    The stem and the head work on `stem x stem` blocks of pixels (a strided convolution in, a
    transposed one out), so no convolution runs at full resolution; the coarsest levels, which see
    the whole film and cost little, get the depth. Skips are added, not concatenated (LinkNet,
    Chaurasia 2017), which halves the decoder.

    widths: channels a level, finest first. blocks: residual blocks a level of the encoder.
    Input `(n, channels_in, y, x)`, y and x divisible by `stem * 2 ** (len(widths) - 1)`; output
    logits `(n, classes, y, x)`.
    """

    def __init__(
        self,
        channels_in: int = 1,
        classes: int = 2,
        widths: Sequence[int] = (24, 32, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 1, 2, 2),
        stem: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in, widths[0], 2 * stem + 1, stride=stem, padding=stem, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        sources = (widths[0], *widths[:-1])
        self.encoder = nn.ModuleList(
            nn.Sequential(
                nn.Identity() if level == 0 else self._down(sources[level], widths[level]),
                *(ResidualBlock(widths[level], dropout) for _ in range(blocks[level])),
            )
            for level in range(len(widths))
        )
        coarse_to_fine = list(widths[::-1])
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b), nn.Upsample(scale_factor=2.0)
            )
            for a, b in pairwise(coarse_to_fine)
        )
        self.decoder = nn.ModuleList(ConvBlock(b, b, n=1) for b in coarse_to_fine[1:])
        self.head = nn.ConvTranspose2d(widths[0], classes, 2 * stem, stride=stem, padding=stem // 2)

    @staticmethod
    def _down(channels_in: int, channels_out: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(up(x) + skips.pop())
        head: Tensor = self.head(x)
        return head
