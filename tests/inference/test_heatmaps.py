"""Heat maps: Grad-CAM and attention rollout against their definitions, and the sanity check."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from radloop.inference.attention import attention_rollout
from radloop.inference.gradcam import grad_cam
from radloop.inference.heatmaps import film_heat
from radloop.inference.sanity import between_films, cascade, randomised
from radloop.networks.classification import build_film_classifier
from radloop.systems.regions.film import from_square, letterbox

NETWORKS = (
    "resnet10t", "densenet121", "inception_v4", "inception_resnet_v2", "convnext_atto",
    "test_vit", "vit_tiny_patch16_224", "tf_efficientnet_lite0",
)  # fmt: skip


def blob(x: int, y: int, side: int = 64) -> np.ndarray:
    film = np.full((side, side), 40, np.uint8)
    film[y - 6 : y + 6, x - 6 : x + 6] = 240
    return film


class Bright(nn.Module):
    """Logits that are the mean of what is brighter than 100, and of what is darker."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0])[:, None, None, None])
            self.conv.bias.copy_(torch.tensor([-100.0, 100.0]))
            self.head.weight.copy_(torch.eye(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu().mean((2, 3)))


def test_grad_cam_of_pooled_maps_is_the_class_activation_map():
    """With global pooling and a linear layer Grad-CAM is CAM (Zhou et al. 2016) over the number of
    places: the maps weighted by the layer's row."""
    maps = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    row = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
    logit = maps.mean((2, 3)) @ row
    (gradient,) = torch.autograd.grad(logit, maps)
    cam = (maps[0] * row[:, None, None]).sum(0).clamp(min=0) / 20
    torch.testing.assert_close(grad_cam(maps.detach(), gradient)[0], cam.detach())


def test_a_map_lies_where_the_answer_does():
    film = blob(44, 18)
    bright, dark = film_heat(Bright().eval(), film, [0, 1])
    inside = film > 100
    assert bright[inside].min() > 0.9
    assert bright[~inside].max() == 0
    assert dark[inside].max() == 0
    assert dark[~inside].min() > 0.9


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_is_built_and_explained(name):
    torch.manual_seed(0)
    network = build_film_classifier(name, 5, 96, {}).eval()
    film = blob(60, 40, 96)
    with torch.inference_mode():
        logits = network(torch.from_numpy(film)[None, None])
    assert logits.shape == (1, 5)
    heat = film_heat(network, film, range(5))
    assert heat.shape == (5, 96, 96)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert 0.5 < heat.max() <= 1  # of random weights a map may be empty, not all of them
    # Looking changes nothing: same answer, no hook left behind.
    with torch.inference_mode():
        torch.testing.assert_close(network(torch.from_numpy(film)[None, None]), logits)
    assert not any(module._forward_hooks for module in network.modules())
    if "vit" in name:
        np.testing.assert_array_equal(heat[0], heat[4])


def test_rollout_sums_over_all_ways_through_the_layers():
    """By brute force: the sum over every path of tokens of the product of its steps."""
    rng = np.random.default_rng(0)
    layers = rng.random((3, 2, 4, 4))
    layers /= layers.sum(-1, keepdims=True)
    steps = [(one.mean(0) + np.eye(4)) / 2 for one in layers]
    expected = np.zeros((4, 4))
    for path in itertools.product(range(4), repeat=4):
        first, second, third, last = path
        expected[last, first] += (
            steps[2][last, third] * steps[1][third, second] * steps[0][second, first]
        )
    found = attention_rollout([torch.tensor(one, dtype=torch.float32) for one in layers])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_rollout_sees_the_attention_of_the_network():
    """The attention of a layer, by its own weights, is what the rollout of one layer uses."""
    torch.manual_seed(0)
    network = build_film_classifier("test_vit", 2, 64, {"depth": 1}).eval()
    film = blob(40, 20)
    encoder = network.network.encoder
    heat = film_heat(network, film, [0])[0]
    seen = []
    hook = encoder.blocks[0].norm1.register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.inference_mode():
        network(torch.from_numpy(film)[None, None])
        hook.remove()
        tokens, attention = seen[0][0], encoder.blocks[0].attn
        qkv = attention.qkv(tokens).reshape(len(tokens), 3, attention.num_heads, -1)
        q, k, _ = qkv.permute(1, 2, 0, 3)
        weights = ((q * attention.scale) @ k.transpose(1, 2)).softmax(-1).mean(0)
    prefix = encoder.num_prefix_tokens
    rows = weights[0, prefix:] if encoder.global_pool == "token" else (
        (weights + torch.eye(len(weights))) / 2
    )[prefix:, prefix:].mean(0)  # fmt: skip
    grid = rows.reshape(encoder.patch_embed.grid_size)
    expected = (grid - grid.min()) / (grid.max() - grid.min())
    # At the middle of a patch of 8 or 16 px the interpolated map is the patch's own value.
    side = 64 // len(expected)
    middles = heat[side // 2 - 1 :: side, side // 2 - 1 :: side]
    beside = heat[side // 2 :: side, side // 2 :: side]
    np.testing.assert_allclose((middles + beside) / 2, expected, atol=0.06)


def test_maps_are_lost_with_the_weights():
    films = [blob(44, 18), blob(16, 40), blob(30, 50)]
    torch.manual_seed(0)
    network = build_film_classifier("test_resnet", 5, 64, {}).eval()
    outputs = [int(film_heat(network, film, range(5)).sum((1, 2)).argmax()) for film in films]
    before = {k: v.clone() for k, v in network.state_dict().items()}
    steps = cascade(network, films, outputs, steps=4, seed=3)
    assert steps[0].layer == "network.head"
    assert len(steps) == 4
    assert steps[-1].lost
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name])
    again = cascade(network, films, outputs, steps=4, seed=3)
    assert again == steps


def test_a_map_that_ignores_the_weights_is_found_out():
    """An edge detector looks like an explanation (Adebayo et al. 2018), and fails the check."""
    films = [blob(44, 18), blob(16, 40)]

    def edges(network, film, outputs):
        grey = film.astype(np.float32)
        heat = np.hypot(*np.gradient(grey))
        return np.stack([heat / heat.max()] * len(outputs)).astype(np.float32)

    steps = cascade(Bright().eval(), films, [0, 0], explain=edges, steps=2)
    assert not any(step.lost for step in steps)
    assert steps[-1].means == pytest.approx((1, 1))


def test_randomised_layers_keep_their_scale_and_nothing_else():
    torch.manual_seed(0)
    network = build_film_classifier("test_resnet", 3, 64, {}).eval()
    weights = {name: value.detach() for name, value in network.named_parameters()}
    seen = []
    for name, changed in randomised(network, seed=1):
        seen.append(name)
        weight = dict(changed.named_parameters())[f"{name}.weight"].detach().flatten()
        old = weights[f"{name}.weight"].flatten()
        assert float(weight.std()) == pytest.approx(float(old.std()), rel=0.25)
        assert abs(float(torch.corrcoef(torch.stack([weight, old]))[0, 1])) < 0.35
    assert seen[0] == "network.head"
    assert seen[-1].startswith("network.encoder.conv1")
    assert len(seen) == len(set(seen))


def test_maps_of_different_films_are_compared_in_turn():
    maps = [np.eye(16, dtype=np.float32), np.eye(16, dtype=np.float32)[::-1]]
    step = between_films(maps)
    assert step.rank[0] == pytest.approx(step.rank[1])
    assert step.rank[0] < 0.1


@pytest.mark.parametrize("shape", [(120, 80), (50, 90), (64, 64)])
def test_a_map_comes_back_to_the_grid_of_the_film(shape):
    film = np.zeros(shape, np.uint8)
    film[shape[0] // 5 : shape[0] // 3, shape[1] // 2 : shape[1] // 2 + 12] = 255
    square = letterbox(film, 48).astype(np.float32) / 255
    back = from_square(square, shape)
    assert back.shape == shape
    inside = film > 0
    assert back[inside].mean() > 0.75
    assert back[~inside].mean() < 0.03
    y, x = (np.indices(shape)[axis][inside].mean() for axis in (0, 1))
    found = [(np.indices(shape)[axis] * back).sum() / back.sum() for axis in (0, 1)]
    assert found == pytest.approx([y, x], abs=0.6)
