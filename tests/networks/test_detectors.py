"""Detectors through their one interface, Faster R-CNN against torchvision's own call, CrackNet's
filters against the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from radloop.errors import InputError
from radloop.networks.classification import build_classifier
from radloop.networks.cracknet import SCHMID_BANK, schmid_bank, schmid_filter
from radloop.networks.detection.detector import MOST, Detecting, found
from radloop.networks.detection.registry import build_detector
from radloop.networks.detection.torchvision_models import torchvision_detector
from radloop.networks.detection.yolox import assign, decode, grid
from radloop.networks.two_stage import Reading, TwoStage

SMALL = {
    "yolox:mobilenetv3_small_050": {"width": 16, "depth": 1},
    "faster_rcnn:resnet10t": {"width": 32, "proposals": 20},
    "rtdetr_v2:resnet10t": {"width": 32, "queries": 10, "layers": 2},
    "torchvision:ssdlite320_mobilenet_v3_large": {},
}


def some_films() -> tuple[torch.Tensor, torch.Tensor]:
    """Two films of 96 px with a bright square each, and a target with room for two boxes."""
    films = torch.rand(2, 1, 96, 96) * 20
    films[0, :, 20:60, 30:70] += 200
    films[1, :, 50:80, 10:50] += 200
    target = torch.full((2, 2, 5), -1.0)
    target[0, 0] = torch.tensor([30, 20, 70, 60, 0.0])
    target[1, 0] = torch.tensor([10, 50, 50, 80, 0.0])
    return films, target


@pytest.mark.parametrize("name", SMALL)
def test_every_detector_has_one_interface(name: str) -> None:
    torch.manual_seed(0)
    detector = build_detector(name, 1, SMALL[name])
    films, target = some_films()
    loss = detector(films).loss(target)
    assert loss.ndim == 0
    assert torch.isfinite(loss)
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.parameters())
    for nothing in (torch.full((2, 1, 5), -1.0), torch.zeros(2, 0, 5)):
        assert torch.isfinite(detector(films).loss(nothing))
    detector.eval()
    with torch.inference_mode():
        rows = Detecting(detector)(films)
    assert rows.shape == (2, MOST, 6)
    boxes = rows[rows[..., 5] == 0]
    assert (boxes[:, 2] >= boxes[:, 0]).all()
    assert ((boxes[:, 4] >= 0) & (boxes[:, 4] <= 1)).all()
    assert (rows[rows[..., 5] == -1][:, :5] == 0).all()


@pytest.mark.parametrize("name", ["yolox:resnet10t", "faster_rcnn:resnet10t"])
def test_detectors_learn_to_find_a_square(name: str) -> None:
    torch.manual_seed(0)
    detector = build_detector(name, 1, {**SMALL.get(name, {}), "width": 32})
    films, target = some_films()
    optimiser = torch.optim.AdamW(detector.parameters(), 2e-3)
    for _ in range(60):
        loss = detector(films).loss(target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    detector.train()  # of so few films the running statistics say nothing
    with torch.no_grad():
        rows = detector.detect(films)
    for row, true in zip(rows, target, strict=True):
        best = row[row[:, 5] == 0][0]
        assert box_iou(best[None, :4], true[:1, :4]).item() > 0.5


def test_faster_rcnn_gives_the_boxes_of_torchvisions_own_call() -> None:
    torch.manual_seed(0)
    detector = torchvision_detector("fasterrcnn_mobilenet_v3_large_320_fpn", 2).eval()
    model = detector.model
    model.transform.min_size, model.transform.max_size = (160,), 160
    films = torch.randint(0, 256, (2, 1, 160, 160)).float()
    with torch.inference_mode():
        theirs = model(list((films / 255).expand(-1, 3, -1, -1)))
        ours = detector.detect(films)
    for one, rows in zip(theirs, ours, strict=True):
        count = len(one["boxes"])
        assert count > 5
        assert (rows[:, 5] >= 0).sum() == count
        overlap = box_iou(rows[:count, :4], one["boxes"]).max(1)
        assert overlap.values.min() > 0.99
        np.testing.assert_allclose(
            rows[:count, 4], one["scores"].sort(descending=True).values, atol=1e-3
        )


def test_faster_rcnn_survives_a_film_without_proposals() -> None:
    torch.manual_seed(0)
    detector = build_detector("faster_rcnn:resnet10t", 1, {"width": 32}).eval()
    detector.model.rpn.score_thresh = 2.0  # none can reach it
    with torch.inference_mode():
        rows = detector.detect(torch.zeros(1, 1, 96, 96))
    assert (rows[..., 5] == -1).all()


def test_ten_thousand_boxes_stay_a_hundred() -> None:
    """Every cell of a large film certain of a box: what is given out is bounded."""
    detector = build_detector("yolox:mobilenetv3_small_050", 1, {"width": 16, "depth": 1}).eval()
    side = 704
    cells = len(grid(side)[0])
    assert cells > 10_000

    def certain(name: str, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        raw = torch.zeros(1, cells, 6)
        raw[..., 2:4], raw[..., 4:] = -3.0, 9.0
        return raw, torch.zeros(1, 1)

    rows = detector.run(torch.zeros(1, 1, side, side), certain)
    assert rows.shape == (1, MOST, 6)
    assert (rows[0, 1:, 5] == 0).all()


def test_found_keeps_the_best_and_pads() -> None:
    boxes = torch.arange(20.0).reshape(5, 4)
    rows = found(boxes, torch.tensor([0.1, 0.5, 0.3, 0.9, 0.2]), torch.zeros(5), most=3)
    np.testing.assert_allclose(rows[:, 4], [0.9, 0.5, 0.3])
    assert found(boxes[:0], torch.zeros(0), torch.zeros(0), most=2)[:, 5].tolist() == [-1, -1]


def test_cells_answer_for_the_box_they_lie_in() -> None:
    centres, strides = grid(96)
    truth = torch.tensor([[8.0, 8.0, 40.0, 40.0], [56.0, 56.0, 90.0, 90.0]])
    cell = torch.zeros(len(centres), 6)
    boxes = decode(torch.zeros(len(centres), 4), 96)
    chosen, match, overlap = assign(
        cell, boxes, truth, torch.zeros(2, dtype=torch.long), centres, strides
    )
    assert set(match.tolist()) == {0, 1}
    assert len(chosen) == len(set(chosen.tolist()))
    for k, m in zip(chosen.tolist(), match.tolist(), strict=True):
        x, y = centres[k].tolist()
        assert truth[m, 0] < x < truth[m, 2]
        assert truth[m, 1] < y < truth[m, 3]
    expected = box_iou(boxes[chosen], truth)[torch.arange(len(chosen)), match]
    np.testing.assert_allclose(overlap, expected)


@pytest.mark.parametrize("name", ["yolox", "nothing:x", "yolox:no_such_net", "torchvision:x"])
def test_unknown_detectors_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        build_detector(name, 1, {})


def test_unknown_options_are_refused() -> None:
    with pytest.raises(InputError, match="options"):
        build_detector("yolox:resnet10t", 1, {"colour": 3})
    with pytest.raises(InputError, match="options"):
        build_classifier("cracknet", 1, {"colour": 3})
    with pytest.raises(InputError, match="no classifier"):
        build_classifier("no_such_net", 1, {})


@pytest.mark.parametrize(("sigma", "tau"), SCHMID_BANK)
def test_schmid_filters_follow_the_formula(sigma: float, tau: float) -> None:
    size = 15
    ring = np.empty((size, size))
    for y in range(size):
        for x in range(size):
            r = math.hypot(y - 7, x - 7)
            ring[y, x] = math.cos(2 * math.pi * tau * r / sigma) * math.exp(
                -r * r / (2 * sigma * sigma)
            )
    ring -= ring.mean()
    ring /= np.abs(ring).sum()
    made = schmid_filter(sigma, tau, size).numpy()
    np.testing.assert_allclose(made, ring, atol=1e-7)
    assert abs(made.sum()) < 1e-6
    assert np.abs(made).sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(made, np.rot90(made), atol=1e-7)


def test_the_bank_has_thirteen_different_filters_that_are_not_learned() -> None:
    bank = schmid_bank(7)
    assert bank.shape == (13, 7, 7)
    assert len({tuple(f.flatten().tolist()) for f in bank}) == 13
    network = build_classifier("cracknet", 1, {"widths": (13, 26, 32)})
    learned = {name for name, _ in network.named_parameters()}
    assert not any("filters" in name for name in learned)
    plain = build_classifier("cracknet-plain", 1, {"widths": (13, 26, 32)})
    count = [sum(p.numel() for p in n.parameters()) for n in (network, plain)]
    assert count[0] == count[1]
    with pytest.raises(ValueError, match="odd"):
        schmid_filter(2, 1, 6)


def test_cracknet_answers_for_each_crop() -> None:
    network = build_classifier("cracknet", 2, {"widths": (13, 13, 26)}).eval()
    crops = torch.rand(3, 1, 32, 32) * 255
    with torch.inference_mode():
        assert network(crops).shape == (3, 2)
        np.testing.assert_allclose(network(crops * 0.5), network(crops), atol=2e-3)


def test_two_stages_are_one_network_with_two_entries() -> None:
    detector = build_detector("yolox:mobilenetv3_small_050", 1, {"width": 16, "depth": 1})
    judge = build_classifier("cracknet", 1, {"widths": (13, 13, 26)})
    reading = Reading(TwoStage(detector, judge, 32)).eval()
    assert list(reading.parts()) == ["dense", "regions"]
    with torch.inference_mode():
        rows = reading(torch.rand(1, 1, 64, 64) * 255)
        logits = reading(torch.rand(2, 1, 32, 32) * 255, "regions")
    assert rows[0, 0, :4].tolist() == [0, 0, 1, 1]  # the film itself, as shares of its side
    assert logits.shape == (2, 1)
