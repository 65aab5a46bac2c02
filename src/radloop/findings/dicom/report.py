"""The structured report: a Comprehensive 3D SR by TID 1500 (PS3.16), one measurement group a
finding (TID 1410, 1411 or 1501), and one that says how the reading itself went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as DicomCode

from radloop.findings.codes import SITES, code, code_or_private
from radloop.findings.dicom import marks
from radloop.findings.dicom.evidence import (
    CARDIOTHORACIC,
    Masks,
    MeasuredLine,
    box_of,
    chest_lines,
    outline,
)
from radloop.findings.dicom.sources import Place, Sources
from radloop.findings.finding import Code, Finding, Measurement, Prediction

SERIES_NUMBER = 9601


def structured_report(
    prediction: Prediction,
    sources: Sources,
    *,
    key: str,
    masks: Masks | None = None,
    segmentation: Dataset | None = None,
    previous: Sequence[Dataset] = (),
) -> Dataset:
    """The report of one prediction, unverified and preliminary.

    key: what its UIDs are made from. masks, segmentation: the prediction's masks and the SEG object
    made of them, which the findings then refer to. previous: earlier revisions, named as
    predecessors. Refused predictions have a report too: it says why. Raises SourceError for a slice
    that is not there, ValueError for an empty key.
    """
    import highdicom as hd

    uid = marks.uid_maker(key, "sr")
    groups = [_reading(prediction, uid)]
    for number, finding in enumerate(prediction.findings, start=1):
        tracking = hd.sr.TrackingIdentifier(
            uid=uid(f"tracking/{number}"), identifier=f"{finding.name} {number}"[:64]
        )
        groups += _groups(prediction, finding, tracking, sources, masks, segmentation)
    content = hd.sr.MeasurementReport(
        observation_context=_observer(prediction),
        procedure_reported=_procedure(sources.first),
        imaging_measurements=groups,
        title=DicomCode("126000", "DCM", "Imaging Measurement Report"),
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
            hd.sr.CodedConcept("en", "RFC5646", "English")
        ),
    )
    tree = content[0].ContentSequence
    tree.insert(len(tree) - 1, _library(sources))  # before the measurements, as TID 1500 has it
    own = marks.equipment(prediction)
    evidence = [*sources.headers, *([segmentation] if segmentation is not None else [])]
    made = hd.sr.Comprehensive3DSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=uid("series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("instance"),
        instance_number=len(previous) + 1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=list(previous) or None,
        series_description=marks.series_description(prediction, "report"),
        **own,
    )
    return marks.finish(made, prediction, "sr", sources.first)


def _observer(prediction: Prediction) -> Any:
    import highdicom as hd

    model = prediction.model
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=str(marks.made_uid(model.sha256 or model.name, "device")),
        name=f"Radloop {model.name} {model.version}"[:64],
        manufacturer_name=marks.MANUFACTURER,
        model_name=prediction.system,
        serial_number=model.sha256 or None,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
            observer_identifying_attributes=device,
        )
    )


def _algorithm(prediction: Prediction) -> Any:
    import highdicom as hd

    model = prediction.model
    return hd.sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"weights sha256 {model.sha256}"],
        family=DicomCode("123110", "DCM", "Artificial Intelligence"),
        manufacturer=marks.MANUFACTURER,
    )


def _procedure(source: Dataset) -> DicomCode:
    """What the source says was done; where it says nothing, "Imaging procedure"."""
    for item in source.get("ProcedureCodeSequence") or []:
        value, scheme = item.get("CodeValue"), item.get("CodingSchemeDesignator")
        if value and scheme and item.get("CodeMeaning"):
            return DicomCode(str(value), str(scheme), str(item.CodeMeaning)[:64])
    return _coded(code("procedure:imaging"))


def _library(sources: Sources) -> Any:
    """The images that were read (TID 1600), by reference. highdicom's own library also wants what
    de-identified images and exported films lack."""
    import highdicom as hd

    contains = hd.sr.RelationshipTypeValues.CONTAINS
    images = [
        hd.sr.ImageContentItem(
            name=DicomCode("260753009", "SCT", "Source"),
            referenced_sop_class_uid=header.SOPClassUID,
            referenced_sop_instance_uid=header.SOPInstanceUID,
            relationship_type=contains,
        )
        for header in sources.headers
    ]
    library, group = (
        hd.sr.ContainerContentItem(
            name=DicomCode(value, "DCM", meaning), relationship_type=contains
        )
        for value, meaning in (("111028", "Image Library"), ("126200", "Image Library Group"))
    )
    group.ContentSequence = hd.sr.ContentSequence(images)
    library.ContentSequence = hd.sr.ContentSequence([group])
    return library


def _coded(one: Code) -> DicomCode:
    return DicomCode(one.value, one.scheme, one.meaning)


def _answer(question: str, answer: str) -> Any:
    import highdicom as hd

    return hd.sr.QualitativeEvaluation(_coded(code(f"concept:{question}")), _coded(code(answer)))


def _reading(prediction: Prediction, uid: Callable[[str], str]) -> Any:
    """The verdict with its sentences, and what the report may be used for."""
    import highdicom as hd

    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=uid("tracking/reading"), identifier="reading"
        ),
        finding_type=_coded(code("concept:reading")),
        algorithm_id=_algorithm(prediction),
        qualitative_evaluations=[_answer("verdict", f"concept:{prediction.verdict.status}")],
    )
    for text in (*prediction.verdict.messages, marks.RESEARCH_ONLY):
        group[0].ContentSequence.append(
            hd.sr.TextContentItem(
                name=DicomCode("121106", "DCM", "Comment"),
                value=text,
                relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
            )
        )
    return group


def _groups(
    prediction: Prediction,
    finding: Finding,
    tracking: Any,
    sources: Sources,
    masks: Masks | None,
    segmentation: Dataset | None,
) -> list[Any]:
    """The finding's group; and where it was measured along lines, which a group about a region may
    not hold (TID 1410), a second one with its region and the same tracking identifier."""
    import highdicom as hd

    place = sources.place(finding.where)
    about: dict[str, Any] = {
        "tracking_identifier": tracking,
        "finding_type": _coded(finding.code),
        "algorithm_id": _algorithm(prediction),
        "finding_sites": _sites(finding),
    }
    lines = _lines(finding, masks)
    said: dict[str, Any] = {
        "measurements": _measurements(finding, lines, sources),
        "qualitative_evaluations": _evaluations(finding),
    }
    region = _region(finding, place, sources, masks, segmentation)
    images = None if place is None else [hd.sr.SourceImageForMeasurementGroup(*_reference(place))]
    if region is None or lines:
        plain = hd.sr.MeasurementsAndQualitativeEvaluations(source_images=images, **about, **said)
        return [plain] if region is None else [plain, region[0](**region[1], **about)]
    return [region[0](**region[1], **about, **said)]


def _region(
    finding: Finding,
    place: Place | None,
    sources: Sources,
    masks: Masks | None,
    segmentation: Dataset | None,
) -> tuple[Any, dict[str, Any]] | None:
    """The kind of group, and its region: the box on its image, or a segment. None without one."""
    import highdicom as hd

    planar = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    box = None if place is None else box_of(finding, place)
    if place is not None and box is not None:
        region = hd.sr.ImageRegion(
            graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
            graphic_data=outline(box),
            source_image=hd.sr.SourceImageForRegion(*_reference(place)),
        )
        return planar, {"referenced_region": region}
    number = _segment(finding, masks)
    if not number or segmentation is None:
        return None
    of = (segmentation.SOPClassUID, segmentation.SOPInstanceUID)
    if sources.is_scan:
        series = hd.sr.SourceSeriesForSegmentation(sources.first.SeriesInstanceUID)
        segment = hd.sr.ReferencedSegment(*of, number, source_series=series)
        return (
            hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations,
            {"referenced_segment": segment},
        )
    image = hd.sr.SourceImageForSegmentation(*_reference(sources.places[0]))
    frame = hd.sr.ReferencedSegmentationFrame(*of, _frame_of(segmentation, number), number, image)
    for item in frame:  # PS3.3 C.18.4: a frame's number makes that of its segment superfluous
        for reference in item.get("ReferencedSOPSequence") or []:
            if "ReferencedFrameNumber" in reference:
                reference.pop("ReferencedSegmentNumber", None)
    return planar, {"referenced_segment": frame}


def _reference(place: Place) -> tuple[Any, ...]:
    frames = () if place.frame is None else ([place.frame],)
    return (place.dataset.SOPClassUID, place.dataset.SOPInstanceUID, *frames)


def _segment(finding: Finding, masks: Masks | None) -> int:
    """The number of the structure that the whole finding is of; 0 without one. A finding on one
    slice is one part of several in the structure, which the segmentation does not tell apart."""
    name = finding.where.get("mask")
    if masks is None or name not in masks.names or "slice" in finding.where:
        return 0
    number = masks.names.index(name) + 1
    return number if (masks.labels == number).any() else 0


def _frame_of(segmentation: Dataset, number: int) -> int:
    """The film's frame of a segment, which has pixels and so a frame."""
    numbers = [
        int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for item in segmentation.PerFrameFunctionalGroupsSequence
    ]
    return numbers.index(number) + 1


def _sites(finding: Finding) -> list[Any] | None:
    import highdicom as hd

    stated = finding.where.get("tooth_code")
    if stated:
        site = DicomCode(str(stated["value"]), str(stated["scheme"]), str(stated["meaning"])[:64])
    elif finding.name in SITES:
        site = _coded(code(SITES[finding.name]))
    else:
        return None
    side = finding.where.get("side")
    laterality = _coded(code(f"laterality:{side}")) if side else None
    return [hd.sr.FindingSite(anatomic_location=site, laterality=laterality)]


def _evaluations(finding: Finding) -> list[Any]:
    answers = [_answer("result", "result:positive" if finding.positive else "result:negative")]
    side = finding.where.get("side")
    if side and finding.name not in SITES and not finding.where.get("tooth_code"):
        answers.append(_answer("laterality", f"laterality:{side}"))
    return answers


def _measurements(finding: Finding, lines: Sequence[MeasuredLine], sources: Sources) -> list[Any]:
    import highdicom as hd

    unit = _unit("1")
    numbers = [
        hd.sr.Measurement(_coded(code("concept:probability")), finding.probability, unit),
        hd.sr.Measurement(_coded(code("concept:threshold")), finding.threshold, unit),
    ]
    if finding.measurement is not None:
        numbers.append(_measured(finding.measurement, lines, sources))
    return numbers


def _unit(ucum: str) -> DicomCode:
    return DicomCode(ucum, "UCUM", "no units" if ucum == "1" else ucum)


def _lines(finding: Finding, masks: Masks | None) -> list[MeasuredLine]:
    """Those of the cardiothoracic ratio; empty for anything else."""
    measured = finding.measurement
    if measured is None or measured.name != CARDIOTHORACIC or masks is None:
        return []
    return [line for group in chest_lines(masks.labels[0], masks.names).values() for line in group]


def _measured(measured: Measurement, lines: Sequence[MeasuredLine], sources: Sources) -> Any:
    """The value, its interval as the ranges of uncertainty below and above it (TID 310), and the
    lines that it was measured along."""
    import highdicom as hd

    properties = None
    if measured.low is not None and measured.high is not None:
        properties = hd.sr.MeasurementProperties(
            upper_measurement_uncertainty=round(max(measured.high - measured.value, 0.0), 9),
            lower_measurement_uncertainty=round(max(measured.value - measured.low, 0.0), 9),
        )
    image = hd.sr.SourceImageForRegion(*_reference(sources.places[0]))
    coordinates = [
        hd.sr.CoordinatesForMeasurement(
            hd.sr.GraphicTypeValues.POLYLINE, np.array(line.points), image
        )
        for line in lines
    ]
    return hd.sr.Measurement(
        _coded(code_or_private(measured.name)),
        measured.value,
        _unit(measured.unit),
        properties=properties,
        referenced_coordinates=coordinates or None,
    )
