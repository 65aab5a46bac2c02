"""Images for the page: read once and kept for a while, windowed, sliced, outlined.

Everything is on the grid of the file, so that what is drawn on the page needs no way back.
"""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from radloop.errors import InputError
from radloop.images.image import Image, Reading
from radloop.images.nifti import read_nifti, write_nifti, write_nifti_like
from radloop.images.read import read_radiograph
from radloop.images.scans import read_image
from radloop.images.slice_folder import is_slice_folder
from radloop.service.store.blobs import BlobStore
from radloop.service.store.schema import Instance

Labels = npt.NDArray[np.uint8]
_KEEP = 8
_KEEP_BYTES = 2 * 1024**3
WINDOWS: Mapping[str, tuple[float, float]] = {
    "brain": (40.0, 80.0),
    "blood": (75.0, 215.0),
    "bone": (600.0, 2800.0),
    "soft tissue": (40.0, 400.0),
    "lung": (-600.0, 1500.0),
}
"""Centre and width in HU."""


class ImageCache:
    """The images read last. Calls from several threads for one image read it once."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._kept: OrderedDict[tuple[str, ...], Reading] = OrderedDict()
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def film(self, instance: Instance) -> Reading:
        """The film of one instance."""
        return self._get((instance.blob,), (instance,), film=True)

    def scan(self, instances: Sequence[Instance]) -> Reading:
        """The scan of a series."""
        return self._get(tuple(one.blob for one in instances), instances, film=False)

    def _get(self, key: tuple[str, ...], of: Sequence[Instance], film: bool) -> Reading:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            reading = self._read(of, film)
            with self._lock:
                self._kept[key] = reading
                while len(self._kept) > 1 and (
                    len(self._kept) > _KEEP or self._bytes() > _KEEP_BYTES
                ):
                    old, _ = self._kept.popitem(last=False)
                    self._locks.pop(old, None)
        return reading

    def _bytes(self) -> int:
        return sum(r.image.array.nbytes for r in self._kept.values() if r.image is not None)

    def _read(self, instances: Sequence[Instance], film: bool) -> Reading:
        with tempfile.TemporaryDirectory(prefix="radloop-") as name:
            place = Path(name, "series")
            place.mkdir()
            paths = []
            for k, one in enumerate(instances, start=1):
                suffix = ".dcm" if one.sop_class else one.transfer_syntax
                paths.append(place / f"{k:05d}{suffix}")
                paths[-1].symlink_to(self._blobs.path(one.blob).absolute())
            if film:
                return read_radiograph(paths[0])
            alone = len(paths) == 1 and not instances[0].sop_class
            if not alone and not is_slice_folder(place):
                from radloop.images.volumes.read import read_volume

                return read_volume(place, even_out=True)
            return read_image(paths[0] if alone else place)


@dataclass(frozen=True)
class Window:
    """centre, width: in the image's units."""

    centre: float
    width: float


def default_window(image: Image) -> Window:
    """What the file asks for, or its whole range."""
    low, high = image.display_range
    return Window((low + high) / 2, max(high - low, 1e-6))


def windowed(plane: npt.NDArray[Any], window: Window) -> Labels:
    """The samples as grey, uint8: black at or below the window, white above."""
    low = np.float32(window.centre - window.width / 2)
    scale = np.float32(255 / window.width)
    return np.asarray(np.clip((plane.astype(np.float32) - low) * scale + 0.5, 0, 255), np.uint8)


def png(picture: Labels) -> bytes:
    """A lossless PNG, quickly."""
    _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def labels_of_png(data: bytes, shape: tuple[int, ...]) -> Labels:
    """The label map in a PNG (of colours the first channel). Raises InputError for another shape,
    before it is decoded, and for what is no PNG."""
    size = tuple(int.from_bytes(data[k : k + 4], "big") for k in (20, 16))
    if data[:8] != b"\x89PNG\r\n\x1a\n" or size != tuple(shape):
        raise InputError("The mask is not a PNG of the image's size.")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint8:
        raise InputError("The mask cannot be decoded.")
    return np.ascontiguousarray(decoded if decoded.ndim == 2 else decoded[..., 2])


def outlines(labels: Labels, structures: Mapping[str, int]) -> list[dict[str, Any]]:
    """Each structure's outlines in a plane `(y, x)`: `{"name", "value", "paths": [[x, y, ...]]}`,
    px with pixel edges at whole numbers."""
    found = []
    for name, value in structures.items():
        mask = np.asarray(labels == value, np.uint8)
        lines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        paths = [(line.reshape(-1) + 0.5).tolist() for line in lines]
        if paths:
            found.append({"name": name, "value": value, "paths": paths})
    return found


def heart_lines(
    labels: Labels, structures: Mapping[str, int], said: str = ""
) -> list[dict[str, Any]]:
    """The lines of the cardiothoracic ratio on a film's mask: `{"from", "to", "name"}`; empty
    without heart and lungs. said: the ratio as the model states it, which measured on its own maps
    of probabilities; without it the ratio is measured on the mask."""
    from radloop.systems.chest.ratio import measure

    names = ("heart", "left_lung", "right_lung")
    if not set(names) <= set(structures):
        return []
    maps = np.stack([np.where(labels == structures[n], 255, 0) for n in names]).astype(np.uint8)
    ratio = measure(maps)
    if not np.isfinite(ratio.ctr):
        return []
    middle = (ratio.thorax[0] + ratio.thorax[1]) / 2 + 0.5
    (left, right), (left_y, right_y) = ratio.heart, ratio.heart_rows
    y, edge = ratio.thorax_row + 0.5, labels.shape[0]
    return [
        {"from": [middle, 0], "to": [middle, edge], "name": "midline", "guide": True},
        {"from": [left + 0.5, left_y + 0.5], "to": [middle, left_y + 0.5], "name": "MRD"},
        {"from": [middle, right_y + 0.5], "to": [right + 0.5, right_y + 0.5], "name": "MLD"},
        {"from": [ratio.thorax[0] + 0.5, y], "to": [ratio.thorax[1] + 0.5, y],
         "name": said or f"CTR {ratio.ctr:.3f} on the corrected mask"},
    ]  # fmt: skip


def read_labels(path: Path, suffix: str, shape: tuple[int, ...]) -> Labels:
    """A stored label map. Raises InputError when it is on another grid."""
    if suffix == ".png":
        return labels_of_png(path.read_bytes(), shape)
    with tempfile.TemporaryDirectory(prefix="radloop-") as name:
        link = Path(name, "mask.nii.gz")
        link.symlink_to(path.absolute())
        image = read_nifti(link).image
    if image is None or image.array.shape != tuple(shape):
        raise InputError("The mask is not on the grid of the image.")
    return np.asarray(image.array, np.uint8)


def volume_bytes(image: Image, labels: Labels | None = None, source: Path | None = None) -> bytes:
    """The volume, or labels on its grid, as `.nii.gz`. source: the NIfTI file it came from, whose
    own description of the grid is kept for labels."""
    with tempfile.TemporaryDirectory(prefix="radloop-") as name:
        path = Path(name, "volume.nii.gz")
        if labels is None:
            write_nifti(np.asarray(image.array, np.float32), image.geometry, path)
        elif source is not None:
            link = Path(name, "source.nii.gz")
            link.symlink_to(source.absolute())
            write_nifti_like(labels, link, path)
        else:
            write_nifti(labels, image.geometry, path)
        return path.read_bytes()
