"""The training of both stages from one table: first the boxes, then what is cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from radloop.errors import InputError
from radloop.measures.detection import box_overlap
from radloop.systems.base import Array
from radloop.systems.regions.film import Cutting, Film, cut, letterbox, spare_boxes, to_film

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
    score: Callable[[Tensor, Tensor], Tensor], swaps: Mapping[int, int], cutting: Cutting,
    answers: int,
) -> Trained:  # fmt: skip
    """Train the detector, then the classifier on the true and found regions of the same films.

    swaps: the numbers of regions that change places in a mirrored film. answers: of the classifier.
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
                network.detector, train, validation, loss=loss, score=score, swaps=swaps,
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
            cut_samples(samples, find, cutting, side, scale, answers)
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
    samples: Sequence[Sample], find: Callable[[Film], Array], cutting: Cutting, side: int,
    scale: float, answers: int = 1,
) -> list[Sample]:  # fmt: skip
    """Crops of `side` px, `scale` times wider than asked for so that they can be moved, and their
    state (`state_of`); regions of which nothing is known are left out."""
    from radloop.training.data import Sample

    nothing = state_of([None] * answers)
    usual = usual_share([(s.target[:, :4], s.film.shape[0]) for s in samples])

    def of_one(numbered: tuple[int, Sample]) -> list[Sample]:
        number, sample = numbered
        assert sample.original is not None
        film = sample.original()
        true = np.asarray(sample.target, np.float64).copy()
        true[:, :4] = to_film(true[:, :4], film.shape, sample.film.shape[0])
        toned = cutting.tone(film)
        regions = [(box[:4], int(box[4])) for box in true]
        found = find(toned)[:CANDIDATES]
        for box, overlaps in zip(found, box_overlap(found[:, :4], true[:, :4]), strict=True):
            nearest = float(overlaps.max(initial=0.0))
            if nearest >= SAME:
                regions.append((box[:4], int(true[overlaps.argmax(), 4])))
            elif nearest < OTHER and cutting.elsewhere is not None:
                kind = int(box[5]) % cutting.kinds
                regions.append((box[:4], kind + cutting.kinds * cutting.elsewhere))
        if not len(true) and cutting.elsewhere is not None:
            kinds = np.arange(cutting.spare) % cutting.kinds
            spare = spare_boxes(film.shape, usual, cutting.spare, number)
            regions += list(zip(spare, kinds + cutting.kinds * cutting.elsewhere, strict=True))
        wide = (scale * (1 + 2 * cutting.margin) - 1) / 2
        crops = []
        for box, region in regions:
            state, kind = divmod(int(region), cutting.kinds)
            if state != nothing:
                crop = cutting.face(cut(toned, box, wide, side), kind)
                crops.append(Sample(crop, np.array(state, np.int64)))
        return crops

    with ThreadPoolExecutor() as pool:
        return [crop for crops in pool.map(of_one, enumerate(samples)) for crop in crops]


def usual_share(films: Sequence[tuple[Array, float]]) -> float:
    """The median size of boxes `(k, 4)`, the square root of the area, as a share of the side of
    their film; 0.25 without any."""
    sizes = [
        float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 0.0)) / side)
        for boxes, side in films
        for box in boxes
    ]
    return float(np.median(sizes)) if sizes else 0.25


def state_of(answers: Sequence[bool | None]) -> int:
    """What is known of a region as one number: in base 3, the first answer lowest, 0 for no, 1 for
    yes, 2 for unknown."""
    return sum(3**k * (2 if said is None else int(said)) for k, said in enumerate(answers))


def judgement_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of logits `(n, answers)` with states `(n,)`, over what is known."""
    from torch.nn import functional as F

    truth, known = _answers(target, logits.shape[1])
    each = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def judgement_score(logits: Tensor, target: Tensor) -> Tensor:
    """Of each crop, how far its probabilities are from being wrong: 1 - Brier score."""
    truth, known = _answers(target, logits.shape[1])
    wrong = (logits.float().sigmoid() - truth) ** 2 * known
    return 1 - wrong.sum(1) / known.sum(1).clamp(min=1)


def _answers(states: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Truth and whether it is known, float32 `(n, count)`; the way back of `state_of`."""
    import torch

    digits = torch.stack([states.long() // 3**k % 3 for k in range(count)], 1)
    return (digits == 1).float(), (digits < 2).float()


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
