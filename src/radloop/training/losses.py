"""Losses and validation scores as pure functions of logits and targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice of each foreground class over the batch, mean over classes, in [0, 1].

    logits `(n, classes, y, x)` with the background as class 0, target `(n, y, x)` int64. The sums
    run over the whole batch, so that an empty film weighs little (Milletari 2016; Drozdzal 2016).
    """
    probability = logits.float().softmax(1)[:, 1:]
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
    axes = (0, 2, 3)
    overlap = (probability * truth).sum(axes)
    total = probability.sum(axes) + truth.sum(axes)
    return ((2 * overlap + smooth) / (total + smooth)).mean()


def cross_entropy_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus (1 - soft Dice), with equal weights."""
    return F.cross_entropy(logits.float(), target) + 1.0 - soft_dice(logits, target)


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
