"""C-STORE: an object's bytes become a durable, registered file before the peer hears "success".

The order is: bytes to a temporary file as they come (hashed on the way), its name and one flush to
the disk (`store.blobs`), one transaction (`store.intake_fast`), the answer. What fails leaves
nothing: no file, no row, and a failure status.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from radloop.errors import RadloopError, WriteError
from radloop.service.node.contexts import DEFLATED, EXPLICIT, Context, is_storage
from radloop.service.node.dimse import Command, Status
from radloop.service.node.header import SeriesFacts
from radloop.service.node.options import NodeLimits
from radloop.service.node.part10 import file_head
from radloop.service.store.blobs import BlobWriter, Stored
from radloop.service.store.database import Store
from radloop.service.store.facts import InstanceFacts, IntakeError, checked_uid, facts_of
from radloop.service.store.intake import Registered

_HEAD = 1 << 18
"""So many bytes of a data set are kept to read its header from."""
_STEP = 1 << 20
MOST_AHEAD = 16 << 20
"""Room is taken on the disk for an object as large as the last, up to so many bytes."""

Register = Callable[[InstanceFacts, Stored], Registered]


@dataclass(frozen=True)
class Kept:
    """What came of an object: the status, a comment without anything of the patient, and whether
    it is new, for whoever counts."""

    status: Status
    comment: str
    bytes: int
    new: bool


class Receiver:
    """One object in the making; see `association.Incoming`."""

    def __init__(
        self,
        store: Store,
        register: Register,
        limits: NodeLimits,
        command: Command,
        context: Context,
        series: SeriesFacts,
        told: Callable[[Kept], None],
    ) -> None:
        self._store, self._register, self._limits = store, register, limits
        self._syntax = context.syntax
        self._series, self._told = series, told
        self._failed: tuple[Status, str] | None = None
        self._writer: BlobWriter | None = None
        self._head = bytearray()
        self._bytes = 0
        self._inflater = Inflater(limits.inflated_bytes) if context.syntax == DEFLATED else None
        try:
            self._sop_class = checked_uid(command.get("AffectedSOPClassUID"), "class")
            self._sop_uid = checked_uid(command.get("AffectedSOPInstanceUID"), "instance")
            if self._sop_class != context.abstract or not is_storage(self._sop_class):
                self._fail(Status.MISMATCH, "another class than was agreed")
                return
            self._meta = file_head(self._sop_class, self._sop_uid, context.syntax)
            self._writer = store.blobs.writer(min(series.size, MOST_AHEAD))
            self._writer.write(self._meta)
        except IntakeError:
            self._fail(Status.NOT_UNDERSTOOD, "no valid UID")
        except WriteError:
            self._fail(Status.OUT_OF_RESOURCES, "the store cannot be written")

    def write(self, piece: memoryview) -> None:
        """Take the next bytes of the data set. After a failure they are passed over."""
        if self._failed or self._writer is None:
            return
        self._bytes += len(piece)
        if self._bytes > self._limits.object_bytes:
            self._fail(Status.OUT_OF_RESOURCES, "larger than this node takes")
            return
        try:
            if self._inflater is not None:
                self._inflater.feed(piece)
            elif len(self._head) < _HEAD:
                self._head += piece[: _HEAD - len(self._head)]
            self._writer.write(piece)
        except WriteError:
            self._fail(Status.OUT_OF_RESOURCES, "the store cannot be written")
        except InflateError as error:
            self._fail(error.status, error.what)

    def finish(self) -> tuple[Status, str]:
        """Make it durable, register it, and say how it went."""
        kept = self._finish()
        self.discard()
        self._told(kept)
        return kept.status, kept.comment

    def discard(self) -> None:
        """Leave nothing behind of what was not finished."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _fail(self, status: Status, comment: str) -> None:
        self._failed = (status, comment)
        self.discard()

    def _finish(self) -> Kept:
        if self._failed or self._writer is None:
            return self._refused(*(self._failed or (Status.PROCESSING_FAILURE, "")))
        try:
            if self._inflater is not None:
                self._inflater.close()
            facts = self._facts()
            if facts.sop_uid != self._sop_uid or facts.sop_class != self._sop_class:
                return self._refused(Status.MISMATCH, "the data set is of another object")
            stored = self._writer.finish()
            self._series.size = stored.bytes
            done = self._register(facts, stored)
        except InflateError as error:
            return self._refused(error.status, error.what)
        except IntakeError as error:
            return self._refused(Status.NOT_UNDERSTOOD, error.what)
        except RadloopError:  # the disk is full, or the database does not answer
            return self._refused(Status.OUT_OF_RESOURCES, "the store cannot be written")
        if done.differs:
            return Kept(Status.COERCED, "known with other content, which was kept", 0, False)
        return Kept(Status.SUCCESS, "", self._bytes, done.new)

    def _refused(self, status: Status, comment: str) -> Kept:
        return Kept(status, comment, 0, False)

    def _facts(self) -> InstanceFacts:
        """From the beginning of the data set, which nearly always holds its whole header."""
        if self._inflater is not None:
            meta = file_head(self._sop_class, self._sop_uid, str(EXPLICIT))
            facts = facts_of(meta + self._inflater.head)
            return replace(facts, transfer_syntax=self._syntax)
        return self._series.read(self._head, self._syntax, self._meta)


class InflateError(RadloopError):
    """A deflated data set that is broken, or grows beyond the limit."""

    def __init__(self, status: Status, what: str) -> None:
        super().__init__(what)
        self.status = status


class Inflater:
    """Inflates a deflated data set (PS3.5 A.5) as it comes, to see its header and its size.

    Only the beginning is kept; what would grow beyond `longest` bytes is refused while it grows,
    at no more than a megabyte of memory at a time. Raises InflateError.
    """

    def __init__(self, longest: int) -> None:
        self.head = b""
        self._longest = longest
        self._size = 0
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def feed(self, piece: bytes | memoryview) -> None:
        """Inflate the next bytes."""
        rest: bytes | memoryview = piece
        while rest and not self._stream.eof:
            try:
                out = self._stream.decompress(rest, _STEP)
            except zlib.error as error:
                raise InflateError(Status.NOT_UNDERSTOOD, "the deflated data are broken") from error
            self._size += len(out)
            if self._size > self._longest:
                raise InflateError(Status.OUT_OF_RESOURCES, "inflates to more than this node takes")
            if len(self.head) < _HEAD:
                self.head += out[: _HEAD - len(self.head)]
            rest = self._stream.unconsumed_tail

    def close(self) -> None:
        """The data set ended: so must the stream have."""
        if not self._stream.eof:
            raise InflateError(Status.NOT_UNDERSTOOD, "the deflated data are cut off")
