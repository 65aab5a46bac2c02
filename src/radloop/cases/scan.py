"""One look at every file of a table: the facts that the audit judges, and a thumbnail.

Each image and mask is decoded once, in threads; only facts and thumbnails (32 kB a case) are kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from radloop.cases.case import Case
from radloop.cases.near_duplicates import THUMBNAIL, Thumbnail, thumbnail
from radloop.cases.table import CaseTable
from radloop.cases.volume_masks import mask_image
from radloop.errors import InputError
from radloop.images.masks import MaskError, read_mask
from radloop.images.scans import read_image
from radloop.images.verdict import Verdict
from radloop.images.volumes.read import series_of

Progress = Callable[[int, int], None]
"""Called with the number of cases done and the number of all."""

MASK_BITS = 8


@dataclass(frozen=True)
class ImageScan:
    """What is known of one image file; all but the first four fields only if it could be read.

    shape: (rows, columns), for a scan (rows, columns, slices). spacing: mm along these, or None.
    file_digest, pixel_digest: of the bytes and of the displayed pixels. brightness, contrast: mean
    and 1st to 99th percentile range of the displayed grey values, 0..255; of a scan, as its
    thumbnail, of the middle slice.
    """

    case_id: str
    channel: str
    verdict: Verdict
    file_digest: str = ""
    pixel_digest: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] | None = None
    brightness: float = 0.0
    contrast: float = 0.0
    thumbnail: Thumbnail | None = None


@dataclass(frozen=True)
class MaskScan:
    """What is known of one mask file.

    code: "ok", or why it is unusable, with `message`. area: share of the image, 0..1. fragments:
    connected parts (8 neighbours). centre: mean (x, y) of the foreground as shares of the width and
    the height.
    """

    structure: str
    code: str = "ok"
    message: str = ""
    area: float = 0.0
    fragments: int = 0
    centre: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class CaseScan:
    """The images and masks of one case.

    mask_bits: the masks on the thumbnail's grid `(128, 128)`, structure i of the table in bit i
    (the first MASK_BITS).
    """

    case: Case
    images: tuple[ImageScan, ...]
    masks: tuple[MaskScan, ...] = ()
    mask_bits: npt.NDArray[np.uint8] | None = None


def scan_cases(table: CaseTable, progress: Progress | None = None) -> tuple[CaseScan, ...]:
    """Scan all cases, in the order of the table. Never raises for a bad file: its scan says so."""
    structures = table.names("mask")
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    scans = []
    try:
        for scan in pool.map(lambda case: _scan_case(case, structures), table.cases):
            scans.append(scan)
            if progress:
                progress(len(scans), len(table.cases))
    finally:
        pool.shutdown(cancel_futures=True)
    return tuple(scans)


def _scan_case(case: Case, structures: Iterable[str]) -> CaseScan:
    images = tuple(_scan_image(case, name, path) for name, path in case.images.items())
    shape = next((image.shape for image in images if image.shape), None)
    masks = []
    bits = np.zeros((THUMBNAIL, THUMBNAIL), np.uint8)
    for index, structure in enumerate(structures):
        path = case.reference.masks.get(structure)
        if path is None:
            continue
        is_volume = shape is not None and len(shape) == 3
        scan, mask = (
            _scan_volume_mask(case, structure) if is_volume else _scan_mask(structure, path, shape)
        )
        masks.append(scan)
        if mask is not None and index < MASK_BITS:
            small = cv2.resize(mask, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
            bits |= (np.asarray(small) >= 128).astype(np.uint8) << index
    return CaseScan(case, images, tuple(masks), bits if bits.any() else None)


def _scan_image(case: Case, channel: str, path: Path) -> ImageScan:
    reading = read_image(path)
    if reading.image is None:
        return ImageScan(case.case_id, channel, reading.verdict)
    image = reading.image
    shown = image.as_uint8()
    pixels = hashlib.sha256(repr(shown.shape).encode())
    pixels.update(np.ascontiguousarray(shown).data)
    shape, spacing = image.geometry.shape, image.geometry.spacing
    if shown.ndim == 3:
        shown = shown[len(shown) // 2]
        shape, spacing = (*shape[1:], shape[0]), spacing and (*spacing[1:], spacing[0])
    low, high = _percentiles(shown)
    return ImageScan(
        case.case_id,
        channel,
        reading.verdict,
        file_digest=_digest(path),
        pixel_digest=pixels.hexdigest(),
        shape=shape,
        spacing=spacing,
        brightness=float(shown.mean()),
        contrast=high - low,
        thumbnail=thumbnail(shown),
    )


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder in the order of their names. Of a series in a
    folder with several, the folder's with its UID."""
    digest = hashlib.sha256()
    if named := series_of(path):
        path = named[0]
        digest.update(named[1].encode())
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
    for name in files:
        with name.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _percentiles(shown: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """The grey values below which 1 % and 99 % of the pixels lie."""
    share = np.cumsum(np.bincount(shown.ravel(), minlength=256)) / shown.size
    low, high = np.searchsorted(share, (0.01, 0.99))
    return float(low), float(high)


def _scan_mask(
    structure: str, path: Path, shape: tuple[int, ...] | None
) -> tuple[MaskScan, npt.NDArray[np.uint8] | None]:
    """The facts, and the mask as 0 and 255, or None when it is unusable."""
    try:
        mask = read_mask(path, (shape[0], shape[1]) if shape else None)
    except MaskError as error:
        return MaskScan(structure, error.code, str(error)), None
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    area = int(columns.sum())
    if not area:
        return MaskScan(structure), None
    foreground = mask.view(np.uint8)
    scan = MaskScan(
        structure,
        area=area / mask.size,
        fragments=cv2.connectedComponents(foreground)[0] - 1,
        centre=(_centre(columns), _centre(rows)),
    )
    return scan, foreground * np.uint8(255)


def _scan_volume_mask(case: Case, structure: str) -> tuple[MaskScan, npt.NDArray[np.uint8] | None]:
    """The same of a volume's mask; its picture and centre are those of its shadow along z. Its
    pieces are not counted: lesions come in many."""
    try:
        mask = mask_image(case, structure).array > 0
    except InputError as error:
        return MaskScan(structure, "unreadable", str(error)), None
    if not mask.any():
        return MaskScan(structure), None
    shadow = mask.any(axis=0)
    scan = MaskScan(
        structure,
        area=float(mask.mean()),
        fragments=1,
        centre=(_centre(mask.sum((0, 1))), _centre(mask.sum((0, 2)))),
    )
    return scan, np.asarray(255 * shadow, np.uint8)


def _centre(counts: npt.NDArray[np.intp]) -> float:
    """Mean place of the foreground along one axis, as a share of its length."""
    return float((counts @ np.arange(len(counts)) / counts.sum() + 0.5) / len(counts))
