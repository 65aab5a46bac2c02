"""Distillation: trained models teach another one (Hinton et al. 2015, arXiv 1503.02531).

Readers disagree about edges, and a mask has no way to say so. The mean answer of several models
has: where they differ it is soft. A network taught by masks and that mean together comes close to
the ensemble at the price of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images.image import Image
from radloop.systems.base import Array, System
from radloop.systems.model import load_model

SHARE = 0.5
"""How much of a soft target is the teachers'; the rest is the reader's mask."""


def teacher(system: System, models: Sequence[str]) -> Callable[[Image, Array], Array]:
    """A function of a film and its label map `(y, x)` that gives soft labels.

    Soft labels are uint8 `(structures, y, x)`, 255 = certain, as in `training.data.Sample`.
    Raises InputError for models of another system, and for a system without masks.
    """
    import cv2
    import torch

    if not system.structures or system.reads_scans:
        raise InputError(f"'{system.name}' has no masks to teach.", "Leave --teacher away.")
    loaded = [load_model(model) for model in models]
    for model in loaded:
        if model.system.name != system.name:
            raise InputError(
                f"'{model.name}' is a model of '{model.system.name}', not of '{system.name}'.",
                "Let models of the same system teach.",
            )
    networks = [(system.deploy(model.network()).eval(), model.size) for model in loaded]
    values = np.arange(1, len(system.structures) + 1)[:, None, None]

    def soften(image: Image, labels: Array) -> npt.NDArray[np.uint8]:
        answer = np.zeros((len(values), *labels.shape), np.float32)
        for network, size in networks:
            film = torch.from_numpy(system.prepare(image, size))
            with torch.inference_mode():
                maps = network(film[None, None].float())[0].numpy()
            answer += [cv2.resize(one, labels.shape[::-1]) for one in maps]
        masks = 255.0 * (labels == values)
        soft = SHARE * answer / len(networks) + (1 - SHARE) * masks
        return np.asarray(np.rint(soft), np.uint8)

    return soften
