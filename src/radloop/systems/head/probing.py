"""A head CT network on a frozen encoder: its features once, then its heads in seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from radloop.training.data import Sample
from radloop.training.recipe import Recipe
from radloop.training.trainer import Trained

if TYPE_CHECKING:
    from radloop.networks.scan import SliceCnn
    from radloop.training.probe import Encoded

COMPONENTS = 160
PENALTY = 500.0
INNER_FOLDS = 5
SEQUENCE_EPOCHS = 20


def probe(
    network: SliceCnn, train: Sequence[Sample], validation: Sequence[Sample], recipe: Recipe,
    seed: int,
) -> Trained:  # fmt: skip
    """Fit the linear head of `network`, and its sequence model where it has one, in place.

    Each training scan is seen as it is and mirrored. The sequence model learns from answers that
    heads gave on scans they were not fitted to: `INNER_FOLDS` of the *training* scans. The
    validation scans are scored at the end and decide nothing.
    """
    import torch

    from radloop.networks.scan import CnnRnn, with_scan
    from radloop.training.probe import fit_head, fit_sequence

    start = time.monotonic()
    network.eval()
    encoded = [_encoded(network, sample) for sample in train]
    farthest = network.farthest

    def head_of(some: Sequence[Sequence[Encoded]]):  # type: ignore[no-untyped-def]
        both = [one for pair in some for one in pair]
        return fit_head(
            both, with_scan, components=COMPONENTS, penalty=PENALTY, farthest=farthest,
            emphasis=network.emphasis, seed=seed,
        )  # fmt: skip

    if isinstance(network, CnnRnn):
        order = np.random.default_rng(seed).permutation(len(encoded))
        answers = []
        for part in np.array_split(order, min(INNER_FOLDS, len(encoded))):
            held_out = set(part.tolist())
            head = head_of([pair for k, pair in enumerate(encoded) if k not in held_out])
            answers += [
                (head(one.features, farthest), one.target) for k in part for one in encoded[k]
            ]
        fit_sequence(
            network.sequence, answers, with_scan, epochs=SEQUENCE_EPOCHS,
            learning_rate=recipe.learning_rate, weight_decay=recipe.weight_decay, seed=seed,
        )  # fmt: skip
    head = head_of(encoded)
    network.standard.running_mean.copy_(head.mean)  # type: ignore[union-attr]
    network.standard.running_var.copy_(head.variance)  # type: ignore[union-attr]
    with torch.no_grad():
        network.head.weight.copy_(head.weight)
        network.head.bias.copy_(head.bias)
    score = _score(network, validation)
    minutes = (time.monotonic() - start) / 60
    history = ({"epoch": 1.0, "minutes": minutes, "train_loss": float("nan"),
                "val_loss": -score, "val_score": score},)  # fmt: skip
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return Trained(weights, score, 1, 1, minutes, history)


def _encoded(network: SliceCnn, sample: Sample) -> tuple[Encoded, Encoded]:
    import torch

    from radloop.training.probe import Encoded

    stack = torch.from_numpy(np.ascontiguousarray(sample.film))[None, None].float()
    target = torch.as_tensor(sample.target)
    with torch.inference_mode():
        pair = [network.pooled(one).clone() for one in (stack, stack.flip(4))]
    return Encoded(pair[0].clone(), target), Encoded(pair[1].clone(), target)


def _score(network: SliceCnn, validation: Sequence[Sample]) -> float:
    """Mean of minus the cross-entropy, as the trainer would score it."""
    import torch

    from radloop.systems.head.labels import cross_entropy

    scores = []
    for sample in validation:
        stack = torch.from_numpy(np.ascontiguousarray(sample.film))[None, None].float()
        with torch.inference_mode():
            logits = network(stack)
            scores.append(
                -float(cross_entropy(logits, torch.as_tensor(sample.target)[None]).mean())
            )
    return float(np.mean(scores))
