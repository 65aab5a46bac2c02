"""Which models read which series."""

from __future__ import annotations

import pytest

from radloop.service.routing import Reader, SeriesFacts, kind_of, reads, route
from radloop.service.settings import Route

CHEST = Reader("cardiomegaly", "cardiomegaly", "a", reads_scans=False)
HEAD = Reader("hemorrhage", "hemorrhage", "b", reads_scans=True)


@pytest.mark.parametrize(
    ("series", "models"),
    [
        (SeriesFacts(modality="CR", body_part="CHEST", view="PA"), ["cardiomegaly"]),
        (SeriesFacts(modality="DX", body_part="chest", view=""), ["cardiomegaly"]),
        (SeriesFacts(modality="DX", body_part="", description="Thorax p.a."), ["cardiomegaly"]),
        (SeriesFacts(modality="CR", body_part="CHEST", view="LL"), []),
        (SeriesFacts(modality="CR", body_part="CHEST", description="Chest LATERAL"), []),
        (SeriesFacts(modality="CR", body_part="KNEE"), []),
        (SeriesFacts(modality="CR", description="Knee_left ap"), []),
        (SeriesFacts(modality="CT", body_part="HEAD", description="Axial 5mm"), ["hemorrhage"]),
        (SeriesFacts(modality="CT", body_part="", description="Axial"), ["hemorrhage"]),
        (SeriesFacts(modality="CT", body_part="HEAD", description="CT_HEAD-Topogram 0.6"), []),
        (SeriesFacts(modality="CT", body_part="CHEST"), []),
        (SeriesFacts(modality="CT", description="CTA head"), []),
        (SeriesFacts(modality="MR", body_part="HEAD"), []),
        (SeriesFacts(modality="SR", body_part="CHEST"), []),
        (SeriesFacts(kind="picture"), ["cardiomegaly"]),
        (SeriesFacts(kind="volume"), ["hemorrhage"]),
        (SeriesFacts(modality="CR", body_part="CHEST", own=True), []),
        (SeriesFacts(kind="picture", own=True), []),
        (SeriesFacts(modality="CR", body_part="CHEST", instances=0), []),
    ],
)
def test_the_shipped_models_read(series: SeriesFacts, models: list[str]) -> None:
    assert [reader.name for reader in route(series, [CHEST, HEAD])] == models


def test_several_models_may_read_a_series() -> None:
    other = Reader("second", "cardiomegaly", "c", reads_scans=False)
    series = SeriesFacts(modality="CR", body_part="CHEST")
    assert [reader.name for reader in route(series, [CHEST, other, HEAD])] == [
        "cardiomegaly",
        "second",
    ]


def test_routes_of_the_settings_replace_the_defaults() -> None:
    strict = Route(modality=("CT",), description=(r"\bbrain\b",), body_part=("HEAD*",))
    reader = Reader("h", "hemorrhage", "b", True, (strict,))
    assert reads(reader, SeriesFacts(modality="CT", body_part="HEADNECK", description="Brain"))
    assert not reads(reader, SeriesFacts(modality="CT", body_part="HEAD", description="Brainstem"))
    assert not reads(reader, SeriesFacts(modality="CT", body_part="", description="Brain"))


def test_a_system_without_a_default_reads_its_kind_of_images() -> None:
    own = Reader("x", "a_system_of_my_own", "d", reads_scans=True)
    assert reads(own, SeriesFacts(modality="MR", body_part="KNEE"))
    assert not reads(own, SeriesFacts(modality="CR"))
    assert not reads(own, SeriesFacts(modality="SEG"))


def test_the_kind_follows_from_the_first_file() -> None:
    assert kind_of("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1") == "dicom"
    assert (kind_of("", ".png"), kind_of("", ".nii.gz")) == ("picture", "volume")
