"""Losses against values worked out by hand."""

import math

import pytest
import torch

from radloop.training.losses import cross_entropy_dice, dice_score, soft_dice


def certain(labels: list[list[int]], classes: int = 3) -> torch.Tensor:
    """Logits that are certain of these labels; `(1, classes, y, x)`."""
    return torch.nn.functional.one_hot(torch.tensor([labels]), classes).movedim(-1, 1) * 60.0


def test_a_perfect_answer_costs_nothing():
    target = torch.tensor([[[0, 1], [2, 1]]])
    assert float(cross_entropy_dice(certain([[0, 1], [2, 1]]), target)) == pytest.approx(
        0, abs=1e-6
    )


def test_soft_dice_by_hand():
    """Class 1: one of two found, none invented: (2*1+1)/(1+2+1); class 2: (2*1+1)/(2+1+1)."""
    target = torch.tensor([[[0, 1], [2, 1]]])
    assert float(soft_dice(certain([[0, 1], [2, 2]]), target)) == pytest.approx(0.75, abs=1e-6)


def test_cross_entropy_of_a_guess_is_the_logarithm_of_the_classes():
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    logits = torch.zeros(1, 3, 2, 2)
    # No foreground in the target: each class has Dice 1 / (4/3 + 1).
    expected = math.log(3) + 1 - 1 / (4 / 3 + 1)
    assert float(cross_entropy_dice(logits, target)) == pytest.approx(expected, abs=1e-6)


def test_dice_score_counts_present_classes_only():
    target = torch.tensor([[[0, 1], [0, 1]]])
    assert dice_score(certain([[0, 1], [0, 0]]), target).tolist() == pytest.approx([2 / 3])


def test_dice_score_of_an_empty_film():
    target = torch.zeros(1, 2, 2, dtype=torch.long)
    assert dice_score(certain([[0, 0], [0, 0]]), target).tolist() == [1.0]
    assert dice_score(certain([[0, 0], [0, 1]]), target).tolist() == [0.0]


def test_soft_labels_that_are_certain_cost_what_labels_cost():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 5, 4, generator=generator)
    target = torch.randint(0, 3, (2, 5, 4), generator=generator)
    soft = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)[:, 1:].float()
    assert float(cross_entropy_dice(logits, soft)) == pytest.approx(
        float(cross_entropy_dice(logits, target)), abs=1e-6
    )


@pytest.mark.parametrize("answer", [0.0, 0.2, 0.3, 0.5, 1.0])
def test_soft_labels_cost_least_where_the_answer_equals_them(answer):
    """A target of .3: no other probability is cheaper, in either part of the loss."""
    target = torch.full((1, 1, 2, 2), 0.3)

    def cost(p):
        p = min(max(p, 1e-6), 1 - 1e-6)
        logits = torch.tensor([math.log(1 - p), math.log(p)])[None, :, None, None].expand(
            1, 2, 2, 2
        )
        return 1 - float(soft_dice(logits, target)), float(cross_entropy_dice(logits, target))

    dice, both = cost(answer)
    best_dice, best = cost(0.3)
    assert best_dice == pytest.approx(0, abs=1e-6)
    assert dice >= best_dice - 1e-6
    assert both >= best - 1e-6
