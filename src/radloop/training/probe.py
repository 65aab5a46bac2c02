"""Linear probing: a head on the features of a pre-trained encoder that stays as it is.

With a few dozen patients every step of gradient descent through an encoder costs more than it
brings; a strongly regularised linear head on its features is the better half of fine-tuning, and is
found in seconds (Kumar et al. 2022, arXiv 2202.10054). A sequence model on top of it learns from
answers that the head gave *out of fold*: on the scans a head has learned from its answers are too
good to learn anything from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pool = Callable[[Tensor], Tensor]
"""From slice logits `(1, z, labels)` to those with the scan's before them, `(1, 1 + z, labels)`."""


@dataclass(frozen=True)
class Encoded:
    """One scan: its features `(z, count)`, and its target `(1 + z, labels)`, NaN = unknown."""

    features: Tensor
    target: Tensor


@dataclass(frozen=True)
class Head:
    """logits = standardised features @ weight.T + bias."""

    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor, farthest: float) -> Tensor:
        standard = (features - self.mean) / (self.variance + 1e-5).sqrt()
        return standard.clamp(-farthest, farthest) @ self.weight.T + self.bias


def fit_head(
    scans: Sequence[Encoded], pool: Pool, *, components: int, penalty: float, farthest: float,
    emphasis: Tensor | None = None, seed: int = 0,
) -> Head:  # fmt: skip
    """The head of least cross-entropy plus `penalty` times the squared weights.

    The weights live in the first `components` principal components of the standardised features.
    Where slices are known they are learned from; of a scan whose slices are not, the scan's own
    label is, through `pool`. emphasis `(features,)`: how many times larger each standardised
    feature is made before that: the larger, the less of its weight is penalised. The same scans
    and seed give the same head.
    """
    features = torch.cat([scan.features for scan in scans])
    mean, variance = features.mean(0), features.var(0)
    larger = torch.ones_like(mean) if emphasis is None else emphasis
    standard = [
        ((s.features - mean) / (variance + 1e-5).sqrt()).clamp(-farthest, farthest) * larger
        for s in scans
    ]
    stacked = torch.cat(standard)
    centre = stacked.mean(0)
    torch.manual_seed(seed)
    components = min(components, *stacked.shape)
    _, _, axes = torch.pca_lowrank(stacked - centre, q=components, center=False, niter=4)
    inside = [(one - centre) @ axes for one in standard]
    labels = scans[0].target.shape[1]
    weight = torch.zeros(labels, components, requires_grad=True)
    bias = torch.full((labels,), -2.0, requires_grad=True)
    known = [scan for scan, _ in zip(scans, inside, strict=True)]
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe"
    )

    def cost() -> Tensor:
        optimiser.zero_grad()
        total = torch.zeros(())
        for scan, one in zip(known, inside, strict=True):
            total = total + _cross_entropy(one @ weight.T + bias, scan.target, pool)
        total = total + penalty * (weight**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(cost)  # type: ignore[no-untyped-call]
    full = weight.detach() @ axes.T
    return Head(mean, variance, full * larger, bias.detach() - full @ centre)


def fit_sequence(
    correct: nn.Module, answers: Sequence[tuple[Tensor, Tensor]], pool: Pool, *,
    epochs: int, learning_rate: float, weight_decay: float, seed: int = 0,
) -> None:  # fmt: skip
    """Train what corrects slice logits by those around them, in place.

    correct: from logits `(1, z, labels)` to corrected ones. answers: logits `(z, labels)` given out
    of fold, and the target `(1 + z, labels)`, of each scan. Every scan is read in both orders.
    """
    optimiser = torch.optim.AdamW(correct.parameters(), lr=learning_rate, weight_decay=weight_decay)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for k in torch.randperm(len(answers), generator=order).tolist():
            logits, target = answers[k]
            if torch.rand((), generator=order) < 0.5:
                logits, target = logits.flip(0), torch.cat([target[:1], target[1:].flip(0)])
            loss = _cross_entropy(correct(logits[None])[0], target, pool) / len(logits)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def _cross_entropy(logits: Tensor, target: Tensor, pool: Pool) -> Tensor:
    """Sum over the known slices; where none is known, over the scan's labels, as `z` slices."""
    slices, truth = logits, target[1:]
    if bool(truth.isnan().all()):
        slices, truth = pool(logits[None])[0, :1], target[:1]
    known = ~truth.isnan()
    loss = F.binary_cross_entropy_with_logits(slices, truth.nan_to_num(0.0), reduction="none")
    return (loss * known).sum() * (len(logits) / len(slices))
