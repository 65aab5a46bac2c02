"""The second rule: where teeth are missing, told from the geometry of neighbouring boxes.

A small network (`networks.charting.GapNetwork`) reads measurements of two neighbours and those
beside them, and says how many teeth are missing between the two. It learns from the boxes that the
detector learns from: teeth are left out, and it is asked how many (Chen et al. 2019, Sci Rep
9:3840).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from radloop.systems.jaw.numbers import Arch, deciduous, template
from radloop.systems.jaw.tooth import Tooth, split_arches

if TYPE_CHECKING:
    from radloop.networks.charting import GapNetwork

Floats = npt.NDArray[np.float64]
Look = Callable[..., npt.NDArray[np.float32]]

FEATURES = 12
MOST = 4
"""Missing teeth between two neighbours are counted up to here: so many or more."""
_AROUND = 3
"""Neighbours on each side whose width and height set the scale."""


def gap_features(teeth: Sequence[Tooth], film_width: float) -> Floats:
    """Measurements of every two neighbours of an arch, sorted from left to right,
    `(len(teeth) - 1, FEATURES)`.

    In widths (across) or heights (along) of the teeth around: the distances of edges and middles,
    the step up or down, the sizes of both, the gaps beside; the place of the pair on the film and
    in the arch.
    """
    if len(teeth) < 2:
        return np.zeros((0, FEATURES))
    boxes = np.array([tooth.corners for tooth in teeth], np.float64)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    edges = boxes[1:, 0] - boxes[:-1, 2]
    rows = []
    for k in range(len(teeth) - 1):
        around = slice(max(0, k - _AROUND), k + 2 + _AROUND)
        w, h = max(float(np.median(width[around])), 1.0), max(float(np.median(height[around])), 1.0)
        step = middle[k + 1] - middle[k]
        place = (middle[k, 0] + middle[k + 1, 0]) / 2 / film_width
        rows.append([
            edges[k] / w, step[0] / w, step[1] / h,
            width[k] / w, width[k + 1] / w, height[k] / h, height[k + 1] / h,
            edges[k - 1] / w if k else -1.0,
            edges[k + 1] / w if k + 1 < len(edges) else -1.0,
            2 * place - 1, (2 * place - 1) ** 2, w / film_width * 16,
        ])  # fmt: skip
    return np.clip(np.array(rows), -8, 8)


def missing_between(teeth: Sequence[Tooth], film_width: float, look: Look) -> Floats:
    """How likely it is that 0, 1, ... `MOST` or more teeth are missing between a tooth of an arch
    and the next: `(len(teeth) - 1, MOST + 1)`. look: runs the network on a stage."""
    from radloop.networks.charting import MOST_GAPS  # here: it loads torch

    every = gap_features(teeth, film_width)
    if not len(every):
        return np.zeros((0, MOST + 1))
    rows = every[:MOST_GAPS]  # no arch has more: beyond, nothing is known
    padded = np.zeros((MOST_GAPS, FEATURES), np.float32)
    padded[: len(rows)] = rows
    logits = np.asarray(look(padded, "gaps"), np.float64)[: len(rows)]
    odds = np.exp(logits - logits.max(1, keepdims=True))
    likely = np.full((len(every), MOST + 1), 1 / (MOST + 1))
    likely[: len(rows)] = odds / odds.sum(1, keepdims=True)
    return likely


def with_placeholders(
    teeth: Sequence[Tooth], missing: Floats
) -> tuple[tuple[str | None, ...], tuple[float, ...]]:
    """The numbers of an arch with None where the network says that a tooth is missing, and the
    scores, 0 there: what `sequence.slide` takes."""
    numbers: list[str | None] = []
    scores: list[float] = []
    for k, tooth in enumerate(teeth):
        count = int(missing[k - 1].argmax()) if k else 0
        numbers += [None] * count + [tooth.number]
        scores += [0.0] * count + [tooth.score]
    return tuple(numbers), tuple(scores)


def leave_out(
    films: Iterable[tuple[Sequence[Tooth], float]], rng: np.random.Generator, rounds: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Measurements of neighbours and how many teeth are missing between them, from true boxes.

    films: teeth and the width of each film, px. Each arch is taken `rounds` times, each time with
    other teeth left out, singly and in runs, edges moved a little, and half the time mirrored.
    """
    features, counts = [np.zeros((0, FEATURES))], [np.zeros(0, np.int64)]
    for teeth, width in films:
        for name, arch_teeth in split_arches(teeth).items():
            own = _each_once([t for t in arch_teeth if not deciduous(t.number)], name)
            for _ in range(rounds if len(own) > 1 else 0):
                rows, missing = _one_round(own, name, width, rng)
                features.append(rows)
                counts.append(missing)
    return np.concatenate(features), np.concatenate(counts)


def _each_once(teeth: Sequence[Tooth], of: Arch) -> list[Tooth]:
    """Those of the arch's own numbers that stand in order; a double or a slip teaches nothing."""
    order = {number: k for k, number in enumerate(template(of))}
    kept: list[Tooth] = []
    for tooth in teeth:
        last = order[kept[-1].number] if kept else -1
        if order.get(tooth.number, -1) > last:
            kept.append(tooth)
    return kept


def _one_round(
    teeth: Sequence[Tooth], of: Arch, width: float, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.int64]]:
    order = {number: k for k, number in enumerate(template(of))}
    stays = rng.random(len(teeth)) >= rng.choice([0.0, 0.05, 0.15, 0.4])
    if rng.random() < 0.4:  # a run of missing teeth
        start = int(rng.integers(0, len(teeth)))
        stays[start : start + int(rng.integers(1, 6))] = False
    kept = [tooth for tooth, stay in zip(teeth, stays, strict=True) if stay]
    places = np.array([order[tooth.number] for tooth in kept], np.int64)
    moved = [_jittered(tooth, rng) for tooth in kept]
    if rng.random() < 0.5:
        moved = [_mirror(tooth, width) for tooth in moved[::-1]]
        places = -places[::-1]
    missing = np.clip(np.diff(places) - 1, 0, MOST) if len(kept) > 1 else np.zeros(0, np.int64)
    return gap_features(moved, width), missing


def _jittered(tooth: Tooth, rng: np.random.Generator) -> Tooth:
    """As a detector would draw it."""
    x0, y0, x1, y1 = tooth.corners
    dx, dy = rng.normal(0, 0.05, 2) * tooth.width, rng.normal(0, 0.03, 2) * tooth.height
    return Tooth((x0 + dx[0], y0 + dy[0], x1 + dx[1], y1 + dy[1]), tooth.score, tooth.number)


def _mirror(tooth: Tooth, width: float) -> Tooth:
    x0, y0, x1, y1 = tooth.corners
    return Tooth((width - x1, y0, width - x0, y1), tooth.score, tooth.number)


def train_gaps(
    network: GapNetwork, films: Sequence[tuple[Sequence[Tooth], float]], seed: int,
    rounds: int = 30, epochs: int = 15,
) -> float:  # fmt: skip
    """Train the network in place on teeth left out of `films`; returns the share of gaps it counts
    right on others left out."""
    import torch
    from torch.nn import functional as F

    rng = np.random.default_rng(seed)
    features, counts = (torch.from_numpy(x) for x in leave_out(films, rng, rounds))
    if not len(features):
        return float("nan")
    features = features.float()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(features), generator=generator)
        for start in range(0, len(order), 1024):
            rows = order[start : start + 1024]
            loss = F.cross_entropy(network(features[rows]), counts[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        steps.step()
    network.eval()
    others, truth = leave_out(films, rng, 2)
    with torch.inference_mode():
        said = network(torch.from_numpy(others).float()).argmax(1).numpy()
    return float((said == truth).mean())
