"""The pixels of slices: read, decoded, rescaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from radloop.images.dicom_pixels import cut_off, decode
from radloop.images.read import open_file
from radloop.images.verdict import Refusal
from radloop.images.volumes.slices import Slice

AnyArray = npt.NDArray[Any]


class Pixels:
    """The stored pixels of some slices. A file that holds many of them is read only once."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        holding = Counter(one.path for one in slices)
        self._many = {path for path, count in holding.items() if count > 1}
        self._files: dict[Path, Dataset] = {}
        self._frames: dict[Path, AnyArray] = {}
        self._lock = Lock()

    def stored(self, one: Slice) -> AnyArray:
        """The stored values `(y, x)` of a slice; safe to call from many threads.

        Plainly stored pixels are read from where they lie; all others go through the decoder of
        their transfer syntax. Raises Refusal (those of `decode`, "corrupt").
        """
        if one.offset is not None and one.tile is None and one.bits[0] in (8, 16, 32):
            return _plain(one, one.offset)
        try:
            values = self._tile(one) if one.tile is not None else self._frame(one)
        except Refusal:
            raise
        except EOFError as error:
            raise cut_off() from error
        except Exception as error:  # a parser fed with damaged bytes may raise anything
            raise Refusal(
                "corrupt", "A slice is damaged and cannot be read. Export it again."
            ) from error
        if values.shape != (one.rows, one.columns):
            raise Refusal(
                "corrupt", "A slice's pixels do not fit its rows and columns. Export it again."
            )
        return values

    def _tile(self, one: Slice) -> AnyArray:
        assert one.tile is not None
        with self._lock:
            if one.path not in self._frames:
                self._frames = {one.path: decode(_dataset(one.path))}
            frame = self._frames[one.path]
        top, left, rows, columns = one.tile
        return frame[top : top + rows, left : left + columns]

    def _frame(self, one: Slice) -> AnyArray:
        if one.path not in self._many:
            dataset = _dataset(one.path)
        else:
            with self._lock:
                if one.path not in self._files:
                    self._files = {one.path: _dataset(one.path)}
                dataset = self._files[one.path]
        multiple = int(dataset.get("NumberOfFrames") or 1) > 1
        return decode(dataset, one.frame if multiple else None)


def _dataset(path: Path) -> Dataset:
    with open_file(path) as file:
        return pydicom.dcmread(file, force=True)


def rescaled(stored: AnyArray, one: Slice, dtype: npt.DTypeLike) -> AnyArray:
    """Stored values in the modality's units (HU for CT), as `dtype`.

    Raises OverflowError when an integer type cannot hold them.
    """
    if np.dtype(dtype).kind == "f":
        values = stored.astype(dtype)
        if one.slope != 1:
            values *= np.float32(one.slope)
        if one.intercept != 0:
            values += np.float32(one.intercept)
        return values
    shift = int(one.intercept)
    kind = np.iinfo(np.dtype(dtype))
    if stored.size and (
        int(stored.min()) + shift < kind.min or int(stored.max()) + shift > kind.max
    ):
        raise OverflowError
    return stored.astype(dtype, copy=False) + np.dtype(dtype).type(shift)


def stays_whole(one: Slice) -> bool:
    """Whether the rescale maps whole numbers to whole numbers."""
    return one.slope == 1 and float(one.intercept).is_integer() and abs(one.intercept) < 2**15


def _plain(one: Slice, offset: int) -> AnyArray:
    allocated, stored_bits, signed = one.bits
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    with open_file(one.path) as file:
        file.seek(offset)
        data = file.read(one.rows * one.columns * kind.itemsize)
    if len(data) < one.rows * one.columns * kind.itemsize:
        raise cut_off()
    values = np.frombuffer(data, kind).reshape(one.rows, one.columns)
    if stored_bits < allocated:
        # Bits above the stored ones may hold anything (formerly, overlays): PS3.5 8.1.1.
        spare = allocated - stored_bits
        values = (values << spare) >> spare
    return values.astype(kind.newbyteorder("="), copy=False)
