"""Hips without a network: what is drawn, what labels say, how two hips lie, what is measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radloop.cases.boxes.box import Box, FilmBoxes
from radloop.cases.boxes.coco import case_boxes, coco_text
from radloop.cases.boxes.importing import import_voc
from radloop.cases.case import Case, Reference
from radloop.errors import InputError
from radloop.images.image import Geometry, Image
from radloop.systems.base import FoundBox, Interpretation
from radloop.systems.pelvis.calibration import chance, film_threshold, fit_answer, fit_answers
from radloop.systems.pelvis.drawing import Canvas, View, band, ellipse
from radloop.systems.pelvis.elsewhere import ELSEWHERE, draw_elsewhere
from radloop.systems.pelvis.gate import (
    FoundHip,
    candidates,
    examine_header,
    hip_measures,
    learn_geometry,
    pair_measures,
    read_scene,
)
from radloop.systems.pelvis.labels import SIDES, TrueHip, class_name, parse_class, true_hips
from radloop.systems.pelvis.measures import (
    accepted_share,
    judge_film,
    mean_of_hips,
    of_calls,
    refused_share,
)
from radloop.systems.pelvis.phantom import DrawnHip, PhantomPelvis, draw_pelvis, write_pelves
from radloop.systems.regions.film import to_square

SEEDS = st.integers(0, 10_000)


# What is drawn.


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_a_phantom_is_what_was_asked_for(seed):
    right, left = DrawnHip("neck"), DrawnHip("", "nail")
    pelvis = draw_pelvis(seed, right, left)
    assert np.array_equal(pelvis.film, draw_pelvis(seed, right, left).film)
    assert pelvis.film.dtype == np.uint8
    rows, columns = pelvis.film.shape
    first, second = pelvis.boxes
    assert (first.label, second.label) == ("fractured right hip", "left hip with metal")
    assert first.x1 < second.x0  # the patient faces the reader
    for box in pelvis.boxes:
        assert 0 <= box.x0 < box.x1 <= columns
        assert 0 <= box.y0 < box.y1 <= rows
    inside = [pelvis.film[int(b.y0) : int(b.y1), int(b.x0) : int(b.x1)] for b in pelvis.boxes]
    assert np.percentile(inside[1], 99) > np.percentile(inside[0], 99)  # the nail is bright


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(SIDES))
def test_a_film_of_one_hip_has_the_box_of_that_side_alone(seed, side):
    boxes = draw_pelvis(seed, only=side).boxes
    assert [parse_class(box.label)[0] for box in boxes] == [side]


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(ELSEWHERE))
def test_other_parts_are_films_too(seed, kind):
    film = draw_elsewhere(seed, kind)
    assert film.dtype == np.uint8
    assert film.std() > 10


def test_a_part_nobody_draws_is_an_error():
    with pytest.raises(KeyError):
        draw_elsewhere(0, "elbow")


def test_written_phantoms_are_imported_as_they_were_drawn(tmp_path):
    write_pelves(tmp_path, 12, seed=5)
    table = import_voc(tmp_path / "images", tmp_path / "boxes", out=tmp_path / "c.csv").table
    hips = {case.case_id: true_hips(case) for case in table.cases}
    counts = [len(h) for h in hips.values() if h is not None]
    assert sorted(counts) == [0] * 3 + [1] * 2 + [2] * 7
    assert all((len(h) > 0) == name.endswith("pelvis") for name, h in hips.items())


@given(st.floats(-180, 180), st.floats(0.5, 50), st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_a_view_turns_and_scales(angle, scale, centre):
    view = View(100, 80, scale, centre, angle)
    px = view.px([centre, (centre[0] + 1, centre[1])])
    np.testing.assert_allclose(px[0], (40, 50), atol=1e-9)
    across = px[1] - px[0]
    assert math.hypot(*across) == pytest.approx(scale)
    expected = [scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))]
    np.testing.assert_allclose(across, expected, atol=1e-6 * scale)


def test_shapes_have_their_areas():
    canvas = Canvas(View(200, 200, 10))
    assert canvas.mask([ellipse((0, 0), (6, 4))]).sum() == pytest.approx(math.pi * 2400, rel=0.02)
    bar = band((-5, 0), (5, 0), 4, 2)
    assert canvas.mask([bar]).sum() == pytest.approx(3000, rel=0.06)  # its edge is drawn, too
    both = canvas.mask([bar, bar])
    assert both.max() <= 1  # what is drawn twice is not twice as dense


# What labels say.


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("right hip", ("right", None, None)),
        ("Left_Hip", ("left", None, None)),
        ("fractured left hip", ("left", True, None)),
        ("normal right hip", ("right", False, None)),
        ("right hip, no fracture", ("right", False, None)),
        ("non-fractured left hip", ("left", False, None)),
        ("left hip with metal", ("left", None, True)),
        ("right hip without metal", ("right", None, False)),
        ("fractured right hip with nail", ("right", True, True)),
        ("left total hip arthroplasty", ("left", None, True)),
        ("hip", ("", None, None)),
        ("bright hip", ("", None, None)),
        ("right or left hip", ("", None, None)),
    ],
)
def test_a_class_says_side_fracture_and_metal(label, said):
    side, fracture, metal = parse_class(label)
    assert (side, fracture) == said[:2]
    if fracture is None or metal:  # "normal" and "fractured" say that there is no metal
        assert metal is said[2]
    else:
        assert metal is False


@given(st.sampled_from(SIDES), st.booleans(), st.booleans())
def test_the_classes_that_phantoms_use_are_read_back(side, fracture, metal):
    assert parse_class(class_name(side, fracture, metal)) == (
        side, None if metal and not fracture else fracture, metal,
    )  # fmt: skip


def case_of(folder: Path, *boxes: Box, labels: dict[str, bool] | None = None) -> Case:
    path = folder / "films/a.png"
    coco = folder / "a.boxes.json"
    names = sorted({box.label for box in boxes})
    coco.write_text(coco_text({"films/a.png": FilmBoxes(400, 300, boxes)}, names))
    return Case("a", "a", {"image": path}, reference=Reference(labels=labels or {}, boxes=coco))


def test_labels_of_a_side_count_more_than_the_class(tmp_path):
    right, left = Box(10, 10, 90, 110, "normal right hip"), Box(300, 10, 390, 110, "left hip")
    case = case_of(tmp_path, right, left, labels={"hip_fracture_right": True,
                                                  "hip_metal_left": True})  # fmt: skip
    assert case_boxes(case) is not None
    hips = true_hips(case)
    assert hips is not None
    assert (hips["right"].fracture, hips["right"].metal) == (True, False)
    assert (hips["left"].fracture, hips["left"].metal) == (None, True)


def test_boxes_that_cannot_be_hips_are_named(tmp_path):
    with pytest.raises(InputError, match="names no side"):
        true_hips(case_of(tmp_path, Box(1, 1, 50, 50, "hip")))
    twice = Box(1, 1, 50, 50, "left hip"), Box(100, 1, 150, 50, "normal left hip")
    with pytest.raises(InputError, match="two boxes of the left hip"):
        true_hips(case_of(tmp_path, *twice))
    assert true_hips(case_of(tmp_path)) == {}
    assert true_hips(Case("a", "a", {"image": Path("a.png")})) is None


# How two hips lie.


def hips_of(pelvis: PhantomPelvis) -> dict[str, tuple[float, float, float, float]]:
    return {parse_class(box.label)[0]: box.corners for box in pelvis.boxes}


def rows_of(hips, shape, film=1.0, score=0.9):
    """What a detector without fault would say: `(k, 6)`."""
    rows = [
        [*to_square(corners, shape, 1)[0], score, SIDES.index(side)]
        for side, corners in hips.items()
    ]
    return np.array([*rows, [0, 0, 1, 1, film, 2]], np.float32)


@pytest.fixture(scope="module")
def learned():
    """How the hips of phantoms lie."""
    drawn = [draw_pelvis(k) for k in range(30)]
    drawn += [draw_pelvis(k, only=SIDES[k % 2]) for k in range(10)]
    return learn_geometry([(hips_of(p), p.film.shape) for p in drawn])


def mirrored(corners, columns):
    return columns - corners[2], corners[1], columns - corners[0], corners[3]


corner_boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.floats(0, 150), st.floats(0, 150), st.floats(20, 120), st.floats(20, 120),
)  # fmt: skip


@given(corner_boxes, corner_boxes, st.floats(0.2, 5))
def test_measures_of_a_pair_know_no_resolution_and_turn_with_a_mirror(a, b, factor):
    shape = (300, 400)
    right = FoundHip("right", a, 1)
    left = FoundHip("left", (b[0] + 150, b[1], b[2] + 150, b[3]), 1)
    measured = pair_measures(right, left, shape)
    larger = [
        FoundHip(h.side, tuple(factor * v for v in h.corners), 1)  # type: ignore[arg-type]
        for h in (right, left)
    ]
    again = pair_measures(*larger, (300 * factor, 400 * factor))  # type: ignore[arg-type]
    assert again == pytest.approx(measured, abs=1e-6)
    other = pair_measures(
        FoundHip("right", mirrored(left.corners, 400), 1),
        FoundHip("left", mirrored(right.corners, 400), 1), shape,
    )  # fmt: skip
    for name, value in measured.items():
        turned = -1 if name in ("likeness", "level", "across") else 1
        assert other[name] == pytest.approx(turned * value, abs=1e-6), name


def test_measures_of_two_equal_squares():
    right, left = FoundHip("right", (0, 50, 100, 150), 1), FoundHip("left", (200, 50, 300, 150), 1)
    assert pair_measures(right, left, (200, 300)) == pytest.approx(
        {"likeness": 0, "distance": 2, "level": 0, "shape": 0, "size": math.log(1 / 3),
         "across": 0, "height": 0}
    )  # fmt: skip
    lower = FoundHip("left", (200, 150, 300, 250), 1)
    assert pair_measures(right, lower, (400, 300))["level"] == pytest.approx(math.atan2(1, 2))
    assert hip_measures((0, 0, 100, 50), (200, 200))["shape"] == pytest.approx(math.log(2))


def test_few_pairs_teach_nothing():
    drawn = [draw_pelvis(k) for k in range(19)]
    assert learn_geometry([(hips_of(p), p.film.shape) for p in drawn]) == {}


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_a_pelvis_is_accepted_with_its_sides_and_mirrored_with_them_exchanged(learned, seed):
    pelvis = draw_pelvis(seed)
    shape, hips = pelvis.film.shape, hips_of(pelvis)
    scene = read_scene(rows_of(hips, shape), shape, learned)
    assert scene.verdict.status == "accepted"
    for side in SIDES:
        np.testing.assert_allclose(scene.hips[side].corners, hips[side], atol=0.01)
    flipped = {side: mirrored(corners, shape[1]) for side, corners in hips.items()}
    # Even a detector that mistakes the mirrored sides is put right by their places.
    scene = read_scene(rows_of(flipped, shape), shape, learned)
    np.testing.assert_allclose(scene.hips["right"].corners, flipped["left"], atol=0.01)
    np.testing.assert_allclose(scene.hips["left"].corners, flipped["right"], atol=0.01)


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(SIDES))
def test_one_hip_alone(learned, seed, side):
    pelvis = draw_pelvis(seed, only=side)
    shape = pelvis.film.shape
    alone = read_scene(rows_of(hips_of(pelvis), shape), shape, learned)
    assert alone.verdict.code == "one_hip"
    assert alone.one_hip
    assert list(alone.hips) == [side]
    whole = draw_pelvis(seed)
    shape, hips = whole.film.shape, hips_of(whole)
    lost = read_scene(rows_of({side: hips[side]}, shape), shape, learned)
    assert lost.verdict.code == "region_not_found"
    assert not lost.one_hip
    assert f"No {SIDES[1 - SIDES.index(side)]} hip" in lost.verdict.messages[0]


def moved(corners, x=0.0, y=0.0, grow=1.0):
    """A box moved by shares of its size, and grown about its middle."""
    x0, y0, x1, y1 = corners
    cx, cy = (x0 + x1) / 2 + x * (x1 - x0), (y0 + y1) / 2 + y * (y1 - y0)
    w, h = grow * (x1 - x0) / 2, grow * (y1 - y0) / 2
    return cx - w, cy - h, cx + w, cy + h


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"right": {"grow": 0.35}}, "larger than the other"),
        ({"right": {"x": 0.6}}, "as far apart"),
        ({"right": {"y": -0.4}, "left": {"y": 0.4}}, "not level"),
        ({"right": {"grow": 0.3}, "left": {"grow": 0.3}}, "as far apart|of the size"),
    ],
)
def test_what_does_not_lie_as_hips_is_no_pelvis(learned, change, why):
    pelvis = draw_pelvis(3, angle=0)
    shape, hips = pelvis.film.shape, hips_of(pelvis)
    wrong = {side: moved(corners, **change.get(side, {})) for side, corners in hips.items()}
    scene = read_scene(rows_of(wrong, shape), shape, learned)
    assert scene.verdict.code == "not_a_pelvis"
    assert not scene.hips
    assert any(part in scene.verdict.messages[0] for part in why.split("|"))


def test_nothing_found_and_films_unlike_a_pelvis(learned):
    pelvis = draw_pelvis(3)
    shape, hips = pelvis.film.shape, hips_of(pelvis)
    for rows, is_hip, why in (
        (rows_of(hips, shape, film=0.1), lambda hip: True, "As a whole"),
        (rows_of({}, shape), lambda hip: True, "No hip was found"),
        (rows_of(hips, shape, score=0.05), lambda hip: True, "No hip was found"),
        (rows_of(hips, shape), lambda hip: False, "No hip was found"),
    ):
        scene = read_scene(rows, shape, learned, is_hip)
        assert scene.verdict.code == "not_a_pelvis"
        assert why in scene.verdict.messages[0]
    left_only = read_scene(rows_of(hips, shape), shape, learned, lambda h: h.corners[0] > 150)
    assert list(left_only.hips) == ["left"]
    # Without geometry the detector is believed.
    assert read_scene(rows_of(hips, shape), shape, {}).verdict.status == "accepted"


def test_a_faint_find_that_fits_no_pair_is_nothing(learned):
    pelvis = draw_pelvis(3)
    shape, hips = pelvis.film.shape, hips_of(pelvis)
    rows = rows_of({"right": hips["right"]}, shape)
    corner = [*to_square((0, 0, 40, 40), shape, 1)[0], 0.35, 1]
    scene = read_scene(np.array([*rows, corner], np.float32), shape, learned)
    assert list(scene.hips) == ["right"]
    corner[4] = 0.8
    scene = read_scene(np.array([*rows, corner], np.float32), shape, learned)
    assert scene.verdict.code == "not_a_pelvis"


def test_one_place_is_one_hip():
    rows = np.array(
        [[0.1, 0.1, 0.3, 0.3, 0.6, 1], [0.1, 0.1, 0.31, 0.3, 0.9, 0], [0.6, 0.1, 0.8, 0.3, 0.2, 1],
         [0, 0, 0, 0, 0, -1]], np.float32,
    )  # fmt: skip
    found = candidates(rows, (100, 100), 0.1)
    assert [(hip.side, round(hip.score, 2)) for hip in found] == [("right", 0.9), ("left", 0.2)]
    assert len(candidates(rows, (100, 100), 0.5)) == 1


@pytest.mark.parametrize(("view", "code"), [("LL", "lateral"), ("Lateral", "lateral"),
                                            ("AP", "ok"), ("", "ok")])  # fmt: skip
def test_the_files_view_counts(view, code):
    image = Image(np.zeros((9, 9), np.uint8), Geometry((9, 9)), acquisition={"view": view})
    assert examine_header(image).code == code


# What is calibrated and measured.

BOX = Box(0, 0, 10, 10, "right hip")


def test_answers_are_calibrated_on_what_they_may_be():
    whole, broken = TrueHip(BOX, "right", False, False), TrueHip(BOX, "right", True, False)
    metal, unknown = TrueHip(BOX, "right", True, True), TrueHip(BOX, "right", None, None)
    said = [((-2.0, -3.0, 4.0), whole, True)] * 6 + [((2.0, -3.0, 4.0), broken, True)] * 6
    said += [((-9.0, 5.0, 4.0), metal, True), ((-9.0, 0.0, 4.0), unknown, True)]
    said += [((0.0, 0.0, -4.0), None, False)] * 5 + [((0.0, 0.0, 0.0), None, None)]
    fitted = fit_answers(said, metal=5)
    assert fitted["fracture"]["hips"] == 12  # neither the hip with metal nor the unknown one
    assert chance(2.0, fitted["fracture"]) > 0.8 > 0.2 > chance(-2.0, fitted["fracture"])
    assert fitted["metal"]["hips"] == 13
    assert fitted["hip"]["hips"] == 19
    assert "metal" not in fit_answers(said, metal=4)
    assert "hip" not in fit_answers(said[:16], metal=5)


def test_a_threshold_needs_both_kinds():
    assert fit_answer([(1.0, True)] * 9 + [(-1.0, False)] * 4)["threshold"] == 0.5
    fitted = fit_answer([(1.0, True)] * 9 + [(-3.0, False)] * 9)
    low, high = chance(-3.0, fitted), chance(1.0, fitted)
    assert fitted["threshold"] == pytest.approx((low + high) / 2, abs=1e-3)
    assert chance(0.7, {}) == pytest.approx(1 / (1 + math.exp(-0.7)), abs=1e-4)
    assert chance(float("nan"), {}) == 0
    assert film_threshold([0.9] * 5 + [0.2] * 4, [True] * 5 + [False] * 4) == {}
    learned = film_threshold([0.9] * 5 + [0.2] * 5, [True] * 5 + [False] * 5)
    assert learned == {"film": pytest.approx(0.55)}


def test_a_film_is_judged_hip_by_hip():
    hips = {
        "right": TrueHip(Box(0, 0, 10, 10, ""), "right", True, False),
        "left": TrueHip(Box(50, 0, 60, 10, ""), "left", None, True),
    }
    read = Interpretation(
        values={"probability_right": 0.8, "called_right": 1.0, "metal_right": 0.1,
                "metal_called_right": 0.0, "metal_left": 0.9, "metal_called_left": 1.0,
                "probability": 0.8, "called": 1.0},
        boxes=(FoundBox((0, 0, 10, 5), 0.9, 0.8, 0.9, "right"),
               FoundBox((50, 0, 60, 10), 0.9, None, 0.9, "left")),
    )  # fmt: skip
    row = judge_film(read, hips)
    assert row["hip_calls"] == [[0.8, 1.0, 1.0]]
    assert row["hip_decided"] == [[1.0]]
    assert row["hip_overlap"] == [[0.5], [1.0]]
    assert row["metal_calls"] == [[0.1, 0.0, 0.0], [0.9, 1.0, 1.0]]
    assert (row["positive"], row["pelvis"], row["refused"]) == (1.0, 1.0, 0.0)
    assert row["certainty"] == 0.8
    missed = judge_film(Interpretation(), hips)
    assert missed["hip_decided"] == [[0.0]]
    assert missed["hip_overlap"] == [[0.0], [0.0]]
    assert missed["hip_calls"] == []
    assert judge_film(read, {})["pelvis"] == 0.0


def test_measures_count_hips_and_refusals():
    nested = np.empty(3, object)
    nested[:] = [[[0.9, 1, 1], [0.2, 0, 1]], [], [[0.1, 0, 0]]]
    agree = of_calls(lambda called, truth: float((called == truth).mean()))
    assert agree(nested) == pytest.approx(2 / 3)
    ones = np.empty(2, object)
    ones[:] = [[[1.0], [0.0]], [[1.0]]]
    assert mean_of_hips(ones) == pytest.approx(2 / 3)
    refused, pelvis = np.array([1.0, 0, 1, 1]), np.array([1.0, 1, 0, 0])
    assert accepted_share(refused, pelvis) == 0.5
    assert refused_share(refused, pelvis) == 1.0
    assert math.isnan(refused_share(refused[:2], pelvis[:2]))
