"""Small made-up DICOM objects, a running node, and a peer that speaks PDUs by hand."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)

from radloop.service.node.server import Server, start_node
from radloop.service.settings import Settings
from radloop.service.store.database import Store, open_store


def ct(study: str = "1.2.3", number: int = 1, side: int = 16, **changes: Any) -> Dataset:
    """A CT slice of `side` by `side`; `changes` are attributes by keyword."""
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = f"{study}.1.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID = study, f"{study}.1"
    data.PatientID, data.PatientName = "P1", "Made^Up"
    data.Modality, data.BodyPartExamined, data.InstanceNumber = "CT", "HEAD", number
    data.StudyDate, data.AccessionNumber, data.Manufacturer = "20260102", "A1", "ACME"
    data.Rows = data.Columns = side
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 1, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = np.arange(side * side, dtype=np.int16).tobytes()
    for keyword, value in changes.items():
        setattr(data, keyword, value)
    return with_meta(data)


def with_meta(data: Dataset, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """With the meta group of a file in `syntax`."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.ImplementationClassUID = generate_uid()
    return data


def file_of(data: Dataset) -> bytes:
    """The bytes of its file."""
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@contextlib.contextmanager
def running(home: Path, **options: Any) -> Iterator[tuple[Server, Store]]:
    """A node at a free port with its store in `home`."""
    settings = Settings(home=home, node={"port": 0, **options})
    store = open_store(settings)
    node = start_node(store, settings)
    try:
        yield node, store
    finally:
        node.stop(grace=2)
        store.close()


@contextlib.contextmanager
def associated(node: Server, *contexts: Any, title: str = "PEER", **more: Any) -> Iterator[Any]:
    """An association of pynetdicom's with the node, established or not."""
    entity = AE(title)
    built = [cx if hasattr(cx, "abstract_syntax") else build_context(cx) for cx in contexts]
    link = entity.associate(*node.address, contexts=built, ae_title="RADLOOP", **more)
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def request_pdu(*abstract: str, title: str = "PEER", syntax: str = ExplicitVRLittleEndian) -> bytes:
    """An A-ASSOCIATE-RQ for these abstract syntaxes, in contexts 1, 3, 5, ..."""
    asked = A_ASSOCIATE()
    asked.application_context_name = UID("1.2.840.10008.3.1.1.1")
    asked.calling_ae_title, asked.called_ae_title = title, "RADLOOP"
    length, maker = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16384
    maker.implementation_class_uid = UID("1.2.3.4")
    asked.user_information = [length, maker]
    contexts = []
    for number, uid in enumerate(abstract):
        context = build_context(uid, [syntax])
        context.context_id = 2 * number + 1
        contexts.append(context)
    asked.presentation_context_definition_list = contexts
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


class Raw:
    """A socket to the node that sends what it is told, and reads PDUs."""

    def __init__(self, node: Server) -> None:
        self.socket = socket.create_connection(node.address, timeout=10)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, *abstract: str, **more: str) -> int:
        """Ask for an association; the kind of the PDU that answers."""
        self.socket.sendall(request_pdu(*abstract, **more))
        return self.read()[0]

    def read(self) -> tuple[int, bytes]:
        """Kind and content of the next PDU; kind 0 when the node closed the connection."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = b""
        try:
            while len(data) < count and (piece := self.socket.recv(count - len(data))):
                data += piece
        except ConnectionError:
            return b""
        return data
