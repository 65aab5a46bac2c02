"""Linear probing against scikit-learn, from labels of scans alone, and the sequence after it."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from radloop.networks.scan import Channels, build_scan, with_scan
from radloop.training.probe import Encoded, fit_head, fit_sequence


def scans(n, z=9, count=6, seed=0, known=True):
    """Feature 2 is high in the slices with a bleed; every second scan has three of them."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for k in range(n):
        truth = torch.zeros(z, 2)
        if k % 2:
            truth[3:6, 0] = 1
        features = torch.randn(z, count, generator=generator)
        features[:, 2] += 2.0 * truth[:, 0]
        target = torch.cat([truth.amax(0, keepdim=True), truth])
        if not known:
            target[1:] = float("nan")
        made.append(Encoded(features, target))
    return made


def test_the_head_is_that_of_scikit_learn():
    data = scans(20)
    head = fit_head(data, with_scan, components=6, penalty=0.5, farthest=100.0)
    x = torch.cat([one.features for one in data])
    y = torch.cat([one.target[1:, 0] for one in data])
    standard = ((x - x.mean(0)) / (x.var(0) + 1e-5).sqrt()).numpy()
    peer = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(standard, y.numpy())
    assert np.abs(head.weight[0].numpy() - peer.coef_[0]).max() < 0.01
    assert abs(head.bias[0].item() - peer.intercept_[0]) < 0.01


def test_labels_of_scans_alone_find_the_slices():
    data = scans(60, known=False)
    head = fit_head(data, with_scan, components=6, penalty=0.5, farthest=6.0)
    unseen = scans(40, seed=1)
    logits = torch.cat([head(one.features, 6.0)[:, 0] for one in unseen])
    truth = torch.cat([one.target[1:, 0] for one in unseen]).bool()
    above = (logits[truth][:, None] > logits[~truth][None]).float().mean()  # the AUC
    assert above > 0.8


def test_the_same_seed_gives_the_same_head():
    a, b = (fit_head(scans(8), with_scan, components=4, penalty=1.0, farthest=6.0) for _ in "ab")
    assert torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)


def test_emphasis_is_a_larger_feature():
    data, larger = scans(20), torch.tensor([1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    head = fit_head(
        data, with_scan, components=6, penalty=0.5, farthest=100.0, emphasis=larger
    )  # fmt: skip
    x = torch.cat([one.features for one in data])
    y = torch.cat([one.target[1:, 0] for one in data])
    standard = ((x - x.mean(0)) / (x.var(0) + 1e-5).sqrt() * larger).numpy()
    peer = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(standard, y.numpy())
    expected = peer.decision_function(standard)
    found = torch.cat([head(one.features, 100.0) for one in data])[:, 0].numpy()
    assert np.abs(found - expected).max() < 0.03


@pytest.mark.parametrize("kind", ["gru", "leaky"])
def test_the_sequence_learns_to_believe_neighbours(kind):
    torch.manual_seed(0)
    network = build_scan(
        "cnn_rnn", Channels(((0, 0), (255, 80)), ((0.0, 80.0),), True), 2,
        {"encoder": "test_efficientnet", "sequence": kind},
    )  # fmt: skip

    def answers(seed):
        generator = torch.Generator().manual_seed(seed)
        return [
            (one.target[1:] * 3 - 2 + 2 * torch.randn(9, 2, generator=generator), one.target)
            for one in scans(40, seed=seed)
        ]

    def loss(some, correct):
        with torch.no_grad():
            return float(np.mean([
                torch.nn.functional.binary_cross_entropy_with_logits(
                    correct(logits[None])[0], target[1:]
                ).item()
                for logits, target in some
            ]))  # fmt: skip

    fit_sequence(
        network.sequence, answers(0), with_scan, epochs=20, learning_rate=1e-2, weight_decay=0.0,
    )  # fmt: skip
    unseen = answers(1)
    assert loss(unseen, network.sequence) < 0.9 * loss(unseen, lambda logits: logits)
