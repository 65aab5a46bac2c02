"""Grad-CAM: which places spoke for an answer (Selvaraju et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from radloop.inference.engine import Array

if TYPE_CHECKING:
    from torch import Tensor, nn


def grad_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    """The class activation map of feature maps and the logit's gradient with respect to them.

    Both `(n, channels, y, x)`; `(n, y, x)`: the maps weighted by the mean gradient of their
    channel, what speaks against the answer cut off at zero.
    """
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def film_cams(network: nn.Module, film: Tensor, outputs: Sequence[int]) -> Tensor | None:
    """Grad-CAM of some outputs of a film's network, on its last feature maps with places.

    film: `(1, 1, y, x)` as the network takes it; its answer is logits `(1, outputs)`. Returns
    `(len(outputs), rows, columns)`, each in 0..1; None for a network without feature maps.
    """
    import torch

    nhwc = [m for m in network.modules() if getattr(m, "output_fmt", "") == "NHWC"]
    channels_last = {inner for module in nhwc for inner in module.modules()}
    found: list[tuple[Tensor, bool]] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.requires_grad:
            last = module in channels_last
            if min(output.shape[1:3] if last else output.shape[2:]) > 1:
                found[:] = [(output, last)]

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        with torch.enable_grad():
            logits = network(film.clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        return None
    maps, last = found[0]
    cams = []
    for output in outputs:
        (gradient,) = torch.autograd.grad(logits[0, output], maps, retain_graph=True)
        both = [one.movedim(-1, 1) if last else one for one in (maps.detach(), gradient)]
        cam = grad_cam(*both)[0]
        cams.append(cam / cam.max().clamp(min=torch.finfo(cam.dtype).tiny))
    return torch.stack(cams)


def slice_cams(network: nn.Module, stack: Array, rows: Sequence[int]) -> npt.NDArray[np.float32]:
    """Grad-CAM of the first logit of some slices of a scan, `(len(rows), y, x)` in 0..1, scaled by
    the largest value of all.

    network: one whose slices go through a module `features`; another's maps are zeros. stack:
    uint8 `(z, y, x)`. Each slice is read with its two neighbours alone, so that memory does not
    grow with the scan.
    """
    heat = np.stack([_slice_cam(network, stack, row) for row in rows])
    return np.asarray(heat / max(float(heat.max()), 1e-12), np.float32)


def _slice_cam(network: nn.Module, stack: Array, row: int) -> npt.NDArray[np.float32]:
    import torch
    from torch.nn import functional as F

    near = np.clip([row - 1, row, row + 1], 0, len(stack) - 1)
    maps: list[Any] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        maps.append(output)

    layers = [m for n, m in network.named_modules() if n.split(".")[-1] == "features"]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.enable_grad():
            film = torch.from_numpy(stack[near])[None, None].float().requires_grad_()
            logits = network(film)
            if not maps or logits.shape[1] == 1:
                return np.zeros(stack.shape[1:], np.float32)
            (gradient,) = torch.autograd.grad(logits[0, 2, 0], maps[0])
    finally:
        for hook in hooks:
            hook.remove()
    cam = grad_cam(maps[0].detach(), gradient)[None, 1:2]
    heat = F.interpolate(cam, size=stack.shape[1:], mode="bilinear")[0, 0]
    return np.asarray(heat.numpy(), np.float32)
