"""The parts of the lesion systems that need no network: windows, patches, calibration, channels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.cases.case import Case
from radloop.errors import InputError
from radloop.systems.lesions.calibration import choose, without_small
from radloop.systems.lesions.channels import canonical, declared_channels, in_square_microns
from radloop.systems.lesions.patches import PatchSampler
from radloop.systems.lesions.simulation import simulate_lesions
from radloop.systems.lesions.windows import gaussian, sliding, windows
from radloop.systems.stroke import Stroke
from radloop.training.recipe import Augmentation, Recipe

STILL = Augmentation(rotation=0, zoom=1, mirror=0, gamma=1, bias=0, noise=0, blur=0)
RECIPE = Recipe(augmentation=STILL)


# --- windows ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(3, 30)] * 3),
    patch=st.tuples(*[st.integers(3, 12)] * 3),
    overlap=st.floats(0, 0.8),
)
def test_what_is_computed_voxel_by_voxel_is_the_same_in_windows(shape, patch, overlap):
    volume = np.random.default_rng(0).uniform(0.5, 1, (2, *shape)).astype(np.float32)
    out = sliding(volume, patch, lambda pieces: pieces[:, :1] * 2 + pieces[:, 1:], overlap)
    np.testing.assert_allclose(out, volume[:1] * 2 + volume[1:], rtol=1e-5)


def test_air_is_not_read():
    volume = np.zeros((1, 40, 40, 40), np.float32)
    volume[0, 2:6, 2:6, 2:6] = 1
    seen = []

    def run(pieces):
        seen.append(len(pieces))
        return pieces

    out = sliding(volume, (8, 8, 8), run)
    everything = len(list(windows(np.ones_like(volume), (8, 8, 8), 0.5)))
    assert 0 < sum(seen) < everything / 20
    np.testing.assert_allclose(out, volume)


def test_nothing_but_air_gives_nothing():
    assert not sliding(np.zeros((3, 10, 10, 10), np.float32), (4, 4, 4), pytest.fail).any()


def test_windows_reach_every_corner():
    volume = np.ones((1, 11, 9, 23), np.float32)
    seen = np.zeros(volume.shape[1:], int)
    for place in windows(volume, (4, 9, 8), 0.5):
        assert seen[place].shape == (4, 9, 8)
        seen[place] += 1
    assert seen.min() >= 1


def test_the_middle_of_a_window_weighs_most():
    weight = gaussian((9, 9, 9))
    assert weight.argmax() == 4 * 81 + 4 * 9 + 4
    assert weight.min() > 0


def test_windows_may_be_larger_than_patches_and_are_no_larger_than_the_brain():
    options = {"channels": ["dwi"], "patch": [8, 8, 8], "window": [16, 24, 24]}
    system = Stroke().configured(options)
    assert system.input_shape(8) == (1, -1, -1, -1)
    volume = np.random.default_rng(0).uniform(0.5, 1, (1, 13, 40, 9)).astype(np.float32)
    seen = []

    def run(pieces):
        seen.append(pieces.shape[2:])
        return pieces

    np.testing.assert_allclose(system.answer(volume, run), volume, rtol=1e-5)
    assert set(seen) == {(16, 24, 16)}
    plain = Stroke().configured({"channels": ["dwi", "adc"], "patch": [8, 8, 8], "mirrored": True})
    assert plain.input_shape(8) == (4, 8, 8, 8)


# --- patches ----------------------------------------------------------------------------------


def a_study(shape=(30, 40, 36)):
    volume = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32) + 5
    labels = np.zeros(shape, np.uint8)
    labels[20:23, 5:8, 30:33] = 1
    return volume, labels


def test_half_of_the_patches_see_the_lesion():
    volume, labels = a_study()
    sampler = PatchSampler(RECIPE, (8, 8, 8), 2, augment=False)
    rng = np.random.default_rng(0)
    hits = [sampler(volume, labels, rng)[1].any() for _ in range(300)]
    assert 0.45 < np.mean(hits) < 0.62  # half, and some of the even ones by chance


def test_a_patch_is_cut_out_where_its_labels_are():
    volume, labels = a_study()
    volume[0] = labels * 7 + 1
    sampler = PatchSampler(RECIPE, (8, 10, 6), 2, augment=False)
    rng = np.random.default_rng(3)
    for _ in range(40):
        piece, target = sampler(volume, labels, rng)
        assert piece.shape == (2, 8, 10, 6) and target.shape == (8, 10, 6)
        np.testing.assert_array_equal(piece[0] == 8, target == 1)


def test_mirroring_moves_image_and_labels_together():
    volume, labels = a_study()
    volume[0] = labels * 7 + 1
    mirrored = Recipe(augmentation=Augmentation(
        rotation=0, zoom=1, mirror=1, gamma=1, bias=0, noise=0, blur=0))  # fmt: skip
    sampler = PatchSampler(mirrored, (8, 8, 8), 2)
    rng = np.random.default_rng(5)
    for _ in range(20):
        piece, target = sampler(volume, labels, rng)
        np.testing.assert_array_equal(piece[0] > 4, target == 1)


def test_turned_patches_keep_their_lesion():
    volume, labels = a_study()
    volume[0] = labels * 7 + 1
    turned = Recipe(augmentation=Augmentation(
        rotation=30, zoom=1.2, mirror=0, gamma=1, bias=0, noise=0, blur=0))  # fmt: skip
    sampler = PatchSampler(turned, (16, 16, 16), 2)
    rng = np.random.default_rng(5)
    for _ in range(20):
        piece, target = sampler(volume, labels, rng)
        bright = piece[0] > 4.5
        assert (bright == (target == 1)).mean() > 0.99


def test_a_dropped_channel_takes_its_mirror_image_with_it_and_one_stays():
    volume = np.ones((4, 12, 12, 12), np.float32)
    sampler = PatchSampler(RECIPE, (6, 6, 6), 2, drop=0.6)
    rng = np.random.default_rng(0)
    shown = set()
    for _ in range(60):
        piece, _ = sampler(volume, np.zeros((12, 12, 12), np.uint8), rng)
        there = piece.reshape(4, -1).any(1)
        assert there[0] == there[2] and there[1] == there[3]
        shown.add(tuple(there[:2]))
    assert shown == {(True, True), (True, False), (False, True)}


def test_a_volume_smaller_than_the_patch_is_padded_with_zeros():
    volume, labels = np.ones((1, 4, 4, 4), np.float32), np.ones((4, 4, 4), np.uint8)
    sampler = PatchSampler(RECIPE, (8, 8, 8), 1, augment=False)
    piece, target = sampler(volume, labels, np.random.default_rng(0))
    assert piece.shape == (1, 8, 8, 8) and target.shape == (8, 8, 8)
    np.testing.assert_array_equal(piece[0] > 0, target > 0)


# --- calibration ------------------------------------------------------------------------------


def test_the_threshold_of_the_best_dice_is_chosen():
    truth = np.zeros((6, 6, 6), bool)
    truth[1:4, 1:4, 1:4] = True
    probability = np.where(truth, 0.33, 0.22)
    chosen = choose([(probability, truth, 0.001)])
    assert 0.22 < chosen["threshold"] <= 0.33
    assert chosen["calibration_dice"] == 1.0
    assert chosen["smallest_ml"] == 0.0


def test_specks_are_left_out_when_that_helps():
    truth = np.zeros((20, 20, 20), bool)
    truth[2:8, 2:8, 2:8] = True
    probability = np.where(truth, 0.9, 0.0)
    probability[12::3, 12::3, 12::3] = 0.9  # 27 voxels of 1 ul, apart
    chosen = choose([(probability, truth, 0.001)])
    assert chosen["smallest_ml"] > 0.001
    assert chosen["calibration_dice"] == 1.0


def test_a_healthy_brain_counts_when_it_is_found_to_be_one():
    empty = np.zeros((5, 5, 5), bool)
    assert choose([(np.full((5, 5, 5), 0.3), empty, 0.001)])["calibration_dice"] == 1.0
    assert choose([]) == {}


def test_lesions_are_numbered_by_size_and_corners_touch():
    found = np.zeros((8, 8, 8), bool)
    found[0, 0, 0] = found[1, 1, 1] = True  # one lesion of two voxels
    found[5:7, 5:7, 5:7] = True  # eight
    found[0, 7, 7] = True  # one
    numbers, count = without_small(found, 1.0, 2.0)
    assert count == 2
    assert (numbers == 1).sum() == 8 and (numbers == 2).sum() == 2
    assert numbers[0, 7, 7] == 0


# --- channels ---------------------------------------------------------------------------------


def a_case(**images):
    return Case("c", "p", {name: name for name in images})


def test_channels_have_one_name_and_the_leading_come_first():
    cases = [a_case(T1w=1, ADC=1), a_case(TRACE=1, flair=1)]
    assert declared_channels(cases, ("flair", "dwi")) == ("flair", "dwi", "adc", "t1")
    assert declared_channels([a_case(image=1)], ("flair", "dwi")) == ("flair",)
    assert canonical(" T1Gd ") == "t1c"


def test_an_unknown_channel_is_named_with_the_known_ones():
    with pytest.raises(InputError, match="no MR channel 'pet'"):
        canonical("pet")


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e-6])
def test_adc_maps_of_any_unit_mean_the_same(unit):
    adc = np.random.default_rng(0).uniform(600, 1200, (8, 8, 8))
    brain = np.ones((8, 8, 8), bool)
    scaled, verdict = in_square_microns(adc * unit, brain)
    np.testing.assert_allclose(scaled, adc, rtol=1e-5)
    assert verdict.code == "ok" or not verdict.messages


def test_what_is_no_adc_map_is_said():
    brain = np.ones((4, 4, 4), bool)
    _, verdict = in_square_microns(np.full((4, 4, 4), 330.0), brain)
    assert verdict.code == "adc_implausible"
    _, verdict = in_square_microns(np.zeros((4, 4, 4)), brain)
    assert verdict.code == "adc_implausible"


# --- simulated lesions ------------------------------------------------------------------------


def test_simulated_lesions_change_their_voxels_alone_and_only_one_side():
    tissue = np.zeros((30, 40, 40), bool)
    tissue[4:26, 4:36, 4:36] = True
    base = {"dwi": np.full(tissue.shape, 100.0), "adc": np.full(tissue.shape, 800.0)}
    for seed in range(8):
        made = simulate_lesions(base, tissue, (2.0, 2.0, 2.0), seed)
        assert made.lesions.any() and not (made.lesions & ~tissue).any()
        columns = np.flatnonzero(made.lesions.any((0, 1)))
        assert columns.max() < 20 or columns.min() > 19
        core = made.lesions
        assert made.channels["dwi"][core].mean() > 115 and made.channels["adc"][core].mean() < 720
        far = ~core & ~np.isclose(made.channels["dwi"], 100, atol=60)
        assert not far.any()
        np.testing.assert_array_equal(made.channels["dwi"][~tissue], 100)
    again = simulate_lesions(base, tissue, (2.0, 2.0, 2.0), 7)
    np.testing.assert_array_equal(again.channels["dwi"], made.channels["dwi"])
