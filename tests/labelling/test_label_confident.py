"""Confident learning, against what cleanlab 2.9.0 says of the same numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radloop.labelling.confident import (
    class_thresholds,
    confident_joint,
    estimated_error,
    estimated_joint,
    label_issues,
    margins,
    self_confidence,
)

# (seed, classes, items) -> compute_confident_joint(calibrate=False), and how many
# find_label_issues(filter_by="prune_by_noise_rate") names, of `noisy` below.
CLEANLAB = {
    (0, 2, 60): ([[12, 1], [3, 21]], 6),
    (1, 3, 90): ([[14, 0, 1], [3, 18, 1], [4, 2, 17]], 14),
    (2, 4, 400): ([[52, 11, 7, 7], [3, 44, 9, 9], [7, 11, 55, 9], [9, 10, 12, 49]], 107),
    (3, 2, 1000): ([[320, 59], [57, 300]], 158),
}


def noisy(seed: int, classes: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A fifth of the labels is drawn anew; the model leans to the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    labels = np.where(rng.random(n) < 0.2, rng.integers(classes, size=n), truth)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), truth] += 1.5
    e = np.exp(logits)
    return labels, e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("case", CLEANLAB)
def test_cleanlabs_counts(case):
    labels, distribution = noisy(*case)
    joint, issues = CLEANLAB[case]
    assert confident_joint(labels, distribution).tolist() == joint
    assert label_issues(labels, distribution).sum() == issues


@pytest.mark.parametrize("case", CLEANLAB)
def test_cleanlab_where_it_is_installed(case):
    pytest.importorskip("cleanlab", reason="cleanlab is not installed: only its counts are checked")
    from cleanlab.count import estimate_joint
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_normalized_margin_for_each_label

    labels, p = noisy(*case)
    theirs = find_label_issues(labels, p, filter_by="prune_by_noise_rate")
    assert (label_issues(labels, p) == theirs).all()
    # It rounds the calibrated counts to whole items; ours are not rounded.
    assert np.abs(estimate_joint(labels, p) - estimated_joint(labels, p)).max() < 1 / len(labels)
    quality = get_normalized_margin_for_each_label(labels, p)
    assert (1 - margins(labels, p)) / 2 == pytest.approx(quality)


def test_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    distribution = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    assert class_thresholds(labels, distribution) == pytest.approx([0.6, 0.7])
    # The last item is confidently of no class.
    assert confident_joint(labels, distribution).tolist() == [[2, 1], [0, 1]]
    assert estimated_joint(labels, distribution) == pytest.approx(
        np.array([[0.4, 0.2], [0.0, 0.4]])
    )
    assert estimated_error(labels, distribution) == pytest.approx(0.2)
    assert label_issues(labels, distribution).tolist() == [False, False, True, False, False]
    assert self_confidence(labels, distribution) == pytest.approx([0.9, 0.8, 0.1, 0.8, 0.6])
    assert margins(labels, distribution) == pytest.approx([-0.8, -0.6, 0.8, -0.6, -0.2])


def test_a_class_without_items_and_a_model_that_knows_nothing():
    labels = np.zeros(4, np.int64)
    distribution = np.full((4, 3), 1 / 3)
    assert np.isinf(class_thresholds(labels, distribution)[1:]).all()
    assert estimated_error(labels, distribution) == 0.0
    assert not label_issues(labels, distribution).any()


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 60))
def test_the_joint_keeps_the_labels_shares(seed, classes, n):
    labels, distribution = noisy(seed, classes, n)
    joint = estimated_joint(labels, distribution)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=classes) / n)
    assert 0 <= estimated_error(labels, distribution) <= 1
    # what is named looks no better than what is kept of the same label and rival
    if classes == 2:
        named, margin = label_issues(labels, distribution), margins(labels, distribution)
        for own in (labels == 0, labels == 1):
            if (named & own).any() and (~named & own).any():
                assert margin[named & own].min() >= margin[~named & own].max()
