"""What the node is told: its title and port, who may speak to it, and where it stops listening."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

MEGABYTE = 1 << 20


def _title(value: str) -> str:
    """An AE title as PS3.5 6.2 allows it: 1 to 16 printable ASCII characters, no backslash."""
    title = value.strip(" ")
    if not 1 <= len(title) <= 16 or not (title.isascii() and title.isprintable()) or "\\" in title:
        raise ValueError(
            "an AE title has 1 to 16 characters: letters, digits and signs, no backslash"
        )
    return title


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsOptions(_Frozen):
    """TLS for what arrives: PEM files of our certificate and key.

    client_ca: where given, a peer must show a certificate signed by it (BCP 195 with mutual
        authentication, PS3.15 B.9 to B.11); otherwise any peer may connect.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


class PeerTls(_Frozen):
    """TLS towards a peer: the authority that signed its certificate, and what we show of ours."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None


class Peer(_Frozen):
    """Another application entity: a scanner that sends, or the PACS that we send to and query.

    name: what settings and jobs call it.
    addresses: networks or addresses that it may connect from, as in `("10.1.2.0/24",)`. Without
        any, only the address in `host` is accepted, where that is one, and loopback otherwise.
    host, port: where it listens; needed only for what is sent to it.
    """

    name: str
    ae_title: str
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    addresses: tuple[str, ...] = ()
    tls: PeerTls | None = None

    _checked = field_validator("ae_title")(_title)

    @field_validator("addresses")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ipaddress.ip_network(value, strict=False)
        return values

    def may_connect_from(self, address: str) -> bool:
        """Whether the peer may speak from `address` (as text; IPv4 within IPv6 counts as IPv4)."""
        came = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(came, ipaddress.IPv6Address) and came.ipv4_mapped:
            came = came.ipv4_mapped
        if not self.addresses:
            try:
                return came == ipaddress.ip_address(self.host)
            except ValueError:  # a name: who answers to it may change, so it admits nobody
                return came.is_loopback
        return any(came in ipaddress.ip_network(net, strict=False) for net in self.addresses)


class NodeLimits(_Frozen):
    """Where the node stops listening. Times are seconds, sizes bytes.

    associations: open at a time; one more is rejected as congestion.
    waiting: connections that have not asked for an association yet; one more pushes the oldest out.
    waiting_an_address: of those, from one address.
    pdu_bytes: the longest PDU that is announced as acceptable. 128 KiB is what DCMTK can send.
    request_bytes: the longest request for an association (128 contexts of 64 syntaxes fit).
    object_bytes: the largest object, as it is sent.
    inflated_bytes: the largest object after inflation, where its syntax is deflated.
    command_bytes: the longest command set, and the longest data set of a query or action.
    request_timeout: from connection to a complete request (the ARTIM timer of PS3.8 9.1.5),
        TLS handshake included.
    idle_timeout: between messages, and for a peer that takes no answer.
    pdu_timeout: from a PDU's first byte to its last.
    bytes_a_second: a message must come at least so fast, after the first `pdu_timeout`.
    """

    associations: Annotated[int, Field(ge=1)] = 32
    waiting: Annotated[int, Field(ge=1)] = 256
    waiting_an_address: Annotated[int, Field(ge=1)] = 128
    pdu_bytes: Annotated[int, Field(ge=4096, le=16 * MEGABYTE)] = 131072
    request_bytes: Annotated[int, Field(ge=4096)] = MEGABYTE
    object_bytes: Annotated[int, Field(ge=1)] = 2048 * MEGABYTE
    inflated_bytes: Annotated[int, Field(ge=1)] = 2048 * MEGABYTE
    command_bytes: Annotated[int, Field(ge=1024)] = MEGABYTE
    request_timeout: Annotated[float, Field(gt=0)] = 15.0
    idle_timeout: Annotated[float, Field(gt=0)] = 60.0
    pdu_timeout: Annotated[float, Field(gt=0)] = 30.0
    bytes_a_second: Annotated[int, Field(ge=1)] = 10_000


class NodeOptions(_Frozen):
    """The node as a whole. As it comes, it hears loopback alone, and only its listed peers.

    peers: who may speak to it, and whom it may send to. Without any, whoever connects from this
        machine itself may speak.
    open_to_all: let any title speak from any address; for a closed test network.
    reuse_port: several processes share the port; the kernel spreads connections among them.
    """

    ae_title: str = "RADLOOP"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    peers: tuple[Peer, ...] = ()
    open_to_all: bool = False
    tls: TlsOptions | None = None
    limits: NodeLimits = NodeLimits()
    reuse_port: bool = False

    _checked = field_validator("ae_title")(_title)

    def admits(self, ae_title: str, address: str) -> bool:
        """Whether a peer of this title may speak from this address."""
        if self.open_to_all:
            return True
        if not self.peers:
            return Peer(name="", ae_title="ANY").may_connect_from(address)
        mine = (peer for peer in self.peers if peer.ae_title == ae_title.strip(" "))
        return any(peer.may_connect_from(address) for peer in mine)

    def admits_address(self, address: str) -> bool:
        """Whether any peer at all may speak from this address: asked before a byte is read."""
        if self.open_to_all:
            return True
        peers = self.peers or (Peer(name="", ae_title="ANY"),)
        return any(peer.may_connect_from(address) for peer in peers)
