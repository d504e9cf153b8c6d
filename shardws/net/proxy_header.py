"""The PROXY header in front of a connection that comes from a trusted proxy.

Owns the transport until the header is read, then hands it over with the bytes that followed, which
may be TLS or an opening request. A peer that is not a trusted proxy is handed over immediately: a
PROXY header from there is bad input.

Is a wire, so that the pump can serve its socket too, and then its own transport.
"""

import asyncio
import logging
from typing import Protocol, cast

from shardws.errors import ProxyError
from shardws.log import Adapter
from shardws.net.addresses import Networks, plain_address
from shardws.net.pump import Pump, Wire
from shardws.protocol.proxy import Endpoint, ProxyReader


class ProxyHeaderOwner(Protocol):
    """What reading a PROXY header requires of its shard."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def log(self) -> Adapter: ...
    @property
    def pump(self) -> Pump: ...
    def connect(self, source: Endpoint | None) -> asyncio.Protocol:
        """Return the protocol for a connection that comes from `source`; None: from its peer."""


class ProxyHeader(Wire):
    """One accepted socket whose proxy must first send a PROXY header."""

    __slots__ = (
        "_deadline",
        "_owner",
        "_peer",
        "_reader",
        "_seconds",
        "_trusted",
        "_waiting",
        "_way",
    )

    def __init__(
        self,
        owner: ProxyHeaderOwner,
        versions: str,
        trusted: Networks,
        seconds: float,
        waiting: "set[ProxyHeader]",
    ) -> None:
        """`waiting` holds the sockets that wait for their header, so that they can be closed."""
        self.bind(owner.pump)
        self._owner = owner
        self._trusted = trusted
        self._reader = ProxyReader(versions)
        self._seconds = seconds  # for the header; 0 none
        self._waiting = waiting
        self._way: asyncio.Transport | ProxyHeader | None = None  # itself: the pump's
        self._deadline: asyncio.TimerHandle | None = None
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._way = way = cast("asyncio.Transport | ProxyHeader", transport)
        peer = way.get_extra_info("peername")
        self._peer = plain_address(peer[0]) if peer else ""
        if self._peer not in self._trusted:
            self._hand_over(None, b"")
            return
        self._waiting.add(self)
        if self._seconds:
            self._deadline = self._owner.loop.call_later(
                self._seconds, self._refuse, "no PROXY header in time"
            )

    def bytes_received(self, data: bytes) -> None:
        if self._way is None:
            return  # refused
        try:
            header = self._reader.receive(data)
        except ProxyError as error:
            self._refuse(error.description)
            return
        if header is not None:
            self._hand_over(header.source, self._reader.rest)

    def eof_received(self) -> bool:
        return False  # it is closed; connection_lost follows

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()

    def abort(self) -> None:
        """End the connection without an event."""
        way = self._leave()
        if isinstance(way, ProxyHeader):
            way.abort_wire()
        elif way is not None:
            way.abort()

    def _refuse(self, reason: str) -> None:
        if self._way is not None:
            text = "closed a connection from proxy %s: %s"
            self._owner.log.stranger("PROXY errors", logging.WARNING, text, self._peer, reason)
            self.abort()

    def _hand_over(self, source: Endpoint | None, rest: bytes) -> None:
        way = self._leave()
        assert way is not None
        protocol = self._owner.connect(source)
        if isinstance(way, ProxyHeader):
            following = cast(Wire, protocol)
            self._owner.pump.hand_over(self, following)
            is_over = not following.is_attached
        else:
            way.set_protocol(protocol)
            protocol.connection_made(way)
            is_over = way.is_closing()
        if rest and not is_over:
            protocol.data_received(rest)

    def _leave(self) -> "asyncio.Transport | ProxyHeader | None":
        """Detach the transport and return it."""
        way, self._way = self._way, None
        self._waiting.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return way
