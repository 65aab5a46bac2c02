"""Read one radiograph from a DICOM file: decode, make larger brighter, keep what the file states.

The chain is the standard's (PS3.4 annex N): stored pixels, modality LUT or rescale, VOI LUT or
window, and for MONOCHROME1 the inversion. A linear window changes no pixel: it becomes the
image's `display_range`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from radloop.images.dicom_facts import acquisition_of, geometry_of, number, numbers
from radloop.images.dicom_pixels import AnyArray, cut_off, decode
from radloop.images.image import Image, Reading, brightness_range
from radloop.images.limits import ReadLimits, check_size
from radloop.images.verdict import ACCEPTED, Refusal, Verdict, noted, warned

_FILMS = {"CR", "DX", "DR", "RG", "PX", "IO", "MG"}
_OTHERS = {
    "CT": "a CT slice",
    "MR": "an MR slice",
    "US": "an ultrasound image",
    "PT": "a PET slice",
    "NM": "a nuclear medicine image",
    "XA": "an angiogram",
    "RF": "a fluoroscopy image",
    "SEG": "a segmentation",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "DOC": "a document",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"
_NEEDED = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored")


@dataclass(frozen=True)
class _Shades:
    """Pixels on their way through the chain.

    possible: the smallest and largest value that could occur, by the file's header.
    shown: the values shown as black and white, None until something says so.
    """

    array: AnyArray
    possible: tuple[float, float]
    shown: tuple[float, float] | None = None


def read_dicom(file: BinaryIO, source: str, limits: ReadLimits) -> Reading:
    """Read the film in `file`.

    Raises Refusal: "not_an_image", "no_pixels", "not_a_radiograph", "multi_frame",
    "missing_size", "missing_header", "unsupported_photometric", "unsupported_bits",
    "unknown_transfer_syntax", "missing_decoder", "undecodable", "truncated", "corrupt", and those
    of `check_size`. Warns: "secondary_capture", "unknown_modality", "colour", "invalid_window",
    "invalid_spacing", "non_square_pixels", "mirrored", "for_processing".
    """
    try:
        dataset = pydicom.dcmread(file, force=True)
        return _read(dataset, source, limits)
    except Refusal:
        raise
    except EOFError as error:
        raise cut_off() from error
    except Exception as error:  # a parser fed with damaged bytes may raise anything
        raise Refusal(
            "corrupt", "The DICOM file is damaged and cannot be read. Export it again."
        ) from error


def _read(dataset: Dataset, source: str, limits: ReadLimits) -> Reading:
    verdict = _what_it_is(dataset)
    _check_header(dataset, limits)
    stored = decode(dataset)
    if stored.ndim == 3:
        stored, colour = _without_colour(stored)
        verdict = verdict.merge(colour)
    shades = _rescaled(_Shades(stored, _stored_range(dataset)), dataset)
    shades, window = _windowed(shades, dataset)
    array, shown = _larger_is_brighter(shades, dataset, _padding(dataset, stored))
    geometry, spacing = geometry_of(dataset)
    facts, facts_verdict = acquisition_of(dataset)
    for part in (window, spacing, facts_verdict):
        verdict = verdict.merge(part)
    image = Image(
        array,
        geometry,
        modality=str(dataset.get("Modality") or "unknown"),
        display_range=shown,
        acquisition=facts,
        source=source,
    )
    return Reading(image, verdict)


# --- what the file is -----------------------------------------------------------------------


def _what_it_is(dataset: Dataset) -> Verdict:
    """Refuse what is no single radiograph; warn of what only may be one."""
    if not any(word in dataset for word in ("SOPClassUID", "Rows", "PixelData", "Modality")):
        if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
            raise Refusal(
                "no_pixels", "This is a DICOM directory, an index without pixels. Give the films."
            )
        if dataset.file_meta:  # a stream that ends too early makes pydicom drop all of it
            raise cut_off()
        raise Refusal("not_an_image", "This is no image and no valid DICOM file. Give a film.")
    modality = str(dataset.get("Modality") or "")
    if "PixelData" not in dataset:
        what = f" ({_OTHERS[modality]})" if modality in _OTHERS else ""
        raise Refusal(
            "no_pixels",
            f"The DICOM file{what} holds no pixels, or was cut off before them. "
            "Give the image object of the study.",
        )
    capture = str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURE)
    if modality in _OTHERS:
        raise Refusal(
            "not_a_radiograph", f"This is {_OTHERS[modality]}, not a radiograph. Give a film."
        )
    if modality not in _FILMS and modality not in ("", "OT", "SC"):
        raise Refusal(
            "not_a_radiograph",
            f"This is an image of modality {modality[:16]!r}, not a radiograph. Give a film.",
        )
    if (number(dataset, "NumberOfFrames") or 1) > 1:
        raise Refusal("multi_frame", "The DICOM file holds several frames. Give a single film.")
    if capture:
        return warned(
            "secondary_capture",
            "This is a secondary capture: its grey values, size and side were not checked by "
            "the machine that took the film. Prefer the original.",
        )
    if modality not in _FILMS:
        return warned(
            "unknown_modality",
            "The file does not say that it is a radiograph (Modality). Check that it is one.",
        )
    if dataset.get("PresentationIntentType") == "FOR PROCESSING":
        return warned(
            "for_processing",
            "This is raw data for processing, not the film as it is shown. "
            "Prefer the object for presentation.",
        )
    return ACCEPTED


def _check_header(dataset: Dataset, limits: ReadLimits) -> None:
    rows, columns = number(dataset, "Rows"), number(dataset, "Columns")
    if not rows or not columns:
        raise Refusal(
            "missing_size",
            "The DICOM file does not say how many rows and columns it has. Export it again.",
        )
    check_size(int(rows), int(columns), limits)
    missing = [word for word in _NEEDED if dataset.get(word) in (None, "")]
    if missing:
        raise Refusal(
            "missing_header",
            f"The DICOM file lacks {', '.join(missing)}, without which its pixels cannot be "
            "understood. Export it again.",
        )
    photometric = str(dataset.PhotometricInterpretation)
    if photometric not in ("MONOCHROME1", "MONOCHROME2", "RGB") and photometric[:3] != "YBR":
        raise Refusal(
            "unsupported_photometric",
            f"Pixels of kind {photometric[:16]!r} are not read. Export the film as MONOCHROME2.",
        )
    if dataset.BitsAllocated not in (8, 16, 32):
        raise Refusal(
            "unsupported_bits",
            f"Pixels of {dataset.BitsAllocated} bits are not read. Export 8 or 16 bits.",
        )


# --- stored pixels --------------------------------------------------------------------------


def _without_colour(stored: AnyArray) -> tuple[AnyArray, Verdict]:
    """Grey of RGB (ITU-R BT.601), without a word when all three channels are equal."""
    if (stored == stored[..., :1]).all():
        return stored[..., 0].copy(), ACCEPTED
    grey = (stored @ np.array([0.299, 0.587, 0.114])).round().astype(stored.dtype)
    return grey, warned(
        "colour",
        "The image has colours and was converted to grey. Check that it is a film and not a "
        "picture with drawings.",
    )


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    bits = int(dataset.BitsStored)
    if dataset.get("PixelRepresentation") == 1:
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def _padding(dataset: Dataset, stored: AnyArray) -> npt.NDArray[np.bool_] | None:
    """Where the film was filled up beyond what was exposed, or None where it was not."""
    first = number(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = number(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    padded = (stored >= min(first, last)) & (stored <= max(first, last))
    return padded if padded.any() and not padded.all() else None


# --- grey values ----------------------------------------------------------------------------


def _rescaled(shades: _Shades, dataset: Dataset) -> _Shades:
    """Modality LUT, or slope and intercept; whole numbers stay whole where they can."""
    if dataset.get("ModalityLUTSequence"):
        return _looked_up(shades, dataset.ModalityLUTSequence[0])
    slope = number(dataset, "RescaleSlope") or 1.0  # a slope of 0 would erase the film
    intercept = number(dataset, "RescaleIntercept") or 0.0
    if slope == 1 and intercept == 0:
        return shades
    if slope == 1 and intercept.is_integer():
        array: AnyArray = shades.array.astype(np.int32) + np.int32(intercept)
    else:
        array = shades.array.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    ends = sorted(value * slope + intercept for value in shades.possible)
    return _Shades(array, (ends[0], ends[1]))


def _looked_up(shades: _Shades, item: Dataset) -> _Shades:
    """Through a table (PS3.3 C.11.1.1, C.11.2.1.1); values beyond its ends take its end values."""
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    entries = entries or 65536
    if shades.possible[0] < 0 and first > 32767:
        first -= 65536  # read as unsigned, meant as signed
    data = item.LUTData
    if isinstance(data, bytes):
        table = np.frombuffer(data, np.uint8 if len(data) <= entries + 1 else "<u2")[:entries]
    else:
        table = np.asarray(data)
    index = np.clip(np.rint(shades.array).astype(np.int64) - first, 0, len(table) - 1)
    scale = (0.0, float(2**bits - 1))
    return _Shades(table[index].astype(np.uint16), scale, scale)


def _windowed(shades: _Shades, dataset: Dataset) -> tuple[_Shades, Verdict]:
    """Through the first VOI LUT or window (PS3.3 C.11.2.1); unchanged when there is none."""
    tables = dataset.get("VOILUTSequence")
    if tables:
        return _looked_up(shades, tables[0]), _first_of(len(tables), "grey value tables")
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if not centers or not widths:
        return shades, ACCEPTED
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    windowed = _through_window(shades, centers[0], widths[0], function)
    if windowed is None:
        return shades, warned(
            "invalid_window",
            "The window that the DICOM file states shows nothing of the film; "
            "its whole range of grey values is used instead.",
        )
    return windowed, _first_of(len(centers), "windows")


def _through_window(shades: _Shades, center: float, width: float, function: str) -> _Shades | None:
    """None when the window is invalid or shows a single grey."""
    if function == "SIGMOID" and width > 0:
        exponent = -4 * (shades.array.astype(np.float32) - np.float32(center)) / np.float32(width)
        curve = 255 / (1 + np.exp(np.clip(exponent, -80, 80)))
        return _Shades(curve.astype(np.float32), (0.0, 255.0), (0.0, 255.0))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    low, high = center - width / 2, center + width / 2
    if not (
        math.isfinite(low) and low < high and low < shades.array.max() and high > shades.array.min()
    ):
        return None
    return replace(shades, shown=(low, high))


def _first_of(count: int, what: str) -> Verdict:
    if count == 1:
        return ACCEPTED
    return noted(f"The DICOM file has {count} {what}; the first was used.")


def _larger_is_brighter(
    shades: _Shades, dataset: Dataset, padding: npt.NDArray[np.bool_] | None
) -> tuple[AnyArray, tuple[float, float]]:
    """The array and the display range, MONOCHROME1 inverted, padding as dark as the darkest."""
    array = shades.array
    exposed = array if padding is None else array[~padding]
    low, high = shades.shown or brightness_range(exposed)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        # Mirrored about the middle of the possible values: the type can hold the result.
        total = shades.possible[0] + shades.possible[1]
        array = (array.dtype.type(total) - array).astype(array.dtype, copy=False)
        low, high = total - high, total - low
    if padding is not None:
        array = np.where(padding, array[~padding].min(), array)
    return array, (float(low), float(high))
