"""AP and AR against COCO's reference program, FROC against MONAI's and a plain loop."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.measures.bootstrap import paired_bootstrap, patient_bootstrap
from radloop.measures.detection import (
    AREAS,
    ap50,
    average_precision,
    average_recall,
    best_overlap,
    box_overlap,
    froc_curve,
    froc_score,
    match_film,
    precision_recall,
    sensitivity_at,
)
from radloop.measures.spec import MeasureSpec


def nested(arrays):
    column = np.empty(len(arrays), dtype=object)
    for k, one in enumerate(arrays):
        column[k] = one
    return column


def columns(films):
    matched = [match_film(found, truth) for found, truth in films]
    return nested([f for f, _ in matched]), nested([t for _, t in matched])


def random_films(seed: int, films: int = 8, classes: int = 2):
    """Boxes of all COCO sizes, found ones near the true ones and elsewhere, with tied scores."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(films):
        count = int(rng.integers(0, 5))
        corner = rng.uniform(0, 300, (count, 2)).round(1)
        size = np.exp(rng.uniform(np.log(8), np.log(250), (count, 2))).round(1)
        truth = np.hstack([corner, corner + size, rng.integers(0, classes, (count, 1))])
        near = truth[rng.integers(0, count, 2 * count)] if count else np.zeros((0, 5))
        moved = near[:, :4] + rng.normal(0, 6, (len(near), 4))
        far = rng.uniform(0, 200, (3, 2))
        boxes = np.vstack([moved, np.hstack([far, far + rng.uniform(5, 150, (3, 2))])])
        kind = np.concatenate([near[:, 4], rng.integers(0, classes, 3)])
        score = rng.uniform(0, 1, len(boxes)).round(int(rng.integers(1, 4)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        made.append((np.column_stack([boxes, score, kind]), truth))
    return made


def reference_program(films):
    """AP, AP50, AP by size and AR of 100 boxes, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for i, (found, truth) in enumerate(films, start=1):
        for x0, y0, x1, y1, k in truth:
            w, h = x1 - x0, y1 - y0
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i, "category_id": int(k) + 1,
                 "bbox": [x0, y0, w, h], "area": w * h, "iscrowd": 0}
            )  # fmt: skip
        results += [
            {"image_id": i, "category_id": int(k) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0],
             "score": s}
            for x0, y0, x1, y1, s, k in found
        ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(1, len(films) + 1)],
            "annotations": annotations,
            "categories": [{"id": 1}, {"id": 2}],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(25))
def test_equals_the_reference_program(seed: int) -> None:
    films = random_films(seed)
    found, truth = columns(films)
    stats = reference_program(films)
    ours = [
        average_precision(found, truth),
        ap50(found, truth),
        average_precision(found, truth, (5,)),
        *(average_precision(found, truth, area=area) for area in ("small", "medium", "large")),
    ]
    theirs = [stats[k] if stats[k] >= 0 else math.nan for k in range(6)]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(average_recall(found, truth), stats[8], atol=1e-6)
    by_size = [average_recall(found, truth, area=a) for a in ("small", "medium", "large")]
    theirs = [stats[k] if stats[k] >= 0 else math.nan for k in (9, 10, 11)]
    np.testing.assert_allclose(by_size, theirs, atol=1e-6)


def test_more_than_a_hundred_boxes_count_as_a_hundred() -> None:
    films = random_films(3)
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 200, (400, 2))
    many = np.column_stack([corner, corner + 30, rng.uniform(0, 1, 400), rng.integers(0, 2, 400)])
    films = [(np.vstack([found, many]), truth) for found, truth in films]
    found, truth = columns(films)
    assert average_precision(found, truth) == pytest.approx(reference_program(films)[0], abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_froc_equals_monais(seed: int) -> None:
    """Where no box is found twice: MONAI counts each hit, COCO's matching the first."""
    from monai.metrics import compute_froc_curve_data, compute_froc_score

    rng = np.random.default_rng(seed)
    films, hits, alarms, total = [], [], [], 0
    for _ in range(12):
        count = int(rng.integers(0, 4))
        truth = np.array([[100 * k, 0, 100 * k + 50, 50, 0] for k in range(count)], float)
        rows = []
        for box in truth:
            if rng.uniform() < 0.7:
                hits.append(rng.uniform())
                rows.append([*box[:4], hits[-1], 0])
        for k in range(int(rng.integers(0, 6))):
            alarms.append(rng.uniform())
            rows.append([100 * k, 500, 100 * k + 40, 540, alarms[-1], 0])
        total += count
        films.append((np.array(rows).reshape(-1, 6), truth.reshape(-1, 5)))
    found, truth = columns(films)
    fps, sensitivity = compute_froc_curve_data(np.array(alarms), np.array(hits), total, len(films))
    theirs = compute_froc_score(fps, sensitivity, eval_thresholds=(1.0,))
    ours = sensitivity_at(1.0)(found, truth)
    # MONAI goes straight from corner to corner, we stay on the lower step.
    y = froc_curve(found, truth)[1]
    assert set(np.round(np.asarray(sensitivity, float), 9)) <= set(np.round(y, 9))
    assert ours <= theirs + 1e-9
    assert theirs - ours <= np.diff(y).max() + 1e-9


@given(st.integers(0, 10_000), st.floats(0, 8))
@settings(max_examples=40, deadline=None)
def test_froc_is_the_best_threshold_by_hand(seed: int, allowed: float) -> None:
    films = random_films(seed, classes=1)
    found, truth = columns(films)
    total = sum(len(t) for _, t in films)
    if not total:
        assert math.isnan(sensitivity_at(allowed)(found, truth))
        return
    best = 0.0
    for threshold in {row[4] for rows, _ in films for row in rows} | {2.0}:
        hits = alarms = 0
        for rows, true in films:
            free = list(range(len(true)))
            for row in sorted(rows, key=lambda r: -r[4]):
                if row[4] < threshold:
                    continue
                overlaps = {k: box_overlap(row[:4], true[k, :4])[0, 0] for k in free}
                near = [k for k in free if overlaps[k] >= 0.5]
                if near:
                    free.remove(max(near, key=lambda k: overlaps[k]))
                    hits += 1
                else:
                    alarms += 1
        if alarms / len(films) <= allowed:
            best = max(best, hits / total)
    assert sensitivity_at(allowed)(found, truth) == pytest.approx(best)


def test_nothing_found_and_nothing_to_find() -> None:
    found, truth = columns([(np.zeros((0, 6)), np.array([[0, 0, 10, 10, 0.0]]))])
    assert average_precision(found, truth) == 0.0
    assert average_recall(found, truth) == 0.0
    assert froc_score(found, truth) == 0.0
    found, truth = columns([(np.array([[0, 0, 10, 10, 0.9, 0]]), np.zeros((0, 5)))])
    assert math.isnan(average_precision(found, truth))
    assert math.isnan(froc_score(found, truth))


def test_a_perfect_answer() -> None:
    truth = np.array([[0, 0, 40, 40, 0.0], [100, 100, 300, 300, 1.0]])
    found = np.column_stack([truth[:, :4], [0.9, 0.8], truth[:, 4]])
    answers = columns([(found, truth)])
    assert average_precision(*answers) == pytest.approx(1.0)
    assert [average_precision(*answers, area=a) for a in AREAS][2:] == pytest.approx([1.0, 1.0])
    precision, recall = precision_recall(*answers)
    assert precision.tolist() == [1.0, 1.0]
    assert recall.tolist() == [0.5, 1.0]


def test_best_overlap_is_that_of_the_highest_score() -> None:
    truth = [[0, 0, 10, 10, 0]]
    assert best_overlap([[0, 0, 10, 10, 0.2, 0], [5, 0, 15, 10, 0.9, 0]], truth) == pytest.approx(
        50 / 150
    )
    assert best_overlap([], truth) == 0.0
    assert math.isnan(best_overlap([[0, 0, 1, 1, 0.5, 0]], []))


def test_nested_columns_are_resampled_by_patient() -> None:
    found, truth = columns(random_films(1, films=30))
    unknown_truth = truth.copy()
    unknown_truth[0] = None
    spec = MeasureSpec("ap50", ("found", "truth"), ap50)
    patients = [f"p{k // 2}" for k in range(30)]
    interval = patient_bootstrap({"found": found, "truth": unknown_truth}, spec, patients, n=50)
    assert interval.n == 29
    assert interval.low <= interval.value <= interval.high
    rows = {"found": found, "truth": truth}
    same = paired_bootstrap(rows, rows, spec, patients, n=50)
    assert same.difference == 0.0
    assert (same.low, same.high) == (0.0, 0.0)
