"""Networks by name: builders of untrained `nn.Module`s with one signature.

A builder takes `channels_in`, `classes` and its own options and returns a module from
`(n, channels_in, y, x)` to logits `(n, classes, y, x)`. `smp:<architecture>` and
`smp:<architecture>:<encoder>` reach every architecture and encoder of
segmentation-models-pytorch, timm's encoders as `tu-<name>`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radloop.errors import InputError
from radloop.networks.fc_densenet import fc_densenet56, fc_densenet67, fc_densenet103
from radloop.networks.unet import LeanUNet, UNet

Builder = Callable[..., nn.Module]

SEGMENTATION: Mapping[str, Builder] = {
    "unet": UNet,
    "lean_unet": LeanUNet,
    "fc_densenet56": fc_densenet56,
    "fc_densenet67": fc_densenet67,
    "fc_densenet103": fc_densenet103,
}


def build_segmentation(
    name: str, channels_in: int, classes: int, options: Mapping[str, Any]
) -> nn.Module:
    """The named network; InputError for an unknown name or an option it does not take."""
    try:
        if name.startswith("smp:"):
            return _smp(name, channels_in, classes, options)
        if name not in SEGMENTATION:
            known = ", ".join([*SEGMENTATION, "smp:<architecture>[:<encoder>]"])
            raise InputError(f"There is no segmentation network '{name}'.", f"Known: {known}.")
        return SEGMENTATION[name](channels_in=channels_in, classes=classes, **options)
    except TypeError as error:
        raise InputError(f"Network '{name}' does not take these options: {error}.") from error


def _smp(name: str, channels_in: int, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """Encoder weights are never fetched here: `training.weights` loads them when asked to."""
    import segmentation_models_pytorch as smp

    _, architecture, *rest = name.split(":")
    encoder = {"encoder_name": rest[0]} if rest else {}
    try:
        network: nn.Module = smp.create_model(
            architecture,
            encoder_weights=None,
            in_channels=channels_in,
            classes=classes,
            **encoder,
            **options,
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"segmentation-models-pytorch cannot build '{name}': {error}",
            "See its documentation for architectures and encoders.",
        ) from error
    return network


class Standardised(nn.Module):
    """A network behind a standardisation of each film to zero mean and unit variance.

    It makes the answer independent of brightness and of linear contrast, and being part of the
    network it is the same in training, in every engine and in an export. Input float `(n, 1, y,
    x)` on any scale.

    local_contrast: the network gets a second channel, standardised by the mean and variance of the
    surroundings (about an eighth of the side; Jarrett et al. 2009), in which the faint edge of the
    heart on the liver is as strong as that on the lung. y and x must then be divisible by 16.
    """

    def __init__(self, network: nn.Module, local_contrast: bool = False) -> None:
        super().__init__()
        self.network = network
        self.local_contrast = local_contrast

    def forward(self, x: Any) -> Any:
        x = x.float()
        mean = x.mean((-2, -1), keepdim=True)
        centred = x - mean
        variance = (centred * centred).mean((-2, -1), keepdim=True)
        standard = centred / (variance + 1.0).sqrt()
        if not self.local_contrast:
            return self.network(standard)
        centred = standard - _surroundings(standard)
        # Noise in even areas, a twentieth of the film's spread, is not blown up to an edge.
        local = centred / (_surroundings(centred * centred) + 0.05**2).sqrt()
        return self.network(torch.cat([standard, local], dim=1))


def _surroundings(x: Tensor) -> Tensor:
    """The mean around each pixel: of 3x3 cells of a sixteenth of the side, interpolated.

    Both steps work on rows and columns apart, so each is a product with a small matrix.
    """
    down_y, up_y = _cells(int(x.shape[-2]))
    down_x, up_x = _cells(int(x.shape[-1]))
    cells = down_y.to(x) @ x @ down_x.to(x).T
    return up_y.to(x) @ cells @ up_x.to(x).T


def _cells(side: int) -> tuple[Tensor, Tensor]:
    """Matrices `(16, side)` from pixels to smoothed cells, and `(side, 16)` back between them."""
    with torch.no_grad():
        pixels, cells = torch.eye(side)[:, None], torch.eye(16)[:, None]
        means = F.avg_pool1d(pixels, side // 16)
        down = F.avg_pool1d(means, 3, stride=1, padding=1, count_include_pad=False)
        up = F.interpolate(cells, side, mode="linear", align_corners=False)
    return down[:, 0].T.contiguous(), up[:, 0].T.contiguous()


class ProbabilityMaps(nn.Module):
    """A segmentation network with its deployment head: softmax, background dropped, as bytes.

    Output uint8 `(n, classes - 1, y, x)`, 255 = certain. Bytes make a quarter of the traffic of
    float32 at a resolution (1/255) finer than any calibration.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        probability = self.network(x).float().softmax(1)[:, 1:]
        return (probability * 255.0 + 0.5).byte()
