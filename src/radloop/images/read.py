"""Read one film from any file, decided by its content; find the films in folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from radloop.errors import InputError
from radloop.images.image import Geometry, Image, Reading, brightness_range
from radloop.images.limits import DEFAULT_LIMITS, ReadLimits
from radloop.images.pictures import decode_picture, picture_kind
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, warned

__all__ = ["ReadLimits", "find_images", "looks_like_dicom", "open_file", "read_radiograph"]

_HEADER_BYTES = 132
_OTHER_FORMATS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP",
    b"\x1f\x8b": "a gzip (NIfTI?)",
}
_NOT_CANDIDATES = {".csv", ".json", ".jsonl", ".txt", ".html", ".htm", ".md", ".yaml", ".xml"}


def read_radiograph(path: Path, limits: ReadLimits = DEFAULT_LIMITS) -> Reading:
    """One 2D film from a PNG, JPEG, TIFF or DICOM file; the name's suffix is not looked at.

    Never raises for what a file holds: a refused verdict says what is wrong. Codes common to all
    formats: "missing_file", "no_permission", "is_a_folder", "unreadable_file", "empty_file",
    "not_an_image", "unsupported_format", "too_small", "too_many_pixels", "truncated", "corrupt",
    and as a warning "constant"; the others are named by `decode_picture` and `read_dicom`.
    """
    try:
        with open_file(path) as file:
            reading = _read(file, path, limits)
    except Refusal as refusal:
        return Reading(None, refusal.verdict)
    assert reading.image is not None
    return Reading(reading.image, reading.verdict.merge(_constancy(reading.image)))


def open_file(path: Path) -> BinaryIO:
    """Open for reading. Raises Refusal instead of OSError, and for an empty file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Refusal("missing_file", "The file does not exist. Check its path.") from None
    except PermissionError:
        raise Refusal(
            "no_permission", "The file may not be read. Change its permissions."
        ) from None
    except IsADirectoryError:
        raise Refusal("is_a_folder", "This is a folder. Give the file of one film.") from None
    except OSError as error:
        raise Refusal("unreadable_file", f"The file cannot be opened: {error.strerror}.") from error
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise Refusal("empty_file", "The file is empty (0 bytes). Copy or export it again.")
    return file


def _read(file: BinaryIO, path: Path, limits: ReadLimits) -> Reading:
    header = file.read(_HEADER_BYTES)
    file.seek(0)
    kind = picture_kind(header)
    if kind is not None:
        picture = decode_picture(file, kind, limits)
        image = Image(
            picture.array,
            Geometry(picture.array.shape),
            display_range=brightness_range(picture.array),
            acquisition={"format": kind, "bits": picture.array.dtype.itemsize * 8},
            source=str(path),
        )
        return Reading(image, picture.verdict)
    if looks_like_dicom(header):
        from radloop.images.dicom import read_dicom  # pydicom, only when there is a DICOM file

        return read_dicom(file, str(path), limits)
    for start, name in _OTHER_FORMATS.items():
        if header.startswith(start):
            raise Refusal(
                "unsupported_format",
                f"This is {name} file. Films are read from PNG, JPEG, TIFF and DICOM.",
            )
    raise Refusal(
        "not_an_image",
        "This is no image, whatever its name says. Films are read from PNG, JPEG, TIFF and DICOM.",
    )


def looks_like_dicom(header: bytes) -> bool:
    """Whether the first 132 bytes are a DICOM file's: its preamble, or, in a file without one, a
    first element of group 0002 or 0008 that is short."""
    if header[128:132] == b"DICM":
        return True
    if len(header) < 16 or header[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    explicit = header[4:6].isalpha() and header[4:6].isupper()
    return explicit or int.from_bytes(header[4:8], "little") <= 256


def _constancy(image: Image) -> Verdict:
    if np.ptp(image.array) > 0:
        return ACCEPTED
    return warned(
        "constant", "All pixels of the image are equal: it shows nothing. Check the export."
    )


def find_images(inputs: Sequence[Path]) -> list[Path]:
    """The files to read: files as given, folders searched to the bottom, in sorted order.

    Hidden files, DICOMDIR, tables and texts are left out of folders; anything else is a candidate,
    and gets its verdict when it is read.

    Raises InputError for a folder in which nothing is left.
    """
    found: list[Path] = []
    for given in inputs:
        candidates = _candidates(given) if given.is_dir() else [given]
        if not candidates:
            raise InputError(
                f"The folder {given.name or given} holds no images.",
                "Give a folder with PNG, JPEG, TIFF or DICOM files.",
            )
        found += candidates
    return found


def _candidates(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if is_candidate(name)]
    return sorted(found)


def is_candidate(name: str) -> bool:
    """Whether a file of this name, found in a folder, may be an image."""
    return (
        not name.startswith(".")
        and name.upper() != "DICOMDIR"
        and Path(name).suffix.lower() not in _NOT_CANDIDATES
    )
