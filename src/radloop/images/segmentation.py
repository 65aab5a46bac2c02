"""DICOM segmentations (SEG, PS3.3 A.51): masks on the slices of a series, written and read.

Written with highdicom, on the planes of the source slices, which the object references one by one:
a viewer shows the mask on the pixels it was drawn on, in tilted and uneven series too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

import radloop
from radloop.errors import InputError
from radloop.images import grid
from radloop.images.image import Geometry
from radloop.images.read import open_file
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, noted, refused
from radloop.images.volumes.slices import Slice
from radloop.images.write import atomic_path

# What a source may lack (de-identified files do) and its segmentation must have, if only empty.
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "SliceThickness",
)
_ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
_HALF = 0.5  # a fractional segmentation counts as its structure from here on


@dataclass(frozen=True)
class Segment:
    """A structure of a segmentation: its name, and the coded (value, scheme, meaning) of its
    category ("Anatomical Structure", "Morphologically Abnormal Structure", ...) and its type."""

    name: str
    category: tuple[str, str, str]
    kind: tuple[str, str, str]


@dataclass(frozen=True)
class Segmentation:
    """What `read_segmentation` found. labels: uint8 or uint16 `(z, y, x)`, k + 1 for
    `names[k]`; None when refused. series_uid: of the series that was segmented, "" if not said."""

    labels: npt.NDArray[Any] | None
    geometry: Geometry | None
    names: tuple[str, ...]
    verdict: Verdict
    series_uid: str = ""


def write_segmentation(
    labels: npt.NDArray[Any],
    slices: Sequence[Slice],
    segments: Sequence[Segment],
    path: Path,
    *,
    description: str = "Radloop segmentation",
) -> None:
    """Write a label map as a binary DICOM segmentation of the slices it lies on.

    labels: integers `(z, y, x)` on `slices` (`Layout.slices`, in that order; see
    `labels_to_original`): 0 background, k + 1 for `segments[k]`. Frames without a labelled pixel
    are left out, segments without one are kept.

    Raises InputError for labels that do not fit the slices or the segments, for sources without a
    frame of reference and for mosaics; WriteError when it cannot be written.
    """
    _check(labels, slices, segments)
    sources, order = _sources(slices)
    made = make_segmentation(
        labels[order], sources, segments, series_number=_series_number(sources[0]),
        description=description,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        made.save_as(temporary)


def make_segmentation(
    labels: npt.NDArray[Any],
    sources: Sequence[Dataset],
    segments: Sequence[Segment],
    *,
    series_number: int,
    description: str,
    uid: Callable[[str], str] = lambda role: generate_uid(),
    algorithm: tuple[str, str] = ("radloop", radloop.__version__),
    **equipment: Any,
) -> Dataset:
    """The binary segmentation object of a label map, in memory.

    labels: `(planes, y, x)`, one plane a source object, or one a frame of the only one: 0
    background, k + 1 for `segments[k]`. sources: headers, with every type 2 attribute that the
    object takes over (`filled`). A projection film has no frame of reference: its segmentation lies
    on the film's pixels. uid: the identifiers, by role: "series", "instance", "tracking/1", ...
    algorithm: name and version. equipment: of highdicom's `Segmentation`.
    """
    import highdicom as hd

    keep_names_out_of_warnings()
    identified = hd.AlgorithmIdentificationSequence(
        name=algorithm[0], family=_ARTIFICIAL_INTELLIGENCE, version=algorithm[1]
    )
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=segment.name[:64],
            segmented_property_category=Code(*segment.category),
            segmented_property_type=Code(*segment.kind),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=identified,
            tracking_uid=uid(f"tracking/{number}"),
            tracking_id=segment.name[:64],
        )
        for number, segment in enumerate(segments, start=1)
    ]
    of_radloop = {
        "manufacturer": "Radloop",
        "manufacturer_model_name": "radloop",
        "software_versions": radloop.__version__,
        "device_serial_number": "0",
    }
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=labels.astype(np.uint16 if len(segments) > 255 else np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=uid("series"),
        series_number=series_number,
        sop_instance_uid=uid("instance"),
        instance_number=1,
        series_description=description[:64],
        omit_empty_frames=bool(labels.any()),
        **(of_radloop | equipment),
    )


def keep_names_out_of_warnings() -> None:
    """highdicom warns of unusual patients' names and prints them: they belong in no log."""
    warnings.filterwarnings("ignore", message="The string .* (name|Person)", category=UserWarning)


def _check(labels: npt.NDArray[Any], slices: Sequence[Slice], segments: Sequence[Segment]) -> None:
    if not slices or not segments:
        raise InputError("A segmentation needs slices and at least one segment.")
    wanted = (len(slices), slices[0].rows, slices[0].columns)
    if labels.shape != wanted or labels.dtype.kind not in "iub":
        raise InputError(
            f"Labels of shape {labels.shape} ({labels.dtype}) do not lie on slices of {wanted}.",
            "Carry the label map back to the file's slices first (labels_to_original).",
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > len(segments):
        raise InputError(
            f"The labels run from {low} to {high}, but {len(segments)} segments are described.",
            "Describe a segment for every label from 1 on.",
        )
    if any(one.tile is not None for one in slices):
        raise InputError(
            "The slices are tiles of a mosaic, which a DICOM segmentation cannot refer to.",
            "Write the mask as NIfTI.",
        )


def _sources(slices: Sequence[Slice]) -> tuple[list[Dataset], list[int]]:
    """The source objects, and the slices in the order of their frames."""
    files = list(dict.fromkeys(one.path for one in slices))
    order = list(range(len(slices)))
    if len(files) < len(slices):
        if len(files) > 1:
            raise InputError(
                "The slices come from several multi-frame files.", "Write one mask for each."
            )
        order.sort(key=lambda k: slices[k].frame)
        if [slices[k].frame for k in order] != list(range(len(slices))):
            raise InputError(
                "The slices are only a part of their multi-frame file.", "Give all its frames."
            )
    return [_header(path) for path in files], order


def _header(path: Path) -> Dataset:
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    if not dataset.get("FrameOfReferenceUID"):
        raise InputError(
            "The slices name no frame of reference, which a DICOM segmentation must share.",
            "Write the mask as NIfTI.",
        )
    return filled(dataset)


def filled(dataset: Dataset) -> Dataset:
    """The source header itself, with what an object made from it takes over, if only empty."""
    for keyword in _TYPE_2:
        if keyword not in dataset:
            setattr(dataset, keyword, None)
    return dataset


def _series_number(source: Dataset) -> int:
    return int(source.get("SeriesNumber") or 0) * 100 + 1


# --- reading ----------------------------------------------------------------------------------


def read_segmentation(path: Path) -> Segmentation:
    """The label map of a DICOM segmentation, on the even grid that its frames lie on.

    Planes without a frame are background. Fractional segments count from a half on.

    Never raises for what a file holds. Refusals: those of `open_file`, "not_a_segmentation",
    "no_position", "overlapping_segments", "uneven_gaps", "corrupt".
    """
    try:
        with open_file(path) as file:
            dataset = pydicom.dcmread(file)
        if dataset.get("Modality") != "SEG":
            raise _no_segmentation()
        return _labels(dataset)
    except Refusal as refusal:
        return Segmentation(None, None, (), refusal.verdict)
    except pydicom.errors.InvalidDicomError:
        return Segmentation(None, None, (), _no_segmentation().verdict)
    except Exception:  # a parser fed with damaged bytes may raise anything
        damaged = refused(
            "corrupt", "The segmentation is damaged and cannot be read. Export it again."
        )
        return Segmentation(None, None, (), damaged)


def _no_segmentation() -> Refusal:
    return Refusal("not_a_segmentation", "This is no DICOM segmentation. Give a SEG object.")


def _labels(dataset: Dataset) -> Segmentation:
    import highdicom as hd

    made = hd.seg.Segmentation.from_dataset(dataset, copy=False)
    # A label map (PS3.3 C.8.20.2) may describe its background, as number 0, and leave numbers out.
    described = {int(item.SegmentNumber): str(item.SegmentLabel) for item in made.SegmentSequence}
    described.pop(0, None)
    names = tuple(described.values())
    if not names:
        raise _no_segmentation()
    if not dataset.get("FrameOfReferenceUID"):
        raise Refusal(
            "no_position",
            "The segmentation lies on the pixels of a film and has no place in the patient. Give "
            "the film's masks as pictures.",
        )
    volumes = []
    for number in described:
        try:
            volumes.append(made.get_volume(segment_numbers=[number]))
        except (RuntimeError, ValueError) as error:
            raise Refusal(
                "uneven_gaps",
                "The frames of the segmentation do not lie on an even grid. Import it beside the "
                "series it belongs to.",
            ) from error
    masks = [volume.array[..., 0] >= _HALF for volume in volumes]
    labels = np.zeros(masks[0].shape, np.uint8 if len(names) < 256 else np.uint16)
    for number, mask in enumerate(masks, start=1):
        if labels[mask].any():
            raise Refusal(
                "overlapping_segments",
                f"'{names[number - 1]}' overlaps another segment, which a label map cannot hold. "
                "Export the segments apart.",
            )
        labels[mask] = number
    geometry = grid.from_affine(volumes[0].affine, labels.shape)
    fractional = str(dataset.SegmentationType) == "FRACTIONAL"
    note = noted("The fractional segmentation was cut at one half.") if fractional else ACCEPTED
    return Segmentation(labels, geometry, names, note, _series(dataset))


def _series(dataset: Dataset) -> str:
    referenced = dataset.get("ReferencedSeriesSequence")
    return str(referenced[0].SeriesInstanceUID) if referenced else ""
