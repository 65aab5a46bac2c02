"""Losses for lesions against values worked out by hand."""

import math

import pytest
import torch
from torch.nn import functional as F

from radloop.errors import InputError
from radloop.training.lesion_losses import (
    LESION_LOSSES,
    DynamicWeights,
    combined,
    cross_entropy,
    deep_supervised,
    dice_loss,
    focal,
    focal_dynamic,
    lesion_loss,
    tversky,
)
from radloop.training.losses import cross_entropy_dice, dice_score, soft_dice

ALL = [*LESION_LOSSES, "ce+dice", "focal-dynamic+dice"]


def logits_of(probability: torch.Tensor) -> torch.Tensor:
    """Logits `(1, 2, z, y, x)` whose softmax gives the foreground this probability `(z, y, x)`."""
    return torch.stack([(1 - probability).log(), probability.log()])[None]


def random_case(classes: int = 2, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 3, 4, 5, generator=generator)
    return logits, torch.randint(0, classes, (2, 3, 4, 5), generator=generator)


def soft(target: torch.Tensor, classes: int) -> torch.Tensor:
    return F.one_hot(target, classes).movedim(-1, 1)[:, 1:].float()


def share_of(one_in: int, voxels: int = 1000) -> torch.Tensor:
    """A label map `(1, 1, 1, voxels)` with one voxel of foreground in so many."""
    return (torch.arange(voxels) % one_in == 0).long().reshape(1, 1, 1, voxels)


def test_losses_of_films_hold_for_volumes():
    """A volume is worth what its slices are as one film."""
    logits, target = random_case(3)
    film, flat = logits.flatten(2, 3), target.flatten(1, 2)
    assert float(soft_dice(logits, target)) == pytest.approx(float(soft_dice(film, flat)))
    expected = float(cross_entropy_dice(film, flat))
    assert float(cross_entropy_dice(logits, target)) == pytest.approx(expected)
    assert float(cross_entropy_dice(logits, soft(target, 3))) == pytest.approx(expected)
    assert torch.equal(dice_score(logits, target), dice_score(film, flat))


def test_focal_by_hand():
    """A lesion voxel at p = .5 and a background voxel whose lesion probability is .2."""
    logits = logits_of(torch.tensor([[[0.5, 0.2]]]))
    target = torch.tensor([[[[1, 0]]]])
    expected = (0.75 * 0.5**2 * math.log(2) + 0.25 * 0.2**2 * -math.log(0.8)) / 2
    assert float(focal(logits, target)) == pytest.approx(expected, rel=1e-5)
    assert float(focal(logits, soft(target, 2))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_focal_without_focus_is_half_the_cross_entropy(classes):
    logits, target = random_case(classes)
    plain = F.cross_entropy(logits, target) / 2
    assert float(focal(logits, target, 0.0, (0.5, 0.5))) == pytest.approx(float(plain), rel=1e-5)


def test_dynamic_weights_at_a_quarter_are_those_of_the_paper():
    target = share_of(4)
    logits = torch.randn(1, 2, *target.shape[1:], generator=torch.Generator().manual_seed(3))
    assert DynamicWeights()(target).tolist() == pytest.approx([0.25, 0.75])
    assert float(focal_dynamic(logits, target)) == pytest.approx(float(focal(logits, target)))


def test_dynamic_weights_keep_their_floor():
    weights = DynamicWeights(floor=0.1)
    assert weights(torch.zeros(1, 2, 2, 2).long()).tolist() == pytest.approx([0.1, 0.9])
    assert weights(torch.ones(1, 2, 2, 2).long()).tolist() == pytest.approx([0.9, 0.1])
    assert weights(share_of(2)).tolist() == pytest.approx([0.5, 0.5])
    assert weights(torch.full((1, 1, 2, 2, 2), 0.25)).tolist() == pytest.approx([0.25, 0.75])
    with pytest.raises(ValueError, match="floor"):
        focal_dynamic(*random_case(), floor=0.6)


def test_an_empty_batch_still_forbids_to_invent():
    empty = torch.zeros(1, 1, 1, 4).long()
    sure, unsure = (logits_of(torch.full((1, 1, 4), p)) for p in (0.01, 0.6))
    assert float(focal_dynamic(unsure, empty)) > float(focal_dynamic(sure, empty)) > 0


def test_rare_lesions_pull_harder_than_in_cross_entropy():
    target = share_of(100)

    def pull(loss):
        logits = torch.zeros(1, 2, *target.shape[1:], requires_grad=True)
        loss(logits, target).backward()
        gradient = logits.grad[:, 1].abs()
        return float(gradient[target == 1].sum() / gradient[target == 0].sum())

    assert pull(cross_entropy) == pytest.approx(1 / 99, rel=1e-4)
    # At p = .5 everywhere the focus cancels out; the floor of .05 is above the share of .01.
    assert pull(focal_dynamic) == pytest.approx(0.95 / 0.05 / 99, rel=1e-4)


def test_running_share_by_hand():
    weights = DynamicWeights("running", momentum=0.75)
    assert weights(share_of(2))[0] == pytest.approx(0.5)  # the first batch starts the average
    assert weights(share_of(10))[0] == pytest.approx(0.75 * 0.5 + 0.25 * 0.1)


def test_running_share_converges_and_is_saved():
    weights = DynamicWeights("running", momentum=0.9)
    weights(share_of(2))
    for _ in range(200):
        last = weights(share_of(5))
    assert last.tolist() == pytest.approx([0.2, 0.8], abs=1e-5)
    restored = DynamicWeights("running", momentum=0.9).eval()
    restored.load_state_dict(weights.state_dict())
    assert restored(share_of(2)).tolist() == pytest.approx([0.2, 0.8], abs=1e-5)
    assert weights.eval()(share_of(2)).tolist() == restored(share_of(10)).tolist()


def test_running_share_before_any_batch_is_that_of_the_batch():
    assert DynamicWeights("running").eval()(share_of(4)).tolist() == pytest.approx([0.25, 0.75])
    with pytest.raises(InputError, match="batch, running"):
        DynamicWeights("walking")


def test_tversky_by_hand():
    """hit .5 + .8, false .2, missed .5 + .2."""
    logits = logits_of(torch.tensor([[[0.5, 0.2, 0.8]]]))
    target = torch.tensor([[[[1, 0, 1]]]])
    expected = 1 - (1.3 + 1) / (1.3 + 0.3 * 0.2 + 0.7 * 0.7 + 1)
    assert float(tversky(logits, target)) == pytest.approx(expected, rel=1e-5)
    assert float(tversky(logits, target, alpha=0.9, beta=0.1)) == pytest.approx(
        1 - 2.3 / (2.3 + 0.9 * 0.2 + 0.1 * 0.7), rel=1e-5
    )


def test_tversky_of_equal_weights_is_dice():
    """(TP + 1) / ((P + T) / 2 + 1) = (2 TP + 2) / (P + T + 2), the product form."""
    logits, target = random_case(3)
    expected = 1 - float(soft_dice(logits, target, smooth=2.0))
    assert float(tversky(logits, target, 0.5, 0.5, smooth=1.0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_extreme_logits_cost_finitely(name, dtype):
    logits = torch.tensor([[[[[1e4, -1e4, 0.0, 1e4]]], [[[-1e4, 1e4, 0.0, -1e4]]]]], dtype=dtype)
    logits.requires_grad_(True)
    loss = lesion_loss(name)(logits, torch.tensor([[[[0, 1, 1, 1]]]]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_a_certain_answer_has_a_gradient_at_every_gamma(gamma):
    logits = torch.tensor([[[[[100.0]]], [[[-100.0]]]]], requires_grad=True)
    focal(logits, torch.zeros(1, 1, 1, 1).long(), gamma).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", ALL)
def test_the_right_answer_is_the_cheapest(name):
    _, target = random_case(3)
    right = F.one_hot(target, 3).movedim(-1, 1) * 40.0
    assert float(lesion_loss(name)(right, target)) == pytest.approx(0.0, abs=1e-5)
    assert float(lesion_loss(name)(-right, target)) > 0.1
    assert float(lesion_loss(name)(right, soft(target, 3))) == pytest.approx(0.0, abs=1e-5)


def test_sums_by_name():
    case = random_case()
    expected = float(cross_entropy(*case) + dice_loss(*case))
    assert float(lesion_loss("ce+dice")(*case)) == pytest.approx(expected)
    assert float(lesion_loss("ce+dice")(*case)) == pytest.approx(float(cross_entropy_dice(*case)))
    assert float(combined(["focal", "tversky"])(*case)) == pytest.approx(
        float(focal(*case) + tversky(*case))
    )


@pytest.mark.parametrize("name", ["hinge", "ce+hinge", "", "ce+"])
def test_an_unknown_loss_names_the_known(name):
    with pytest.raises(InputError, match="focal-dynamic"):
        lesion_loss(name)


def test_no_loss_is_no_sum():
    with pytest.raises(InputError, match="Known"):
        combined([])


def test_heads_of_full_size():
    logits, target = random_case()
    other = random_case(seed=2)[0]
    stacked = torch.stack([logits, other, -logits], dim=1)
    costs = [float(cross_entropy(x, target)) for x in (logits, other, -logits)]
    expected = (costs[0] + costs[1] / 2 + costs[2] / 4) / 1.75
    assert float(deep_supervised(cross_entropy, stacked, target)) == pytest.approx(expected)
    plain = deep_supervised(cross_entropy, logits, target)
    assert float(plain) == pytest.approx(costs[0])


@pytest.mark.parametrize("is_soft", [False, True])
def test_heads_of_several_sizes_keep_small_lesions(is_soft):
    """One voxel in 4 x 4 x 4 is one in 2 x 2 x 2, and all there is in 1 x 1 x 1."""
    target = torch.zeros(1, 4, 4, 4).long()
    target[0, 3, 1, 0] = 1
    coarse = torch.zeros(1, 2, 2, 2).long()
    coarse[0, 1, 0, 0] = 1
    right = [F.one_hot(t, 2).movedim(-1, 1) * 40.0 for t in (target, coarse, coarse[:, 1:, :1, :1])]
    truth = soft(target, 2) if is_soft else target
    assert float(deep_supervised(cross_entropy, right, truth)) == pytest.approx(0.0, abs=1e-6)
    wrong = [right[0], right[1], -right[2]]  # 40 where it should be 0, weighted 1/4 of 1.75
    assert float(deep_supervised(cross_entropy, wrong, truth)) == pytest.approx(40 / 7)
