"""`Detector`: what every network that draws boxes has in common.

Boxes are `[x0, y0, x1, y1]` in px of the network's square input, edges at whole numbers (the first
pixel reaches from 0 to 1). A target is float32 `(n, m, 5)`: box and class number, class -1 where a
film has fewer than `m` boxes. What is found is float32 `(n, most, 6)`: box, score in 0..1 and class
number, falling by score; class -1 and score 0 where nothing is left. Rows of class `classes` are no
boxes but the score of the whole film, of detectors that give one (`Detector.judges_film`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MOST = 100
"""Boxes a film, at most: memory stays bounded whatever a network finds."""

Call = Callable[[str, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""Runs a part by its name."""


class Parts(nn.Module):
    """A deployed network in parts that engines compile one by one, joined by `run` on the host.

    Each part is a module from tensors of fixed shapes to tensors; what depends on the data
    (suppression of overlapping boxes, cutting regions out of feature maps) happens between them, so
    that an export survives a film on which nothing is proposed.
    """

    @abstractmethod
    def parts(self) -> Mapping[str, nn.Module]:
        """The parts by name, in the order of the data."""

    @abstractmethod
    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        """Inputs of each part, for tracing; side: of the first part's films, px."""

    @abstractmethod
    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        """The whole network on films `(n, 1, y, x)`, its parts run by `call`.

        stage: which network, of several in one (`networks.two_stage`).
        """

    def forward(self, films: Tensor, stage: str = "") -> Any:
        return self.run(films, self._call, stage)

    def _call(self, name: str, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        outputs = self.parts()[name](*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)


class Detector(Parts):
    """A network that draws boxes. classes: how many kinds of boxes it tells apart."""

    classes: int
    builder_name = ""
    """torchvision's own name, where its COCO weights fit."""
    judges_film = False
    """Whether it also scores the film as a whole: the chance that it has any box."""

    def forward(self, films: Tensor, stage: str = "") -> Seen:
        """Some detectors need the truth within their forward pass (to sample proposals, for
        denoising queries), so the pass waits until it is known what is asked for."""
        return Seen(self, films)

    @abstractmethod
    def losses(self, films: Tensor, target: Tensor) -> Tensor:
        """The training loss of films `(n, 1, y, x)` in 0..255 against their boxes, a scalar."""

    def detect(self, films: Tensor) -> Tensor:
        """What is found, see the module's text."""
        return self.run(films, self._call)


@dataclass(frozen=True)
class Seen:
    """Films that a detector was shown."""

    detector: Detector
    films: Tensor

    def loss(self, target: Tensor) -> Tensor:
        """Against the boxes, a scalar."""
        return self.detector.losses(self.films, target)

    def boxes(self) -> Tensor:
        """What is found, see the module's text."""
        return self.detector.detect(self.films)


class Detecting(Parts):
    """A detector in use: films in, what is found out."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def parts(self) -> Mapping[str, nn.Module]:
        return self.detector.parts()

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        return self.detector.examples(side)

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        return self.detector.run(films, call)


def found(boxes: Tensor, scores: Tensor, labels: Tensor, most: int = MOST) -> Tensor:
    """The `most` best of one film's boxes `(k, 4)` as rows `(most, 6)`, see the module's text."""
    rows = torch.zeros(most, 6)
    rows[:, 5] = -1
    order = scores.argsort(descending=True, stable=True)[:most]
    picked = torch.cat([boxes[order], scores[order, None], labels[order, None].float()], 1)
    rows[: len(picked)] = picked
    return rows


def truths(target: Tensor) -> list[tuple[Tensor, Tensor]]:
    """A padded target as one pair a film: boxes `(k, 4)`, classes `(k,)` int64."""
    pairs = []
    for rows in target:
        real = rows[rows[:, 4] >= 0]
        pairs.append((real[:, :4].float(), real[:, 4].long()))
    return pairs
