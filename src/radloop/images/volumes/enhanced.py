"""Frames of an enhanced multi-frame object (PS3.3 C.7.6.16), each with functional groups."""

from __future__ import annotations

from dataclasses import replace

from pydicom.dataset import Dataset

from radloop.images.dicom_facts import number, numbers
from radloop.images.verdict import Refusal
from radloop.images.volumes.slices import Slice, pair, vector

# Functional group, attribute in it, and what a person calls it.
_STACKS = (
    ("FrameContentSequence", "StackID", "stack"),
    ("FrameContentSequence", "TemporalPositionIndex", "time point"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "acquisition number"),
    ("MREchoSequence", "EffectiveEchoTime", "echo time"),
    ("MRDiffusionSequence", "DiffusionBValue", "b-value"),
    ("MRImageFrameTypeSequence", "FrameType", "frame type"),
    ("CTImageFrameTypeSequence", "FrameType", "frame type"),
)


def frames_of(dataset: Dataset, whole: Slice) -> tuple[Slice, ...]:
    """A slice for each frame; `whole` holds what all frames share.

    Raises Refusal ("missing_header") when the groups and the number of frames disagree.
    """
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    if len(per_frame) != (number(dataset, "NumberOfFrames") or 1):
        raise Refusal(
            "missing_header",
            f"The multi-frame file describes {len(per_frame)} frames and claims "
            f"{dataset.get('NumberOfFrames')}. Export it again.",
        )
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return tuple(_frame(groups, shared[0], whole, k) for k, groups in enumerate(per_frame))


def _frame(own: Dataset, shared: Dataset, whole: Slice, k: int) -> Slice:
    def values(group: str, keyword: str) -> tuple[float, ...]:
        return numbers(_group(own, shared, group), keyword)

    orientation = values("PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = values("PixelMeasuresSequence", "PixelSpacing")
    slope = values("PixelValueTransformationSequence", "RescaleSlope")
    intercept = values("PixelValueTransformationSequence", "RescaleIntercept")
    stacks = {
        name: str(found)
        for group, keyword, name in _STACKS
        if (found := _group(own, shared, group).get(keyword)) not in (None, "")
    }
    size = whole.rows * whole.columns * whole.bits[0] // 8
    return replace(
        whole,
        frame=k,
        position=vector(values("PlanePositionSequence", "ImagePositionPatient")),
        row=vector(orientation[3:]),
        column=vector(orientation[:3]),
        spacing=pair(spacing),
        slope=(slope[0] if slope else whole.slope) or 1.0,
        intercept=intercept[0] if intercept else whole.intercept,
        instance=k + 1,
        offset=None if whole.offset is None else whole.offset + k * size,
        stacks=stacks,
    )


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """The functional group of this frame, or the one that all share; empty without either."""
    for groups in (own, shared):
        sequence = groups.get(name)
        if sequence:
            found: Dataset = sequence[0]
            return found
    return Dataset()
