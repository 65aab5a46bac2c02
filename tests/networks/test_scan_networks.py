"""Networks of whole scans: channels, rows of the output, order, and the ensemble."""

import pytest
import torch

from radloop.errors import InputError
from radloop.networks.ensemble import MeanOfMembers
from radloop.networks.scan import (
    BothWays,
    Channels,
    LeakySequence,
    ManyHeads,
    build_scan,
    one_encoder,
    with_scan,
)  # fmt: skip

KNOTS = ((0, -50), (16, 0), (216, 80), (255, 450))
SMALL = {"encoder": "test_efficientnet"}


def channels(neighbours=True, windows=((0.0, 80.0),)):
    return Channels(KNOTS, windows, neighbours)


def network(name="cnn_rnn", **options):
    torch.manual_seed(0)
    options = {**SMALL, **options} if name != "cnn_3d" else options
    return build_scan(name, channels(), 6, options).eval()


def scan(z=7, side=64):
    return torch.rand(1, 1, z, side, side, generator=torch.Generator().manual_seed(z)) * 255


def test_channels_read_the_scale_and_take_the_neighbours():
    greys = torch.tensor([0.0, 16.0, 116.0, 216.0, 255.0])
    x = greys[None, None, :, None, None].expand(1, 1, 5, 2, 2)
    planes = channels()(x)
    assert planes.shape == (5, 3, 2, 2)
    brain = torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0])  # 0, 0, 40, 80 and more HU
    assert torch.allclose(planes[:, 1, 0, 0], brain)
    assert torch.allclose(planes[:, 0, 0, 0], brain[[0, 0, 1, 2, 3]])
    assert torch.allclose(planes[:, 2, 0, 0], brain[[1, 2, 3, 4, 4]])
    wide = channels(False, ((-50.0, 150.0), (250.0, 450.0)))(x)
    expected = torch.tensor([[-1.0, -1.0], [-0.5, -1.0], [-0.1, -1.0], [0.3, -1.0], [1.0, 1.0]])
    assert torch.allclose(wide[:, :, 0, 0], expected)


@pytest.mark.parametrize("name", ["slice_cnn", "cnn_rnn"])
@pytest.mark.parametrize("z", [1, 2, 9])
def test_a_row_for_the_scan_and_one_a_slice(name, z):
    output = network(name)(scan(z))
    assert output.shape == (1, 1 + z, 6)
    top = output[0, 1:].topk(min(2, z), dim=0).values.mean(0)
    assert torch.allclose(output[0, 0], top, atol=1e-5)


def test_in_training_the_slice_network_answers_too():
    trained = network()
    trained.train()
    assert trained(scan(4)).shape == (1, 10, 6)


def test_the_sequence_reads_beyond_the_neighbours_and_slices_alone_do_not():
    x = scan(9)
    changed = x.clone()
    changed[:, :, 0] = 0
    for name, reaches in (("slice_cnn", False), ("cnn_rnn", True)):
        built = network(name)
        if name == "cnn_rnn":
            torch.nn.init.normal_(built.sequence.leave.weight)
        difference = (built(x) - built(changed))[0, 1 + 5].abs().max().item()
        assert (difference > 1e-6) == reaches


def test_the_leaky_memory_is_a_recurrence():
    torch.manual_seed(0)
    leaky = LeakySequence(2)
    torch.nn.init.normal_(leaky.leak)
    x = torch.randn(1, 6, 2)
    leak = leaky.leak.sigmoid()
    memory, weight = torch.zeros(6, 2), torch.zeros(6, 2)
    for order in (range(6), range(5, -1, -1)):
        m, w = torch.zeros(2), torch.zeros(2)
        for k in order:
            memory[k] += leak * m  # what came before, in this direction
            weight[k] += leak * w
            m, w = leak * m + x[0, k], leak * w + 1
    expected = 0.5 * x[0] + 0.5 * (memory + x[0]) / (weight + 1)
    assert torch.allclose(leaky(x)[0], expected, atol=1e-5)


def test_both_ways_does_not_see_the_direction():
    both = BothWays(network())
    x = scan(5)
    there, back = both(x), both(x.flip(2, 4))
    assert torch.allclose(there[:, :1], back[:, :1], atol=1e-5)
    assert torch.allclose(there[:, 1:], back[:, 1:].flip(1), atol=1e-5)


@pytest.mark.parametrize("options", [{"head": "parallel"}, {"head": "softmax"}])
def test_the_3d_network_answers_for_the_scan(options):
    built = network("cnn_3d", depth=8, widths=(4, 4, 8, 8), **options)
    output = built(scan(5, 32))
    assert output.shape == (1, 1, 6)
    if options["head"] == "softmax":
        p = output.sigmoid()[0, 0]
        assert p[0].item() == pytest.approx(p[1:].sum().item(), abs=1e-4)  # any = not none


def test_encoders_keep_their_statistics_in_training():
    built = network()
    before = {k: v.clone() for k, v in built.encoder.state_dict().items() if "running" in k}
    built.train()
    built(scan(3))
    after = built.encoder.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_an_ensemble_is_the_mean():
    a, b = network(), network("slice_cnn")
    x = scan(3)
    assert torch.allclose(MeanOfMembers([a, b])(x), (a(x) + b(x)) / 2, atol=1e-6)


@pytest.mark.parametrize("densities", [False, True])
def test_members_on_one_encoder_run_it_once_and_answer_the_same(densities):
    a, b = (network(densities=densities) for _ in range(2))
    torch.nn.init.normal_(b.head.weight)
    both = MeanOfMembers([a, b])
    shared, x = one_encoder(both), scan(3)
    assert isinstance(shared, ManyHeads)
    assert torch.allclose(shared(x), both(x), atol=1e-5)
    next(b.encoder.parameters()).data += 1  # no longer the same encoder
    assert one_encoder(both) is both
    assert one_encoder(a) is a


def test_the_scan_is_the_mean_of_its_two_strongest_slices():
    logits = torch.tensor([[[1.0], [5.0], [3.0]]])
    assert with_scan(logits)[0, :, 0].tolist() == [4.0, 1.0, 5.0, 3.0]
    assert with_scan(logits[:, :1])[0, :, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("cnn_4d", {}, "no scan network 'cnn_4d'"),
        ("cnn_rnn", {"encoder": "no_such_net"}, "timm cannot build"),
        ("cnn_rnn", {"sequence": "lstm"}, "no sequence 'lstm'"),
        ("cnn_rnn", {"wings": 2}, "does not take these options"),
        ("cnn_3d", {"network": "resnet99"}, "no 3D network 'resnet99'"),
        ("cnn_3d", {"head": "three"}, "no head 'three'"),
    ],
)
def test_wrong_names_are_refused(name, options, reason):
    with pytest.raises(InputError, match=reason):
        build_scan(name, channels(), 6, options)
