"""Findings as HL7 FHIR, R4 or R5: a `DiagnosticReport` with its `Observation`s, the `ImagingStudy`
they are of, the `Device` that made them and the `Patient`, in one `Bundle` of plain JSON values.

The elements are those of https://hl7.org/fhir/R4 and R5; where the two differ, `release` decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import radloop
from radloop.errors import InputError
from radloop.findings.codes import SITES, code, code_or_private
from radloop.findings.finding import Code, Finding, Measurement, Prediction

Release = Literal["R4", "R5"]
Json = dict[str, Any]

RESEARCH_ONLY = "Research use only. Not a medical device; not for clinical decisions."
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "99RADLOOP": "urn:radloop:codes",
}
_HL7_SERVICES = "http://terminology.hl7.org/CodeSystem/v2-0074"
_UCUM = "http://unitsofmeasure.org"
_DICOM_UID = "urn:dicom:uid"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_SEXES = {"M": "male", "F": "female", "O": "other"}


@dataclass(frozen=True)
class SeriesFacts:
    """A series: its UID, modality ("CT"), and its instances: (SOP instance UID, SOP class UID)."""

    uid: str
    modality: str
    instances: Sequence[tuple[str, str]] = ()
    description: str = ""


@dataclass(frozen=True)
class StudyFacts:
    """Of which study and patient the findings are. study_uid: "" for pictures without DICOM.
    started: as DICOM has it, YYYYMMDD. birth_date: the same."""

    study_uid: str = ""
    patient_id: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    birth_date: str = ""
    accession: str = ""
    started: str = ""
    description: str = ""
    series: Sequence[SeriesFacts] = field(default=())


def study_facts(headers: Sequence[Any]) -> StudyFacts:
    """The facts of DICOM headers of one study. Raises InputError for none."""
    if not headers:
        raise InputError("No source image was given.", "Give the DICOM files that were read.")
    by_series: dict[str, list[Any]] = {}
    for header in headers:
        by_series.setdefault(_text(header, "SeriesInstanceUID"), []).append(header)
    first = headers[0]
    series = tuple(
        SeriesFacts(
            uid,
            _text(own[0], "Modality"),
            tuple((_text(h, "SOPInstanceUID"), _text(h, "SOPClassUID")) for h in own),
            _text(own[0], "SeriesDescription"),
        )
        for uid, own in by_series.items()
    )
    return StudyFacts(
        study_uid=_text(first, "StudyInstanceUID"),
        patient_id=_text(first, "PatientID"),
        patient_name=_text(first, "PatientName"),
        patient_sex=_text(first, "PatientSex"),
        birth_date=_text(first, "PatientBirthDate"),
        accession=_text(first, "AccessionNumber"),
        started=_text(first, "StudyDate"),
        description=_text(first, "StudyDescription"),
        series=series,
    )


def bundle_of(
    prediction: Prediction,
    study: StudyFacts,
    *,
    key: str = "",
    release: Release = "R4",
    issued: datetime | None = None,
) -> Json:
    """The bundle (type "collection") of one prediction, ready for `json.dumps`.

    key: what the resources' ids are made from; without, the study's UID, the case and the model:
    the same again for the same. release: "R4" (valid for R4B, too) or "R5". issued: when, with its
    time zone; without, now.

    A refused prediction has a report with the reason and no observation. The report is
    preliminary: a person has not agreed to it. Raises InputError for another release.
    """
    if release not in ("R4", "R5"):
        raise InputError(f"There is no FHIR release '{release}' here.", "One of R4, R5.")
    model = prediction.model
    key = key or "/".join((study.study_uid, prediction.case_id, model.name, model.sha256))
    ids = {
        role: str(uuid.uuid5(uuid.NAMESPACE_URL, f"radloop/fhir/{key}/{role}"))
        for role in ("Patient", "ImagingStudy", "Device", "DiagnosticReport")
    }
    moment = (issued or datetime.now(UTC)).isoformat(timespec="seconds")
    observations = [
        _observation(finding, number, ids, key, moment, study)
        for number, finding in enumerate(prediction.findings, start=1)
    ]
    resources = [
        _report(prediction, observations, ids, moment, study, release),
        *observations,
        *([_imaging_study(study, ids, release)] if study.study_uid else []),
        _device(prediction, ids, release),
        _patient(study, ids),
    ]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": moment,
        "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in resources],
    }


def _report(
    prediction: Prediction,
    observations: Sequence[Json],
    ids: Mapping[str, str],
    moment: str,
    study: StudyFacts,
    release: Release,
) -> Json:
    verdict = prediction.verdict
    said = [f.code.meaning for f in prediction.findings if f.positive]
    read = {"accepted": "Read", "warned": "Read, with warnings", "refused": "Refused: not read"}
    sentences = [
        f"{read[verdict.status]}.",
        *verdict.messages,
        *([f"Positive: {', '.join(dict.fromkeys(said))}."] if said else []),
        *([] if said or verdict.refused else ["Nothing was called positive."]),
        RESEARCH_ONLY,
    ]
    report: Json = {
        "resourceType": "DiagnosticReport",
        "id": ids["DiagnosticReport"],
        "status": "preliminary",
        "category": [_concept(Code("RAD", _HL7_SERVICES, "Radiology"))],
        "code": _concept(code("concept:reading")),
        "subject": _reference(ids["Patient"], "Patient"),
        "issued": moment,
        "conclusion": " ".join(sentences),
    }
    if observations:
        report["result"] = [_reference(o["id"], "Observation") for o in observations]
    if study.study_uid:
        name = "imagingStudy" if release == "R4" else "study"
        report[name] = [_reference(ids["ImagingStudy"], "ImagingStudy")]
    return report


def _observation(
    finding: Finding,
    number: int,
    ids: Mapping[str, str],
    key: str,
    moment: str,
    study: StudyFacts,
) -> Json:
    """One finding: its code, called or not, with probability, threshold, measurement and place."""
    answer = code("result:positive" if finding.positive else "result:negative")
    sign = ("POS", "Positive") if finding.positive else ("NEG", "Negative")
    parts = [
        _component(code("concept:probability"), _quantity(finding.probability, "1")),
        _component(code("concept:threshold"), _quantity(finding.threshold, "1")),
        *(_measured(finding.measurement) if finding.measurement else []),
    ]
    side = finding.where.get("side")
    if side:
        told = {"valueCodeableConcept": _concept(code(f"laterality:{side}"))}
        parts.append(_component(code("concept:laterality"), told))
    observation: Json = {
        "resourceType": "Observation",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"radloop/fhir/{key}/Observation/{number}")),
        "status": "preliminary",
        "category": [_concept(Code("imaging", _CATEGORY, "Imaging"))],
        "code": _concept(finding.code),
        "subject": _reference(ids["Patient"], "Patient"),
        "issued": moment,
        "valueCodeableConcept": _concept(answer),
        "interpretation": [_concept(Code(sign[0], _INTERPRETATION, sign[1]))],
        "device": _reference(ids["Device"], "Device"),
        "component": parts,
    }
    site = _site(finding)
    if site is not None:
        observation["bodySite"] = _concept(site)
    if study.study_uid:
        observation["derivedFrom"] = [_reference(ids["ImagingStudy"], "ImagingStudy")]
    place = {k: v for k, v in finding.where.items() if k in ("slice", "box", "tooth", "mask")}
    if place:
        said = "; ".join(f"{name} {value}" for name, value in place.items())
        observation["note"] = [{"text": f"Where on the image: {said}"}]
    return observation


def _site(finding: Finding) -> Code | None:
    tooth = finding.where.get("tooth_code")
    if tooth:
        return Code(str(tooth["value"]), str(tooth["scheme"]), str(tooth["meaning"]))
    return code(SITES[finding.name]) if finding.name in SITES else None


def _measured(measured: Measurement) -> list[Json]:
    named = code_or_private(measured.name)
    parts = [_component(named, _quantity(measured.value, measured.unit))]
    if measured.low is not None and measured.high is not None:
        interval = code_or_private(f"{measured.name}_interval")
        ends = {
            name: _quantity(value, measured.unit)["valueQuantity"]
            for name, value in (("low", measured.low), ("high", measured.high))
        }
        parts.append(_component(interval, {"valueRange": ends}))
    return parts


def _imaging_study(study: StudyFacts, ids: Mapping[str, str], release: Release) -> Json:
    made: Json = {
        "resourceType": "ImagingStudy",
        "id": ids["ImagingStudy"],
        "identifier": [{"system": _DICOM_UID, "value": f"urn:oid:{study.study_uid}"}],
        "status": "available",
        "subject": _reference(ids["Patient"], "Patient"),
    }
    if study.accession:
        kind = Code("ACSN", "http://terminology.hl7.org/CodeSystem/v2-0203", "Accession ID")
        made["identifier"].append({"type": _concept(kind), "value": study.accession})
    if started := _date(study.started):
        made["started"] = started
    if study.description:
        made["description"] = study.description
    counts = [len(s.instances) for s in study.series]
    if study.series:
        made["numberOfSeries"], made["numberOfInstances"] = len(counts), sum(counts)
        made["series"] = [_series(one, release) for one in study.series]
    return made


def _series(series: SeriesFacts, release: Release) -> Json:
    modality = _coding(Code(series.modality or "OT", "DCM", series.modality or "OT"))
    del modality["display"]
    made: Json = {
        "uid": series.uid,
        "modality": modality if release == "R4" else {"coding": [modality]},
    }
    if series.description:
        made["description"] = series.description
    if series.instances:
        made["numberOfInstances"] = len(series.instances)
        made["instance"] = [
            {"uid": uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{kind}"}}
            for uid, kind in series.instances
        ]
    return made


def _device(prediction: Prediction, ids: Mapping[str, str], release: Release) -> Json:
    model = prediction.model
    name, kind = f"Radloop {model.name}", "model-name"
    if release == "R4":
        naming: Json = {"deviceName": [{"name": name, "type": kind}]}
    else:
        naming = {"name": [{"value": name, "type": "registered-name"}]}
    return {
        "resourceType": "Device",
        "id": ids["Device"],
        "identifier": [{"system": "urn:radloop:weights:sha256", "value": model.sha256 or "none"}],
        "manufacturer": "Radloop",
        **naming,
        "version": [
            {"type": {"text": "model"}, "value": model.version or "0"},
            {"type": {"text": "software"}, "value": f"radloop {radloop.__version__}"},
        ],
        "note": [{"text": RESEARCH_ONLY}],
    }


def _patient(study: StudyFacts, ids: Mapping[str, str]) -> Json:
    made: Json = {"resourceType": "Patient", "id": ids["Patient"]}
    if study.patient_id:
        made["identifier"] = [{"value": study.patient_id}]
    family, _, given = study.patient_name.partition("=")[0].partition("^")
    if family or given:
        names = [part for part in given.split("^") if part]
        made["name"] = [
            {**({"family": family} if family else {}), **({"given": names} if names else {})}
        ]
    if study.patient_sex:
        made["gender"] = _SEXES.get(study.patient_sex.upper(), "unknown")
    if born := _date(study.birth_date):
        made["birthDate"] = born
    return made


# --- data types -------------------------------------------------------------------------------


def _coding(one: Code) -> Json:
    return {
        "system": SYSTEMS.get(one.scheme, one.scheme),
        "code": one.value,
        "display": one.meaning,
    }


def _concept(one: Code) -> Json:
    return {"coding": [_coding(one)], "text": one.meaning}


def _quantity(value: float, unit: str) -> Json:
    return {"valueQuantity": {"value": float(value), "system": _UCUM, "code": unit}}


def _component(named: Code, value: Json) -> Json:
    return {"code": _concept(named), **value}


def _reference(identity: str, kind: str) -> Json:
    return {"reference": f"urn:uuid:{identity}", "type": kind}


def _date(dicom: str) -> str:
    """ "20261125" as "2026-11-25"; "" for anything that is no date."""
    try:
        return datetime.strptime(dicom.strip(), "%Y%m%d").date().isoformat()
    except ValueError:
        return ""


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()
