"""Augmentation of a film together with its label map, as `torchvision.transforms.v2` transforms.

Images are float32 `(1, y, x)` in 0..1, label maps uint8 `(1, y, x)`, soft labels float32
`(classes - 1, y, x)`; they travel as tv_tensors (`Image`, `Mask`, `SoftMask`) so that every
transform moves them together. Random numbers come from torch's global generator, which the data
set seeds for each film of each epoch: a resumed training sees the films that an uninterrupted one
would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from radloop.training.recipe import Augmentation


class SoftMask(tv_tensors.TVTensor):
    """Probabilities of the foreground classes, float32 `(classes - 1, y, x)` in 0..1."""

    def __new__(cls, data: Tensor) -> SoftMask:
        """The same memory under another name, as torchvision's own kinds do it."""
        return data.as_subclass(cls)


def uniform(low: float, high: float) -> float:
    """A number between `low` and `high`, from torch's global generator."""
    return low + (high - low) * torch.rand(()).item()


def log_uniform(factor: float) -> float:
    """Between `1 / factor` and `factor`, evenly in the logarithm."""
    return math.exp(uniform(-1.0, 1.0) * math.log(factor))


class Warp(v2.Transform):
    """Rotation, shear, shift, zoom, stretch and elastic deformation in one resampling to `size`.

    Images and soft labels are resampled bilinearly (beyond the edge: black, background), label
    maps to the nearest sample.
    """

    def __init__(self, size: int, config: Augmentation) -> None:
        super().__init__()
        self.size = size
        self.config = config

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        c = self.config
        angle = math.radians(uniform(-c.rotation, c.rotation))
        shear = math.tan(math.radians(uniform(-c.shear, c.shear)))
        zoom, stretch = 1.0 / log_uniform(c.zoom), math.sqrt(log_uniform(c.stretch))
        cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
        matrix = torch.tensor(
            [
                [cos * stretch, (shear * cos - sin) / stretch, 2 * uniform(-c.shift, c.shift)],
                [sin * stretch, (shear * sin + cos) / stretch, 2 * uniform(-c.shift, c.shift)],
            ]
        )
        grid = F.affine_grid(matrix[None], [1, 1, self.size, self.size], align_corners=False)
        if c.elastic > 0:
            coarse = torch.randn(1, 2, c.elastic_grid, c.elastic_grid) * (2 * c.elastic)
            fine = F.interpolate(coarse, (self.size, self.size), mode="bicubic", align_corners=True)
            grid = grid + fine.permute(0, 2, 3, 1)
        return {"grid": grid}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        mode = "nearest" if isinstance(inpt, tv_tensors.Mask) else "bilinear"
        values = inpt.as_subclass(Tensor)[None].float()
        moved = F.grid_sample(values, params["grid"], mode=mode, align_corners=False)[0]
        return tv_tensors.wrap(moved.to(inpt.dtype), like=inpt)


class Mirror(v2.Transform):
    """Left-right flip with probability `p`; the labels of paired structures change places.

    swaps: label value -> label value after mirroring; it must name both of a pair, since a mirror
    that does not say what it does to sides is refused.
    """

    def __init__(self, p: float, swaps: Mapping[int, int]) -> None:
        super().__init__()
        if any(swaps.get(b) != a for a, b in swaps.items()):
            raise ValueError(f"a mirror must swap both labels of each pair, not {dict(swaps)}")
        self.p = p
        self.swaps = dict(swaps)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"flip": torch.rand(()).item() < self.p}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params["flip"]:
            return inpt
        flipped = inpt.as_subclass(Tensor).flip(-1)
        if isinstance(inpt, tv_tensors.Mask):
            table = torch.arange(256, dtype=torch.uint8)
            for a, b in self.swaps.items():
                table[a] = b
            flipped = table[flipped.long()]
        if isinstance(inpt, SoftMask):
            order = [self.swaps.get(k + 1, k + 1) - 1 for k in range(len(flipped))]
            flipped = flipped[order]
        return tv_tensors.wrap(flipped, like=inpt)


class Negative(v2.Transform):
    """With probability `p` a film becomes something to refuse, and its label map is emptied.

    Either turned by 90, 180 or 270 degrees, or a piece of a fifth to a third of the side magnified
    to the whole.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        kind = "none" if torch.rand(()).item() >= self.p else "turn"
        if kind == "turn" and torch.rand(()).item() < 0.4:
            kind = "piece"
        return {
            "kind": kind,
            "turns": int(torch.randint(1, 4, ()).item()),
            "side": uniform(0.2, 0.33),
            "corner": (torch.rand(()).item(), torch.rand(()).item()),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["kind"] == "none":
            return inpt
        values = inpt.as_subclass(Tensor)
        if isinstance(inpt, tv_tensors.Mask | SoftMask):
            return tv_tensors.wrap(torch.zeros_like(values), like=inpt)
        if params["kind"] == "turn":
            return tv_tensors.Image(values.rot90(params["turns"], (-2, -1)))
        height, width = values.shape[-2:]
        h, w = int(height * params["side"]), int(width * params["side"])
        y, x = int((height - h) * params["corner"][0]), int((width - w) * params["corner"][1])
        piece = values[None, :, y : y + h, x : x + w]
        whole = F.interpolate(piece, (height, width), mode="bilinear", align_corners=False)
        return tv_tensors.Image(whole[0])


class Exposure(v2.Transform):
    """What another machine, dose or window would have done: gamma, a smooth field, equalisation."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, config: Augmentation) -> None:
        super().__init__()
        self.config = config

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        c = self.config
        if c.gamma <= 1 and c.bias == 0 and c.equalise == 0:
            return inpt
        x = inpt.as_subclass(Tensor).clamp(0, 1)
        if torch.rand(()).item() < c.equalise:
            levels = (x * 255).to(torch.uint8)
            x = v2.functional.equalize(levels).float() / 255
        # Dark films use a fraction of the range: a gamma on that alone would only blacken them.
        low, high = float(x.min()), float(torch.quantile(x[..., ::4, ::4], 0.995))
        x = ((x - low) / max(high - low, 0.02)).clamp(0, 1)
        x = x ** log_uniform(c.gamma)
        if c.bias > 0 and torch.rand(()).item() < 0.5:
            coarse = torch.randn(1, 1, 3, 3) * c.bias
            field = F.interpolate(coarse, x.shape[-2:], mode="bicubic", align_corners=True)[0]
            x = x * field.exp()
        # A window narrower than the film clips its ends.
        if torch.rand(()).item() < 0.3:
            low, high = uniform(0, 0.12), uniform(0.8, 1.0)
            x = ((x - low) / (high - low)).clamp(0, 1)
        return tv_tensors.Image(x)


class Grain(v2.Transform):
    """Blur or unsharp masking, then noise: resolution and dose of another detector."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, config: Augmentation) -> None:
        super().__init__()
        self.config = config

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        c = self.config
        x = inpt.as_subclass(Tensor)
        if c.blur > 0 and torch.rand(()).item() < 0.3:
            smooth = v2.functional.gaussian_blur(x, [7, 7], [uniform(0.3, max(c.blur, 0.31))])
            x = smooth if torch.rand(()).item() < 0.6 else x + uniform(0.5, 2.0) * (x - smooth)
        if c.noise > 0 and torch.rand(()).item() < 0.4:
            x = x + torch.randn_like(x) * uniform(0, c.noise)
        return tv_tensors.Image(x)


class Blocks(v2.Transform):
    """Paints small markers anywhere and collimation edges at the border, black or white."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        x = inpt.as_subclass(Tensor).clone()
        height, width = x.shape[-2:]
        if torch.rand(()).item() < self.p:
            for _ in range(int(torch.randint(1, 4, ()).item())):
                h, w = int(uniform(0.02, 0.12) * height), int(uniform(0.02, 0.12) * width)
                top = int(uniform(0, 1) * (height - h))
                left = int(uniform(0, 1) * (width - w))
                x[..., top : top + h, left : left + w] = float(torch.rand(()).item() < 0.5)
        if torch.rand(()).item() < self.p:
            edge = int(uniform(0.01, 0.08) * height)
            side = int(torch.randint(0, 4, ()).item())
            turned = x.rot90(side, (-2, -1))
            turned[..., :edge, :] = float(torch.rand(()).item() < 0.5)
            x = turned.rot90(-side, (-2, -1))
        return tv_tensors.Image(x.contiguous())


def training_transforms(config: Augmentation, size: int, swaps: Mapping[int, int]) -> v2.Transform:
    """The whole chain from the cached film to the network's input size."""
    return v2.Compose(
        [
            Warp(size, config),
            Mirror(config.mirror, swaps),
            Negative(config.negatives),
            Exposure(config),
            Grain(config),
            Blocks(config.blocks),
        ]
    )
