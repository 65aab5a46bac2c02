"""FHIR bundles against the structure definitions of R4B and R5 (fhir.resources), and by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from samples import MODEL, film, refused_film

from radloop.errors import InputError
from radloop.findings.codes import code
from radloop.findings.fhir import SeriesFacts, StudyFacts, bundle_of, study_facts
from radloop.findings.finding import Finding, Prediction
from radloop.findings.tooth_codes import tooth_code

STUDY = StudyFacts(
    "1.2.3", "p-1", "Doe^Jane^Q", "F", "19700102", "ACC1", "20260102", "CHEST",
    (SeriesFacts("1.2.3.4", "DX", (("1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.1.1"),), "PA"),),
)  # fmt: skip
MOMENT = datetime(2026, 1, 2, 10, 15, tzinfo=UTC)


def of_kind(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [one for one in resources if one["resourceType"] == kind]


def check(bundle: dict[str, Any], release: str) -> None:
    """The structure by an independent library, and every reference within the bundle."""
    pytest.importorskip("fhir.resources", reason="fhir.resources is not installed")
    if release == "R4":
        from fhir.resources.R4B.bundle import Bundle
    else:
        from fhir.resources.bundle import Bundle  # type: ignore[assignment]
    parsed = Bundle.model_validate_json(json.dumps(bundle))
    assert len(parsed.entry) == len(bundle["entry"])
    known = {entry["fullUrl"] for entry in bundle["entry"]}

    def references(value: Any) -> Any:
        if isinstance(value, dict):
            if "reference" in value:
                yield value["reference"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert set(references(bundle)) <= known


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_a_film_as_a_bundle(release: Any) -> None:
    bundle = bundle_of(film("f", 0.91, 0.54), STUDY, release=release, issued=MOMENT)
    check(bundle, release)
    (report,) = of_kind(bundle, "DiagnosticReport")
    assert (report["status"], report["issued"]) == ("preliminary", "2026-01-02T10:15:00+00:00")
    assert "Research use only" in report["conclusion"]
    assert ("imagingStudy" in report) == (release == "R4")
    (observation,) = of_kind(bundle, "Observation")
    assert observation["code"]["coding"][0]["code"] == "CARDIOMEGALY"
    assert observation["bodySite"]["coding"][0]["code"] == "80891009"
    assert observation["valueCodeableConcept"]["coding"][0]["code"] == "10828004"
    parts = {p["code"]["text"]: p for p in observation["component"]}
    assert parts["Probability"]["valueQuantity"]["value"] == 0.91
    ratio = parts["Cardiothoracic ratio of widest transverse diameters"]["valueQuantity"]
    assert (ratio["value"], ratio["code"]) == (0.54, "1")
    interval = parts["Cardiothoracic ratio interval"]["valueRange"]
    assert interval["low"]["value"] == pytest.approx(0.52)
    (study,) = of_kind(bundle, "ImagingStudy")
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}
    assert (study["started"], study["numberOfInstances"]) == ("2026-01-02", 1)
    (patient,) = of_kind(bundle, "Patient")
    assert patient["name"] == [{"family": "Doe", "given": ["Jane", "Q"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-01-02")
    (device,) = of_kind(bundle, "Device")
    assert device["identifier"][0]["value"] == MODEL.sha256


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_a_refused_case_and_a_picture_without_a_study(release: Any) -> None:
    bundle = bundle_of(refused_film("f"), StudyFacts(patient_id="p"), release=release)
    check(bundle, release)
    assert of_kind(bundle, "Observation") == of_kind(bundle, "ImagingStudy") == []
    (report,) = of_kind(bundle, "DiagnosticReport")
    assert "result" not in report
    assert report["conclusion"].startswith("Refused: not read. This is a lateral film.")


def test_a_tooth_and_a_side() -> None:
    where = {"tooth": "46", "tooth_code": vars(tooth_code("46")), "box": [1, 2, 3, 4]}
    findings = (
        Finding("caries", code("caries"), 0.7, True, 0.5, where),
        Finding("hip_fracture", code("hip_fracture"), 0.1, False, 0.5, {"side": "right"}),
    )
    bundle = bundle_of(Prediction("f", "p", "teeth", MODEL, findings=findings), STUDY)
    check(bundle, "R4")
    tooth, hip = of_kind(bundle, "Observation")
    assert tooth["bodySite"]["coding"][0]["code"] == "866005003"
    assert "box [1, 2, 3, 4]" in tooth["note"][0]["text"]
    sides = [c["valueCodeableConcept"] for c in hip["component"] if "valueCodeableConcept" in c]
    assert sides[0]["coding"][0]["code"] == "24028007"
    assert hip["interpretation"][0]["coding"][0]["code"] == "NEG"


def test_the_same_key_gives_the_same_ids() -> None:
    prediction = film("f", 0.91, 0.54)
    first, again, other = (
        [entry["fullUrl"] for entry in bundle_of(prediction, STUDY, key=key)["entry"]]
        for key in ("a", "a", "b")
    )
    assert first == again
    assert set(first).isdisjoint(other)
    assert len(set(first)) == len(first)


def test_facts_of_headers() -> None:
    headers = []
    for k in range(3):
        header = Dataset()
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2", f"1.2.{k // 2}"
        header.SOPInstanceUID, header.SOPClassUID, header.Modality = f"1.2.9.{k}", "1.9", "CT"
        header.PatientName, header.PatientBirthDate = "Doe^Jane", "not a date"
        headers.append(header)
    facts = study_facts(headers)
    assert [len(s.instances) for s in facts.series] == [2, 1]
    bundle = bundle_of(film("f", 0.2, 0.4), facts)
    check(bundle, "R4")
    assert "birthDate" not in of_kind(bundle, "Patient")[0]
    with pytest.raises(InputError, match="No source image"):
        study_facts([])


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        StudyFacts,
        *(st.text(max_size=12) for _ in range(8)),
        st.lists(st.builds(SeriesFacts, st.just("1.2"), st.sampled_from(["", "CT"])), max_size=2),
    )
)
def test_no_text_of_a_file_breaks_the_bundle(facts: StudyFacts) -> None:
    bundle = bundle_of(film("f", 0.2, 0.4), facts)
    assert json.loads(json.dumps(bundle)) == bundle
    assert all("" not in (v for v in r["resource"].values()) for r in bundle["entry"])


def test_an_unknown_release() -> None:
    with pytest.raises(InputError, match="release 'R3'"):
        bundle_of(film("f", 0.2, 0.4), STUDY, release="R3")  # type: ignore[arg-type]
