"""torchvision's detectors behind `Detector`: Faster R-CNN and SSD.

`faster_rcnn:<encoder>` puts Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) with a feature pyramid
(Lin et al. 2017, arXiv 1612.03144) on any of timm's encoders; `torchvision:<builder>` is one of
torchvision's own, whose COCO weights fit it. What torchvision does in one call is cut where it
depends on the data, so that backbone and heads can be compiled and exported.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from radloop.errors import InputError
from radloop.networks.detection.detector import MOST, Call, Detector, found, truths
from radloop.networks.detection.pyramid import encoder
from radloop.networks.registry import Standardised

CHUNK = 250
"""Regions a call of the second stage, so that its inputs have one shape."""

FASTER_RCNN = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
)
SSD = ("ssd300_vgg16", "ssdlite320_mobilenet_v3_large")


class Coloured(nn.Module):
    """A grey film as torchvision's networks want it: three channels, ImageNet's mean and spread."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Any) -> Any:
        x = (x.float() / 255.0).expand(-1, 3, -1, -1)
        return (x - self.mean) / self.std


class Pyramid(nn.Module):
    """A timm encoder with a feature pyramid, as torchvision's detectors expect a backbone."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        self.encoder_name = name
        self.encoder = encoder(name, (4, 8, 16, 32))
        channels = self.encoder.feature_info.channels()
        self.fpn = FeaturePyramidNetwork(channels, width, extra_blocks=LastLevelMaxPool())
        self.out_channels = width

    def forward(self, x: Tensor) -> Any:
        return self.fpn(OrderedDict((str(k), m) for k, m in enumerate(self.encoder(x))))


class Backbone(nn.Module):
    """The part before the proposals: feature maps, objectness and box offsets of each level."""

    def __init__(self, colours: nn.Module, model: Any) -> None:
        super().__init__()
        self.colours, self.backbone, self.head = colours, model.backbone, model.rpn.head

    def forward(self, films: Tensor) -> tuple[Tensor, ...]:
        maps = list(self.backbone(self.colours(films)).values())
        objectness, offsets = self.head(maps)
        return (*maps, *objectness, *offsets)


class Heads(nn.Module):
    """The part after them: class logits and box offsets of the pooled regions."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.box_head, self.predictor = model.roi_heads.box_head, model.roi_heads.box_predictor

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits, offsets = self.predictor(self.box_head(pooled))
        return logits, offsets


class FasterRcnn(Detector):
    """Faster R-CNN; `model` is torchvision's, `colours` turns films into its input."""

    def __init__(self, model: Any, colours: nn.Module, classes: int) -> None:
        super().__init__()
        self.model, self.colours, self.classes = model, colours, classes
        self._parts = {"backbone": Backbone(colours, model), "heads": Heads(model)}

    def train(self, mode: bool = True) -> FasterRcnn:
        super().train(mode)
        for part in self._parts.values():
            part.train(mode)  # the same layers, but with a flag of their own
        return self

    def parts(self) -> Mapping[str, nn.Module]:
        return self._parts

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        pool, width = self.model.roi_heads.box_roi_pool, self.model.backbone.out_channels
        pooled = torch.zeros(CHUNK, width, *pool.output_size)
        return {
            "backbone": (torch.zeros(1, 1, side, side, dtype=torch.uint8),),
            "heads": (pooled,),
        }

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        maps, objectness, offsets = self._levels(call("backbone", (films,)))
        images, shapes = self._images(films)
        with self._mode(False):
            proposals, _ = self._proposals(images, maps, objectness, offsets)
            named = OrderedDict((str(k), m) for k, m in enumerate(maps))
            heads = self.model.roi_heads
            pooled = heads.box_roi_pool(self._named(named), proposals, shapes)
            logits, moves = self._heads(pooled, call)
            boxes, scores, labels = heads.postprocess_detections(logits, moves, proposals, shapes)
        return torch.stack(
            [
                found(b.float().cpu(), s.float().cpu(), k.cpu() - 1, MOST)
                for b, s, k in zip(boxes, scores, labels, strict=True)
            ]
        )

    def losses(self, films: Tensor, target: Tensor) -> Tensor:
        images, _ = self._images(films)
        wanted = [{"boxes": b, "labels": k + 1} for b, k in truths(target)]
        maps, objectness, offsets = self._levels(self._parts["backbone"](films))
        with torch.autocast(films.device.type, enabled=False), self._mode(True):
            maps = [m.float() for m in maps]
            objectness, offsets = [x.float() for x in objectness], [x.float() for x in offsets]
            proposals, anchors = self._proposals(images, maps, objectness, offsets)
            rpn = self.model.rpn
            labels, matched = rpn.assign_targets_to_anchors(anchors, wanted)
            wishes = rpn.box_coder.encode(matched, anchors)
            flat, moves = detection.rpn.concat_box_prediction_layers(objectness, offsets)
            first = rpn.compute_loss(flat, moves, labels, wishes)
            named = self._named(OrderedDict((str(k), m) for k, m in enumerate(maps)))
            shapes = [tuple(films.shape[-2:])] * len(films)
            _, second = self.model.roi_heads(named, proposals, shapes, wanted)
        total: Tensor = sum(first) + sum(second.values())
        return total

    def _named(self, maps: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
        """The pyramid's levels under the names that the region pooling looks for."""
        names = [*self.model.roi_heads.box_roi_pool.featmap_names, "pool"]
        return OrderedDict(zip(names, maps.values(), strict=False))

    def _levels(self, outputs: tuple[Tensor, ...]) -> tuple[list[Tensor], ...]:
        count = len(outputs) // 3
        return tuple(list(outputs[k * count : (k + 1) * count]) for k in range(3))

    def _images(self, films: Tensor) -> tuple[ImageList, list[tuple[int, int]]]:
        shapes = [(int(films.shape[-2]), int(films.shape[-1]))] * len(films)
        return ImageList(films.float(), shapes), shapes

    def _proposals(
        self, images: ImageList, maps: list[Tensor], objectness: list[Tensor],
        offsets: list[Tensor],
    ) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
        """As `RegionProposalNetwork.forward` finds them, from the head's outputs; the anchors."""
        rpn = self.model.rpn
        anchors = rpn.anchor_generator(images, maps)
        counts = [int(o[0].numel()) for o in objectness]
        flat, moves = detection.rpn.concat_box_prediction_layers(
            [o.clone() for o in objectness], [o.clone() for o in offsets]
        )
        boxes = rpn.box_coder.decode(moves.detach(), anchors).view(len(anchors), -1, 4)
        proposals, _ = rpn.filter_proposals(boxes, flat.detach(), images.image_sizes, counts)
        return proposals, anchors

    def _heads(self, pooled: Tensor, call: Call) -> tuple[Tensor, Tensor]:
        count = len(pooled)
        short = -count % CHUNK
        whole = torch.cat([pooled, pooled.new_zeros(short, *pooled.shape[1:])]) if short else pooled
        answers = [call("heads", (one,)) for one in torch.split(whole, CHUNK)] if count else []
        if not answers:
            return pooled.new_zeros(0, self.classes + 1), pooled.new_zeros(0, 4 * self.classes + 4)
        logits, moves = (torch.cat(some)[:count] for some in zip(*answers, strict=True))
        return logits, moves

    @contextmanager
    def _mode(self, training: bool) -> Any:
        """torchvision looks at these flags to know how many proposals to keep, and whether to
        sample among them; batch statistics stay as they are."""
        flagged = (self.model.rpn, self.model.roi_heads)
        before = [module.training for module in flagged]
        for module in flagged:
            module.training = training
        try:
            yield
        finally:
            for module, flag in zip(flagged, before, strict=True):
                module.training = flag


class Ssd(Detector):
    """SSD (Liu et al. 2016, arXiv 1512.02325) as torchvision builds it."""

    def __init__(self, model: Any, colours: nn.Module, classes: int) -> None:
        super().__init__()
        self.model, self.colours, self.classes = model, colours, classes
        self._shapes: dict[int, list[tuple[int, int]]] = {}
        self.dense = SsdDense(colours, model)

    def parts(self) -> Mapping[str, nn.Module]:
        return {"dense": self.dense}

    def examples(self, side: int) -> Mapping[str, tuple[Tensor, ...]]:
        return {"dense": (torch.zeros(1, 1, side, side, dtype=torch.uint8),)}

    def run(self, films: Tensor, call: Call, stage: str = "") -> Tensor:
        logits, moves, *maps = call("dense", (films,))
        images, shapes = self._images(films)
        anchors = self.model.anchor_generator(images, maps)
        answers = {"cls_logits": logits, "bbox_regression": moves}
        results = self.model.postprocess_detections(answers, anchors, shapes)
        return torch.stack(
            [found(r["boxes"].cpu(), r["scores"].cpu(), r["labels"].cpu() - 1) for r in results]
        )

    def losses(self, films: Tensor, target: Tensor) -> Tensor:
        logits, moves, *maps = self.dense(films)
        images, _ = self._images(films)
        anchors = self.model.anchor_generator(images, maps)
        wanted = [{"boxes": b, "labels": k + 1} for b, k in truths(target)]
        matched = []
        for boxes, truth in zip(anchors, wanted, strict=True):
            if len(truth["boxes"]):
                overlap = detection.ssd.box_ops.box_iou(truth["boxes"], boxes)
                matched.append(self.model.proposal_matcher(overlap))
            else:
                matched.append(torch.full((len(boxes),), -1, device=boxes.device))
        answers = {"cls_logits": logits.float(), "bbox_regression": moves.float()}
        losses = self.model.compute_loss(wanted, answers, anchors, matched)
        total: Tensor = sum(losses.values())
        return total

    def _images(self, films: Tensor) -> tuple[ImageList, list[tuple[int, int]]]:
        shapes = [(int(films.shape[-2]), int(films.shape[-1]))] * len(films)
        return ImageList(films.float(), shapes), shapes


class SsdDense(nn.Module):
    """Films to class logits, box offsets, and the maps they came from (their shapes count)."""

    def __init__(self, colours: nn.Module, model: Any) -> None:
        super().__init__()
        self.colours, self.backbone, self.head = colours, model.backbone, model.head

    def forward(self, films: Tensor) -> tuple[Tensor, ...]:
        maps = list(self.backbone(self.colours(films)).values())
        answers = self.head(maps)
        return (answers["cls_logits"], answers["bbox_regression"], *maps)


def faster_rcnn(name: str, classes: int, width: int = 256, proposals: int = 300) -> FasterRcnn:
    """Faster R-CNN on timm's encoder `name`. proposals: regions the second stage looks at."""
    anchors = AnchorGenerator(
        tuple((s, round(s * 1.26), round(s * 1.59)) for s in (24, 48, 96, 192, 384)),
        ((0.5, 1.0, 2.0),) * 5,
    )
    model = detection.FasterRCNN(
        Pyramid(name, width), classes + 1, rpn_anchor_generator=anchors,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2),
        rpn_post_nms_top_n_test=proposals, rpn_post_nms_top_n_train=4 * proposals,
        box_detections_per_img=MOST, box_score_thresh=0.01,
    )  # fmt: skip
    return FasterRcnn(model, Standardised(nn.Identity()), classes)


def torchvision_detector(builder: str, classes: int) -> Detector:
    """One of torchvision's own detectors, without weights."""
    if builder not in (*FASTER_RCNN, *SSD):
        raise InputError(
            f"torchvision has no detector '{builder}' that is known here.",
            f"Known: {', '.join((*FASTER_RCNN, *SSD))}.",
        )
    model = getattr(detection, builder)(
        weights=None, weights_backbone=None, num_classes=classes + 1
    )
    colours = Coloured(model.transform.image_mean, model.transform.image_std)
    detector = (FasterRcnn if builder in FASTER_RCNN else Ssd)(model, colours, classes)
    detector.builder_name = builder
    return detector
