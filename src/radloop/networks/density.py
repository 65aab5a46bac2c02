"""What a reader measures by eye on a head CT: how dense the densest parts of the brain are, how far
above their surroundings, how far above the same place on the other side, and how large.

Nothing here is learned. An encoder pre-trained on photographs tells textures; that a lump of 60 HU
two centimetres wide is nowhere in healthy brain it does not know.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 128
LARGEST = (5, 20, 80, 320)
FINE, LUMP, BROAD, WIDE = 0.7, 1.5, 3.0, 6.0
_RANGE = (-25.0, 45.0)  # HU about the ground; beyond it is air, calcium or bone
_ABOVE_BRAIN = (12.0, 16.0, 20.0, 25.0)
_ABOVE_OTHER_SIDE = (5.0, 9.0, 14.0)


class Densities(nn.Module):
    """Numbers of every slice from its Hounsfield units, `(z, 1, y, x)` to `(z, COUNT)`.

    The slices show the brain alone, on a ground of its own median (`systems/head/brain.py`), and
    the head upright in the middle. They are measured on a grid of `SIDE` px, blurred by FINE, LUMP,
    BROAD and WIDE px, in HU above the ground. Of each of these maps the means of the `LARGEST`
    pixels are kept: the density; that above its wider surroundings; the lesser of it and its
    denser neighbouring slice; that above the other side; the lesser of density and that. Then
    come the logarithms of the areas above fixed limits.
    """

    COUNT = 13 * len(LARGEST) + 2 * len(_ABOVE_BRAIN) + len(_ABOVE_OTHER_SIDE)

    def forward(self, units: Tensor) -> Tensor:
        ground = units[..., :1, :1]  # the corner never shows brain
        small = F.adaptive_avg_pool2d(units - ground, SIDE).clamp(*_RANGE)
        fine, lump, broad, wide = (blur(small, sigma) for sigma in (FINE, LUMP, BROAD, WIDE))
        widest = blur(F.avg_pool2d(wide, 4), BROAD)  # as by 12 px, at a sixteenth of the cost
        widest = F.interpolate(widest, scale_factor=4.0, mode="bilinear", align_corners=False)
        below, above = torch.cat([lump[:1], lump[:-1]]), torch.cat([lump[1:], lump[-1:]])
        maps = [
            fine, lump, broad, fine - wide, lump - wide, broad - widest,
            torch.minimum(lump, torch.maximum(below, above)),
            *(one - one.flip(-1) for one in (fine, lump, broad, wide)),
            *(torch.minimum(one, one - one.flip(-1)) for one in (lump, broad)),
        ]  # fmt: skip
        numbers = []
        for one in maps:
            largest = one.flatten(1).topk(LARGEST[-1], dim=1).values
            numbers += [largest[:, :count].mean(1) for count in LARGEST]
        numbers += [_area(one, limit) for one in (lump, broad) for limit in _ABOVE_BRAIN]
        apart = (broad - broad.flip(-1)).abs()
        numbers += [_area(apart, limit) for limit in _ABOVE_OTHER_SIDE]
        return torch.stack(numbers, dim=1)


def blur(planes: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` px over planes `(n, 1, y, x)`, the edges continued."""
    radius = int(3 * sigma + 0.5)
    taps = torch.arange(-radius, radius + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum())[None, None]
    padded = F.pad(planes, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[..., None]), kernel[..., None, :])


def _area(one: Tensor, limit: float) -> Tensor:
    """Logarithm of the pixels above `limit` HU, counted softly."""
    return (torch.sigmoid((one - limit) * 2).sum((1, 2, 3)) + 1).log()
