"""Losses and validation scores as pure functions of logits and targets.

Films and volumes alike: `*spatial` is `y, x` or `z, y, x`. Targets are label maps `(n, *spatial)`
int64, or soft ones, `(n, classes - 1, *spatial)` float: the probability of each foreground class.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice of each foreground class over the batch, mean over classes, in [0, 1].

    logits `(n, classes, *spatial)`, the background as class 0. The sums run over the whole batch,
    so that an empty film weighs little (Milletari 2016; Drozdzal 2016). The overlap is written as
    (|p| + |t| - |p - t|) / 2, which is the usual product for labels, and which for soft targets is
    largest where the answer equals them (Wang et al. 2023, arXiv 2303.16296).
    """
    probability = logits.float().softmax(1)[:, 1:]
    truth = class_probabilities(target, logits.shape[1])[:, 1:]
    axes = (0, *range(2, logits.ndim))
    total = probability.sum(axes) + truth.sum(axes)
    overlap = total - (probability - truth).abs().sum(axes)
    return ((overlap + smooth) / (total + smooth)).mean()


def cross_entropy_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus (1 - soft Dice), with equal weights."""
    soft = target.is_floating_point()
    truth = class_probabilities(target, logits.shape[1]) if soft else target
    return F.cross_entropy(logits.float(), truth) + 1.0 - soft_dice(logits, target)


def class_probabilities(target: Tensor, classes: int) -> Tensor:
    """The target as probabilities of all classes, `(n, classes, *spatial)` float32."""
    if not target.is_floating_point():
        return F.one_hot(target, classes).movedim(-1, 1).float()
    background = (1.0 - target.sum(1, keepdim=True)).clamp(min=0.0)
    return torch.cat([background, target], dim=1)


def dice_score(logits: Tensor, target: Tensor) -> Tensor:
    """Hard Dice of each film, mean over the foreground classes present in it; `(n,)`, in [0, 1].

    A film without any foreground scores 1 when nothing was found and 0 otherwise.
    """
    found = logits.argmax(1)
    scores = torch.zeros(len(target), logits.shape[1] - 1)
    present = torch.zeros_like(scores)
    for k in range(1, logits.shape[1]):
        a, b = (found == k).flatten(1), (target == k).flatten(1)
        size = a.sum(1) + b.sum(1)
        scores[:, k - 1] = (2 * (a & b).sum(1) / size.clamp(min=1)).cpu()
        present[:, k - 1] = (size > 0).float().cpu()
    mean = (scores * present).sum(1) / present.sum(1).clamp(min=1)
    return torch.where(present.sum(1) > 0, mean, torch.ones_like(mean))
