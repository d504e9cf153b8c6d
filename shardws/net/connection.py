"""One client's connection, from accept to the end of TCP.

Owns the transport, the opening request, the session and the order of the end of one client. What
leaves it is in `outbox`, what time does to it in `deadlines`, its data and states in `record`. Must
not know handlers, other connections or other shards: it tells its Owner (the shard) what happened.
"""

import asyncio
import time
from typing import Final, cast

from shardws.errors import HandshakeError
from shardws.interfaces import ByteTransport
from shardws.net.deadlines import Deadlines
from shardws.net.options import UNTOUCHED
from shardws.net.outbox import ANSWER
from shardws.net.record import (
    BLOCKED_PARTS,
    BLOCKED_WIRE,
    CLOSING,
    DECIDING,
    ENDING,
    LOST,
    OPEN,
    OPENING,
)
from shardws.outcomes import DROPPED, GONE, QUEUED, SendOutcome
from shardws.protocol import handshake
from shardws.protocol.keepalive import NEVER
from shardws.protocol.session import Session, State

# How long a client that is denied anyway may take for its opening request.
DENIED_S: Final = 3.0
# A plain name: looking up a member of an enumeration would be seen in the cost of a message.
IN_SESSION: Final = State.OPEN


class Connection(Deadlines):
    """One client."""

    __slots__ = ()

    # -- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(ByteTransport, transport)
        wire = cast(asyncio.Transport, transport)
        config = self.config
        wire.set_write_buffer_limits(config.high_mark, config.low_mark)
        if config.options is not UNTOUCHED:
            config.options.apply(transport.get_extra_info("socket"))
        # Thousands of connections share one address text: behind a proxy, and at this end anyway.
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer and not self.remote_host:
            self.remote_host, self.remote_port = self.owner.interned.shared(peer[0]), peer[1]
        if here:
            self.local_address = self.owner.interned.shared(here[0])
        self.reader = handshake.HandshakeReader(config.handshake)
        self.seen = self.owner.now
        if config.open_timeout:
            self.expire_in(config.open_timeout)
        self.owner.accepted(self)

    def data_received(self, data: bytes) -> None:
        session, owner = self.session, self.owner
        if session is None:
            self._read_request(data)
            return
        self.seen = owner.now
        self.corked = True
        items = session.receive(data)
        if items:
            owner.received(self, items, len(data))
        else:
            owner.counters.received(0, len(data))
        # What follows is `settle`, without the call.
        self.corked = False
        if session.replies:
            self._take_replies(session)
        if self.outbox:
            self.flush()
        if session.state is not IN_SESSION:
            self._follow(session)

    def settle(self, session: Session) -> None:
        """Write what came together and follow the session; uncorks the connection."""
        self.corked = False
        if session.replies:
            self._take_replies(session)
        if self.outbox:
            self.flush()
        if session.state is not IN_SESSION:
            self._follow(session)

    def eof_received(self) -> bool:
        if self.state in (OPEN, CLOSING):
            # The peer may have left without reading what waits: that must not take for ever.
            self._cancel_parts()
            self._begin_end()
        return False  # the transport closes itself; connection_lost follows

    def pause_writing(self) -> None:
        self.blocked |= BLOCKED_WIRE
        self.owner.written_full(self)

    def resume_writing(self) -> None:
        self.blocked &= ~BLOCKED_WIRE
        self._send_late_pong()
        if self.blocked:
            self.multipart.go_on()  # which tells who was refused
        else:
            self.owner.drained(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.state = LOST
        self._cancel_parts()
        self.transport = None
        self.reader = None
        self.outbox = []
        self.pending = 0
        session = self.session
        self.owner.lost(self, session.lost() if session is not None else None)

    # -- opening ---------------------------------------------------------------------------

    @property
    def is_opening(self) -> bool:
        """Whether the opening handshake still goes on."""
        return self.state in (OPENING, DECIDING)

    def _read_request(self, data: bytes) -> None:
        if self.reader is None or self.state != OPENING:
            return  # a refused peer goes on talking, or one that is being decided on
        if self.holds:  # its address is being decided on
            self.extra().early += data
            self.set_reading(False)
            return
        try:
            request = self.reader.receive(data)
        except HandshakeError as error:
            self.refuse(error)
            return
        if request is None:
            return
        if self.refusal is not None:
            self.refuse(self.refusal)
        else:
            self.request = request
            self.state = DECIDING
            self.owner.requested(self, request)

    @property
    def refusal(self) -> HandshakeError | None:
        """What the opening request will be answered with in any case."""
        return None if self.extras is None else self.extras.refusal

    def deny(self, error: HandshakeError) -> None:
        """Refuse the opening request once it is there: clients do not expect an answer before."""
        self.extra().refusal = error
        self.expire_at(min(self.deadline or NEVER.again_at, time.monotonic() + DENIED_S))
        self.feed_early()

    def feed_early(self) -> None:
        """Read what came while the address was decided on."""
        extras = self.extras
        if extras is not None and extras.early:
            early, extras.early = extras.early, b""
            self._read_request(early)

    def open(self, answer: bytes, session: Session) -> None:
        """Queue the 101 answer and become OPEN; `feed_rest` reads what came behind the request.

        The answer leaves with the greeting in one write: `settle` follows.
        """
        self.state = OPEN
        self.session = session
        self.was_opened = True
        self.corked = True
        self.outbox.append((ANSWER, answer))
        self.is_framed = True
        self.uncounted = 1
        self.schedule_keepalive(self.owner.now)

    def feed_rest(self) -> None:
        """Read the frames that came in one segment with the request."""
        reader, self.reader = self.reader, None
        if reader is not None and reader.rest and self.state == OPEN:
            self.data_received(reader.rest)

    def refuse(self, error: HandshakeError) -> None:
        """Answer the opening request with an HTTP error and end."""
        if self.transport is None or self.state >= ENDING:
            return
        self.owner.refused(self, error)
        self.transport.write(handshake.refuse(error))
        self._linger()

    # -- ending ----------------------------------------------------------------------------

    def disconnect(self, code: int, reason: str) -> SendOutcome:
        """Start the closing handshake (RFC 6455 7.1.2)."""
        session = self.session
        if session is None:
            if self.state in (OPENING, DECIDING):
                self.refuse(HandshakeError(503, "the server is going away"))
            return GONE if self.state == LOST else DROPPED
        if self.state != OPEN:
            return GONE if self.state == LOST else DROPPED
        session.close(code, reason)
        if self.corked:
            # The close frame takes its place now: what is sent afterwards must not overtake it.
            self._take_replies(session)
            self.flush()
            self._follow(session)
        else:
            self.settle(session)
        return QUEUED

    def _follow(self, session: Session) -> None:
        """Do what the session's state asks for."""
        if self.state >= ENDING:
            return
        self._cancel_parts()
        if session.state is State.CLOSED:
            ending = session.ending
            if ending is not None and ending.is_clean and not self.waiting:
                self._end()
            else:  # the peer may still send, and something of ours may not have left yet
                self._linger()
        elif self.state == OPEN:
            self.state = CLOSING
            self.expire_in(self.config.close_timeout)

    def _cancel_parts(self) -> None:
        """No message in parts can go on."""
        if self.blocked & BLOCKED_PARTS:
            self.multipart.cancel()

    def _end(self) -> None:
        """Close TCP after what is written, and by force when that takes too long."""
        self._begin_end()
        if self.transport is not None:
            self.transport.close()

    def _linger(self) -> None:
        """Send FIN but go on reading: closing with unread bytes would reset our last words away."""
        self._begin_end()
        self.reader = None
        transport = cast(asyncio.Transport, self.transport)
        self.set_reading(True)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def broken(self, reason: str) -> None:
        """End, since TLS below has ended; `reason` is told if no close frame says another."""
        if self.state >= ENDING:
            return
        self.flush()
        if self.session is not None:
            self.session.lost(reason)
        self._linger()

    def abort(self) -> None:
        """End TCP at once; connection_lost follows."""
        if self.transport is not None:
            self.state = max(self.state, ENDING)
            self.transport.abort()

    def set_reading(self, wanted: bool) -> None:
        """Resume or pause reading of the socket."""
        if self.transport is None:
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
