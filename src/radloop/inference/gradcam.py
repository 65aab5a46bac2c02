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

    The gradient of a slice's first logit with respect to the network's `features` maps weights
    their channels; what is left after the rectifier is scaled to 0..1 by the largest value of the
    asked slices. Each slice is read with its two neighbours alone, so that memory does not grow
    with the scan; of an ensemble the first member is asked. Loaded at the first call.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._network: Any = None
        self._lock = threading.Lock()

    def __call__(self, stack: Array, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """stack: uint8 `(z, y, x)`; rows: numbers of slices. Returns `(len(rows), y, x)`.

        Zeros for a network without feature maps of slices (a 3D network).
        """
        with self._lock:
            if self._network is None:
                network = self._model.network()
                self._network = getattr(network, "members", [network])[0]
            heat = np.stack([self._one(stack, row) for row in rows])
        return np.asarray(heat / max(float(heat.max()), 1e-12), np.float32)

    def _one(self, stack: Array, row: int) -> npt.NDArray[np.float32]:
        import torch
        from torch.nn import functional as F

        near = np.clip([row - 1, row, row + 1], 0, len(stack) - 1)
        maps: list[Any] = []

        def keep(module: Any, inputs: Any, output: Any) -> None:
            output.retain_grad()
            maps.append(output)

        layers = [m for n, m in self._network.named_modules() if n.split(".")[-1] == "features"]
        hooks = [layer.register_forward_hook(keep) for layer in layers]
        try:
            with torch.enable_grad():
                film = torch.from_numpy(stack[near])[None, None].float().requires_grad_()
                logits = self._network(film)
                if not maps or logits.shape[1] == 1:
                    return np.zeros(stack.shape[1:], np.float32)
                logits[0, 2, 0].backward()
        finally:
            for hook in hooks:
                hook.remove()
        weights = maps[0].grad.mean((2, 3), keepdim=True)
        cam = (weights * maps[0]).sum(1, keepdim=True).relu()[1:2].detach()
        heat = F.interpolate(cam, size=stack.shape[1:], mode="bilinear")[0, 0]
        self._network.zero_grad(set_to_none=True)
        return np.asarray(heat.numpy(), np.float32)
