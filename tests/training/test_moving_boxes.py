"""Augmentation moves boxes with the pixels; batches pad them; freezing and thawing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from radloop.training.augmentation import training_transforms
from radloop.training.data import Films, Sample, collate
from radloop.training.precision import keep_depthwise_precise
from radloop.training.recipe import Augmentation, Recipe
from radloop.training.trainer import TrainingRun, train_network
from radloop.training.weights import freeze_first

STILL = Augmentation(
    rotation=0, shear=0, shift=0, zoom=1, stretch=1, elastic=0, mirror=0, gamma=1, bias=0, noise=0,
    blur=0, equalise=0, clahe=0, blocks=0, negatives=0,
)  # fmt: skip


def bright(film: torch.Tensor) -> list[float]:
    """The box around what is bright."""
    rows, columns = (film[0] > 60).any(1).nonzero()[:, 0], (film[0] > 60).any(0).nonzero()[:, 0]
    return [float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1]


def moved(config: Augmentation, seed: int, swaps: dict[int, int] | None = None):
    """A disc of 40 x 24 px, and its box, of class 0, through the augmentation."""
    film = np.zeros((128, 128), np.uint8)
    y, x = np.mgrid[:128, :128] + 0.5
    film[((x - 70) / 20) ** 2 + ((y - 60) / 12) ** 2 <= 1] = 200
    box = np.array([[50, 48, 90, 72, 0]], np.float32)
    transform = training_transforms(config, 128, swaps or {})
    return Films([Sample(film, box)], transform, seed)[0]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.005]))
@settings(max_examples=80, deadline=None)
def test_boxes_follow_the_pixels(seed: int, elastic: float) -> None:
    config = replace(
        STILL, rotation=35, shear=10, shift=0.1, zoom=1.3, stretch=1.2, elastic=elastic, mirror=0.5
    )
    film, boxes = moved(config, seed)
    assert boxes.shape == (1, 5)
    # The disc is the ellipse that the box is taken for; its rim is interpolated.
    np.testing.assert_allclose(boxes[0, :4], bright(film), atol=2)


def test_without_augmentation_a_box_stays_to_the_px() -> None:
    _, boxes = moved(STILL, 0)
    np.testing.assert_allclose(boxes, [[50, 48, 90, 72, 0]], atol=1e-4)


def test_a_mirror_exchanges_the_sides_and_their_classes() -> None:
    film, boxes = moved(replace(STILL, mirror=1.0), 0, {0: 3, 3: 0})
    np.testing.assert_allclose(boxes, [[128 - 90, 48, 128 - 50, 72, 3]], atol=1e-4)
    np.testing.assert_allclose(bright(film), [128 - 90, 48, 128 - 50, 72], atol=1)
    _, boxes = moved(replace(STILL, mirror=1.0), 0)
    assert boxes[0, 4] == 0  # a class without a side keeps its number


@pytest.mark.parametrize("part", ["equalise", "clahe", "noise", "gamma", "blur", "blocks"])
def test_what_changes_the_exposure_leaves_boxes_alone(part: str) -> None:
    value = {"gamma": 2.0, "noise": 0.1, "blur": 2.0}.get(part, 1.0)
    changed = False
    for seed in range(6):
        film, boxes = moved(replace(STILL, **{part: value}), seed)
        still, _ = moved(STILL, seed)
        np.testing.assert_allclose(boxes, [[50, 48, 90, 72, 0]], atol=1e-4)
        changed |= not torch.equal(film, still)
    assert changed


def test_a_box_that_leaves_the_film_is_dropped() -> None:
    film = np.zeros((64, 64), np.uint8)
    box = np.array([[0, 0, 10, 10, 0], [30, 30, 40, 40, 1]], np.float32)
    config = replace(STILL, zoom=4.0)
    for seed in range(12):
        transform = training_transforms(config, 64, {})
        _, boxes = Films([Sample(film, box)], transform, seed)[0]
        assert 1 <= len(boxes) <= 2
        assert (boxes[:, :4] >= 0).all()
        assert (boxes[:, :4] <= 64).all()


def test_a_film_that_became_a_negative_has_no_boxes() -> None:
    _, boxes = moved(replace(STILL, negatives=1.0), 0)
    assert boxes.shape == (0, 5)


def test_batches_pad_boxes() -> None:
    film = torch.zeros(1, 4, 4)
    films, target = collate([(film, torch.ones(2, 5)), (film, torch.zeros(0, 5))])
    assert films.shape == (2, 1, 4, 4)
    assert target[0].tolist() == [[1.0] * 5] * 2
    assert (target[1] == -1).all()
    _, empty = collate([(film, torch.zeros(0, 5))])
    assert empty.shape == (1, 0, 5)
    _, labels = collate([(film, torch.tensor(1)), (film, torch.tensor(0))])
    assert labels.tolist() == [1, 0]


class _Normalised(nn.BatchNorm2d):
    """A normalisation with a child of its own, as timm's have."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()


def test_freezing_reaches_normalisations_with_children_and_counts_from_the_end() -> None:
    def network() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 4, 1), _Normalised(4), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(4, 1)
        )

    first = network()
    assert freeze_first(first, 1) == ["0", "1"]
    last = network()
    assert freeze_first(last, -1) == ["0", "1", "2"]
    assert [p.requires_grad for p in last.parameters()] == [False] * 6 + [True] * 2


@pytest.mark.parametrize(("thaw", "moves"), [(0.0, False), (0.5, True)])
def test_frozen_layers_thaw_when_the_recipe_says(tmp_path, thaw: float, moves: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(4, 1))  # fmt: skip
    freeze_first(network, 1)
    before = network[0].weight.detach().clone()
    rng = np.random.default_rng(0)
    samples = [
        Sample(rng.integers(0, 255, (16, 16), dtype=np.uint8), np.array(k % 2)) for k in range(8)
    ]

    def loss(logits, target):
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target.float())

    recipe = Recipe(
        size=16, cache_scale=1.0, batch=4, epochs=4, ema=0.0, validate_every=4, keep="last",
        thaw=thaw, bfloat16=False, augmentation=STILL,
    )  # fmt: skip
    trained = train_network(
        network, samples, samples, loss=loss, score=lambda a, b: a[:, 0], swaps={}, recipe=recipe,
        run=TrainingRun(tmp_path, device="cpu", quiet=True),
    )  # fmt: skip
    assert (not torch.equal(trained.weights["0.weight"], before)) == moves


def test_depthwise_convolutions_leave_autocast() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    plain = [name for name, _ in network.state_dict().items()]
    keep_depthwise_precise(network)
    keep_depthwise_precise(network)
    assert list(network.state_dict()) == plain
    x = torch.rand(1, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert network[0](x).dtype == torch.bfloat16
        assert network(x).dtype == torch.float32
    assert network(x).dtype == torch.float32
