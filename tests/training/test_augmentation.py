"""Augmentation moves film and label map together, and left stays left."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from radloop.training.augmentation import (
    Mirror,
    Negative,
    SoftMask,
    Warp,
    training_transforms,
)
from radloop.training.data import EpochSampler, Films, Sample
from radloop.training.recipe import Augmentation

STILL = Augmentation(
    rotation=0, shear=0, shift=0, zoom=1, stretch=1, elastic=0, gamma=1, bias=0, noise=0, blur=0,
    equalise=0, blocks=0, negatives=0,
)  # fmt: skip


def disc(side: int = 64) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    y, x = np.mgrid[:side, :side]
    mask = ((y - 25) ** 2 + (x - 38) ** 2 <= 14**2).astype(np.uint8)
    return tv_tensors.Image(torch.tensor(mask[None]).float()), tv_tensors.Mask(mask[None])


def test_a_warp_of_nothing_changes_nothing():
    image, mask = disc()
    moved, moved_mask = Warp(64, STILL)(image, mask)
    assert torch.allclose(
        moved.as_subclass(torch.Tensor), image.as_subclass(torch.Tensor), atol=1e-4
    )
    assert torch.equal(moved_mask.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_film_and_label_map_move_together(seed):
    torch.manual_seed(seed)
    image, mask = disc()
    moved, moved_mask = Warp(48, Augmentation())(image, mask)
    bright = moved.as_subclass(torch.Tensor)[0] > 0.5
    labelled = moved_mask.as_subclass(torch.Tensor)[0] == 1
    overlap = 2 * (bright & labelled).sum() / (bright.sum() + labelled.sum()).clamp(min=1)
    assert overlap > 0.95 or labelled.sum() < 40


def test_a_mirror_swaps_sided_labels():
    mask = tv_tensors.Mask(torch.tensor([[[1, 2, 3, 0]]], dtype=torch.uint8))
    image = tv_tensors.Image(torch.tensor([[[0.1, 0.2, 0.3, 0.0]]]))
    moved, moved_mask = Mirror(1.0, {2: 3, 3: 2})(image, mask)
    assert moved_mask.tolist() == [[[0, 2, 3, 1]]]
    assert moved[0, 0].tolist() == pytest.approx([0.0, 0.3, 0.2, 0.1])


def test_a_mirror_that_names_one_side_is_refused():
    with pytest.raises(ValueError, match="both labels"):
        Mirror(0.5, {2: 3})


@pytest.mark.parametrize("seed", range(6))
def test_a_negative_has_no_target(seed):
    torch.manual_seed(seed)
    image, mask = disc()
    moved, moved_mask = Negative(1.0)(image, mask)
    assert moved_mask.sum() == 0
    assert not torch.equal(moved.as_subclass(torch.Tensor), image.as_subclass(torch.Tensor))


def samples(n: int = 4) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [
        Sample(rng.integers(0, 255, (96, 96), dtype=np.uint8), np.zeros((96, 96), np.uint8))
        for _ in range(n)
    ]


def test_items_depend_on_seed_epoch_and_index_alone():
    transform = training_transforms(Augmentation(), 64, {})
    a, b = Films(samples(), transform, seed=3), Films(samples(), transform, seed=3)
    a[0], a[2]
    torch.manual_seed(99)
    assert torch.equal(a[1][0], b[1][0])
    b.epoch = 1
    assert not torch.equal(a[1][0], b[1][0])


def test_an_item_leaves_the_global_random_state_alone():
    films = Films(samples(), training_transforms(Augmentation(), 64, {}), seed=3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    films[0]
    assert torch.equal(torch.rand(3), expected)


def test_each_epoch_has_its_own_order_of_all_films():
    films = Films(samples(20), None)
    sampler = EpochSampler(films, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert films.epoch == 1
    assert first != second
    assert sorted(first) == sorted(second) == list(range(20))
    sampler.set_epoch(0)
    assert list(sampler) == first


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_soft_labels_move_as_label_maps_do(seed):
    """A soft label that is certain, against its label map: they differ at the edge at most."""
    image, mask = disc()
    plain = mask.as_subclass(torch.Tensor)
    soft = SoftMask(torch.stack([plain[0] * 0, plain[0], plain[0] * 0]).float())
    chain = training_transforms(Augmentation(mirror=0.5), 48, {2: 3, 3: 2})
    torch.manual_seed(seed)
    _, moved = chain(image, tv_tensors.Mask(plain * 2))
    torch.manual_seed(seed)
    _, moved_soft = chain(image, soft)
    assert isinstance(moved_soft, SoftMask)
    for k, channel in enumerate(moved_soft.as_subclass(torch.Tensor), start=1):
        labelled = moved.as_subclass(torch.Tensor)[0] == k
        assert torch.equal(channel > 0.5, labelled) or (
            ((channel > 0.5) ^ labelled).sum() <= 0.05 * labelled.sum() + 4
        )


def test_items_carry_soft_labels_of_any_number_of_classes():
    film = np.full((32, 32), 90, np.uint8)
    for classes in (1, 3):
        soft = np.full((classes, 32, 32), 102, np.uint8)
        for transform in (None, training_transforms(STILL, 32, {})):
            _, target = Films([Sample(film, soft)], transform)[0]
            assert target.shape == (classes, 32, 32)
            assert target.dtype == torch.float32
            assert torch.allclose(target, torch.tensor(0.4), atol=1e-4)
