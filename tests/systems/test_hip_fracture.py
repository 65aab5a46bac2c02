"""Hip fracture: what is said of each side, what is refused, and a tiny model on phantoms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from radloop.cases.boxes.importing import import_voc
from radloop.cases.case import Case
from radloop.cases.table import CaseTable
from radloop.errors import InputError
from radloop.evaluation.evaluate import evaluate
from radloop.findings.codes import code
from radloop.images.image import Geometry, Image
from radloop.images.write import write_png
from radloop.inference.predict import PredictOptions, predict
from radloop.systems.fit import TrainOptions, fit
from radloop.systems.hip_fracture import HipFracture
from radloop.systems.model import Model
from radloop.systems.pelvis.labels import parse_class, true_hips
from radloop.systems.pelvis.phantom import DrawnHip, draw_pelvis, write_pelves
from radloop.systems.regions.film import to_square
from radloop.systems.registry import get_system

SHAPE = (300, 400)
RIGHT, LEFT = (60.0, 120.0, 140.0, 210.0), (260.0, 120.0, 340.0, 210.0)
ANSWER = {"slope": 1.0, "offset": 0.0, "threshold": 0.5}
SETTINGS = {"crop": 48, "fracture": ANSWER, "metal": ANSWER, "hip": ANSWER, "distance": 2.3}


def film(shape: tuple[int, int] = SHAPE, **acquisition: str) -> Image:
    return Image(np.zeros(shape, np.uint8), Geometry(shape), acquisition=acquisition)


def rows(*hips: tuple[str, tuple[float, float, float, float]], shape=SHAPE, whole=1.0):
    found = [
        [*to_square(corners, shape, 1)[0], 0.9, float(side == "left")] for side, corners in hips
    ]
    return np.array([*found, [0, 0, 1, 1, whole, 2]], np.float32)


class Looks:
    """A second stage that gives the answers (fracture, metal, hip) in turn."""

    def __init__(self, *answers: tuple[float, float, float]) -> None:
        self.answers, self.crops = list(answers), []

    def __call__(self, crop, stage=""):
        assert stage == "regions"
        self.crops.append(crop)
        return np.array(self.answers[(len(self.crops) - 1) % len(self.answers)])


BOTH = rows(("right", RIGHT), ("left", LEFT))
WHOLE, BROKEN, METAL, NONE = (-3, -3, 3), (3, -3, 3), (3, 3, 3), (3, -3, -3)


def test_each_side_has_its_answer_and_its_place():
    read = get_system("hip_fracture").interpret(film(), BOTH, SETTINGS, Looks(WHOLE, BROKEN))
    assert read.verdict.status == "accepted"
    right, left = read.findings
    assert (right.name, right.where["side"], right.positive) == ("hip_fracture", "right", False)
    assert (left.name, left.where["side"], left.positive) == ("hip_fracture", "left", True)
    assert left.code == code("hip_fracture")
    assert left.probability == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    np.testing.assert_allclose(right.where["box"], RIGHT, atol=0.1)
    assert read.values["probability"] == left.probability
    assert "left hip: fracture likely" in read.caption


def test_metal_excludes_a_hip_and_a_reader_is_asked():
    read = get_system("hip_fracture").interpret(film(), BOTH, SETTINGS, Looks(METAL, WHOLE))
    assert read.verdict.code == "metal"
    assert "right hip" in read.verdict.messages[0]
    assert [f.name for f in read.findings] == ["hip_metalwork", "hip_fracture"]
    assert "probability_right" not in read.values
    assert read.values["metal_called_right"] == 1.0
    assert not read.findings[1].positive
    unaware = {k: v for k, v in SETTINGS.items() if k != "metal"}
    read = get_system("hip_fracture").interpret(film(), BOTH, unaware, Looks(METAL, WHOLE))
    assert [f.name for f in read.findings] == ["hip_fracture"] * 2


def test_a_hip_that_was_not_found_is_a_finding():
    for output, look in (
        (rows(("right", RIGHT)), Looks(WHOLE)),
        (BOTH, Looks(WHOLE, NONE)),  # the second look says that there is no left hip
    ):
        read = get_system("hip_fracture").interpret(film(), output, SETTINGS, look)
        assert read.verdict.code == "region_not_found"
        assert [(f.name, f.where["side"]) for f in read.findings] == [
            ("hip_fracture", "right"), ("hip_not_found", "left"),
        ]  # fmt: skip
        assert read.findings[1].positive
        assert "left hip not found" in read.caption


@pytest.mark.parametrize(("side", "said"), [("right", "R"), ("left", ""), ("left", "R")])
def test_a_film_of_one_hip(side, said):
    shape, corners = (300, 200), (60.0, 100.0, 150.0, 200.0)
    output = rows((side, corners), shape=shape)
    image = film(shape, laterality=said)
    read = get_system("hip_fracture").interpret(image, output, SETTINGS, Looks(WHOLE))
    assert read.verdict.code == "one_hip"
    assert [f.name for f in read.findings] == ["hip_fracture"]  # of the other nothing is said
    assert f"{'left' if side == 'right' else 'right'} hip not on the film" in read.caption
    contradicts = any("looks like a left one" in message for message in read.verdict.messages)
    assert contradicts == (said == "R" and side == "left")


def test_a_side_that_contradicts_the_file_is_the_verdict():
    # Without a learned distance a lone hip is one of two.
    wide = {k: v for k, v in SETTINGS.items() if k != "distance"}
    image = film(laterality="L")
    pair = get_system("hip_fracture").interpret(image, BOTH, wide, Looks(WHOLE))
    assert pair.verdict.status == "accepted"  # both sides are there: nothing contradicts
    one = get_system("hip_fracture").interpret(image, rows(("right", RIGHT)), wide, Looks(WHOLE))
    assert "file says that this is the left hip" in " ".join(one.verdict.messages)


def test_the_left_hip_is_judged_as_its_mirror_image():
    pelvis = draw_pelvis(4)
    columns = pelvis.film.shape[1]
    hips = {parse_class(box.label)[0]: box.corners for box in pelvis.boxes}
    other = {
        "right" if side == "left" else "left": (columns - x1, y0, columns - x0, y1)
        for side, (x0, y0, x1, y1) in hips.items()
    }
    crops = []
    for pixels, places in ((pelvis.film, hips), (pelvis.film[:, ::-1].copy(), other)):
        look = Looks(WHOLE)
        shape = pixels.shape
        output = rows(*places.items(), shape=shape)
        image = Image(pixels, Geometry(shape))
        read = get_system("hip_fracture").interpret(image, output, {"crop": 48}, look)
        assert [box.label for box in read.boxes] == ["right", "left"]
        crops.append(dict(zip(("right", "left"), look.crops[:2], strict=True)))
    for side, mirrored in (("right", "left"), ("left", "right")):
        here, there = (c.astype(float) for c in (crops[0][side], crops[1][mirrored]))
        assert np.abs(here - there).mean() < 3  # but for the resampling
        assert np.abs(here - there[:, ::-1]).mean() > 8


def test_a_mirrored_film_has_the_other_sides_in_training():
    swaps = HipFracture().swaps
    assert set(swaps) == set(swaps.values())
    assert all(swaps[swaps[k]] == k and swaps[k] % 2 != k % 2 for k in swaps)
    assert all(swaps[k] // 2 == k // 2 for k in swaps)  # the state stays


@pytest.mark.parametrize(
    ("output", "acquisition", "code"),
    [
        (rows(whole=1.0), {}, "not_a_pelvis"),
        (rows(("right", RIGHT), ("left", LEFT), whole=0.1), {}, "not_a_pelvis"),
        (BOTH, {"view": "LL"}, "lateral"),
    ],
)
def test_what_is_refused_has_no_findings(output, acquisition, code):
    read = get_system("hip_fracture").interpret(film(**acquisition), output, SETTINGS, Looks(WHOLE))
    assert (read.verdict.status, read.verdict.code) == ("refused", code)
    assert not read.findings and not read.boxes
    assert read.verdict.messages[0].count(".") >= 2  # what it is, and what to do
    case = Case("a", "a", {"image": Path("a.png")})
    assert get_system("hip_fracture").judge_refused(case) == {}


def test_a_film_that_is_turned_is_refused_by_that_name():
    system, tall = get_system("hip_fracture"), (SHAPE[1], SHAPE[0])
    pixels = np.zeros(tall, np.uint8)
    pixels[:, -20:] = 200  # what was above lies on the right: it was turned clockwise

    def look(square, stage=""):
        if stage == "regions":
            return np.array(WHOLE)
        upright = square[0].mean() > 100 or square[:40].mean() > square[-40:].mean() + 10
        return BOTH if upright and square[40:-40, :5].mean() < 60 else rows(whole=1.0)

    image = Image(pixels, Geometry(tall))
    read = system.interpret(image, rows(whole=1.0), SETTINGS | {"input": 96}, look)
    assert read.verdict.code == "rotated"
    assert (
        "counter-clockwise" in read.verdict.messages[0] or "clockwise" in read.verdict.messages[0]
    )


# A tiny model, trained on phantoms.

TINY = TrainOptions(preset="tiny", seed=1, quiet=True, device="cpu", epochs=24)


@pytest.fixture(scope="module")
def pelves(tmp_path_factory) -> CaseTable:
    folder = tmp_path_factory.mktemp("pelves")
    write_pelves(folder, 72)
    table = import_voc(folder / "images", folder / "boxes", out=folder / "cases.csv").table
    # Of every twelve films three show no pelvis: five of them are needed to learn from.
    splits = ["train"] * 36 + ["val"] * 24 + ["test"] * 12
    cases = (replace(c, split=s) for c, s in zip(table.cases, splits, strict=True))
    return replace(table, cases=tuple(cases))


@pytest.fixture(scope="module")
def model(pelves, tmp_path_factory) -> Model:
    return fit(get_system("hip_fracture"), pelves, tmp_path_factory.mktemp("hip") / "m", TINY).model


def predictions(model: Model, films: dict[str, np.ndarray], folder: Path) -> dict[str, dict]:
    for name, pixels in films.items():
        write_png(folder / f"in/{name}.png", pixels)
    predict(model, [folder / "in"], folder / "out", PredictOptions("cpu", pictures=True))
    lines = (folder / "out/predictions.jsonl").read_text().splitlines()
    return {one["case_id"]: one for one in map(json.loads, lines)}


def test_a_model_learns_phantoms(model, pelves, tmp_path):
    assert {"pair", "alone", "film", "fracture", "hip"} <= set(model.settings)
    report = evaluate(model, pelves, "test", tmp_path, PredictOptions(device="cpu"))
    values = {name: one["value"] for name, one in report["measures"].items()}
    assert values["hip_overlap_half"] > 0.7
    assert values["others_refused"] > 0.6
    assert values["pelves_accepted"] > 0.6
    assert {"hip_auc", "metal_auc", "auc", "ap50", "hip_ece"} <= values.keys()
    assert "Films without a hip that were refused" in (tmp_path / "report.html").read_text()


def test_sides_are_the_patients_and_turn_with_a_mirror(model, tmp_path):
    pelves = [draw_pelvis(k, DrawnHip("neck"), DrawnHip(), angle=0) for k in range(500, 504)]
    films = {f"a{k}": p.film for k, p in enumerate(pelves)}
    films |= {f"m{k}": p.film[:, ::-1].copy() for k, p in enumerate(pelves)}
    said = predictions(model, films, tmp_path)
    compared = 0
    for k, pelvis in enumerate(pelves):
        columns = pelvis.film.shape[1]
        places = [
            {f["where"]["side"]: f["where"]["box"] for f in said[f"{kind}{k}"]["findings"]
             if "box" in f["where"]}
            for kind in "am"
        ]  # fmt: skip
        if any(len(place) < 2 for place in places):
            continue
        compared += 1
        for side, other in (("right", "left"), ("left", "right")):
            x0, _, x1, _ = places[0][side]
            assert abs((x0 + x1) / 2 - (columns - sum(places[1][other][::2]) / 2)) < 25
    assert compared >= 2
    assert (tmp_path / "out/pictures/a0.jpg").is_file()


def test_turned_films_and_other_parts_are_refused(model, tmp_path):
    pelvis = draw_pelvis(510, DrawnHip(), DrawnHip(), angle=0).film
    turned = {
        "left": cv2.rotate(pelvis, cv2.ROTATE_90_COUNTERCLOCKWISE),
        "right": cv2.rotate(pelvis, cv2.ROTATE_90_CLOCKWISE),
    }
    said = predictions(model, turned | {"black": np.zeros((90, 70), np.uint8)}, tmp_path)
    for one in said.values():
        assert one["verdict"]["status"] == "refused"
        assert one["verdict"]["code"] in ("rotated", "not_a_pelvis")
        assert one["findings"] == []


def test_training_says_what_it_cannot_use(pelves, tmp_path):
    system = get_system("hip_fracture")
    quick = replace(TINY, epochs=1)
    case = pelves.cases[0]
    with pytest.raises(InputError, match="has no boxes"):
        system.target(Case("x", "x", case.images), film(), 96)
    alone = [c for c in pelves.cases if len(true_hips(c) or ()) > 0][:8]
    few = replace(pelves, cases=tuple(
        replace(c, split="train" if k % 2 else "val") for k, c in enumerate(alone)
    ))  # fmt: skip
    trained = fit(system, few, tmp_path / "m", quick).model
    assert "pair" not in trained.settings and "film" not in trained.settings
    card = trained.card()
    assert "Too few pairs of hips" in card
