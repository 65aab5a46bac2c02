"""The questions of a table: sides, answers, and a loss in which the unknown weighs nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from radloop.systems.films.calibration import LEAST, fit_settings, probabilities, threshold_of
from radloop.systems.films.losses import cross_entropies, mean_of_films, mean_of_known
from radloop.systems.films.measures import figures_of, measures_of, questions_in
from radloop.systems.films.questions import (
    Question,
    counterpart,
    one_sided,
    outputs_of,
    places_of,
    swaps_of,
)
from radloop.training.augmentation import Answers, Mirror, Negative, Warp
from radloop.training.data import Films, Sample
from radloop.training.recipe import Augmentation

ASKED = (Question("fracture"), Question("part", ("arm", "leg", "hip")), Question("metal"))
UNKNOWN = math.nan


@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("laterality:left", "laterality:right"),
        ("Right_hip", "Left_hip"),
        ("hip_fracture_LEFT", "hip_fracture_RIGHT"),
        ("side:L", "side:R"),
        ("side:r", "side:l"),
        ("cleft_palate", "cleft_palate"),
        ("bright", "bright"),
        ("normal", "normal"),
    ],
)
def test_the_other_side_of_a_label(label, other):
    assert counterpart(label) == other


@given(st.text(alphabet="leftrighLR_: ", max_size=20))
def test_the_other_side_of_the_other_side_is_the_label(label):
    assert counterpart(counterpart(label)) == label


def test_a_mirror_exchanges_sides_and_stated_pairs():
    outputs = ("a", "hip:left", "hip:right", "heart", "dextrocardia")
    assert swaps_of(outputs, {}) == {1: 2, 2: 1}
    pairs = {"heart": "dextrocardia", "dextrocardia": "heart"}
    assert swaps_of(outputs, pairs) == {1: 2, 2: 1, 3: 4, 4: 3}
    assert one_sided(("left_hip", "heart")) == ["left_hip"]
    assert one_sided(outputs) == []


def test_places_of_outputs():
    assert outputs_of(ASKED) == ("fracture", "part:arm", "part:leg", "part:hip", "metal")
    assert places_of(ASKED) == {"fracture": slice(0, 1), "part": slice(1, 4), "metal": slice(4, 5)}


truths = st.tuples(
    st.sampled_from([0.0, 1.0, UNKNOWN]), st.sampled_from([0, 1, 2, None]),
    st.sampled_from([0.0, 1.0, UNKNOWN]),
)  # fmt: skip


def _row(truth) -> list[float]:
    first, part, last = truth
    parts = [UNKNOWN] * 3 if part is None else [float(k == part) for k in range(3)]
    return [first, *parts, last]


@given(st.lists(truths, min_size=1, max_size=5), st.integers(0, 10**6))
def test_the_loss_is_that_of_each_known_answer(rows, seed):
    """Against the definition, term by term."""
    logits = np.random.default_rng(seed).normal(0, 2, (len(rows), 5))
    terms = []
    for row, (first, part, last) in zip(logits, rows, strict=True):
        for z, y in ((row[0], first), (row[4], last)):
            if not math.isnan(y):
                p = 1 / (1 + math.exp(-z))
                terms.append(-math.log(p if y else 1 - p))
        if part is not None:
            terms.append(-math.log(math.exp(row[1 + part]) / np.exp(row[1:4]).sum()))
    target = torch.tensor([_row(row) for row in rows], dtype=torch.float32)
    losses = cross_entropies(torch.tensor(logits), target, ASKED)
    assert float(mean_of_known(losses)) == pytest.approx(np.mean(terms) if terms else 0, abs=1e-5)
    assert mean_of_films(losses).shape == (len(rows),)


def test_what_is_unknown_teaches_nothing():
    logits = torch.randn(2, 5, requires_grad=True)
    target = torch.tensor([_row((1.0, None, UNKNOWN)), _row((UNKNOWN, 2, UNKNOWN))])
    mean_of_known(cross_entropies(logits, target, ASKED)).backward()
    known = torch.tensor([[True, False, False, False, False], [False, True, True, True, False]])
    assert bool((logits.grad[~known] == 0).all())
    assert bool((logits.grad[known] != 0).all())


def test_a_mirrored_film_answers_for_the_other_side():
    film = np.zeros((8, 8), np.uint8)
    film[:, :2] = 255
    sample = Sample(film, np.array([1, 1, 0, UNKNOWN], np.float32))
    mirror = Mirror(1.0, {1: 2, 2: 1})
    shown, answers = Films([sample], mirror)[0]
    assert float(shown[0, 0, 7]) == 255
    np.testing.assert_array_equal(answers, [1, 0, 1, UNKNOWN])
    still, same = Films([sample], Mirror(0.0, {1: 2, 2: 1}))[0]
    assert float(still[0, 0, 0]) == 255
    np.testing.assert_array_equal(same, sample.target)


def test_answers_outlast_a_warp_and_not_a_negative():
    image = tv_tensors.Image(torch.rand(1, 8, 8))
    truth = Answers(torch.tensor([1.0, 0.0]))
    _, warped = Warp(8, Augmentation(elastic=0))(image, truth)
    assert warped.tolist() == [1.0, 0.0]
    _, emptied = Negative(1.0)(image, truth)
    assert bool(emptied.isnan().all())


def test_calibration_is_by_question_and_of_what_is_known():
    rng = np.random.default_rng(0)
    truth = np.array([_row((float(k % 2), k % 3 if k < 30 else None, UNKNOWN)) for k in range(60)])
    logits = rng.normal(0, 1, (60, 5))
    logits[:, 0] += 4 * truth[:, 0]
    settings = fit_settings(logits, truth, ASKED)
    assert {name: one["cases"] for name, one in settings.items()} == {
        "fracture": 60, "part": 30, "metal": 0,
    }  # fmt: skip
    assert 0 < settings["fracture"]["threshold"] < 1
    assert "threshold" not in settings["metal"]
    assert threshold_of(ASKED[2], settings) == 0.5
    stated = probabilities(logits[0, 1:4], ASKED[1], settings)
    assert stated.sum() == pytest.approx(1)
    few = fit_settings(logits[: LEAST + 5], truth[: LEAST + 5], ASKED)
    assert "threshold" not in few["fracture"]


def test_a_report_says_which_questions_it_judged():
    columns = [c for spec in measures_of(ASKED) for c in spec.columns]
    assert questions_in(columns) == list(ASKED)
    assert len(figures_of(ASKED)) == 5
