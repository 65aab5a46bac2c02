"""PDUs over a socket: read whole within limits of size and time, sent within a limit of time."""

from __future__ import annotations

import socket
import time

from radloop.service.node.options import NodeLimits
from radloop.service.node.pdu import HEADER, Kind, ProtocolError, Reason, header


class ClosedError(Exception):
    """The peer closed the connection, or it broke."""


class TooSlowError(ProtocolError):
    """The peer let a time pass that it may not."""


class Wire:
    """One connection. Its buffer holds two PDUs at most, however large the objects are."""

    def __init__(self, sock: socket.socket, limits: NodeLimits) -> None:
        self.socket = sock
        self.limits = limits
        self._buffer = bytearray(2 * (max(limits.pdu_bytes, 4096) + HEADER))
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def read(self, idle: float) -> tuple[Kind, memoryview]:
        """The next PDU's type and content, a view that is good until the next call.

        idle: seconds to wait for its first byte. Raises ClosedError, TooSlowError, and
        ProtocolError for what is no PDU or longer than the limit: it is refused by its header,
        before it is read.
        """
        deadline = time.monotonic() + (idle if self._start == self._end else self._pdu_time())
        begun = self._start != self._end
        while self._end - self._start < HEADER:
            self._receive(deadline)
            if not begun:
                begun, deadline = True, time.monotonic() + self._pdu_time()
        kind, length = header(self._view[self._start : self._start + HEADER])
        if length > self.limits.pdu_bytes:
            raise ProtocolError(
                "The peer announced a PDU longer than was agreed.", Reason.INVALID_PARAMETER
            )
        whole = HEADER + length
        while self._end - self._start < whole:
            self._receive(deadline)
        content = self._view[self._start + HEADER : self._start + whole]
        self._start += whole
        return kind, content

    def send(self, data: bytes) -> None:
        """Send all of it. Raises ClosedError, and TooSlowError for a peer that takes nothing."""
        try:
            self.socket.settimeout(self.limits.idle_timeout)
            self.socket.sendall(data)
        except TimeoutError as error:
            raise TooSlowError("The peer takes no answer.") from error
        except OSError as error:
            raise ClosedError from error

    def _pdu_time(self) -> float:
        return self.limits.pdu_timeout

    def _receive(self, deadline: float) -> None:
        """More bytes into the buffer, whatever has come."""
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._buffer) - self._start < self.limits.pdu_bytes + HEADER:
            rest = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, len(rest)
            self._view[: self._end] = rest
        left = deadline - time.monotonic()
        if left <= 0:
            raise TooSlowError("The peer sent too slowly, or nothing for too long.")
        try:
            self.socket.settimeout(left)
            count = self.socket.recv_into(self._view[self._end :])
        except TimeoutError as error:
            raise TooSlowError("The peer sent too slowly, or nothing for too long.") from error
        except OSError as error:
            raise ClosedError from error
        if not count:
            raise ClosedError
        self._end += count
