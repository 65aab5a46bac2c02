"""Detectors by name: one signature, `build_detector(name, classes, options)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from radloop.errors import InputError
from radloop.networks.detection.detector import Detector


def _yolox(encoder: str, classes: int, **options: Any) -> Detector:
    from radloop.networks.detection.yolox import YoloX

    return YoloX(encoder, classes, **options)


def _faster_rcnn(encoder: str, classes: int, **options: Any) -> Detector:
    from radloop.networks.detection.torchvision_models import faster_rcnn

    return faster_rcnn(encoder, classes, **options)


def _torchvision(builder: str, classes: int, **options: Any) -> Detector:
    from radloop.networks.detection.torchvision_models import torchvision_detector

    return torchvision_detector(builder, classes, **options)


def _rtdetr(encoder: str, classes: int, **options: Any) -> Detector:
    from radloop.networks.detection.rtdetr import RtDetr

    return RtDetr(encoder, classes, **options)


DETECTORS: Mapping[str, tuple[Callable[..., Detector], str]] = {
    "yolox": (_yolox, "encoder of timm"),
    "faster_rcnn": (_faster_rcnn, "encoder of timm"),
    "rtdetr_v2": (_rtdetr, "encoder of timm"),
    "torchvision": (_torchvision, "builder of torchvision, like fasterrcnn_resnet50_fpn"),
}


def build_detector(name: str, classes: int, options: Mapping[str, Any]) -> Detector:
    """The named detector, `kind:network`, for `classes` kinds of boxes, without weights.

    Raises InputError for an unknown name or an option it does not take.
    """
    kind, _, inner = name.partition(":")
    if kind not in DETECTORS or not inner:
        known = ", ".join(f"{kind}:<{what}>" for kind, (_, what) in DETECTORS.items())
        raise InputError(f"There is no detector '{name}'.", f"Known: {known}.")
    try:
        return DETECTORS[kind][0](inner, classes, **options)
    except TypeError as error:
        raise InputError(f"Detector '{name}' does not take these options: {error}.") from error
