"""Decode PNG, JPEG and TIFF files into one grey array, saying what was lost on the way."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from PIL.Image import Image as PillowImage

from radloop.images.limits import ReadLimits, check_size
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, warned

# What Pillow has to say of odd files is said by the verdicts, or does not matter.
warnings.filterwarnings("ignore", module=r"PIL(\.|$)")

PictureKind = Literal["PNG", "JPEG", "TIFF"]

# Opened by class: `PIL.Image.open` has its own size limit, a global one, and tries other formats.
_PLUGINS: dict[PictureKind, Any] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
_SIGNATURES: tuple[tuple[bytes, PictureKind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_TIFF_BITS, _TIFF_PHOTOMETRIC, _EXIF_ORIENTATION = 258, 262, 274


@dataclass(frozen=True)
class Picture:
    """array: `(y, x)`, uint8, uint16, int32 or float32, larger is brighter. colour: it was
    converted from real colours. verdict: accepted or warned."""

    array: npt.NDArray[Any]
    colour: bool
    verdict: Verdict


def picture_kind(header: bytes) -> PictureKind | None:
    """Which of the three formats a file's first bytes announce."""
    return next((kind for start, kind in _SIGNATURES if header.startswith(start)), None)


def decode_picture(
    file: BinaryIO, kind: PictureKind, limits: ReadLimits, *, palette_indices: bool = False
) -> Picture:
    """Decode `file`, positioned at its start.

    The decoders release the interpreter's lock, so that several threads can read at once.

    palette_indices: of an image with a palette of colours return the indices (label maps store
        their labels so), not the colours. A palette of greys is always looked up.

    Raises Refusal: "truncated", "corrupt", "colour_16bit", "alpha_16bit", "several_images",
    "not_finite" and those of `check_size`.
    """
    try:
        if kind == "PNG":
            _check_png_header(file, limits)
        with _PLUGINS[kind](file) as picture:
            columns, rows = picture.size
            check_size(rows, columns, limits)
            if kind == "TIFF":
                depths = picture.tag_v2.get(_TIFF_BITS, (1,))
                _refuse_deep(max(depths), len(depths))
            if getattr(picture, "n_frames", 1) > 1:
                raise Refusal(
                    "several_images",
                    f"The {kind} file holds several images (pages or an animation). "
                    "Export the film as a file of its own.",
                )
            verdict = _orientation(picture) if kind == "JPEG" else ACCEPTED
            array, colour = _grey(picture, palette_indices)
            if kind == "TIFF" and picture.tag_v2.get(_TIFF_PHOTOMETRIC) == 0:
                array = _white_is_zero(array, picture.tag_v2.get(_TIFF_BITS, (1,))[0])
    except Refusal:
        raise
    except Exception as error:  # a decoder fed with damaged bytes may raise anything
        raise _damaged(file, kind, error) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refusal(
            "not_finite", "The image has pixels that are not numbers (NaN). Export it again."
        )
    if colour:
        verdict = verdict.merge(
            warned(
                "colour",
                "The image has colours and was converted to grey. Check that it is a film and "
                "not a photograph or a picture with drawings.",
            )
        )
    return Picture(array, colour, verdict)


def _check_png_header(file: BinaryIO, limits: ReadLimits) -> None:
    """Size and depth from their fixed places: Pillow keeps the depth to itself."""
    header = file.read(26)
    file.seek(0)
    if len(header) == 26 and header[12:16] == b"IHDR":
        columns, rows, bits, colour_type = struct.unpack(">IIBB", header[16:])
        check_size(rows, columns, limits)
        _refuse_deep(bits, samples={2: 3, 4: 2, 6: 4}.get(colour_type, 1))


def _refuse_deep(bits: int, samples: int) -> None:
    """Refuse what Pillow would read with fewer bits than stored."""
    if bits > 8 and samples >= 3:
        raise Refusal(
            "colour_16bit",
            "The image has colours of 16 bits each, which no film has. "
            "Export it as grey, 8 or 16 bits.",
        )
    if bits > 8 and samples == 2:
        raise Refusal(
            "alpha_16bit",
            "The image is 16-bit grey with transparency. Export it without transparency.",
        )


def _orientation(picture: Any) -> Verdict:
    orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    if orientation == 1:
        return ACCEPTED
    return warned(
        "exif_orientation",
        f"The file asks viewers to turn or mirror the picture (EXIF orientation {orientation}); "
        "it was read as stored. Export it upright.",
    )


def _grey(picture: PillowImage, palette_indices: bool) -> tuple[npt.NDArray[Any], bool]:
    """The pixels as `(y, x)`, and whether they were converted from real colours."""
    mode = picture.mode
    if mode == "1":
        return np.asarray(picture.convert("L")), False
    if mode == "L" or mode == "I" or mode == "F" or mode.startswith("I;16"):
        array = np.asarray(picture)
        return array.astype(array.dtype.newbyteorder("="), copy=False), False
    if mode == "LA":
        return np.asarray(picture.getchannel("L")), False
    colours = np.asarray(picture.convert("RGB"))
    grey = np.ascontiguousarray(colours[..., 0])
    # Exactly equal channels would turn a grey JPEG stored as colour into a false warning.
    spread = np.maximum(_difference(grey, colours[..., 1]), _difference(grey, colours[..., 2]))
    if spread.max(initial=0) <= 3:
        return grey, False
    if mode == "P" and palette_indices:
        return np.asarray(picture), False
    return np.asarray(picture.convert("RGB").convert("L")), True


def _difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """|a - b| without leaving uint8."""
    return np.maximum(a, b) - np.minimum(a, b)


def _white_is_zero(array: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Pillow turns white-is-zero images of up to 8 bits around, but not deeper ones."""
    return array if bits <= 8 else np.array(2**bits - 1 - array.astype(np.int64), array.dtype)


def _damaged(file: BinaryIO, kind: PictureKind, error: Exception) -> Refusal:
    if _ends_early(file, kind) or "truncated" in str(error).lower():
        return Refusal(
            "truncated",
            f"The {kind} file is cut off: its end is missing. Copy or export it again.",
        )
    return Refusal(
        "corrupt", f"The {kind} file is damaged and cannot be decoded. Copy or export it again."
    )


def _ends_early(file: BinaryIO, kind: PictureKind) -> bool:
    """Whether the mark that ends a complete file is missing from the last bytes."""
    if file.closed or kind == "TIFF":
        return False
    size = file.seek(0, 2)
    file.seek(max(0, size - 64))
    return {"PNG": b"IEND", "JPEG": b"\xff\xd9"}[kind] not in file.read()
