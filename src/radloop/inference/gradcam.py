"""Grad-CAM: which places of a slice spoke for the answer (Selvaraju et al. 2017)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from radloop.inference.engine import Array
from radloop.systems.model import Model


class GradCam:
    """Heat maps of a scan model, on its prepared input, by PyTorch on the processor.

    The gradient of the mean logit of the asked slices with respect to the network's last feature
    maps (`features` modules of its members) weights their channels; what is left after the
    rectifier is scaled to 0..1 by the largest value of the asked slices. Loaded at the first call.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._network: Any = None
        self._lock = threading.Lock()

    def __call__(self, stack: Array, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """stack: uint8 `(z, y, x)`; rows: numbers of slices. Returns `(len(rows), y, x)`.

        Zeros for a network without feature maps of slices (a 3D network).
        """
        import torch
        from torch.nn import functional as F

        with self._lock:
            if self._network is None:
                self._network = self._model.network()
            network = self._network
            maps: list[Any] = []

            def keep(module: Any, inputs: Any, output: Any) -> None:
                output.retain_grad()
                maps.append(output)

            layers = [m for name, m in network.named_modules() if name.split(".")[-1] == "features"]
            hooks = [layer.register_forward_hook(keep) for layer in layers]
            try:
                with torch.enable_grad():
                    film = torch.from_numpy(np.ascontiguousarray(stack))[None, None].float()
                    logits = network(film.requires_grad_())
                    if not maps or logits.shape[1] == 1:
                        return np.zeros((len(rows), *stack.shape[1:]), np.float32)
                    logits[0, [1 + row for row in rows], 0].sum().backward()
                heat = torch.zeros(len(rows), *stack.shape[1:])
                for one in maps:
                    weights = one.grad.mean((2, 3), keepdim=True)
                    cam = (weights * one).sum(1, keepdim=True).relu()[list(rows)].detach()
                    size = stack.shape[1:]
                    heat += F.interpolate(cam, size=size, mode="bilinear", align_corners=False)[
                        :, 0
                    ]
            finally:
                for hook in hooks:
                    hook.remove()
            network.zero_grad(set_to_none=True)
        result: npt.NDArray[np.float32] = (heat / heat.amax().clamp(min=1e-12)).numpy()
        return result
