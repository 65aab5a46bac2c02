"""STOW-RS: one file of a request to the store, as it comes."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from pydicom.uid import UID

from radloop.errors import RadloopError, WriteError
from radloop.service.node.contexts import DEFLATED, EXPLICIT
from radloop.service.node.part10 import file_head
from radloop.service.node.receive import InflateError, Inflater
from radloop.service.store.blobs import BlobWriter
from radloop.service.store.database import Store
from radloop.service.store.facts import InstanceFacts, IntakeError, facts_of
from radloop.service.store.intake import register

_HEAD = 1 << 18
# Failure reasons of PS3.18 I.2.2 and PS3.4 B.2.3, as decimal numbers in 0008,1197.
OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000


@dataclass(frozen=True)
class Outcome:
    """What came of a file. failure: 0 where it was stored; the UIDs are "" where unknown."""

    sop_class: str = ""
    sop_uid: str = ""
    study_uid: str = ""
    failure: int = 0
    warning: int = 0


class FileReceiver:
    """Takes a DICOM file's bytes, then `finish`, or `discard`. study: the one it must be of."""

    def __init__(
        self, store: Store, object_bytes: int, inflated_bytes: int, study: str = ""
    ) -> None:
        self._store, self._study = store, study
        self._longest, self._inflated = object_bytes, inflated_bytes
        self._head = bytearray()
        self._inflater: Inflater | None = None
        self._syntax: str | None = None
        self._bytes = 0
        self._failure = 0
        self._writer: BlobWriter | None = store.blobs.writer()

    def write(self, piece: bytes) -> None:
        """The next bytes. After a failure they are passed over."""
        if self._failure or self._writer is None:
            return
        self._bytes += len(piece)
        if self._bytes > self._longest:
            self._fail(OUT_OF_RESOURCES)
            return
        try:
            self._look(piece)
            self._writer.write(piece)
        except WriteError:
            self._fail(OUT_OF_RESOURCES)
        except InflateError as error:
            self._fail(int(error.status))

    def finish(self) -> Outcome:
        """Durable and registered, or nothing."""
        if self._failure or self._writer is None:
            return Outcome(failure=self._failure or NOT_UNDERSTOOD)
        facts: InstanceFacts | None = None
        try:
            if self._syntax is None:
                raise IntakeError("no DICOM file")
            facts = self._facts()
            if self._study and facts.study_uid != self._study:
                return _failed(facts, MISMATCH)
            stored = self._writer.finish()
            done = register(self._store, facts, stored.sha256, stored.bytes, source="dicomweb")
        except InflateError as error:
            return _failed(facts, int(error.status))
        except IntakeError:
            return _failed(facts, NOT_UNDERSTOOD)
        except RadloopError:
            return _failed(facts, OUT_OF_RESOURCES)
        finally:
            self.discard()
        warning = 0xB000 if done.differs else 0
        return Outcome(facts.sop_class, facts.sop_uid, facts.study_uid, 0, warning)

    def discard(self) -> None:
        """Leave nothing behind of what was not finished."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _fail(self, failure: int) -> None:
        self._failure = failure
        self.discard()

    def _look(self, piece: bytes) -> None:
        """Keep the beginning; where the data set is deflated, see how large it becomes."""
        if self._inflater is not None:
            self._inflater.feed(piece)
        elif self._syntax is None:
            self._head += piece
            found = meta_of(bytes(self._head[: 1 << 16]))
            if found is None:
                if len(self._head) > 1 << 16:
                    self._fail(NOT_UNDERSTOOD)
                return
            self._syntax, start = found
            if self._syntax == DEFLATED:
                self._inflater = Inflater(self._inflated)
                self._inflater.feed(bytes(self._head[start:]))
        elif len(self._head) < _HEAD:
            self._head += piece[: _HEAD - len(self._head)]

    def _facts(self) -> InstanceFacts:
        if self._inflater is None:
            return facts_of(bytes(self._head))
        self._inflater.close()
        made = file_head("1.2", "1.2", str(EXPLICIT)) + self._inflater.head
        return replace(facts_of(made), transfer_syntax=str(DEFLATED))


def meta_of(head: bytes) -> tuple[str, int] | None:
    """Transfer syntax of a file that begins so, and where its data set begins; None where that
    cannot be told."""
    if len(head) < 144 or head[128:132] != b"DICM" or head[132:138] != b"\2\0\0\0UL":
        return None
    start = 144 + int.from_bytes(head[140:144], "little")
    if len(head) < start:
        return None
    from pydicom.filereader import read_dataset

    try:
        meta = read_dataset(io.BytesIO(head[132:start]), False, True)
        return str(UID(meta[0x00020010].value)), start
    except Exception:  # whatever broken bytes make the parser trip over
        return None


def _failed(facts: InstanceFacts | None, failure: int) -> Outcome:
    if facts is None:
        return Outcome(failure=failure)
    return Outcome(facts.sop_class, facts.sop_uid, facts.study_uid, failure)
