"""Two networks as one: the first finds regions, the second judges what was cut out of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from radloop.networks.detection.detector import Call, Detector, Parts, Seen

REGIONS = "regions"
"""The stage that judges crops."""


class TwoStage(nn.Module):
    """detector: films to boxes. classifier: crops `(n, 1, side, side)` to logits `(n, 1)`, or None
    where the detector's word is final."""

    def __init__(self, detector: Detector, classifier: nn.Module | None, side: int) -> None:
        super().__init__()
        self.detector, self.classifier, self.side = detector, classifier, side

    def forward(self, films: Tensor) -> Seen:
        seen: Seen = self.detector(films)
        return seen


class Reading(Parts):
    """A `TwoStage` in use.

    Stage "": films to what is found, `(n, most, 6)` as in `detector`, but boxes as shares of the
    side. Stage `REGIONS`: crops to logits `(n, 1)`.
    """

    def __init__(self, network: TwoStage) -> None:
        super().__init__()
        self.network = network

    def parts(self) -> Mapping[str, nn.Module]:
        parts = dict(self.network.detector.parts())
        if self.network.classifier is not None:
            parts[REGIONS] = self.network.classifier
        return parts

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        examples = dict(self.network.detector.examples(side))
        if self.network.classifier is not None:
            crop = self.network.side
            examples[REGIONS] = (torch.zeros(1, 1, crop, crop, dtype=torch.uint8),)
        return examples

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        if stage == REGIONS:
            return call(REGIONS, (films,))[0].float()
        found = self.network.detector.run(films, call)
        found[..., :4] /= films.shape[-1]
        return found
