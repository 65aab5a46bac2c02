"""The segmentation object of a prediction's masks, on a scan's slices or on a film's pixels."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from radloop.findings.codes import TABLE, private_code
from radloop.findings.dicom import marks
from radloop.findings.dicom.evidence import Masks
from radloop.findings.dicom.sources import Place, Sources
from radloop.findings.finding import Code, Prediction
from radloop.images.segmentation import Segment, make_segmentation

SERIES_NUMBER = 9602


def segmentation(
    prediction: Prediction,
    sources: Sources,
    masks: Masks,
    *,
    key: str,
    segments: Sequence[Segment] | None = None,
) -> Dataset:
    """The SEG (PS3.3 A.51) of `masks`, one segment a structure, frames without a pixel left out.

    A projection film has no frame of reference and no place in the patient: its segmentation has
    the film's rows and columns and names the film as what each frame was derived from, pixel by
    pixel, which PS3.3 allows (the frame of reference is required only where the frames have none).
    segments: codes for the structures; without, private ones made of their names.

    Raises NothingToWriteError for a mask without a pixel, SourceError for a series that names no
    frame of reference and for a part of a multi-frame object.
    """
    if not masks.labels.any():
        raise marks.NothingToWriteError(
            "The mask is empty: there is nothing to segment.", "The report says what was found."
        )
    headers = _headers(sources)
    uid = marks.uid_maker(key, "seg")
    made = make_segmentation(
        masks.labels,
        headers,
        segments or [_segment(name) for name in masks.names],
        series_number=SERIES_NUMBER,
        description=marks.series_description(prediction, "masks"),
        uid=uid,
        algorithm=(prediction.model.name, prediction.model.version),
        content_label="RADLOOP",
        content_description=marks.RESEARCH_ONLY[:64],
        **marks.equipment(prediction),
    )
    if not sources.is_scan:  # type 2C where no orientation in the patient is known
        made.PatientOrientation = sources.first.get("PatientOrientation")
    return marks.finish(made, prediction, "seg", sources.first)


def _headers(sources: Sources) -> list[Dataset]:
    """One source object a plane, or the only multi-frame one, whole."""
    places: Sequence[Place] = sources.places
    if sources.is_scan and not sources.first.get("FrameOfReferenceUID"):
        raise marks.SourceError(
            "The slices name no frame of reference, which a DICOM segmentation must share.",
            "Keep the mask as NIfTI.",
        )
    if places[0].frame is None:
        return [place.dataset for place in places]
    if [place.frame for place in places] != list(range(1, len(places) + 1)):
        raise marks.SourceError(
            "The frames of the multi-frame object do not lie in their order in the file.",
            "Keep the mask as NIfTI.",
        )
    return [places[0].dataset]


def _segment(name: str) -> Segment:
    abnormal = private_code("FOUND", "Region found by software")
    site = TABLE.get(f"site:{name}")
    kind = site.code if site else private_code(name.upper()[:16], name[:64])
    return Segment(name, _triple(abnormal), _triple(kind))


def _triple(one: Code) -> tuple[str, str, str]:
    return one.value, one.scheme, one.meaning
