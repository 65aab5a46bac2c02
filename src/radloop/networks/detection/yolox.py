"""YOLOX (Ge et al. 2021, arXiv 2107.08430) on any of timm's encoders: one stage, no anchors.

Decoupled heads on a feature pyramid; which cell answers for which box is settled anew at every step
by SimOTA. Ours, lighter than the original, with a head for the film as a whole, which learns from
every film whether it has any box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms, box_iou, generalized_box_iou

from radloop.networks.detection.detector import MOST, Call, Detector, found, truths
from radloop.networks.detection.pyramid import Block, PathAggregation, encoder, rare
from radloop.networks.registry import Standardised

STRIDES = (8, 16, 32)
OVERLAP = 0.5
"""Of two boxes of a class that overlap more (IoU), the weaker is dropped."""
LEAST = 4
"""Cells that answer for a box at least: with one, as in the paper, the first thousand steps teach
little, and with a few hundred boxes there are few more."""
FAINT = 0.01
"""Scores below this are not given out."""


class Head(nn.Module):
    """Class, box and objectness of every cell of one map."""

    def __init__(self, width: int, classes: int, depth: int) -> None:
        super().__init__()
        self.classify = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.locate = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.label = nn.Conv2d(width, classes, 1)
        self.box = nn.Conv2d(width, 4, 1)
        self.object = nn.Conv2d(width, 1, 1)
        for layer in (self.label, self.object):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, rare(0.01))

    def forward(self, x: Tensor) -> Tensor:
        near = self.locate(x)
        out = torch.cat([self.box(near), self.object(near), self.label(self.classify(x))], 1)
        return out.flatten(2).transpose(1, 2)


class Places(nn.Module):
    """Adds what a place on the film may mean, a quadratic function of it: for classes that look
    alike and differ by where they stand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(5, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        down = torch.linspace(-1, 1, rows, device=x.device)[:, None].expand(rows, columns)
        along = torch.linspace(-1, 1, columns, device=x.device)[None].expand(rows, columns)
        place = torch.stack([along, down, along * along, along * down, down * down])
        total: Tensor = x + self.mean(place[None].to(x.dtype))
        return total


class Dense(nn.Module):
    """Films to the raw answer of every cell, `(n, cells, 5 + classes)`, and the film's logit."""

    def __init__(
        self, name: str, classes: int, width: int, depth: int, dropout: float, places: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder(name, STRIDES)
        channels = self.encoder.feature_info.channels()
        self.pyramid = PathAggregation(channels, width)
        self.places = Places(width) if places else nn.Identity()
        self.heads = nn.ModuleList(Head(width, classes, depth) for _ in STRIDES)
        self.film = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1] + width, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.encoder(x)
        levels = [self.places(level) for level in self.pyramid(maps)]
        cells = torch.cat([h(level) for h, level in zip(self.heads, levels, strict=True)], 1)
        whole = torch.cat([maps[-1].mean((2, 3)), levels[-1].amax((2, 3))], 1)
        return cells.float(), self.film(whole).float()


class YoloX(Detector):
    """YOLOX on timm's encoder `name`. width: of the pyramid; depth: convolutions in each head;
    places: whether the heads know where on the film they look."""

    judges_film = True

    def __init__(
        self, name: str, classes: int, width: int = 64, depth: int = 2, dropout: float = 0.3,
        places: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classes, self.encoder_name = classes, name
        self.dense = Standardised(Dense(name, classes, width, depth, dropout, places))

    def parts(self) -> Mapping[str, nn.Module]:
        return {"dense": self.dense}

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        return {"dense": (torch.zeros(1, 1, side, side, dtype=torch.uint8),)}

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        cells, film = call("dense", (films,))
        boxes = decode(cells[..., :4], films.shape[-1])
        scores = (cells[..., 4:5].sigmoid() * cells[..., 5:].sigmoid()).float().cpu()
        rows = []
        for box, score, whole in zip(boxes.cpu(), scores, film.cpu(), strict=True):
            best, label = score.max(1)
            # Suppression costs with the square of the boxes: only the best go in.
            order = best.argsort(descending=True, stable=True)[: 10 * MOST]
            order = order[best[order] > FAINT]
            kept = order[batched_nms(box[order], best[order], label[order], OVERLAP)]
            one = found(box[kept], best[kept], label[kept], MOST - 1)
            side = float(films.shape[-1])
            judged = torch.tensor([[0, 0, side, side, float(whole.sigmoid()), self.classes]])
            rows.append(torch.cat([judged, one]))
        return torch.stack(rows)

    def losses(self, films: Tensor, target: Tensor) -> Tensor:
        cells, film = self.dense(films)
        centres, strides = grid(films.shape[-1], films.device)
        boxes = decode(cells[..., :4], films.shape[-1])
        located, labelled, objects, count = [], [], [], 0
        for cell, box, (truth, label) in zip(cells, boxes, truths(target), strict=True):
            chosen, match, overlap = assign(cell, box, truth, label, centres, strides)
            wanted = torch.zeros_like(cell[:, 4])
            wanted[chosen] = 1.0
            objects.append(F.binary_cross_entropy_with_logits(cell[:, 4], wanted, reduction="sum"))
            if not len(chosen):
                continue
            count += len(chosen)
            pairs = generalized_box_iou(box[chosen], truth[match]).diagonal()
            located.append((1 - pairs).sum())
            classes = F.one_hot(label[match], self.classes).float() * overlap[:, None]
            labelled.append(
                F.binary_cross_entropy_with_logits(cell[chosen, 5:], classes, reduction="sum")
            )
        several = sum(objects) + 5 * sum(located) + sum(labelled)
        judged = F.binary_cross_entropy_with_logits(
            film[:, 0], (target[..., 4] >= 0).any(1).float()
        )
        total: Tensor = several / max(1, count) + judged
        return total


def grid(side: int, device: Any = None) -> tuple[Tensor, Tensor]:
    """Centres `(cells, 2)` (x, y) and strides `(cells,)` of the cells, in px."""
    centres, strides = [], []
    for stride in STRIDES:
        steps = (torch.arange(-(-side // stride), device=device) + 0.5) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([x, y], -1).reshape(-1, 2))
        strides.append(torch.full((len(steps) ** 2,), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def decode(raw: Tensor, side: int) -> Tensor:
    """Offsets and log sizes in strides `(..., cells, 4)` as boxes in px of the input."""
    centres, strides = grid(side, raw.device)
    middle = centres + raw[..., :2] * strides[:, None]
    half = raw[..., 2:].clamp(-8, 8).exp() * strides[:, None] / 2
    return torch.cat([middle - half, middle + half], -1)


@torch.no_grad()
def assign(
    cell: Tensor, box: Tensor, truth: Tensor, label: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """SimOTA: which cells answer for which true box.

    A box takes the cells of least cost, as many as the sum of its ten best overlaps, and `LEAST` at
    least; a cell that
    several boxes take goes to the cheapest. Returns cells `(k,)`, their boxes `(k,)`, the overlaps
    `(k,)`.
    """
    nothing = torch.zeros(0, dtype=torch.long, device=box.device)
    if not len(truth):
        return nothing, nothing, torch.zeros(0, device=box.device)
    x, y = centres[:, 0, None], centres[:, 1, None]
    inside = (x > truth[:, 0]) & (x < truth[:, 2]) & (y > truth[:, 1]) & (y < truth[:, 3])
    middle = (truth[:, :2] + truth[:, 2:]) / 2
    near = ((centres[:, None] - middle).abs() < 2.5 * strides[:, None, None]).all(-1)
    candidates = (inside | near).any(1).nonzero()[:, 0]
    overlap = box_iou(box[candidates], truth)
    score = (cell[candidates, 4:5].sigmoid() * cell[candidates, 5:].sigmoid()).sqrt()
    wanted = F.one_hot(label, score.shape[1]).float()
    wrong = F.binary_cross_entropy(
        score[:, None].expand(-1, len(truth), -1),
        wanted.expand(len(candidates), -1, -1),
        reduction="none",
    ).sum(-1)
    off = ~(inside & near)[candidates]
    cost = wrong - 3 * torch.log(overlap + 1e-8) + 1e5 * off
    taken = torch.zeros_like(cost, dtype=torch.bool)
    best = overlap.topk(min(10, len(candidates)), 0).values.sum(0).int().clamp(min=LEAST)
    for k, count in enumerate(best.tolist()):
        taken[cost[:, k].topk(min(count, len(candidates)), largest=False).indices, k] = True
    doubled = taken.sum(1) > 1
    taken[doubled] = F.one_hot(cost[doubled].argmin(1), len(truth)).bool()
    rows, match = taken.nonzero(as_tuple=True)
    return candidates[rows], match, overlap[rows, match]
