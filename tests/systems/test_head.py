"""The parts of head CT: grey scale, pose, enclosed brain, drawn slices, slabs."""

import numpy as np
import pytest
from heads import draw_head
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.images.image import Geometry, Image
from radloop.systems.head import gate
from radloop.systems.head.augmentation import ScanAugmentation
from radloop.systems.head.brain import brain_mask, only_brain
from radloop.systems.head.pose import find_pose, upright_stack
from radloop.systems.head.scale import brain_window, from_brain_window, from_hounsfield
from radloop.systems.head.stack import head_stack, slabs
from radloop.training.recipe import Augmentation, Recipe


@given(st.integers(-2000, 4000))
def test_the_scale_is_monotone_and_fine_where_blood_shows(hounsfield):
    here, next_one = from_hounsfield(np.array([hounsfield, hounsfield + 1]))
    assert next_one >= here
    if 0 <= hounsfield < 80:
        assert next_one > here
    if hounsfield < -50 or hounsfield > 450:
        assert here in (0, 255)


def test_a_windowed_picture_and_hounsfield_units_meet_on_the_scale():
    hounsfield = np.arange(1, 80)
    windowed = np.rint(hounsfield * 255 / 80).astype(np.uint8)
    apart = from_hounsfield(hounsfield).astype(int) - from_brain_window(windowed)
    assert np.abs(apart).max() <= 1
    assert np.abs(brain_window(from_brain_window(windowed)).astype(int) - windowed).max() <= 1


@settings(max_examples=12, deadline=None)
@given(st.floats(-80, 80), st.integers(0, 50))
def test_a_turned_head_stands_upright_again(angle, seed):
    stack, _ = draw_head(seed, angle=angle)
    pose = find_pose(stack)
    assert pose is not None
    upright = upright_stack(stack, pose, 128)
    ys, xs = np.nonzero(upright[5] > 60)
    assert abs(xs.mean() - 63.5) < 3 and abs(ys.mean() - 63.5) < 4
    covariance = np.cov(xs, ys)
    leaning = 0.5 * np.degrees(
        np.arctan2(2 * covariance[0, 1], covariance[1, 1] - covariance[0, 0])
    )
    assert abs(leaning) < 4  # the phantom's long axis, against the vertical


def ring(gap: float = 0.0) -> np.ndarray:
    """Greys of an upright slice, 256 px: brain of 30 HU in a skull with a gap of so many degrees,
    and a lump of 60 HU."""
    y, x = np.mgrid[:256, :256] - 127.5
    away, angle = np.hypot(x / 0.9, y), np.degrees(np.arctan2(y, x))
    one = np.where(away < 115, 16 + 75, 0).astype(np.uint8)
    one[(away > 95) & (away < 105) & (np.abs(angle) >= gap / 2)] = 230
    one[np.hypot(x - 30, y + 40) < 9] = 16 + 150
    return one


@pytest.mark.parametrize("gap", [0, 8, 70])
def test_the_brain_is_what_the_skull_encloses(gap):
    one = ring(gap)
    y, x = np.mgrid[:256, :256] - 127.5
    truth = np.hypot(x / 0.9, y) < 95
    found = brain_mask(one)
    assert (found & truth).sum() > 0.93 * truth.sum()
    assert (found & ~truth).sum() < 0.06 * truth.sum()
    shown = only_brain(one[None])[0]
    assert shown[0, 0] == 91 and (shown > 200).sum() == 0  # the brain's median; no bone
    assert (shown == 166).sum() > 200  # the lump stays


def test_of_a_slice_without_skull_nothing_is_brain():
    empty = np.full((2, 128, 128), 91, np.uint8)
    assert not brain_mask(empty[0]).any()
    assert (only_brain(empty) == 0).all()
    with_brain = only_brain(np.stack([ring(), np.zeros((256, 256), np.uint8)]))
    assert (with_brain[1] == 91).all()  # the scan's own brain


def test_without_a_head_there_is_no_pose():
    assert find_pose(np.zeros((5, 64, 64), np.uint8)) is None


def upright(stack):
    return head_stack(Image(stack, Geometry(stack.shape))).upright(128)


def test_a_skull_is_a_ring_of_bone_around_brain():
    stack, _ = draw_head(0, side=192)
    assert gate.shows_a_skull(upright(stack)[5])
    sutures = stack.copy()
    sutures[:, :96, 93:99] = 100
    assert gate.shows_a_skull(upright(sutures)[5])
    half = stack.copy()
    half[:, 96:] = np.minimum(half[:, 96:], 100)
    assert not gate.shows_a_skull(upright(half)[5])
    empty = np.where(stack == 255, stack, 0).astype(np.uint8)
    assert not gate.shows_a_skull(upright(empty)[5])


def target_of(shown, labels=6):
    target = np.zeros((1 + len(shown), labels), np.float32)
    target[1:, 0] = target[1:, 2] = shown
    target[0] = target[1:].max(0)
    return target


STILL = Augmentation(
    rotation=0, shear=0, shift=0, zoom=1, mirror=0, gamma=1, bias=0, noise=0, blur=0
)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_drawn_slices_carry_their_own_labels(seed):
    stack, shown = draw_head(3, bleed=True)
    greys = from_brain_window(stack)
    augment = ScanAugmentation(Recipe(size=stack.shape[1], slices=5, augmentation=STILL))
    drawn, target = augment(greys, target_of(shown), np.random.default_rng(seed))
    assert drawn.shape == (5, *stack.shape[1:]) and target.shape == (6, 6)
    # The bleed of the phantom is known by its grey, so the labels can be checked on the pixels.
    seen = (brain_window(drawn)[:, 20:-20, 20:-20] > 185) & (
        brain_window(drawn)[:, 20:-20, 20:-20] < 230
    )
    bright = seen.sum((1, 2)) > 150
    assert (bright == (target[1:, 0] == 1)).all()
    assert (target[0] == target[1:].max(0)).all()


def test_a_scan_with_its_own_label_alone_is_drawn_from_top_to_bottom():
    stack, _ = draw_head(3)
    greys = from_brain_window(stack)
    target = np.full((1 + len(stack), 6), np.nan, np.float32)
    target[0] = (1, 0, 1, 0, 0, 0)
    augment = ScanAugmentation(Recipe(size=64, slices=6, augmentation=STILL))
    drawn, drawn_target = augment(greys, target, np.random.default_rng(0))
    assert drawn.shape == (6, 64, 64)
    assert (drawn_target[0] == target[0]).all() and np.isnan(drawn_target[1:]).all()


@given(st.integers(1, 400), st.floats(0.3, 10))
def test_slabs_cover_every_slice_once(slices, spacing):
    groups = slabs(slices, spacing)
    assert [k for group in groups for k in group] == list(range(slices))
    assert all(abs(len(g) * spacing - 5.0) <= max(2.5, spacing) for g in groups[:-1])


def ct(array, spacing=(5.0, 1.0, 1.0), **facts):
    geometry = Geometry(
        array.shape, spacing, "patient", (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0))
    )
    return Image(array, geometry, modality="CT", acquisition=facts)


def test_ct_and_windowed_pictures_make_the_same_stack():
    windowed, _ = draw_head(2)
    hounsfield = windowed.astype(np.float32) * 80 / 255
    hounsfield[windowed == 0] = -1000
    a = head_stack(ct(hounsfield)).upright(96)
    b = head_stack(Image(windowed, Geometry(windowed.shape))).upright(96)
    assert np.mean(np.abs(a.astype(int) - b) > 2) < 0.01


def test_thin_slices_become_slabs():
    windowed, _ = draw_head(2)
    thin = np.repeat(windowed, 5, axis=0).astype(np.float32) * 80 / 255
    stack = head_stack(ct(thin, spacing=(1.0, 1.0, 1.0)))
    assert len(stack.greys) == len(windowed)
    assert stack.groups[1] == range(5, 10)


HEAD = np.zeros((20, 8, 8), np.int16)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (ct(HEAD), "ok"),
        (ct(HEAD[:5]), "too_few_slices"),
        (ct(HEAD, contrast="Iohexol"), "contrast"),
        (ct(HEAD, kernel="BONEPLUS"), "bone_kernel"),
        (ct(HEAD, kernel="H60s"), "bone_kernel"),
        (ct(HEAD, kernel="STANDARD"), "ok"),
        (ct(HEAD, kernel="H31s"), "ok"),
        (ct(HEAD, spacing=(10.0, 1.0, 1.0)), "thick_slices"),
        (Image(HEAD, Geometry(HEAD.shape), modality="MR"), "not_ct"),
    ],
)
def test_what_the_file_says_is_heard(image, code):
    assert gate.examine_file(image).code == code


def test_a_body_is_not_a_head():
    trunk = np.zeros((20, 128, 128), np.uint8)
    trunk[:, 20:108, 10:118] = from_brain_window(np.array([120], np.uint8))[0]
    assert gate.examine_head(trunk, None).code == "not_a_head"
    stack, _ = draw_head(0)
    greys = head_stack(Image(stack, Geometry(stack.shape))).upright(128)
    assert gate.examine_head(greys, 190.0).code == "ok"
    assert gate.examine_head(greys, 40.0).code == "not_a_head"
