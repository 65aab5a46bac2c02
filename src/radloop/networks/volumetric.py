"""3D segmentation networks by name: builders of untrained `nn.Module`s with one signature.

A builder takes `channels_in`, `classes` and its own options and returns a module from
`(n, channels_in, z, y, x)` to logits `(n, classes, z, y, x)`. With deep supervision a network
returns all its heads in training, see `training.lesion_losses.deep_supervised`, and plain logits in
evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from radloop.errors import InputError

Builder = Callable[..., nn.Module]


class SUNet(nn.Module):
    """3D U-Net with summed skips, after SUNet (Clerigues et al. 2020, arXiv 1810.13304).

    The features at width 32 and four levels, for the paper's patch of 24 x 24 x 16:

    | level | down                              | features | up                              |
    |-------|-----------------------------------|----------|---------------------------------|
    | 1     | conv 3^3, dual block              | 32       | mono block, conv 1^3 to classes |
    | 2     | halving, dual block               | 64       | mono block, doubling            |
    | 3     | halving, dual block               | 128      | mono block, doubling            |
    | 4     | halving, dual block               | 256      | doubling                        |

    Blocks are residual, of two (dual) or one (mono) times batch norm, PReLU, convolution 3^3; the
    dual ones have dropout between the two. Halving: such a convolution of stride 2 beside a maximum
    pooling, concatenated. Doubling: a transposed convolution 3^3 of stride 2, whose output is added
    to the level's own features.

    Sides must be divisible by 2 ** (levels - 1), or `forward` raises ValueError.
    """

    def __init__(
        self,
        channels_in: int,
        classes: int,
        width: int = 32,
        levels: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if width < 1 or levels < 1:
            raise ValueError(f"width {width} and levels {levels} must be at least 1")
        features = [width * 2**k for k in range(levels)]
        self.divisor = (2 ** (levels - 1),) * 3
        self.enter = nn.Conv3d(channels_in, width, 3, padding=1, bias=False)
        self.blocks_down = nn.ModuleList(_Residual(n, 2, dropout) for n in features)
        self.halvings = nn.ModuleList(_Halve(n) for n in features[:-1])
        self.doublings = nn.ModuleList(
            nn.ConvTranspose3d(2 * n, n, 3, stride=2, padding=1, output_padding=1, bias=False)
            for n in reversed(features[:-1])
        )
        self.blocks_up = nn.ModuleList(_Residual(n, 1, 0.0) for n in reversed(features[:-1]))
        self.leave = nn.Conv3d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        _check_sides(x, self.divisor)
        x = self.blocks_down[0](self.enter(x))
        skips = []
        for halve, block in zip(self.halvings, self.blocks_down[1:], strict=True):
            skips.append(x)
            x = block(halve(x))
        for double, block in zip(self.doublings, self.blocks_up, strict=True):
            x = block(skips.pop() + double(x))
        logits: Tensor = self.leave(x)
        return logits


class _Residual(nn.Module):
    """`count` times norm, PReLU and convolution 3^3, added to the input; dropout in between."""

    def __init__(self, features: int, count: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for k in range(count):
            layers += [nn.Dropout(dropout)] if k else []
            layers += _convolution(features, stride=1)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.layers(x)
        return result


class _Halve(nn.Module):
    """A strided convolution beside a maximum pooling: half the sides, twice the features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolution = nn.Sequential(*_convolution(features, stride=2))
        self.pool = nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.convolution(x), self.pool(x)], dim=1)


def _convolution(features: int, stride: int) -> list[nn.Module]:
    return [
        nn.BatchNorm3d(features),
        nn.PReLU(features),
        nn.Conv3d(features, features, 3, stride=stride, padding=1, bias=False),
    ]


def _check_sides(x: Tensor, divisor: Sequence[int]) -> None:
    """ValueError unless the sides are divisible; not in a trace, which is made of one size."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return
    sides = tuple(x.shape[2:])
    if any(side % d for side, d in zip(sides, divisor, strict=True)):
        raise ValueError(f"the sides (z, y, x) {sides} must be divisible by {tuple(divisor)}")


class _DynUNet(nn.Module):
    """MONAI's DynUNet without the heads of the last batch, which it would hold on to: they keep
    their graph in memory, and a module with them cannot be copied. Its blocks are registered once,
    not a second time in the chain of skips, so that weights are stored once."""

    def __init__(self, network: Any, divisor: Sequence[int]) -> None:
        super().__init__()
        self.network, self.divisor = network, tuple(divisor)
        skips = network.skip_layers
        del network.skip_layers
        object.__setattr__(network, "skip_layers", skips)  # as a plain attribute

    def forward(self, x: Tensor) -> Tensor:
        _check_sides(x, self.divisor)
        logits: Tensor = self.network(x)
        # Its blocks share this list, so it is emptied in place.
        self.network.heads[:] = [torch.zeros(1)] * len(self.network.heads)
        return logits


def dynunet(
    channels_in: int,
    classes: int,
    filters: Sequence[int] = (32, 64, 128, 256, 320),
    deep_supervision: int = 2,
    anisotropic_levels: int = 0,
    res_block: bool = False,
) -> nn.Module:
    """MONAI's DynUNet, the U-Net of nnU-Net (Isensee 2021), with instance norm and leaky ReLU.

    filters: features of each level, three levels or more. deep_supervision: how many heads below
    the full resolution; in training the output is `(n, 1 + heads, classes, z, y, x)`, all at full
    size. anisotropic_levels: at so many first levels z is neither convolved, kernel (1, 3, 3), nor
    halved, stride (1, 2, 2); on the way up MONAI takes the kernel of the level below. y and x must
    be divisible by 2 ** (levels - 1), z by 2 ** (levels - 1 - anisotropic_levels).
    """
    from monai.networks.nets.dynunet import DynUNet

    levels, flat = len(filters), anisotropic_levels
    if levels < 3 or not 0 <= flat < levels or not 0 <= deep_supervision < levels - 1:
        raise ValueError(
            f"{levels} levels with {flat} anisotropic ones and {deep_supervision} heads:"
            " it needs 3 levels, of which one is isotropic, and two more than heads"
        )
    kernels = [(1, 3, 3) if level < flat else (3, 3, 3) for level in range(levels)]
    strides = [(1, 2, 2) if level < flat else (2, 2, 2) for level in range(levels - 1)]
    network = DynUNet(
        spatial_dims=3,
        in_channels=channels_in,
        out_channels=classes,
        kernel_size=kernels,
        strides=[(1, 1, 1), *strides],
        upsample_kernel_size=strides,
        filters=list(filters),
        norm_name=("INSTANCE", {"affine": True}),
        deep_supervision=deep_supervision > 0,
        deep_supr_num=max(1, deep_supervision),
        res_block=res_block,
    )
    side = 2 ** (levels - 1)
    return _DynUNet(network, (max(1, side // 2**flat), side, side))


def segresnet(
    channels_in: int,
    classes: int,
    width: int = 32,
    depths: Sequence[int] = (1, 2, 2, 4),
    deep_supervision: int = 0,
) -> nn.Module:
    """MONAI's SegResNetDS (Myronenko 2018, arXiv 1810.11654) with instance norm.

    width: features of the first level; depths: residual blocks of each level. deep_supervision:
    how many heads below the full resolution; in training the output is then a list of `1 + heads`
    logits from fine to coarse. Sides must be divisible by 2 ** (levels - 1).
    """
    from monai.networks.nets.segresnet_ds import SegResNetDS

    if not 0 <= deep_supervision < max(1, len(depths) - 1):
        raise ValueError(f"{deep_supervision} heads for {len(depths)} levels: two fewer at most")
    return SegResNetDS(
        spatial_dims=3,
        init_filters=width,
        in_channels=channels_in,
        out_channels=classes,
        norm="INSTANCE",
        blocks_down=tuple(depths),
        dsdepth=1 + deep_supervision,
    )


def unet3d(
    channels_in: int,
    classes: int,
    channels: Sequence[int] = (16, 32, 64, 128, 256),
    strides: Sequence[int] = (),
    num_res_units: int = 2,
) -> nn.Module:
    """MONAI's plain residual 3D U-Net (Kerfoot 2018) with instance norm.

    channels: features of each level; strides between them, 2 by default. Sides must be divisible
    by the product of the strides.
    """
    from monai.networks.nets.unet import UNet

    return UNet(
        spatial_dims=3,
        in_channels=channels_in,
        out_channels=classes,
        channels=tuple(channels),
        strides=tuple(strides) or (2,) * (len(channels) - 1),
        num_res_units=num_res_units,
        norm="INSTANCE",
    )


VOLUMETRIC: Mapping[str, Builder] = {
    "sunet": SUNet,
    "dynunet": dynunet,
    "segresnet": segresnet,
    "unet3d": unet3d,
}


def build_volumetric(
    name: str, channels_in: int, classes: int, options: Mapping[str, Any]
) -> nn.Module:
    """The named network; InputError for an unknown name or options that it does not take."""
    if name not in VOLUMETRIC:
        raise InputError(
            f"There is no 3D segmentation network '{name}'.", f"Known: {', '.join(VOLUMETRIC)}."
        )
    try:
        return VOLUMETRIC[name](channels_in=channels_in, classes=classes, **options)
    except (TypeError, ValueError) as error:
        raise InputError(f"Network '{name}' does not take these options: {error}.") from error


class LesionProbability(nn.Module):
    """A 3D network with its deployment head: softmax, background dropped, as float32.

    Output `(n, classes - 1, z, y, x)` in 0..1. Floats and not bytes, since the windows that slide
    over a volume are blended.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return self.network(x).float().softmax(1)[:, 1:]
