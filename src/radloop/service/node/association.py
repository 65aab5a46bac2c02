"""One association, from its acceptance to its end: messages in, answers out.

What a message does is in `Services`, plain functions; here is only the protocol (PS3.8 9.2 for an
acceptor, PS3.7 7 for messages). An object's bytes go on as they come: memory does not grow with
its size.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from radloop.service.node import dimse, pdu
from radloop.service.node.contexts import Context, Request
from radloop.service.node.dimse import Command, Field, Status
from radloop.service.node.pdu import Kind, ProtocolError, Reason
from radloop.service.node.wire import ClosedError, TooSlowError, Wire


class Incoming(Protocol):
    """An object that is being received: its bytes, then `finish`, or `discard`. Neither raises."""

    def write(self, piece: memoryview) -> None: ...

    def finish(self) -> tuple[Status, str]: ...

    def discard(self) -> None: ...


Answer = tuple[Status, str]
Report = tuple[Command, bytes]


@dataclass(frozen=True)
class Services:
    """What the node does with messages.

    store: begins to receive the object of a C-STORE.
    action: answers an N-ACTION, given its data set; a report is what is then sent to the peer.
    unreported: told of a report that the peer never answered.
    """

    store: Callable[[Command, Context], Incoming]
    action: Callable[[Command, Context, bytes, Request], tuple[Answer, Report | None]]
    unreported: Callable[[Report, Request], None]


@dataclass
class _Message:
    """What came of the message at hand."""

    context: int
    begun: float
    command: Command | None = None
    head: bytearray | None = None
    body: bytearray | None = None
    object: Incoming | None = None
    received: int = 0


class Association:
    """Runs in a thread of its own (`run`). stop: ends it after the message at hand."""

    def __init__(
        self,
        wire: Wire,
        request: Request,
        contexts: dict[int, Context],
        services: Services,
        stop: threading.Event,
    ) -> None:
        self.wire = wire
        self.request = request
        self.contexts = contexts
        self.services = services
        self.stop = stop
        self.failure = ""
        self._message: _Message | None = None
        self._pending: dict[int, Report] = {}
        self._since = time.monotonic()

    def run(self) -> str:
        """Until the peer releases, aborts, breaks the protocol or is too slow. Returns how it
        ended: "released", "aborted", "closed", "refused" or "stopped"."""
        try:
            while True:
                try:
                    kind, content = self.wire.read(self._idle())
                except TooSlowError:
                    if self._message is None and self._waited_for_stop():
                        continue
                    raise
                if kind is Kind.DATA:
                    for context, command, last, data in pdu.values(content):
                        self._value(context, command, last, data)
                elif kind is Kind.RELEASE_RQ:
                    self.wire.send(pdu.release_reply())
                    return "released"
                elif kind is Kind.ABORT:
                    return "aborted"
                else:
                    raise ProtocolError("The peer sent an unexpected PDU.", Reason.UNEXPECTED)
                if self.stop.is_set() and self._message is None:
                    self._abort(Reason.NOT_SPECIFIED, by_user=True)
                    return "stopped"
        except ProtocolError as error:
            self.failure = error.what
            self._abort(error.reason)
            return "refused"
        except _StoppedError:
            self._abort(Reason.NOT_SPECIFIED, by_user=True)
            return "stopped"
        except ClosedError:
            return "closed"
        finally:
            if self._message is not None and self._message.object is not None:
                self._message.object.discard()
            for report in self._pending.values():
                self.services.unreported(report, self.request)

    # Waiting in short steps lets an idle association end soon after `stop`.

    _STEP = 0.5

    def _idle(self) -> float:
        if self._message is not None:
            return self.wire.limits.pdu_timeout
        return min(self._STEP, self.wire.limits.idle_timeout)

    def _waited_for_stop(self) -> bool:
        if self.stop.is_set():
            raise _StoppedError
        return time.monotonic() - self._since < self.wire.limits.idle_timeout

    # --- messages ---------------------------------------------------------------------------

    def _value(self, context: int, command: bool, last: bool, data: memoryview) -> None:
        message = self._message
        if message is None:
            message = self._message = _Message(context, time.monotonic(), head=bytearray())
        if message.context != context:
            raise ProtocolError("A message changed its context.", Reason.INVALID_PARAMETER)
        message.received += len(data)
        limits = self.wire.limits
        spent = time.monotonic() - message.begun
        if spent > limits.pdu_timeout + message.received / limits.bytes_a_second:
            raise TooSlowError("The peer sends a message too slowly.")
        if command:
            self._command_part(message, last, data)
        else:
            self._data_part(message, last, data)

    def _command_part(self, message: _Message, last: bool, data: memoryview) -> None:
        if message.head is None or len(message.head) + len(data) > self.wire.limits.command_bytes:
            raise ProtocolError("The peer sent an unexpected command.", Reason.UNEXPECTED)
        message.head += data
        if not last:
            return
        message.command, message.head = dimse.decode(message.head), None
        context = self._context(message)
        if message.command["CommandDataSetType"] == dimse.NO_DATA_SET:
            self._finished(message)
            return
        message.body = bytearray()
        if message.command["CommandField"] == Field.STORE_RQ:
            message.object = self.services.store(message.command, context)

    def _data_part(self, message: _Message, last: bool, data: memoryview) -> None:
        if message.body is None:
            raise ProtocolError("The peer sent data without a command.", Reason.UNEXPECTED)
        limits = self.wire.limits
        if message.object is not None:
            # Refused objects are read to their end, so that the peer hears why; but not for ever.
            if message.received > 2 * limits.object_bytes + limits.command_bytes:
                raise ProtocolError("The peer sent an object without end.", Reason.NOT_SPECIFIED)
            message.object.write(data)
        else:
            if len(message.body) + len(data) > limits.command_bytes:
                raise ProtocolError("The peer sent too large a data set.", Reason.NOT_SPECIFIED)
            message.body += data
        if last:
            self._finished(message)

    def _finished(self, message: _Message) -> None:
        assert message.command is not None
        command, field = message.command, message.command["CommandField"]
        report: Report | None = None
        if field == Field.STORE_RQ:
            if message.object is None:
                status, comment = Status.NOT_UNDERSTOOD, "no data set"
            else:
                status, comment = message.object.finish()
                message.object = None
        elif field == Field.ECHO_RQ:
            status, comment = Status.SUCCESS, ""
        elif field == Field.ACTION_RQ:
            body = bytes(message.body or b"")
            (status, comment), report = self.services.action(
                command, self._context(message), body, self.request
            )
        elif field == Field.EVENT_REPORT_RQ | 0x8000:
            self._pending.pop(int(command.get("MessageIDBeingRespondedTo", -1)), None)
            self._done()
            return
        elif field == Field.CANCEL_RQ:
            self._done()
            return
        else:
            status, comment = Status.UNRECOGNISED_OPERATION, "not a service of this node"
        self._send(message.context, dimse.answer(command, status, comment))
        self._done()
        if report is not None:
            number = len(self._pending) + 1
            self._pending[number] = report
            self._send(message.context, report[0] | {"MessageID": number}, report[1])

    def _done(self) -> None:
        self._message, self._since = None, time.monotonic()

    def _context(self, message: _Message) -> Context:
        try:
            return self.contexts[message.context]
        except KeyError as error:
            raise ProtocolError(
                "The peer used a context that was not accepted.", Reason.INVALID_PARAMETER
            ) from error

    def _send(self, context: int, command: Command, data: bytes = b"") -> None:
        parts = [*pdu.data_pdus(context, dimse.encode(command), True, self.request.longest)]
        if data:
            parts += pdu.data_pdus(context, data, False, self.request.longest)
        self.wire.send(b"".join(parts))

    def _abort(self, reason: Reason, by_user: bool = False) -> None:
        try:
            self.wire.send(pdu.abort(reason, by_user))
        except (ClosedError, ProtocolError):
            return


class _StoppedError(Exception):
    """The node is being stopped, and the association was idle."""
