"""The door: a prediction, its files and its source images become DICOM objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset

from radloop.errors import InputError
from radloop.findings.dicom.capture import secondary_capture
from radloop.findings.dicom.evidence import read_masks
from radloop.findings.dicom.graphics import presentation_state
from radloop.findings.dicom.marks import NothingToWriteError, SourceError, is_ours
from radloop.findings.dicom.report import structured_report
from radloop.findings.dicom.segments import segmentation
from radloop.findings.dicom.sources import read_sources
from radloop.findings.finding import Prediction
from radloop.images.segmentation import Segment

KINDS = ("sr", "seg", "gsps", "sc")


@dataclass(frozen=True)
class MadeObject:
    """A DICOM file in memory. kind: one of `KINDS`. name: for the file."""

    kind: str
    name: str
    dataset_bytes: bytes
    sop_class: str
    sop_uid: str


@dataclass(frozen=True)
class Made:
    """objects: in the order of `KINDS`. left_out: kind -> why it was not made."""

    objects: tuple[MadeObject, ...]
    left_out: dict[str, str]


def make_objects(
    prediction: Prediction,
    folder: Path,
    sources: Sequence[Dataset | Path],
    *,
    key: str,
    kinds: Sequence[str] = KINDS,
    structures: Sequence[str] | None = None,
    segments: Sequence[Segment] | None = None,
    previous: Sequence[Dataset] = (),
) -> Made:
    """The objects of a prediction, each valid by itself.

    folder: what the prediction's `files` are relative to. sources: the images that were read, see
    `read_sources`. key: what all UIDs are made from: the same key and kind give the same UIDs, so
    that a repeated sending replaces and never doubles. kinds: which of `KINDS`. structures: names
    of the mask's labels from 1 on; without, from `labels.json`. segments: their codes. previous:
    earlier revisions of the report.

    A kind that the prediction has nothing for, or that its sources cannot carry, is left out with
    its reason. Raises InputError for an unknown kind or an unreadable file, SourceError for sources
    from which nothing can be made.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise InputError(f"There is no kind '{unknown[0]}'.", f"One of {', '.join(KINDS)}.")
    read = read_sources(sources)
    left_out: dict[str, str] = {}
    made: dict[str, Dataset] = {}

    def attempt(kind: str, make: Callable[[], Dataset]) -> None:
        if kind in kinds:
            try:
                made[kind] = make()
            except (NothingToWriteError, SourceError) as error:
                left_out[kind] = str(error)

    masks = None
    if not prediction.verdict.refused and set(kinds) & {"sr", "seg", "gsps"}:
        masks = read_masks(prediction, folder, read, structures)
    if masks is None:
        if "seg" in kinds:
            left_out["seg"] = "The prediction has no mask."
    else:
        given = masks
        attempt("seg", lambda: segmentation(prediction, read, given, key=key, segments=segments))
    attempt("gsps", lambda: presentation_state(prediction, read, key=key, masks=masks))
    attempt("sc", lambda: secondary_capture(prediction, folder, read, key=key))
    if "sr" in kinds:  # never left out: what is wrong with it is wrong with the call
        made["sr"] = structured_report(
            prediction, read, key=key, masks=masks, segmentation=made.get("seg"), previous=previous
        )
    objects = tuple(_as_file(kind, made[kind]) for kind in KINDS if kind in made)
    return Made(objects, left_out)


def objects_of(
    prediction: Prediction,
    folder: Path,
    sources: Sequence[Dataset | Path],
    *,
    key: str,
    kinds: Sequence[str] = KINDS,
    structures: Sequence[str] | None = None,
    segments: Sequence[Segment] | None = None,
) -> list[MadeObject]:
    """`make_objects` without the reasons of what was left out."""
    made = make_objects(
        prediction, folder, sources, key=key, kinds=kinds, structures=structures, segments=segments
    )  # fmt: skip
    return list(made.objects)


def _as_file(kind: str, made: Dataset) -> MadeObject:
    buffer = BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return MadeObject(
        kind, f"{kind}.dcm", buffer.getvalue(), str(made.SOPClassUID), str(made.SOPInstanceUID)
    )


__all__ = ["KINDS", "Made", "MadeObject", "is_ours", "make_objects", "objects_of"]
