"""The sanity check of heat maps: without what the network has learned, the map must be lost.

Adebayo et al. 2018 (arXiv 1810.03292) found maps that looked right and were the same for a network
of random weights: they showed the film, not the network. Here the layers are randomised one after
the other, from the answer down, and each map is compared with that of the trained network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from radloop.errors import InputError
from radloop.images.image import Image
from radloop.inference.engine import Array
from radloop.inference.heatmaps import Heat, film_heat
from radloop.measures.similarity import rank_correlation, structural_similarity
from radloop.systems.films.system import FilmSystem
from radloop.systems.model import Model

if TYPE_CHECKING:
    from torch import nn

LOST = 0.5
"""Below this similarity, on average over films, a map is lost: what maps of different films share
(`SanityCheck.others`) comes near it."""

Explainer = Callable[["nn.Module", Array, Sequence[int]], Heat]


@dataclass(frozen=True)
class Step:
    """The similarity of maps after randomising all layers from the answer down to this one.

    layer: its name; "" where nothing was randomised (`between_films`). ssim, rank: structural
    similarity and rank correlation, one number a film.
    """

    layer: str
    ssim: tuple[float, ...]
    rank: tuple[float, ...]

    @property
    def means(self) -> tuple[float, float]:
        """Both similarities, on average over the films."""
        return float(np.mean(self.ssim)), float(np.mean(self.rank))

    @property
    def lost(self) -> bool:
        """Whether neither similarity is left."""
        return max(self.means) < LOST


def randomised(network: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """The network with more and more of its layers randomised, from the answer down.

    Yields the name of the latest layer with weights (a convolution, a linear layer) and the same
    copy of the network. Its weights are drawn anew from a normal distribution of their own standard
    deviation; what has one dimension (biases, normalisations with their statistics) changes places
    among the channels. So activations keep their scale, and nothing of what was learned stays. The
    order is that of definition, reversed.
    """
    import torch

    network = copy.deepcopy(network).eval()
    generator = torch.Generator().manual_seed(seed)
    layers = [(n, m) for n, m in network.named_modules() if m._parameters or m._buffers]
    for name, layer in reversed(layers):
        own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        with torch.no_grad():
            for _, values in own:
                if not values.is_floating_point():
                    continue
                if values.ndim > 1:
                    drawn = torch.randn(values.shape, generator=generator)
                    values.copy_(drawn * (values.std() if values.numel() > 1 else 1.0))
                else:
                    values.copy_(values[torch.randperm(len(values), generator=generator)])
        if any(values.ndim > 1 for _, values in own):
            yield name, network


def cascade(
    network: nn.Module,
    films: Sequence[Array],
    outputs: Sequence[int],
    *,
    explain: Explainer = film_heat,
    steps: int = 10,
    seed: int = 0,
) -> list[Step]:
    """The similarity to the trained network's maps, as its layers are randomised.

    films: prepared, uint8 `(y, x)`; outputs: of each film the output that is explained. steps: how
    many of the layers are looked at, evenly spread; the first and the last always are.
    """
    trained = [explain(network, f, [k])[0] for f, k in zip(films, outputs, strict=True)]
    names = [name for name, _ in randomised(network, seed)]
    looked = {names[k] for k in np.linspace(0, len(names) - 1, steps).round().astype(int)}
    found = []
    for name, changed in randomised(network, seed):
        if name in looked:
            maps = [explain(changed, f, [k])[0] for f, k in zip(films, outputs, strict=True)]
            found.append(_compared(name, trained, maps))
    return found


@dataclass(frozen=True)
class SanityCheck:
    """What became of a model's maps.

    cascade: from the answer down to the first layer; others: of maps of different films, for
    comparison; films: how many were compared; empty: of how many more the trained network has no
    map, because no place speaks for the answer.
    """

    cascade: tuple[Step, ...]
    others: Step
    films: int
    empty: int = 0

    @property
    def lost(self) -> bool:
        """Whether the maps depend on what was learned: none is left when all layers are random."""
        return self.cascade[-1].lost


def film_system(model: Model) -> FilmSystem:
    """The system of a model whose maps can be checked. Raises InputError for one that reads scans
    or finds regions."""
    if not isinstance(model.system, FilmSystem):
        raise InputError(
            f"'{model.name}' does not answer questions about whole films.",
            "Give a model of a system of films, as film_classification.",
        )
    return model.system


def check_maps(
    model: Model, films: Sequence[Image], output: int, *, steps: int = 10, seed: int = 0
) -> SanityCheck:
    """The check for one output of a film model; of an ensemble, of its first member.

    Raises InputError where `film_system` does, and for fewer than two films with a map.
    """
    system = film_system(model)
    network = model.network()
    network = getattr(network, "members", [network])[0]
    prepared = [system.prepare(image, model.size) for image in films]
    maps = [film_heat(network, film, [output])[0] for film in prepared]
    some = [k for k, heat in enumerate(maps) if heat.any()]
    if len(some) < 2:
        raise InputError(
            f"Of {len(films)} films {len(some)} have a map of '{system.outputs[output]}':"
            " too few to compare maps.",
            "Give two or more films on which the network sees something that speaks for it.",
        )
    chosen = [prepared[k] for k in some]
    found = cascade(network, chosen, [output] * len(some), steps=steps, seed=seed)
    others = between_films([maps[k] for k in some])
    return SanityCheck(tuple(found), others, len(some), len(films) - len(some))


def between_films(maps: Sequence[Heat]) -> Step:
    """The similarity of the maps of different films: what two maps that have nothing to do with
    each other still share (most look near the middle)."""
    return _compared("", maps, [*maps[1:], *maps[:1]])


def _compared(name: str, first: Sequence[Heat], second: Sequence[Heat]) -> Step:
    pairs = list(zip(first, second, strict=True))
    return Step(
        name,
        tuple(structural_similarity(a, b) for a, b in pairs),
        tuple(rank_correlation(a, b) for a, b in pairs),
    )
