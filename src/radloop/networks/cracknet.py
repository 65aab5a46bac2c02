"""CrackNet, the Crack-Sensitive CNN of Ma and Luo (2020, Inform Med Unlocked 22:100452).

Its early convolutions are modulated by Schmid filters: rotation-invariant rings that answer to
lines of any direction, as a crack in a bone is one. The bank is the standard one of Schmid (2001,
CVPR) with 13 filters, `F(r) = cos(2 pi tau r / sigma) exp(-r^2 / 2 sigma^2)`, each made zero-mean
and of L1 norm 1. They are fixed; what is learned is the convolution they are multiplied with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCHMID_BANK: tuple[tuple[float, float], ...] = (
    (2, 1), (4, 1), (4, 2), (6, 1), (6, 2), (6, 3), (8, 1), (8, 2), (8, 3), (10, 1), (10, 2),
    (10, 3), (10, 4),
)  # fmt: skip
"""(sigma, tau) of the standard bank (Varma and Zisserman 2005)."""


def schmid_filter(sigma: float, tau: float, size: int) -> Tensor:
    """One filter, `(size, size)`: zero-mean, L1 norm 1. Raises ValueError for an even size."""
    if size % 2 == 0:
        raise ValueError(f"a filter has a middle: its size is odd, not {size}")
    steps = torch.arange(size, dtype=torch.float64) - size // 2
    r = (steps[:, None] ** 2 + steps**2).sqrt()
    ring = torch.cos(2 * math.pi * tau * r / sigma) * torch.exp(-(r**2) / (2 * sigma**2))
    ring = ring - ring.mean()
    return (ring / ring.abs().sum()).float()


def schmid_bank(size: int) -> Tensor:
    """The 13 filters, `(13, size, size)`."""
    return torch.stack([schmid_filter(sigma, tau, size) for sigma, tau in SCHMID_BANK])


class SchmidConv(nn.Module):
    """A convolution whose kernels are learned ones times the fixed filters (as Gabor networks do
    it, Luan et al. 2018): output channel `k` is modulated by filter `k mod 13`.

    A filter of this size fades below what a kernel of another scale needs, so each is scaled to a
    mean absolute value of 1, which leaves the learned kernel's own scale as it is.
    """

    def __init__(self, channels_in: int, channels: int, size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, size, stride, size // 2, bias=False)
        bank = schmid_bank(size) * size**2
        rows = torch.arange(channels) % len(bank)
        self.filters: Tensor
        self.register_buffer("filters", bank[rows][:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        c = self.conv
        return F.conv2d(x, c.weight * self.filters, None, c.stride, c.padding)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016), the first with `stride`."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self.same = (
            nn.Identity()
            if stride == 1 and channels_in == channels
            else nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.same(x))


class CrackNet(nn.Module):
    """Films or crops `(n, 1, y, x)` to logits `(n, classes)`.

    widths: channels of the stages, the first of which are two Schmid convolutions. schmid: without,
    these are plain convolutions of the same size, for the comparison of the two.
    """

    def __init__(
        self, classes: int = 1, widths: Sequence[int] = (26, 52, 104, 208), size: int = 7,
        dropout: float = 0.3, schmid: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        first, second, *others = widths

        def early(channels_in: int, channels: int) -> list[nn.Module]:
            layer: nn.Module = (
                SchmidConv(channels_in, channels, size, 2)
                if schmid
                else nn.Conv2d(channels_in, channels, size, 2, size // 2, bias=False)
            )
            return [layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]

        layers = [*early(1, first), *early(first, second)]
        channels = second
        for width in (second, *others):
            layers.append(Residual(channels, width, 1 if width == channels else 2))
            channels = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x).mean((2, 3)))
