"""Stored pixels of a DICOM file, in whatever transfer syntax: one decoder for films and volumes."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radloop.images.dicom_jpeg12 import decode_with_gdcm, is_for_gdcm
from radloop.images.verdict import Refusal

# What pydicom has to say of odd values quotes them, and a value may name the patient.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

AnyArray = npt.NDArray[Any]


def decode(dataset: Dataset, frame: int | None = None) -> AnyArray:
    """Stored values `(y, x)`, or `(y, x, 3)` RGB, in the machine's byte order.

    frame: which one of a file with several, from 0; None for a file with one.

    Raises Refusal: "unknown_transfer_syntax", "missing_decoder", "undecodable", "truncated".
    """
    samples = 2 if "422" in str(dataset.PhotometricInterpretation) else dataset.SamplesPerPixel
    frames = int(dataset.get("NumberOfFrames") or 1)
    expected = dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated // 8 * frames
    syntax = transfer_syntax(dataset, expected)
    if is_for_gdcm(dataset, syntax):
        try:
            return decode_with_gdcm(dataset, syntax, frame or 0)
        except Exception as error:  # a damaged stream may raise anything
            raise _undecodable(syntax, "gdcm") from error
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise Refusal(
            "unknown_transfer_syntax",
            f"The pixels are stored as {syntax.name!r}, for which there is no decoder. "
            "Export the image uncompressed.",
        ) from error
    if not decoder.is_available:
        raise Refusal(
            "missing_decoder",
            f"The pixels are stored as {syntax.name!r}, and no decoder for it is installed. "
            f"Install one of: {'; '.join(decoder.missing_dependencies)}.",
        )
    if not syntax.is_encapsulated and len(dataset.PixelData) < expected:
        raise cut_off()
    try:
        array, _ = decoder.as_array(dataset, index=frame)
    except BaseException as error:  # each decoder has its own; one in Rust panics below Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise _undecodable(syntax, ", ".join(decoder.available_plugins) or "pydicom") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def transfer_syntax(dataset: Dataset, expected_bytes: int) -> pydicom.uid.UID:
    """As stated; a file without its meta header is taken at its word only if the length fits."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax:
        return pydicom.uid.UID(syntax)
    if not 0 <= len(dataset.PixelData) - expected_bytes <= 1:
        raise Refusal(
            "unknown_transfer_syntax",
            "The DICOM file does not say how its pixels are stored (transfer syntax), and their "
            "length does not fit. Export it again, with its file meta information.",
        )
    implicit, _ = dataset.original_encoding
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    return syntax


def _undecodable(syntax: pydicom.uid.UID, tried: str) -> Refusal:
    return Refusal(
        "undecodable",
        f"The pixels, stored as {syntax.name!r}, could not be decoded (tried: {tried}): they "
        "are damaged, cut off, or of a variant that is not read. Export it uncompressed.",
    )


def cut_off() -> Refusal:
    """The verdict on a file whose end is missing."""
    return Refusal(
        "truncated",
        "The DICOM file is cut off: its end is missing. Copy or export it again.",
    )
