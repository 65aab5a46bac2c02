"""RT-DETRv2 (Lv et al. 2024, arXiv 2407.17140) from transformers behind `Detector`.

A transformer that gives a fixed set of boxes without suppression, on any of timm's encoders
(`rtdetr_v2:<encoder>`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from radloop.errors import InputError
from radloop.networks.detection.detector import Call, Detector, found, truths
from radloop.networks.registry import Standardised


class Queries(nn.Module):
    """Films to the logits and boxes (centre and size, shares of the side) of every query."""

    def __init__(self, model: Any, colours: nn.Module) -> None:
        super().__init__()
        self.model, self.colours = model, colours

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        answer = self.model(pixel_values=self.colours(films))
        return answer.logits, answer.pred_boxes


class RtDetr(Detector):
    """RT-DETRv2 on timm's encoder `name`. queries: boxes it looks for at once."""

    def __init__(
        self, name: str, classes: int, width: int = 128, queries: int = 100, layers: int = 3
    ) -> None:
        super().__init__()
        try:
            from transformers import RTDetrV2Config, RTDetrV2ForObjectDetection
            from transformers.models.timm_backbone import TimmBackboneConfig
        except ImportError as error:
            raise InputError(
                "RT-DETRv2 needs the package 'transformers'.",
                "Install it: pip install 'radloop[transformers]'.",
            ) from error
        from radloop.networks.detection.pyramid import encoder

        channels = encoder(name, (8, 16, 32)).feature_info.channels()
        # transformers' configurations are typed by what they document, and take more.
        make_config: Any = RTDetrV2Config
        make_backbone: Any = TimmBackboneConfig
        config = make_config(
            backbone_config=make_backbone(
                backbone=name, num_channels=1, features_only=True, out_indices=(-3, -2, -1),
                use_pretrained_backbone=False,
            ),
            num_labels=classes, num_queries=queries, decoder_layers=layers,
            encoder_in_channels=list(channels), encoder_hidden_dim=width, d_model=width,
            decoder_in_channels=[width] * 3, decoder_ffn_dim=4 * width, encoder_ffn_dim=4 * width,
            num_denoising=50, freeze_backbone_batch_norms=False,
        )  # fmt: skip
        self.classes, self.encoder_name = classes, name
        self.queries = Queries(RTDetrV2ForObjectDetection(config), Standardised(nn.Identity()))

    def parts(self) -> Mapping[str, nn.Module]:
        return {"queries": self.queries}

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        return {"queries": (torch.zeros(1, 1, side, side, dtype=torch.uint8),)}

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        logits, places = (x.float().cpu() for x in call("queries", (films,)))
        side = float(films.shape[-1])
        middle, half = places[..., :2] * side, places[..., 2:] * side / 2
        boxes = torch.cat([middle - half, middle + half], -1).clamp(0, side)
        best, label = logits.sigmoid().max(-1)
        return torch.stack([found(*one) for one in zip(boxes, best, label, strict=True)])

    def losses(self, films: Tensor, target: Tensor) -> Tensor:
        side = float(films.shape[-1])
        labels = []
        for boxes, classes in truths(target):
            size = boxes[:, 2:] - boxes[:, :2]
            centred = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, size], 1) / side
            labels.append({"class_labels": classes, "boxes": centred})
        with torch.autocast(films.device.type, enabled=False):
            pixels = self.queries.colours(films)
            loss: Tensor = self.queries.model(pixel_values=pixels, labels=labels).loss
        return loss
