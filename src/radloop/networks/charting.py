"""The networks of a dental chart as one: teeth, the gaps between them, conditions of teeth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from radloop.networks.detection.detector import Call, Detector, Parts, Seen

GAPS, CONDITIONS = "gaps", "conditions"
"""The stages beside the first, which finds the teeth."""
MOST_GAPS = 64
"""Rows of a call of the stage `GAPS`; what is not needed is zero."""


class GapNetwork(nn.Sequential):
    """Measurements of neighbouring boxes `(..., features)` to logits of how many teeth are missing
    between them, 0 to `most`: `(..., most + 1)`."""

    def __init__(self, features: int, most: int, width: int = 32) -> None:
        super().__init__(
            nn.Linear(features, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, most + 1),
        )  # fmt: skip
        self.features = features


class Charting(nn.Module):
    """teeth: a detector with a class a tooth. conditions: a detector of what is on teeth, or None.
    side: of the film that it looks at, px."""

    def __init__(
        self, teeth: Detector, gaps: GapNetwork, conditions: Detector | None, side: int
    ) -> None:
        super().__init__()
        self.teeth, self.gaps, self.conditions, self.side = teeth, gaps, conditions, side

    def forward(self, films: Tensor) -> Seen:
        seen: Seen = self.teeth(films)
        return seen


class Reading(Parts):
    """A `Charting` in use.

    Stages "" and `CONDITIONS`: films to what is found, `(n, most, 6)` as in `detector`, but boxes
    as shares of the side, and without scores of whole films. Stage `GAPS`:
    `(n, 1, MOST_GAPS, features)` to logits `(n, MOST_GAPS, most + 1)`.
    """

    def __init__(self, network: Charting) -> None:
        super().__init__()
        self.network = network

    def _detectors(self) -> Mapping[str, tuple[Detector, int]]:
        both = {"teeth": (self.network.teeth, 0)}
        if self.network.conditions is not None:
            both[CONDITIONS] = self.network.conditions, self.network.side
        return both

    def parts(self) -> Mapping[str, nn.Module]:
        parts: dict[str, nn.Module] = {GAPS: self.network.gaps}
        for name, (detector, _) in self._detectors().items():
            parts |= {f"{name}.{part}": module for part, module in detector.parts().items()}
        return parts

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        examples: dict[str, tuple[Tensor, ...]] = {
            GAPS: (torch.zeros(1, MOST_GAPS, self.network.gaps.features),)
        }
        for name, (detector, own) in self._detectors().items():
            given = detector.examples(own or side)
            examples |= {f"{name}.{part}": inputs for part, inputs in given.items()}
        return examples

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        if stage == GAPS:
            return call(GAPS, (films[:, 0].float(),))[0].float()
        name = stage or "teeth"
        detector, _ = self._detectors()[name]
        found = detector.run(films, lambda part, x: call(f"{name}.{part}", x))
        found[..., :4] /= films.shape[-1]
        found[found[..., 5] >= detector.classes] = found.new_tensor([0, 0, 0, 0, 0, -1])
        return found
