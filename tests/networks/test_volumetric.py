"""3D segmentation networks: their tables, the grid they keep, what they refuse."""

import copy

import pytest
import torch
from torch import nn

from radloop.errors import InputError
from radloop.networks.volumetric import VOLUMETRIC, LesionProbability, SUNet, build_volumetric

TINY = {
    "sunet": {"width": 4, "levels": 3},
    "dynunet": {"filters": [4, 6, 8, 10]},
    "segresnet": {"width": 8, "depths": [1, 1, 1], "deep_supervision": 1},
    "unet3d": {"channels": [4, 8, 16]},
}


def tiny(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return build_volumetric(name, 2, 3, TINY[name] | options)


def volume(*sides: int) -> torch.Tensor:
    return torch.randn(2, 2, *sides, generator=torch.Generator().manual_seed(1))


def outputs(answer: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
    heads = answer if isinstance(answer, list) else [answer]
    return torch.stack([head.square().mean() for head in heads]).sum()


@pytest.mark.parametrize("name", VOLUMETRIC)
def test_every_network_keeps_the_grid(name):
    network = tiny(name).eval()
    with torch.no_grad():
        assert network(volume(8, 16, 24)).shape == (2, 3, 8, 16, 24)


@pytest.mark.parametrize("name", VOLUMETRIC)
def test_a_gradient_reaches_every_parameter(name):
    network = tiny(name).train()
    outputs(network(volume(16, 16, 16))).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("name", VOLUMETRIC)
def test_a_network_can_be_copied_and_traced_after_training(name):
    network = tiny(name).train()
    network(volume(16, 16, 16))
    network.eval()
    x = volume(16, 16, 16)
    with torch.no_grad():
        expected = network(x)
        assert torch.equal(copy.deepcopy(network)(x), expected)
        assert torch.allclose(torch.jit.trace(network, x)(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["sunet", "dynunet", "segresnet"])
def test_sides_that_cannot_be_halved_are_refused(name):
    with pytest.raises(ValueError, match="divisible"):
        tiny(name)(volume(16, 16, 18 if name == "dynunet" else 6))


def test_unknown_networks_and_options_are_named():
    with pytest.raises(InputError, match="sunet"):
        build_volumetric("nonet", 1, 2, {})
    for name in VOLUMETRIC:
        with pytest.raises(InputError, match="colour"):
            build_volumetric(name, 1, 2, {"colour": 1})
    with pytest.raises(InputError, match="3 levels"):
        build_volumetric("dynunet", 1, 2, {"filters": [8, 16]})
    with pytest.raises(InputError, match="heads"):
        build_volumetric("segresnet", 1, 2, {"depths": [1, 1], "deep_supervision": 1})
    with pytest.raises(InputError, match="width"):
        build_volumetric("sunet", 1, 2, {"width": 0})


def test_sunet_has_the_parameters_of_its_table():
    """Weights without bias, two a batch norm and one a PReLU channel, added up by hand."""

    def unit(n: int) -> int:
        return 27 * n * n + 3 * n

    expected = 27 * 8 * 32 + (32 * 2 + 2)
    expected += sum(2 * unit(n) for n in (32, 64, 128, 256))  # dual blocks
    expected += sum(unit(n) for n in (32, 64, 128))  # halvings
    expected += sum(27 * 2 * n * n for n in (32, 64, 128))  # doublings
    expected += sum(unit(n) for n in (32, 64, 128))  # mono blocks
    network = SUNet(8, 2)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_sunet_reads_the_patch_of_the_paper():
    network = build_volumetric("sunet", 1, 2, {"width": 2}).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 16, 24, 24)).shape == (1, 2, 16, 24, 24)
    with pytest.raises(ValueError, match=r"\(8, 8, 8\)"):
        network(torch.zeros(1, 1, 16, 24, 20))


def test_skips_of_sunet_are_added():
    """With all inner convolutions at zero a block passes its input on, and what comes up is zero:
    only the summed skip of the first level carries the input to the logits."""
    network = tiny("sunet").eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 5 and not name.startswith(("enter", "leave")):
            nn.init.zeros_(parameter)
    x = volume(8, 8, 8)
    with torch.no_grad():
        assert torch.allclose(network(x), network.leave(network.enter(x)), atol=1e-6)


def test_what_comes_up_in_sunet_is_added_to_the_skip():
    """A doubling that gives one everywhere raises the features by one, as concatenating could not.

    Its convolution has no bias, so it is replaced as a whole.
    """

    class Ones(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, c, z, y, x_ = x.shape
            return torch.ones(n, c // 2, 2 * z, 2 * y, 2 * x_)

    network = tiny("sunet").eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 5 and not name.startswith(("enter", "leave")):
            nn.init.zeros_(parameter)
    network.doublings[-1] = Ones()
    x = volume(8, 8, 8)
    with torch.no_grad():
        assert torch.allclose(network(x), network.leave(network.enter(x) + 1), atol=1e-6)


@pytest.mark.parametrize("heads", [0, 1, 2])
def test_dynunet_answers_with_all_heads_in_training_only(heads):
    network = tiny("dynunet", deep_supervision=heads)
    x = volume(16, 16, 16)
    trained = network.train()(x)
    plain = (2, 3, 16, 16, 16)
    assert trained.shape == ((2, 1 + heads, *plain[1:]) if heads else plain)
    answer = network.eval()(x)
    assert answer.shape == plain
    # Instance norm is the same in both, so the first head is the answer.
    assert torch.allclose(trained[:, 0] if heads else trained, answer, atol=1e-5)


def test_segresnet_answers_from_fine_to_coarse_in_training_only():
    network = tiny("segresnet")
    shapes = [tuple(head.shape[2:]) for head in network.train()(volume(16, 16, 8))]
    assert shapes == [(16, 16, 8), (8, 8, 4)]
    assert network.eval()(volume(16, 16, 8)).shape == (2, 3, 16, 16, 8)


def test_anisotropic_levels_leave_z_alone():
    """Four levels, of which two flat ones: z is halved once, y and x three times."""
    network = tiny("dynunet", anisotropic_levels=2, deep_supervision=0).eval()
    with torch.no_grad():
        assert network(volume(2, 16, 16)).shape == (2, 3, 2, 16, 16)
    with pytest.raises(ValueError, match=r"\(2, 8, 8\)"):
        network(volume(3, 16, 16))
    kernels = [m.kernel_size for m in network.modules() if isinstance(m, nn.Conv3d)]
    assert kernels[:4] == [(1, 3, 3)] * 4
    assert (3, 3, 3) in kernels


def test_residual_blocks_of_dynunet_are_an_option():
    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert count(tiny("dynunet", res_block=True)) > count(tiny("dynunet"))


def test_probability_of_the_foreground():
    logits = torch.log(torch.tensor([0.5, 0.2, 0.3])).reshape(1, 3, 1, 1, 1)
    answer = LesionProbability(nn.Identity())(logits.bfloat16())
    assert answer.dtype == torch.float32
    assert answer.flatten().tolist() == pytest.approx([0.2, 0.3], abs=2e-3)
    with torch.no_grad():
        answer = LesionProbability(tiny("sunet").eval())(volume(8, 8, 8))
    assert answer.shape == (2, 2, 8, 8, 8)
    assert 0 <= float(answer.min()) <= float(answer.max()) <= 1


def test_dynunet_has_each_weight_once(tmp_path):
    from safetensors.torch import save_file

    network = build_volumetric("dynunet", 2, 2, {"filters": [4, 8, 8], "deep_supervision": 1})
    save_file(network.state_dict(), tmp_path / "weights.safetensors")  # refuses doubles
    names = [name for name, _ in network.named_parameters()]
    assert any("input_block" in name for name in names)
    assert any("deep_supervision_heads" in name for name in names)
