"""JPEG of 12 bits, and the retired JPEG processes, which pydicom does not decode: by GDCM itself.

Old scanners and archives stored lossy CT and MR so (processes 2 and 4 with 12 bits, 6 and 8, 10
and 12). The decoded values were compared with the uncompressed originals of real files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEGExtended12Bit

# Spectral selection (processes 6 and 8) and full progression (10 and 12), both retired in 2001.
_RETIRED = {"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}


def is_for_gdcm(dataset: Dataset, syntax: UID) -> bool:
    """Whether a grey image's transfer syntax needs this module."""
    if dataset.SamplesPerPixel != 1:
        return False
    return syntax in _RETIRED or (syntax == JPEGExtended12Bit and dataset.BitsStored > 8)


def decode_with_gdcm(dataset: Dataset, syntax: UID, frame: int) -> npt.NDArray[Any]:
    """Stored values `(y, x)` of one frame, from 0. Raises whatever a damaged stream makes of it."""
    import gdcm

    count = int(dataset.get("NumberOfFrames") or 1)
    stream = get_frame(dataset.PixelData, frame, number_of_frames=count)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((int(dataset.Columns), int(dataset.Rows), 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    bits = int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation") or 0)
    image.SetPixelFormat(gdcm.PixelFormat(1, int(dataset.BitsAllocated), bits, bits - 1, signed))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes out as text
    dtype = np.dtype(f"<{'i' if signed else 'u'}{int(dataset.BitsAllocated) // 8}")
    return np.frombuffer(data, dtype).reshape(int(dataset.Rows), int(dataset.Columns))
