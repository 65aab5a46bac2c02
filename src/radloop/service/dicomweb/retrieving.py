"""WADO-RS: instances as stored, their metadata, their frames, and pictures of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydicom
from sqlalchemy import select

from radloop.errors import InputError
from radloop.service.store.database import Store
from radloop.service.store.schema import Instance, Series, Study

_PIECE = 1 << 20
_BULK = 1024
"""Values longer than so many bytes are left out of the metadata."""


class NotThereError(InputError):
    """There is no such study, series, instance or frame, or it may not be seen."""


class NotAnImageError(InputError):
    """The instance has no pixels that can be shown."""


@dataclass(frozen=True)
class Found:
    """One stored instance."""

    sop_uid: str
    blob: str
    bytes: int
    syntax: str


def instances(store: Store, *uids: str, sites: tuple[str, ...] | None = None) -> list[Found]:
    """DICOM instances below a study, a series or an instance, in order. Raises NotThereError.

    uids: of the study, and of the series and instance in it. sites: whose studies may be seen,
    None for all.
    """
    statement = (
        select(Instance.sop_uid, Instance.blob, Instance.bytes, Instance.transfer_syntax)
        .join(Series, Series.id == Instance.series_id)
        .join(Study, Study.id == Series.study_id)
        .where(Instance.sop_class != "")
        .order_by(Series.id, Instance.number, Instance.id)
    )
    for column, uid in zip(
        (Study.study_uid, Series.series_uid, Instance.sop_uid), uids, strict=False
    ):
        statement = statement.where(column == uid)
    if sites is not None:
        statement = statement.where(Study.site.in_(sites))
    with store.reading() as session:
        found = [Found(*row) for row in session.execute(statement)]
    if not found:
        raise NotThereError("There is no such object here.")
    return found


def pieces(store: Store, found: Found) -> Iterator[bytes]:
    """The file, in pieces of a megabyte."""
    with store.blobs.path(found.blob).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def metadata(store: Store, found: Found) -> dict[str, Any]:
    """All attributes but pixels and long binary values, as DICOM JSON (PS3.18 F)."""
    data = pydicom.dcmread(store.blobs.path(found.blob), stop_before_pixels=True)
    for element in list(data):
        if isinstance(element.value, bytes) and len(element.value) > _BULK:
            del data[element.tag]
    answer: dict[str, Any] = data.to_json_dict(suppress_invalid_tags=True)
    return answer


def frames(store: Store, found: Found, numbers: list[int], pixels: int) -> list[bytes]:
    """Frames (from 1) as little endian samples, whatever the transfer syntax (PS3.18 8.7.3.5).

    pixels: the most that one may have. Raises NotThereError, NotAnImageError.
    """
    data = _image(store, found, pixels)
    return [_stored(data, number).astype("<" + _type(data)).tobytes() for number in numbers]


def rendered(
    store: Store,
    found: Found,
    number: int,
    pixels: int,
    kind: str,
    window: tuple[float, float] | None,
) -> bytes:
    """A frame as "png" or "jpeg", through modality and VOI LUT, or `window` (centre, width).

    Raises NotThereError, NotAnImageError.
    """
    import cv2
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    data = _image(store, found, pixels)
    stored = _stored(data, number)
    if stored.ndim == 3:
        shown = stored[..., ::-1]
        if shown.dtype != np.uint8:
            shown = (shown / max(1, 2 ** (int(data.BitsStored) - 8))).astype(np.uint8)
    else:
        values = apply_modality_lut(stored, data).astype(np.float64)
        if window is not None:
            low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        else:
            values = apply_voi_lut(apply_modality_lut(stored, data), data).astype(np.float64)
            low, high = float(values.min()), float(values.max())
        shown = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
        if data.PhotometricInterpretation == "MONOCHROME1":
            shown = 255 - shown
    good, encoded = cv2.imencode(".jpg" if kind == "jpeg" else ".png", shown)
    if not good:
        raise NotAnImageError("The frame cannot be shown.")
    return bytes(encoded.tobytes())


def _image(store: Store, found: Found, pixels: int) -> pydicom.Dataset:
    data = pydicom.dcmread(store.blobs.path(found.blob))
    rows, columns = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    if "PixelData" not in data or not 0 < rows * columns <= pixels:
        raise NotAnImageError("The object has no pixels that can be shown.")
    return data


def _stored(data: pydicom.Dataset, number: int) -> Any:
    from radloop.images.dicom_pixels import decode
    from radloop.images.verdict import Refusal

    count = int(data.get("NumberOfFrames") or 1)
    if not 1 <= number <= count:
        raise NotThereError("There is no such frame.")
    try:
        return decode(data, number - 1 if count > 1 else None)
    except Refusal as error:
        raise NotAnImageError(f"The frame cannot be shown: {error}") from error


def _type(data: pydicom.Dataset) -> str:
    signed = int(data.get("PixelRepresentation") or 0)
    return f"{'i' if signed else 'u'}{int(data.BitsAllocated) // 8}"
