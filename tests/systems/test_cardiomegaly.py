"""The system as a whole, on phantoms whose ratio is known from the way they are drawn."""

import numpy as np
import pytest

from conftest import draw_phantom
from radloop.errors import InputError
from radloop.images.image import Geometry, Image
from radloop.inference.engine import open_engine
from radloop.systems.model import load_model


@pytest.fixture(scope="module")
def reader(tiny_model):
    """film -> interpretation, by the tiny model."""
    model = load_model(tiny_model)
    engine = open_engine(model, "torch", "cpu", 1)

    def look(film):
        return engine.run(film[None, None])[0]

    def read(film, **changes):
        acquisition = changes.pop("acquisition", {})
        image = Image(film, Geometry(film.shape), acquisition=acquisition)
        output = look(model.system.prepare(image, model.size))
        return model.system.interpret(image, output, {**model.settings, **changes}, look)

    return read


def test_the_ratio_of_unseen_phantoms(reader):
    errors = []
    for seed in range(100, 112):
        phantom = draw_phantom(seed)
        read = reader(phantom.film)
        if read.verdict.refused:  # the gate knows the shapes of forty phantoms only
            continue
        assert read.labels.shape == phantom.film.shape
        errors.append(read.values["ctr"] - phantom.ctr)
    assert len(errors) >= 10
    assert np.mean(np.abs(errors)) < 0.03


def test_left_is_left(reader):
    phantom = draw_phantom(101)
    labels = reader(phantom.film).labels
    left = np.flatnonzero((labels == 2).any(0)).mean()
    right = np.flatnonzero((labels == 3).any(0)).mean()
    assert left > right  # the patient's left is on the right of the film


def test_the_finding_carries_its_measurement(reader):
    finding = reader(draw_phantom(102).film).findings[0]
    assert finding.name == "cardiomegaly"
    assert finding.code.scheme == "99RADLOOP"
    assert finding.measurement.low < finding.measurement.value < finding.measurement.high
    assert finding.positive == (finding.measurement.value > 0.5)
    assert 0 <= finding.probability <= 1


def test_a_ratio_near_the_threshold_is_a_warning(reader):
    read = reader(draw_phantom(102).film, interval=1e3)
    assert (read.verdict.status, read.verdict.code) == ("warned", "grey_zone")


def test_the_lines_end_where_the_ratio_was_measured(reader):
    phantom = draw_phantom(103)
    read = reader(phantom.film)
    mrd, mld, thorax = read.lines[:3]
    drawn = (mld.end[1] - mrd.start[1]) / (thorax.end[1] - thorax.start[1])
    assert drawn == pytest.approx(read.values["ctr"], abs=1e-6)


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_film_is_refused(reader, turns):
    read = reader(np.ascontiguousarray(np.rot90(draw_phantom(104).film, turns)))
    assert read.verdict.refused
    assert read.labels is None
    assert read.findings == ()


def test_a_film_that_says_it_is_lateral_is_refused(reader):
    read = reader(draw_phantom(105).film, acquisition={"view": "LL"})
    assert read.verdict.code == "lateral"


def test_an_ap_film_is_a_warning(reader):
    read = reader(draw_phantom(106).film, acquisition={"view": "AP"}, interval=0.0)
    assert read.verdict.code == "ap_view"


@pytest.mark.parametrize(
    "film",
    [
        np.zeros((96, 96), np.uint8),
        np.full((96, 96), 255, np.uint8),
        np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8),
        np.tile(np.linspace(0, 255, 96, dtype=np.uint8), (96, 1)),
    ],
    ids=["black", "white", "noise", "ramp"],
)
def test_what_is_no_chest_is_refused(reader, film):
    assert reader(film).verdict.refused


def test_the_ensemble_gives_an_interval_too(reader):
    phantom = draw_phantom(107)
    values = reader(phantom.film, members=5).values
    assert values["ctr_low"] < values["ctr"] < values["ctr_high"]
    assert values["ctr"] == pytest.approx(phantom.ctr, abs=0.06)


def test_a_case_without_masks_cannot_train(phantoms, tiny_model):
    from dataclasses import replace

    from radloop.cases.case import Reference
    from radloop.images.read import read_radiograph

    system = load_model(tiny_model).system
    case = replace(phantoms.cases[0], reference=Reference())
    image = read_radiograph(case.image).image
    with pytest.raises(InputError, match="no mask of heart, left_lung, right_lung"):
        system.target(case, image, 64)
