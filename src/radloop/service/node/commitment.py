"""Storage commitment as a provider (PS3.4 J): which of the asked instances are safely here.

An instance is committed when it is registered with the class that was asked for, and its file is
there with its length. The report goes out on the same association; where the peer does not answer
it, on a new one to the peer's address in the settings.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID
from sqlalchemy import select

from radloop.service.logs import event
from radloop.service.node.association import Answer, Report
from radloop.service.node.contexts import COMMITMENT, COMMITMENT_INSTANCE, IMPLICIT, Context
from radloop.service.node.dimse import Command, Field, Status
from radloop.service.node.options import Peer
from radloop.service.store.database import Store
from radloop.service.store.facts import IntakeError, checked_uid
from radloop.service.store.schema import Instance

MOST = 10_000
"""Instances that one request may ask for."""
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
_ALL_WELL, _FAILURES = 1, 2


@dataclass(frozen=True)
class Asked:
    """One instance that a peer asks to be committed."""

    sop_class: str
    sop_uid: str


def answer(
    store: Store, command: Command, context: Context, body: bytes
) -> tuple[Answer, Report | None]:
    """The answer to an N-ACTION, and the report that follows it."""
    if (
        context.abstract != COMMITMENT
        or command.get("RequestedSOPInstanceUID") != COMMITMENT_INSTANCE
        or command.get("ActionTypeID") != 1
    ):
        return (Status.NO_SUCH_ACTION, "only requests for storage commitment"), None
    try:
        transaction, asked = read_request(body, context.syntax)
    except IntakeError as error:
        return (Status.INVALID_ARGUMENT, error.what), None
    failures = {one: reason for one in asked if (reason := check(store, one))}
    data = Dataset()
    data.TransactionUID = UID(transaction)
    good = [one for one in asked if one not in failures]
    if good:
        data.ReferencedSOPSequence = Sequence(_item(one) for one in good)
    if failures:
        data.FailedSOPSequence = Sequence(_item(one, why) for one, why in failures.items())
    head: Command = {
        "CommandField": Field.EVENT_REPORT_RQ,
        "AffectedSOPClassUID": str(COMMITMENT),
        "AffectedSOPInstanceUID": str(COMMITMENT_INSTANCE),
        "EventTypeID": _FAILURES if failures else _ALL_WELL,
        "CommandDataSetType": 1,
    }
    return (Status.SUCCESS, ""), (head, _encoded(data, context.syntax))


def read_request(body: bytes, syntax: str) -> tuple[str, list[Asked]]:
    """Transaction UID and instances of a request. Raises IntakeError for what is none."""
    from pynetdicom.dsutils import decode

    try:
        data = decode(io.BytesIO(body), syntax == IMPLICIT, True)
        transaction = str(data.TransactionUID)
        items = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in data.ReferencedSOPSequence
        ]
    except Exception as error:  # whatever broken bytes make the parser trip over
        raise IntakeError("the request cannot be read") from error
    if not 1 <= len(items) <= MOST:
        raise IntakeError(f"a request names 1 to {MOST} instances")
    return checked_uid(transaction, "transaction"), [
        Asked(checked_uid(kind, "class"), checked_uid(uid, "instance")) for kind, uid in items
    ]


def check(store: Store, asked: Asked) -> int:
    """0 when the instance is safely here, else the failure reason of PS3.3 C.14.1.1."""
    with store.reading() as session:
        row = session.execute(
            select(Instance.sop_class, Instance.blob, Instance.bytes).where(
                Instance.sop_uid == asked.sop_uid
            )
        ).first()
    if row is None:
        return NO_SUCH_OBJECT
    if row.sop_class != asked.sop_class:
        return CLASS_CONFLICT
    path = store.blobs.path(row.blob)
    return 0 if path.is_file() and path.stat().st_size == row.bytes else NO_SUCH_OBJECT


def report_later(peer: Peer, ae_title: str, report: Report) -> None:
    """Send a report on an association of its own; the log says how it went."""
    from radloop.service.node.client import associate

    head, data = report
    try:
        with associate(peer, ae_title, [COMMITMENT], provider=True) as link:
            from pynetdicom.dsutils import decode

            context = link.accepted_contexts[0]
            implicit = context.transfer_syntax[0].is_implicit_VR
            status, _ = link.send_n_event_report(
                decode(io.BytesIO(data), implicit, True),
                int(head["EventTypeID"]),
                COMMITMENT,
                COMMITMENT_INSTANCE,
            )
        event("node", "commitment_reported", status=f"{status.get('Status', 0xFFFF):04X}")
    except Exception as error:  # nobody waits for it: the log alone is told
        event("node", "commitment_unreported", logging.WARNING, error=type(error).__name__)


def _item(one: Asked, reason: int = 0) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(one.sop_class)
    item.ReferencedSOPInstanceUID = UID(one.sop_uid)
    if reason:
        item.FailureReason = reason
    return item


def _encoded(data: Dataset, syntax: str) -> bytes:
    from pynetdicom.dsutils import encode

    encoded = encode(data, syntax == IMPLICIT, True)
    assert encoded is not None, "a report of our own can be written"
    return encoded
