"""Augmentation of a film together with its label map, as `torchvision.transforms.v2` transforms.

Images are float32 `(1, y, x)` in 0..1, label maps uint8 `(1, y, x)`, soft labels float32
`(classes - 1, y, x)`, boxes float32 `(k, 5)`, answers of the whole film float32 `(outputs,)`; they
travel as tv_tensors (`Image`, `Mask`, `SoftMask`, `Boxes`, `Answers`) so that every transform moves
them together. What each does to sides: `Warp`
keeps left on the left (it turns by `rotation` at most), `Mirror` exchanges the sides and so the
labels that name one, `Negative` empties the target; the others leave every pixel where it is.
Random numbers come from torch's global generator, which the data set seeds for each film of each
epoch: a resumed training sees the films that an uninterrupted one would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from radloop.training.recipe import Augmentation

SEEN = 0.4
"""The share of a moved box's ellipse that must still be in the film."""


class SoftMask(tv_tensors.TVTensor):
    """Probabilities of the foreground classes, float32 `(classes - 1, y, x)` in 0..1."""

    def __new__(cls, data: Tensor) -> SoftMask:
        """The same memory under another name, as torchvision's own kinds do it."""
        return data.as_subclass(cls)


class Boxes(tv_tensors.TVTensor):
    """Boxes of a film, float32 `(k, 5)`: x0, y0, x1, y1 in px of the film, class number."""

    def __new__(cls, data: Tensor) -> Boxes:
        """The same memory under another name."""
        return data.as_subclass(cls)


class Answers(tv_tensors.TVTensor):
    """What is true of a film as a whole, float32 `(outputs,)`: 1, 0 or NaN (unknown)."""

    def __new__(cls, data: Tensor) -> Answers:
        """The same memory under another name."""
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
    maps to the nearest sample. A box becomes that of the moved ellipse inside it, which a rotation
    does not blow up as it does the box of the corners (Kalra et al. 2021, arXiv 2108.01052); one of
    which less than `SEEN` stays in the film is dropped. Left stays left.
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
        side = max((x.shape[-1] for x in flat_inputs if isinstance(x, tv_tensors.Image)), default=0)
        return {"grid": grid, "matrix": matrix, "side": side}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, Answers):
            return inpt
        if isinstance(inpt, Boxes):
            boxes = inpt.as_subclass(Tensor)
            if self.config.elastic > 0:
                moved = bent_boxes(boxes, **params)
            else:
                moved = moved_boxes(boxes, params["matrix"], params["side"], self.size)
            return Boxes(moved)
        mode = "nearest" if isinstance(inpt, tv_tensors.Mask) else "bilinear"
        values = inpt.as_subclass(Tensor)[None].float()
        moved = F.grid_sample(values, params["grid"], mode=mode, align_corners=False)[0]
        return tv_tensors.wrap(moved.to(inpt.dtype), like=inpt)


def moved_boxes(boxes: Tensor, matrix: Tensor, side: int, size: int) -> Tensor:
    """Boxes `(k, 5)` of a film of `side` px after an affine warp to `size` px, those that stay in
    sight.

    matrix: `(2, 3)`, where each place of the moved film comes from, both in -1..1. The box of a
    moved ellipse is known in closed form, to a fraction of a pixel.
    """
    if not len(boxes):
        return boxes
    back = torch.linalg.inv(matrix[:, :2].double())
    corners = boxes[:, :4].double() * (2 / side) - 1
    middle = ((corners[:, :2] + corners[:, 2:]) / 2 - matrix[:, 2].double()) @ back.T
    half = (corners[:, 2:] - corners[:, :2]).clamp(min=2e-3 / side) / 2
    axes = back * half[:, None]  # of each ellipse, the columns
    reach = axes.square().sum(-1).sqrt()
    inside = middle[:, None] + _disc() @ axes.transpose(1, 2)
    seen = (inside.abs() <= 1).all(-1).double().mean(1) >= SEEN
    low, high = (middle - reach).clamp(-1, 1), (middle + reach).clamp(-1, 1)
    moved = torch.cat([(torch.cat([low, high], 1) + 1) * (size / 2), boxes[:, 4:].double()], 1)
    return moved[seen].to(boxes.dtype)


@cache
def _disc() -> Tensor:
    """Points spread evenly over the unit disc, `(64, 2)` (a sunflower's seeds)."""
    k = torch.arange(64, dtype=torch.float64) + 0.5
    radius, angle = (k / 64).sqrt(), k * math.pi * (3 - math.sqrt(5))
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def bent_boxes(boxes: Tensor, grid: Tensor, matrix: Tensor, side: int) -> Tensor:
    """As `moved_boxes`, for a warp with an elastic part, to the pixel.

    grid: `(1, y, x, 2)`, where each pixel comes from, in -1..1; matrix: its affine part.
    """
    source = (grid[0] + 1) * (side / 2)
    shrink = abs(float(torch.linalg.det(matrix[:, :2]))) * (side / grid.shape[1]) ** 2
    kept = []
    for box in boxes:
        middle, half = (box[:2] + box[2:4]) / 2, (box[2:4] - box[:2]).clamp(min=1e-3) / 2
        inside = (((source - middle) / half) ** 2).sum(-1) <= 1
        whole = math.pi * float(half.prod()) / shrink
        if not inside.any() or float(inside.sum()) < SEEN * whole:
            continue
        rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
        moved = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        kept.append(torch.stack([*(m.to(box.dtype) for m in moved), box[4]]))
    return torch.stack(kept) if kept else boxes.new_zeros(0, 5)


class Mirror(v2.Transform):
    """Left-right flip with probability `p`; the labels of paired structures change places.

    swaps: label value (of boxes: class number, of answers: their place) -> that after mirroring; it
    must name both of a pair, since a mirror that does not say what it does to sides is refused.
    """

    def __init__(self, p: float, swaps: Mapping[int, int]) -> None:
        super().__init__()
        if any(swaps.get(b) != a for a, b in swaps.items()):
            raise ValueError(f"a mirror must swap both labels of each pair, not {dict(swaps)}")
        self.p = p
        self.swaps = dict(swaps)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        side = max((x.shape[-1] for x in flat_inputs if isinstance(x, tv_tensors.Image)), default=0)
        return {"flip": torch.rand(()).item() < self.p, "side": side}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params["flip"]:
            return inpt
        if isinstance(inpt, Boxes):
            return Boxes(self._boxes(inpt.as_subclass(Tensor), params["side"]))
        if isinstance(inpt, Answers):
            order = [self.swaps.get(k, k) for k in range(len(inpt))]
            return Answers(inpt.as_subclass(Tensor)[order])
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

    def _boxes(self, boxes: Tensor, side: int) -> Tensor:
        classes = [self.swaps.get(int(k), int(k)) for k in boxes[:, 4]]
        left, right = side - boxes[:, 2], side - boxes[:, 0]
        return torch.stack([left, boxes[:, 1], right, boxes[:, 3], boxes.new_tensor(classes)], 1)


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
        if isinstance(inpt, Boxes):
            return Boxes(values[:0])
        if isinstance(inpt, Answers):
            return Answers(torch.full_like(values, math.nan))
        if params["kind"] == "turn":
            return tv_tensors.Image(values.rot90(params["turns"], (-2, -1)))
        height, width = values.shape[-2:]
        h, w = int(height * params["side"]), int(width * params["side"])
        y, x = int((height - h) * params["corner"][0]), int((width - w) * params["corner"][1])
        piece = values[None, :, y : y + h, x : x + w]
        whole = F.interpolate(piece, (height, width), mode="bilinear", align_corners=False)
        return tv_tensors.Image(whole[0])


def clahe(film: Tensor, limit: float) -> Tensor:
    """Contrast-limited adaptive histogram equalisation of `(1, y, x)` in 0..1, 8 x 8 tiles."""
    levels = (film[0] * 255).to(torch.uint8).numpy()
    equalised = cv2.createCLAHE(clipLimit=limit, tileGridSize=(8, 8)).apply(levels)
    return torch.from_numpy(equalised)[None].float() / 255


class Exposure(v2.Transform):
    """What another machine, dose or window would have done: gamma, a smooth field, equalisation
    of the histogram, whole (`equalise`) or by tiles (`clahe`)."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, config: Augmentation) -> None:
        super().__init__()
        self.config = config

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        c = self.config
        if c.gamma <= 1 and c.bias == 0 and c.equalise == 0 and c.clahe == 0:
            return inpt
        x = inpt.as_subclass(Tensor).clamp(0, 1)
        if c.clahe > 0 and torch.rand(()).item() < c.clahe:
            x = clahe(x, uniform(1.0, 4.0))
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
