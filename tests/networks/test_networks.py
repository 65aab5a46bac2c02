"""Networks against the tables of their papers."""

import pytest
import torch
from torch import nn

from radloop.errors import InputError
from radloop.networks.fc_densenet import fc_densenet56, fc_densenet67, fc_densenet103
from radloop.networks.registry import (
    SEGMENTATION,
    ProbabilityMaps,
    Standardised,
    build_segmentation,
)
from radloop.networks.unet import UNet


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("build", "layers", "millions"),
    # Jegou 2017, table 1. The table gives 1.5 million for the smallest; its description yields
    # 1.38, as other implementations found.
    [(fc_densenet56, 56, 1.4), (fc_densenet67, 67, 3.5), (fc_densenet103, 103, 9.4)],
)
def test_fc_densenet_has_the_papers_layers_and_parameters(build, layers, millions):
    network = build()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == layers
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.1)


def test_fc_densenet103_has_the_papers_map_counts():
    """Jegou 2017, table 2, column m. (For the third block up it prints 578; the sum is 576.)"""
    network = fc_densenet103().eval()
    seen = {}

    def watch(name):
        def hook(module, inputs, output):
            seen[name] = inputs[0].shape[1] + output.shape[1]

        return hook

    blocks = [*network.down_blocks, network.bottleneck, *network.up_blocks]
    for k, block in enumerate(blocks):
        block.register_forward_hook(watch(k))
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 11, 32, 32)
    expected = [112, 192, 304, 464, 656, 896, 1088, 816, 576, 384, 256]
    assert [seen[k] for k in range(11)] == expected


def test_unet_has_the_papers_parameters():
    """Ronneberger 2015, figure 1, added up by hand: weights and biases of every convolution."""
    widths = [64, 128, 256, 512, 1024]
    down = sum(
        9 * a * b + b + 9 * b * b + b for a, b in zip([1, *widths[:-1]], widths, strict=True)
    )
    up = sum(4 * 2 * b * b + b + 9 * 2 * b * b + b + 9 * b * b + b for b in widths[:-1])
    assert parameters(UNet(1, 2, norm=False)) == down + up + 64 * 2 + 2


@pytest.mark.parametrize("name", [*SEGMENTATION, "smp:unet:resnet18"])
def test_every_network_keeps_the_grid(name):
    network = build_segmentation(name, 1, 4, {}).eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 64)).shape == (2, 4, 64, 64)


def test_unknown_networks_and_options_are_named():
    with pytest.raises(InputError, match="lean_unet"):
        build_segmentation("nonet", 1, 4, {})
    with pytest.raises(InputError, match="colour"):
        build_segmentation("unet", 1, 4, {"colour": 1})
    with pytest.raises(InputError, match="smp:unet:noencoder"):
        build_segmentation("smp:unet:noencoder", 1, 4, {})


def test_standardised_ignores_brightness_and_contrast():
    network = Standardised(nn.Identity())
    film = torch.rand(1, 1, 16, 16) * 60
    assert torch.allclose(network(film * 3 + 20), network(film), atol=5e-3)


def test_local_contrast_brings_faint_texture_to_the_strength_of_the_rest():
    """Stripes of 2 levels on a dark half and of 40 on a bright one: alike in the second channel."""
    stripes = (torch.arange(64) % 2).float().expand(64, 64)
    film = torch.where(torch.arange(64)[:, None] < 32, 30 + 2 * stripes, 150 + 40 * stripes)
    network = Standardised(nn.Identity(), local_contrast=True)
    plain, local = network(film[None, None])[0]
    assert torch.allclose(plain, Standardised(nn.Identity())(film[None, None])[0, 0])
    faint, strong = (float(rows.std()) for rows in (local[8:16, 16:48], local[48:56, 16:48]))
    assert plain[48:56].std() > 15 * plain[8:16].std()
    assert 0.2 * strong < faint <= strong
    assert float(strong) == pytest.approx(1, abs=0.1)
    assert torch.allclose(network(film[None, None] * 0.5 + 9), network(film[None, None]), atol=2e-2)


def test_probability_maps_are_bytes_of_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0]).view(1, 4, 1, 1)
    expected = (logits.softmax(1)[0, 1:, 0, 0] * 255).round()
    assert ProbabilityMaps(nn.Identity())(logits)[0, :, 0, 0].tolist() == expected.tolist()
