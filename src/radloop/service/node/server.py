"""The node's doors: listening, TLS, who may come in, and how many.

One thread accepts and reads requests for associations from all connections at once; only who is
admitted gets a thread. However many connections do nothing, they cost a descriptor each, the
oldest goes when there are too many, and others are served meanwhile.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from radloop.errors import InputError, RadloopError
from radloop.service.logs import event
from radloop.service.node import pdu
from radloop.service.node.association import Association, Services
from radloop.service.node.contexts import accept, read_request
from radloop.service.node.options import NodeOptions
from radloop.service.node.pdu import HEADER, Kind, ProtocolError, Reason
from radloop.service.node.wire import Wire
from radloop.service.settings import Settings
from radloop.service.store.database import Store

PERMANENT, TRANSIENT = 1, 2
_BY_USER, _BY_PRESENTATION = 1, 3
_CALLING_UNKNOWN, _CALLED_UNKNOWN, _LIMIT = 3, 7, 2


class NodeError(RadloopError):
    """The node cannot listen, or a peer cannot be reached or does not do what it was asked."""


@dataclass
class _Waiting:
    """A connection that has not asked for an association yet."""

    socket: socket.socket
    address: str
    since: float
    data: bytearray = field(default_factory=bytearray)
    shaking: bool = False


class Server:
    """Listens from construction on; `stop` ends it. services: makes those of one association,
    and gives back what is to be called when it ends."""

    def __init__(
        self, options: NodeOptions, services: Callable[[], tuple[Services, Callable[[], None]]]
    ) -> None:
        self.options = options
        self._services = services
        self._tls = _tls_context(options)
        self._listener = _listen(options)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waiting: OrderedDict[socket.socket, _Waiting] = OrderedDict()
        self._stop = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="dicom-node", daemon=True)
        self._thread.start()

    @property
    def associations(self) -> int:
        """How many are open."""
        with self._lock:
            return len(self._threads)

    @property
    def waiting(self) -> int:
        """How many connections have not asked for an association."""
        return len(self._waiting)

    def stop(self, grace: float = 10.0) -> None:
        """Take no more associations, let messages at hand end for `grace` seconds."""
        self._stop.set()
        self._thread.join(timeout=5)
        deadline = time.monotonic() + grace
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))

    # --- one thread for all who wait ---------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for key, _ in self._selector.select(timeout=0.25):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._hear(self._waiting[key.fileobj])
                self._drop_late()
        finally:
            for one in list(self._waiting.values()):
                self._drop(one)
            self._selector.close()
            self._listener.close()

    def _accept(self) -> None:
        for _ in range(64):
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return  # nobody more, or out of descriptors: those who wait go in time
            address = str(peer[0])
            limits = self.options.limits
            if not self.options.admits_address(address):
                event("node", "refused", reason="address")
                connection.close()
                continue
            same = [one for one in self._waiting.values() if one.address == address]
            if len(same) >= limits.waiting_an_address:
                self._drop(same[0])
            elif len(self._waiting) >= limits.waiting:
                self._drop(next(iter(self._waiting.values())))
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            shaking = False
            if self._tls is not None:
                try:
                    connection = self._tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:  # gone already
                    connection.close()
                    continue
                shaking = True
            one = _Waiting(connection, address, time.monotonic(), shaking=shaking)
            self._waiting[connection] = one
            self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, one: _Waiting) -> None:
        """Read what has come of a handshake or a request, and answer a request that is whole."""
        try:
            if one.shaking:
                assert isinstance(one.socket, ssl.SSLSocket)
                one.socket.do_handshake()
                one.shaking = False
                self._selector.modify(one.socket, selectors.EVENT_READ)
            while True:
                piece = one.socket.recv(65536)
                if not piece:
                    raise ConnectionError
                one.data += piece
                if self._is_whole(one):
                    self._admit(one)
                    return
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except ssl.SSLWantWriteError:
            self._selector.modify(one.socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
        except ProtocolError as error:
            event("node", "refused", reason="protocol")
            self._answer(one, pdu.abort(error.reason))
            self._drop(one)
        except OSError:  # closed, or no TLS
            self._drop(one)

    def _is_whole(self, one: _Waiting) -> bool:
        """Whether the request is complete. Raises ProtocolError for what can be none."""
        if len(one.data) < HEADER:
            return False
        kind, length = pdu.header(one.data)
        if kind is not Kind.ASSOCIATE_RQ:
            raise ProtocolError("The peer did not ask for an association.", Reason.UNEXPECTED)
        if length > self.options.limits.request_bytes:
            raise ProtocolError("The peer's request is too long.", Reason.INVALID_PARAMETER)
        if len(one.data) > HEADER + length:
            raise ProtocolError("The peer did not wait for an answer.", Reason.UNEXPECTED)
        return len(one.data) == HEADER + length

    def _admit(self, one: _Waiting) -> None:
        """Reject, or start the association's thread. Raises ProtocolError."""
        request, primitive = read_request(bytes(one.data))
        if request.called != self.options.ae_title:
            refusal = (PERMANENT, _BY_USER, _CALLED_UNKNOWN)
        elif not self.options.admits(request.calling, one.address):
            refusal = (PERMANENT, _BY_USER, _CALLING_UNKNOWN)
        elif self.associations >= self.options.limits.associations:
            refusal = (TRANSIENT, _BY_PRESENTATION, _LIMIT)
        else:
            refusal = None
        if refusal is not None:
            event("node", "rejected", reason=refusal[2])
            self._answer(one, pdu.reject(*refusal))
            self._drop(one)
            return
        reply, contexts = accept(primitive, self.options.limits.pdu_bytes)
        self._selector.unregister(one.socket)
        del self._waiting[one.socket]
        one.socket.setblocking(True)
        services, ended = self._services()
        wire = Wire(one.socket, self.options.limits)
        association = Association(wire, request, contexts, services, self._stop)

        def run() -> None:
            how = "failed"
            try:
                with contextlib.suppress(Exception):
                    wire.send(reply)
                    how = association.run()
            finally:
                ended()
                _close(one.socket)
                with self._lock:
                    self._threads.discard(thread)
                event("node", "association", state=how, reason=association.failure)

        thread = threading.Thread(target=run, name="dicom-association", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _answer(self, one: _Waiting, data: bytes) -> None:
        with contextlib.suppress(OSError):
            one.socket.send(data)

    def _drop(self, one: _Waiting) -> None:
        self._waiting.pop(one.socket, None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(one.socket)
        _close(one.socket)

    def _drop_late(self) -> None:
        limit = time.monotonic() - self.options.limits.request_timeout
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if oldest.since > limit:
                return
            self._drop(oldest)


def start_node(store: Store, settings: Settings) -> Server:
    """The node of a service: what comes is stored and registered. Raises NodeError, InputError."""
    from radloop.service.node.services import make_services

    options = settings.node
    server = Server(options, lambda: make_services(store, options))
    event("node", "listening", port=server.address[1])
    return server


def _listen(options: NodeOptions) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((options.host, options.port))
        listener.listen(512)
        listener.setblocking(False)
    except OSError as error:
        raise NodeError(
            f"The DICOM node cannot listen at {options.host}:{options.port}: {error.strerror}.",
            "Choose another port in the settings, or stop the program that has it.",
        ) from error
    return listener


def _tls_context(options: NodeOptions) -> ssl.SSLContext | None:
    """TLS 1.2 or newer, as BCP 195 asks (PS3.15 B.9)."""
    if options.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls.certificate, options.tls.key)
        if options.tls.client_ca is not None:
            context.load_verify_locations(options.tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            "The DICOM node's certificate, key or authority cannot be read.",
            "Give PEM files that belong together in the settings under node.tls.",
        ) from error
    return context


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
