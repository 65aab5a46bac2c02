"""Losses for lesions, which are small and few: focal, Tversky, and sums with what is usual.

All take logits `(n, classes, *spatial)` with the background as class 0, and a target as in
`training.losses`: labels `(n, *spatial)` int64 or soft `(n, classes - 1, *spatial)` float. They
compute in float32 and return a scalar. `lesion_loss` finds them by name; `deep_supervised` applies
one to a network with several heads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radloop.errors import InputError
from radloop.training.losses import class_probabilities, soft_dice

Loss = Callable[[Tensor, Tensor], Tensor]

FLOOR = 0.05
_TINY = 1e-12


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, mean over voxels."""
    soft = target.is_floating_point()
    truth = class_probabilities(target, logits.shape[1]) if soft else target
    return F.cross_entropy(logits.float(), truth)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft Dice of the foreground classes, summed over the batch."""
    return 1.0 - soft_dice(logits, target)


def tversky(
    logits: Tensor, target: Tensor, alpha: float = 0.3, beta: float = 0.7, smooth: float = 1.0
) -> Tensor:
    """1 - Tversky index, mean over the foreground classes (Salehi 2017, arXiv 1706.05721).

    alpha weighs what was found falsely, beta what was missed; .5 and .5 make the Dice. The sums run
    over the batch.
    """
    probability = logits.float().softmax(1)[:, 1:]
    truth = class_probabilities(target, logits.shape[1])[:, 1:]
    axes = (0, *range(2, logits.ndim))
    hit = (probability * truth).sum(axes)
    false = probability.sum(axes) - hit
    missed = truth.sum(axes) - hit
    return 1.0 - ((hit + smooth) / (hit + alpha * false + beta * missed + smooth)).mean()


def focal(
    logits: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    weights: Sequence[float] | Tensor = (0.25, 0.75),
) -> Tensor:
    """Focal loss -w (1 - p)^gamma log p on softmax, mean over voxels (Lin 2017, arXiv 1708.02002).

    weights: of the background and of every foreground class. The mean is over voxels and not over
    weights, so with gamma 0 and weights .5 it is half the cross-entropy.
    """
    classes = logits.shape[1]
    log_p = logits.float().log_softmax(1)
    # 1 - p without cancellation; the lower limit keeps the gradient finite where gamma < 1.
    doubt = (-torch.expm1(log_p)).clamp(min=_TINY) ** gamma
    background, foreground = torch.as_tensor(weights, dtype=torch.float32, device=logits.device)
    weighted = torch.stack([background, *[foreground] * (classes - 1)])
    weighted = weighted.reshape(1, classes, *[1] * (logits.ndim - 2))
    truth = class_probabilities(target, classes)
    return -(weighted * truth * doubt * log_p).sum(1).mean()


def focal_dynamic(
    logits: Tensor, target: Tensor, gamma: float = 2.0, floor: float = FLOOR
) -> Tensor:
    """Focal loss with the weights of this batch's foreground share; see `DynamicWeights`."""
    return focal(logits, target, gamma, inverse_share(foreground_share(target), floor))


def foreground_share(target: Tensor) -> Tensor:
    """How much of the batch is foreground of any class, a scalar in 0..1."""
    if target.is_floating_point():
        return target.sum(1).clamp(max=1.0).mean()
    return (target > 0).float().mean()


def inverse_share(share: Tensor, floor: float = FLOOR) -> Tensor:
    """Weights `(2,)` of background and foreground that balance them: (share, 1 - share).

    The share is first limited to floor..1 - floor. So a batch without foreground still learns not
    to invent any, with the background's weight at the floor, and one voxel cannot outweigh a whole
    batch. Raises ValueError for a floor beyond 0..0.5.
    """
    if not 0.0 <= floor <= 0.5:
        raise ValueError(f"floor {floor} is not within 0..0.5")
    background = share.clamp(floor, 1.0 - floor)
    return torch.stack([background, 1.0 - background])


class DynamicWeights(nn.Module):
    """Class weights that follow the foreground share: target to `(2,)`, background and foreground.

    The weight of a class is the share of the other, so both have the same sum of weights over the
    voxels, and a share of 1/4 gives (.25, .75), the fixed weights of `focal`. This is our reading
    of the dynamically weighted focal loss of Clerigues et al. 2020 (arXiv 1810.13304). An empty
    batch gets (floor, 1 - floor).

    mode: "batch", the share of the batch at hand, or "running", its exponential moving average,
    which keeps `momentum` of the past at each batch in training and stands still in evaluation.
    The average starts from the first batch and is a buffer, so that it is saved with the weights.
    """

    share: Tensor
    started: Tensor

    def __init__(self, mode: str = "batch", momentum: float = 0.99, floor: float = FLOOR) -> None:
        super().__init__()
        if mode not in ("batch", "running"):
            raise InputError(f"There are no dynamic weights '{mode}'.", "Known: batch, running.")
        self.mode, self.momentum, self.floor = mode, momentum, floor
        self.register_buffer("share", torch.tensor(0.0))
        self.register_buffer("started", torch.tensor(False))

    @torch.no_grad()
    def forward(self, target: Tensor) -> Tensor:
        share = foreground_share(target)
        if self.mode == "running":
            known = self.share.lerp(share, 1.0 - self.momentum) if self.training else self.share
            share = torch.where(self.started, known, share)
            if self.training:
                self.share.copy_(share)
                self.started.fill_(True)
        return inverse_share(share, self.floor)


LESION_LOSSES: Mapping[str, Loss] = {
    "ce": cross_entropy,
    "focal": focal,
    "focal-dynamic": focal_dynamic,
    "dice": dice_loss,
    "tversky": tversky,
}


def combined(names: Sequence[str]) -> Loss:
    """The sum of the named losses, with equal weights; InputError for an unknown name."""
    unknown = [name for name in names if name not in LESION_LOSSES]
    if unknown or not names:
        known = ", ".join(LESION_LOSSES)
        raise InputError(
            f"There is no loss '{'+'.join(unknown)}'.", f"Known: {known}, and sums such as ce+dice."
        )
    parts = [LESION_LOSSES[name] for name in names]

    def total(logits: Tensor, target: Tensor) -> Tensor:
        return torch.stack([part(logits, target) for part in parts]).sum()

    return total


def lesion_loss(name: str) -> Loss:
    """The loss of that name, or a sum such as "focal-dynamic+dice"; InputError when unknown."""
    return combined(name.split("+"))


def deep_supervised(loss: Loss, logits: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
    """The loss over all heads of a 3D network, weighted 1, 1/2, 1/4, ... and divided by their sum.

    logits: `(n, heads, classes, z, y, x)`, the heads of MONAI's DynUNet at full size; a sequence of
    `(n, classes, z, y, x)` from fine to coarse, as of SegResNetDS, for which the target is brought
    down; or one `(n, classes, z, y, x)`, which is passed on.
    """
    if isinstance(logits, Tensor) and logits.ndim != 6:
        return loss(logits, target)
    heads = logits.unbind(1) if isinstance(logits, Tensor) else logits
    weights = [0.5**k for k in range(len(heads))]
    losses = [
        weight * loss(head, _coarser(target, head.shape[2:]))
        for weight, head in zip(weights, heads, strict=True)
    ]
    return torch.stack(losses).sum() / sum(weights)


def _coarser(target: Tensor, size: torch.Size) -> Tensor:
    """The target on a coarser grid `(z, y, x)`, each voxel the maximum of those it covers, so that
    small lesions do not vanish; of several classes the highest number wins."""
    if target.shape[-3:] == size:
        return target
    if target.is_floating_point():
        return F.adaptive_max_pool3d(target, list(size))
    return F.adaptive_max_pool3d(target[:, None].float(), list(size))[:, 0].to(target.dtype)
