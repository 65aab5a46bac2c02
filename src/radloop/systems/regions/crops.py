"""The training of both stages from one table: first the boxes, then what is cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from radloop.errors import InputError
from radloop.measures.detection import box_overlap
from radloop.systems.base import Array
from radloop.systems.regions.film import Film, cut, letterbox, to_film

if TYPE_CHECKING:
    from torch import Tensor, nn

    from radloop.networks.two_stage import TwoStage
    from radloop.training.data import Sample
    from radloop.training.recipe import Recipe
    from radloop.training.trainer import Trained, TrainingRun

SAME, OTHER = 0.5, 0.1
"""A found box that overlaps a true one by `SAME` is of its kind, one by less than `OTHER` is
healthy; what lies between teaches nothing."""
CANDIDATES = 3
"""Found boxes a film that are cut out, besides the true ones."""
SHARE = 0.7
"""Of the minutes, what the first stage takes."""


def train_both(
    network: TwoStage, train: Sequence[Sample], validation: Sequence[Sample], recipe: Recipe,
    run: TrainingRun, *, loss: Callable[[Tensor, Tensor], Tensor],
    score: Callable[[Tensor, Tensor], Tensor], tone: Callable[[Film], Film],
    margin: float, elsewhere_healthy: bool,
) -> Trained:  # fmt: skip
    """Train the detector, then the classifier on the true and found regions of the same films.

    tone: the contrast of what is cut out. elsewhere_healthy: whether found boxes far from every
    true one are healthy regions (where the boxes are the lesions), or unknown.
    """
    from radloop.training.trainer import train_network

    assert recipe.second is not None and network.classifier is not None
    stages = run.stage in ("", "detector"), run.stage in ("", "classifier")
    minutes = run.minutes
    parts: list[Trained] = []
    if stages[0]:
        share = minutes * SHARE if minutes and stages[1] else minutes
        parts.append(
            train_network(
                network.detector, train, validation, loss=loss, score=score, swaps={},
                recipe=recipe, run=replace(run, folder=run.folder / "detector", minutes=share),
            )
        )  # fmt: skip
        network.detector.load_state_dict(parts[0].weights)
    if stages[1]:
        share = minutes * (1 - SHARE) if minutes and stages[0] else minutes
        find = finder(network.detector, recipe.size)
        second = recipe.second
        large = round(second.size * second.cache_scale)
        crops = [
            cut_samples(samples, find, tone, margin, side, scale, elsewhere_healthy)
            for samples, side, scale in (
                (train, large, second.cache_scale), (validation, second.size, 1.0),
            )
        ]  # fmt: skip
        if not all(crops):
            raise InputError(
                f"{len(crops[0])} training and {len(crops[1])} validation regions can be cut out.",
                "Both are needed: add films with boxes, or train with --stage detector.",
            )
        parts.append(
            train_network(
                network.classifier,
                *crops,
                loss=judgement_loss,
                score=judgement_score,
                swaps={},
                recipe=second,
                run=replace(run, folder=run.folder / "classifier", minutes=share),
            )
        )
        network.classifier.load_state_dict(parts[-1].weights)
    return _joined(parts, network)


def finder(detector: nn.Module, size: int) -> Callable[[Film], Array]:
    """A function from a film to the boxes the detector finds, `(k, 6)` in px of the film."""
    import torch

    device = next(detector.parameters()).device
    detector.eval()

    def find(film: Film) -> Array:
        square = torch.from_numpy(letterbox(film, size))[None, None].float().to(device)
        with torch.inference_mode():
            rows = detector.detect(square)[0].cpu().numpy()  # type: ignore[operator]
        rows = rows[(rows[:, 5] >= 0) & (rows[:, 5] < detector.classes)]
        rows[:, :4] = to_film(rows[:, :4], film.shape, size)
        return np.asarray(rows)

    return find


def cut_samples(
    samples: Sequence[Sample], find: Callable[[Film], Array], tone: Callable[[Film], Film],
    margin: float, side: int, scale: float, elsewhere_healthy: bool,
) -> list[Sample]:  # fmt: skip
    """Crops of `side` px, `scale` times wider than asked for so that they can be moved, and their
    label: 1 diseased, 0 healthy."""
    from radloop.training.data import Sample

    def of_one(sample: Sample) -> list[Sample]:
        assert sample.original is not None
        film = sample.original()
        true = np.asarray(sample.target, np.float64).copy()
        true[:, :4] = to_film(true[:, :4], film.shape, sample.film.shape[0])
        regions = [(box[:4], int(box[4])) for box in true]
        found = find(tone(film))[:CANDIDATES]
        for box, overlaps in zip(found, box_overlap(found[:, :4], true[:, :4]), strict=True):
            nearest = float(overlaps.max(initial=0.0))
            if nearest >= SAME:
                regions.append((box[:4], int(true[overlaps.argmax(), 4])))
            elif nearest < OTHER and elsewhere_healthy:
                regions.append((box[:4], 0))
        toned = tone(film)
        wide = (scale * (1 + 2 * margin) - 1) / 2
        return [
            Sample(cut(toned, box, wide, side), np.array(label, np.int64))
            for box, label in regions
            if label in (0, 1)
        ]

    with ThreadPoolExecutor() as pool:
        return [crop for crops in pool.map(of_one, samples) for crop in crops]


def judgement_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits `(n, 1)`."""
    from torch.nn import functional as F

    return F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float())


def judgement_score(logits: Tensor, target: Tensor) -> Tensor:
    """Of each crop, how far its probability is from being wrong: 1 - Brier score."""
    wrong: Tensor = (logits[:, 0].float().sigmoid() - target.float()) ** 2
    return 1 - wrong


def _joined(parts: Sequence[Trained], network: nn.Module) -> Trained:
    """Both trainings as one, the second after the first."""
    from radloop.training.trainer import Trained

    history: list[dict[str, float]] = []
    epochs, minutes = 0, 0.0
    for part in parts:
        history += [
            {**row, "epoch": row["epoch"] + epochs, "minutes": row["minutes"] + minutes}
            for row in part.history
        ]
        epochs, minutes = epochs + part.epochs, minutes + part.minutes
    best = epochs - parts[-1].epochs + parts[-1].best_epoch
    return Trained(
        dict(network.state_dict()), parts[-1].best_score, best, epochs, minutes, tuple(history)
    )
