"""What the node speaks: abstract syntaxes, transfer syntaxes, and the negotiation of both."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from radloop.service.node.pdu import ProtocolError, Reason

VERIFICATION = UID("1.2.840.10008.1.1")
COMMITMENT = UID("1.2.840.10008.1.20.1")
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")

DEFLATED = UID("1.2.840.10008.1.2.1.99")
BIG_ENDIAN = UID("1.2.840.10008.1.2.2")
IMPLICIT = UID("1.2.840.10008.1.2")
EXPLICIT = UID("1.2.840.10008.1.2.1")

# Uncompressed first: of what a peer offers for one context, the first here is taken.
_RETIRED = (
    UID("1.2.840.10008.1.2.4.53"),  # JPEG processes 6 and 8
    UID("1.2.840.10008.1.2.4.55"),  # JPEG processes 10 and 12
)
_PLAIN = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
STORAGE_SYNTAXES: tuple[UID, ...] = (
    *_PLAIN,
    *(UID(uid) for uid in AllTransferSyntaxes if uid not in _PLAIN and uid not in _RETIRED),
    *_RETIRED,
)


def is_storage(uid: str) -> bool:
    """Whether `uid` is a storage SOP class of the standard."""
    return uid in _storage_classes()


def is_encapsulated(syntax: str) -> bool:
    """Whether pixels are stored in frames that were compressed one by one."""
    return syntax not in _PLAIN


@functools.cache
def _storage_classes() -> frozenset[str]:
    return frozenset(str(cx.abstract_syntax) for cx in AllStoragePresentationContexts)


@functools.cache
def supported() -> tuple[PresentationContext, ...]:
    """Every abstract syntax that the node accepts, with its transfer syntaxes."""
    storage = [build_context(uid, list(STORAGE_SYNTAXES)) for uid in sorted(_storage_classes())]
    services = [build_context(uid, [EXPLICIT, IMPLICIT]) for uid in (VERIFICATION, COMMITMENT)]
    return (*storage, *services)


@dataclass(frozen=True)
class Request:
    """What a peer asked for when it opened an association.

    longest: the longest P-DATA content it takes, 0 for any.
    """

    calling: str
    called: str
    longest: int


@dataclass(frozen=True)
class Context:
    """An accepted presentation context."""

    abstract: str
    syntax: str


def read_request(data: bytes) -> tuple[Request, object]:
    """The request in an A-ASSOCIATE-RQ PDU, and its primitive for `accept`.

    Raises ProtocolError for what cannot be decoded: the parser is fed with whatever comes.
    """
    from pynetdicom.pdu import A_ASSOCIATE_RQ

    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(data)
        primitive = pdu.to_primitive()
        longest = primitive.maximum_length_received or 0
        request = Request(
            str(primitive.calling_ae_title).strip(),
            str(primitive.called_ae_title).strip(),
            int(longest),
        )
    except Exception as error:  # whatever a broken request makes it trip over
        raise ProtocolError(
            "The peer's request for an association cannot be read.", Reason.INVALID_PARAMETER
        ) from error
    return request, primitive


def accept(primitive: object, longest: int) -> tuple[bytes, dict[int, Context]]:
    """The A-ASSOCIATE-AC PDU for a request, and what it accepts by context number.

    longest: the longest P-DATA content that we take. Raises ProtocolError.
    """
    from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID
    from pynetdicom.pdu import A_ASSOCIATE_AC
    from pynetdicom.pdu_primitives import (
        A_ASSOCIATE,
        ImplementationClassUIDNotification,
        ImplementationVersionNameNotification,
        MaximumLengthNotification,
    )

    try:
        asked = primitive.presentation_context_definition_list  # type: ignore[attr-defined]
        results, _ = negotiate_as_acceptor(asked, list(supported()))
        reply = A_ASSOCIATE()
        reply.application_context_name = UID("1.2.840.10008.3.1.1.1")
        reply.calling_ae_title = primitive.calling_ae_title  # type: ignore[attr-defined]
        reply.called_ae_title = primitive.called_ae_title  # type: ignore[attr-defined]
        reply.result, reply.result_source = 0, 1
        reply.presentation_context_definition_results_list = results
        length, maker, version = (
            MaximumLengthNotification(),
            ImplementationClassUIDNotification(),
            ImplementationVersionNameNotification(),
        )
        length.maximum_length_received = longest
        maker.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
        version.implementation_version_name = "RADLOOP"
        reply.user_information = [length, maker, version]
        pdu = A_ASSOCIATE_AC()
        pdu.from_primitive(reply)
        accepted = {
            int(cx.context_id): Context(str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
            for cx in results
            if cx.result == 0 and cx.context_id is not None
        }
        return pdu.encode(), accepted
    except Exception as error:
        raise ProtocolError(
            "The peer's request for an association cannot be answered.", Reason.INVALID_PARAMETER
        ) from error
