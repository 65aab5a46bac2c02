"""Heat maps: where a network looked, of any model that has them.

Of a film: Grad-CAM (`gradcam.py`) for convolutional networks, attention rollout (`attention.py`)
for vision transformers. Of a scan: Grad-CAM of slices.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.inference.attention import is_transformer, rollout_map
from radloop.inference.engine import Array
from radloop.inference.gradcam import film_cams, slice_cams
from radloop.systems.model import Model

if TYPE_CHECKING:
    from torch import nn

Heat = npt.NDArray[np.float32]


class HeatMaps:
    """Heat maps of a model on its prepared inputs, by PyTorch on the processor.

    Of an ensemble of films' networks the mean of its members' maps, of one of scans' the first
    member's. The network is loaded at the first call; calls from several threads wait for each
    other.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._networks: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, prepared: Array, numbers: Sequence[int]) -> Heat:
        """Maps `(len(numbers), y, x)` in 0..1 on the grid of the input.

        prepared: uint8, a film `(y, x)` or a scan `(z, y, x)`; numbers: of a film the network's
        outputs, of a scan its slices.
        """
        with self._lock:
            if not self._networks:
                network = self._model.network()
                self._networks = list(getattr(network, "members", [network]))
            if prepared.ndim == 3:
                return slice_cams(self._networks[0], prepared, numbers)
            maps = [film_heat(network, prepared, numbers) for network in self._networks]
        return np.asarray(np.mean(maps, axis=0), np.float32)


def film_heat(network: nn.Module, film: Array, outputs: Sequence[int]) -> Heat:
    """Where a network in evaluation mode looked, for each of some outputs: `(len(outputs), y, x)`.

    film: uint8 `(y, x)` as prepared; the network answers `(1, 1, y, x)` with logits
    `(1, outputs)`. Each map is scaled to 0..1 by itself. Zeros where no place spoke for an answer,
    and for a network without feature maps.
    """
    import torch
    from torch.nn import functional as F

    inputs = torch.from_numpy(np.ascontiguousarray(film))[None, None].float()
    encoders: list[Any] = [m.encoder for m in network.modules() if hasattr(m, "encoder")]
    transformers = [encoder for encoder in encoders if is_transformer(encoder)]
    if transformers:
        one = rollout_map(network, transformers[0], inputs)
        maps = one.expand(len(outputs), *one.shape)
    else:
        cams = film_cams(network, inputs, outputs)
        if cams is None:
            return np.zeros((len(outputs), *film.shape), np.float32)
        maps = cams
    size = (int(film.shape[0]), int(film.shape[1]))
    heat = F.interpolate(maps[None].float(), size=size, mode="bilinear", align_corners=False)[0]
    return np.asarray(heat.detach().numpy(), np.float32)
