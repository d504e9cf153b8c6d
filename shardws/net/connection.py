"""One client's connection, from accept to the end of TCP.

Owns the transport, the opening request, the session and the outgoing frames of one client, and all
its deadlines. Must not know handlers, other connections or other shards: it tells its Owner (the
shard) what happened. Facts to have before reading:

    OPENING   reading the opening request, or the TLS handshake before it
    DECIDING  the application decides on it, perhaps in a coroutine
    OPEN      Connected was fired
    CLOSING   our close frame is out; the peer's is awaited for close_timeout
    ENDING    nothing more will be read as frames; TCP ends after what is written, or at a deadline
    LOST      TCP is over

Frames sent from inside `data_received` of the same connection leave in one write at its end; all
others leave in one write at the end of the loop turn. Nothing ever waits for a timer. The bound of
the outgoing queue is the transport's high mark: above it `send` answers by policy until the
transport has drained below the low mark.
"""

import asyncio
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol, cast

from shardws.errors import HandshakeError
from shardws.interfaces import ByteTransport, Clock
from shardws.outcomes import DROPPED, GONE, QUEUED, Outcome, SendOutcome
from shardws.protocol import codec, handshake
from shardws.protocol.frames import Frame, header
from shardws.protocol.keepalive import NEVER, Action, Keepalive, round_trip, token
from shardws.protocol.session import Ending, Item, Session, SessionConfig, State
from shardws.stats import BYTES_OUT, MESSAGES_OUT, Words

OPENING: Final = 0
DECIDING: Final = 1
OPEN: Final = 2
CLOSING: Final = 3
ENDING: Final = 4
LOST: Final = 5

# More than this in one turn is written at once, so that one handler cannot pile up the turn.
TURN_BYTES: Final = 256 * 1024
# A payload from here on is handed to the transport as it is, not copied into a joined block.
LARGE_BYTES: Final = 64 * 1024
# How long a refused peer may go on sending after our last byte (RFC 6455 7.1.1; RFC 9112 9.6).
LINGER_S: Final = 2.0
# In place of a first byte (both below 0): the payload is a finished frame, or the 101 answer.
FRAMED: Final = -1
ANSWER: Final = -2
PING_BYTE: Final = 0x89
PONG_BYTE: Final = 0x8A


class Policy(IntEnum):
    """What a send to a full connection does (setting OutPolicy)."""

    WAIT = 0  # answers FULL; ReadyToSend tells when to go on
    DROP = 1  # answers DROPPED
    CLOSE = 2  # closes the connection with 1013


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """What all connections of a shard share; made anew when a live setting changes."""

    session: SessionConfig
    handshake: handshake.HandshakeConfig
    keepalive: Keepalive
    high_mark: int  # bytes
    low_mark: int  # bytes
    policy: Policy
    open_timeout: float  # seconds for TLS and the opening request together; 0 none
    close_timeout: float  # seconds the peer has to answer our close frame
    idle_timeout: float  # seconds without a byte either way; 0 none


class Owner(Protocol):
    """What a connection asks of its shard."""

    config: ConnectionConfig
    row: Words
    now: float  # the loop's time at the last tick
    clock: Clock  # the loop's time now

    def accepted(self, connection: "Connection") -> HandshakeError | None: ...
    def requested(self, connection: "Connection", request: handshake.Request) -> None: ...
    def received(self, connection: "Connection", items: list[Item], size: int) -> None: ...
    def written_full(self, connection: "Connection") -> None: ...
    def drained(self, connection: "Connection") -> None: ...
    def lost(self, connection: "Connection", ending: Ending | None) -> None: ...
    def refused(self, connection: "Connection", error: HandshakeError) -> None: ...
    def unsent(self, connection_id: int, outcome: Outcome) -> SendOutcome: ...
    def flush_later(self, connection: "Connection") -> None: ...
    def wake_at(self, connection: "Connection", due: float) -> None: ...


class Connection(asyncio.Protocol):
    """One client; see the module docstring for its states."""

    __slots__ = (
        "active",
        "backlog",
        "config",
        "corked",
        "deadline",
        "entries",
        "extras",
        "full",
        "groups",
        "holds",
        "id",
        "is_framed",
        "late_pong",
        "outbox",
        "owner",
        "pending",
        "ping_at",
        "reader",
        "remote_host",
        "remote_port",
        "request",
        "rtt",
        "seen",
        "session",
        "state",
        "task",
        "transport",
        "was_opened",
    )

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.config = owner.config
        self.id = 0
        self.state = OPENING
        self.transport: ByteTransport | None = None
        self.reader: handshake.HandshakeReader | None = None
        self.request: handshake.Request | None = None
        self.session: Session | None = None
        self.outbox: list[Frame] = []
        self.pending = 0  # payload bytes in outbox
        self.is_framed = False  # some of outbox are finished frames
        self.corked = False  # inside data_received: its end will flush
        self.full = False  # the transport is above its high mark
        self.late_pong: Frame | None = None
        self.was_opened = False
        self.holds = 0  # reasons not to read; see shard.dispatch
        self.task: asyncio.Task[None] | None = None
        self.backlog: list[Any] | None = None
        self.groups: set[str] | None = None
        self.extras: Any = None
        self.remote_host = ""
        self.remote_port = 0
        self.seen = 0.0  # owner.now when the peer was last heard
        self.active = 0.0  # owner.now when data last moved either way
        self.ping_at = 0.0  # when the unanswered ping left; 0 none
        self.rtt = 0.0  # seconds, of the last answered ping
        self.deadline = 0.0
        self.entries = 0  # of this connection in the timer wheel

    # -- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(ByteTransport, transport)
        wire = cast(asyncio.Transport, transport)
        config = self.config
        wire.set_write_buffer_limits(config.high_mark, config.low_mark)
        peer = transport.get_extra_info("peername")
        if peer:
            # Behind a proxy thousands of connections share one address text.
            self.remote_host, self.remote_port = sys.intern(peer[0]), peer[1]
        self.reader = handshake.HandshakeReader(config.handshake)
        self.seen = self.owner.now
        error = self.owner.accepted(self)
        if error is not None:
            self.refuse(error)
        elif config.open_timeout:
            self.expire_at(self.owner.now + config.open_timeout)

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None:
            self._read_request(data)
            return
        owner = self.owner
        self.seen = owner.now
        self.corked = True
        items = session.receive(data)
        if items:
            owner.received(self, items, len(data))
        self.settle(session)

    def settle(self, session: Session) -> None:
        """Write what came together and follow the session; uncorks the connection."""
        self.corked = False
        if session.replies:
            self._take_replies(session)
        if self.outbox:
            self.flush()
        if session.state is not State.OPEN:
            self._follow(session)

    def eof_received(self) -> bool:
        return False  # the transport closes itself; connection_lost follows

    def pause_writing(self) -> None:
        self.full = True
        self.owner.written_full(self)

    def resume_writing(self) -> None:
        self.full = False
        if self.late_pong is not None and self.state in (OPEN, CLOSING):
            self.outbox.append(self.late_pong)
            self.late_pong = None
            self.flush()
        self.owner.drained(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.state = LOST
        self.transport = None
        self.reader = None
        self.outbox = []
        self.pending = 0
        session = self.session
        self.owner.lost(self, session.lost() if session is not None else None)

    # -- opening ---------------------------------------------------------------------------

    def _read_request(self, data: bytes) -> None:
        if self.reader is None or self.state != OPENING:
            return  # a refused peer goes on talking, or one that is being decided on
        try:
            request = self.reader.receive(data)
        except HandshakeError as error:
            self.refuse(error)
            return
        if request is not None:
            self.request = request
            self.state = DECIDING
            self.owner.requested(self, request)

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

    # -- sending ---------------------------------------------------------------------------

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message or control frame; `kind` is 1, 2, 9 or 10."""
        if self.state != OPEN or self.full:
            return self._unsent()
        session = self.session
        assert session is not None
        outbox = self.outbox
        if not outbox and not self.corked:
            self.owner.flush_later(self)
        if session.is_plain:
            outbox.append((0x80 | kind, payload))
        else:
            outbox += session.frames_of(kind, payload)
        self.pending += len(payload)
        if self.pending > TURN_BYTES:
            self.flush()
        return QUEUED

    def send_shared(self, kind: int, payload: bytes, frame: bytes) -> SendOutcome:
        """Queue a message that goes to many; `frame` is its finished plain frame."""
        session = self.session
        if self.state != OPEN or self.full or session is None or not session.is_plain:
            return self.send(kind, payload)
        if not self.outbox and not self.corked:
            self.owner.flush_later(self)
        self.outbox.append((FRAMED, frame))
        self.is_framed = True
        self.pending += len(payload)
        if self.pending > TURN_BYTES:
            self.flush()
        return QUEUED

    def flush(self) -> None:
        """Write what the outbox holds, as one block but for large payloads."""
        frames = self.outbox
        transport = self.transport
        if not frames or transport is None:
            return
        self.outbox = []
        pending, self.pending = self.pending, 0
        row = self.owner.row
        self.active = self.owner.now
        row[MESSAGES_OUT] += len(frames) - (self.is_framed and frames[0][0] == ANSWER)
        if pending < LARGE_BYTES:
            data = self._joined(frames) if self.is_framed else codec.join(frames)
            row[BYTES_OUT] += len(data)
            transport.write(data)
            return
        row[BYTES_OUT] += pending
        for frame in frames:
            if frame[0] < 0:
                transport.write(frame[1])
            elif len(frame[1]) < LARGE_BYTES:
                transport.write(codec.join([frame]))
            else:
                transport.write(header(frame[0], len(frame[1])))
                transport.write(frame[1])

    def _joined(self, frames: list[Frame]) -> bytes:
        """Join frames of which some are finished already."""
        self.is_framed = False
        join = codec.join
        return b"".join([frame[1] if frame[0] < 0 else join([frame]) for frame in frames])

    def _unsent(self) -> SendOutcome:
        """Answer a send that cannot be taken now, by state and policy."""
        if self.state != OPEN:
            outcome = Outcome.GONE if self.state == LOST else Outcome.DROPPED
            return self.owner.unsent(self.id, outcome)
        policy = self.config.policy
        if policy is Policy.CLOSE:
            self.disconnect(1013, "outgoing queue is full")
        outcome = Outcome.FULL if policy is Policy.WAIT else Outcome.DROPPED
        return self.owner.unsent(self.id, outcome)

    def _take_replies(self, session: Session) -> None:
        while session.replies:
            self.take_reply()

    def take_reply(self) -> None:
        """Queue the session's oldest reply; at a ping its pong, before later answers."""
        session = self.session
        if session is None or not session.replies:
            return
        reply = session.replies.pop(0)
        if self.full and reply[0] == PONG_BYTE:
            # A peer that pings and does not read: only the newest pong is owed (RFC 6455 5.5.3).
            self.late_pong = reply
        else:
            self.outbox.append(reply)

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
        if not self.corked:
            self.settle(session)
        return QUEUED

    def _follow(self, session: Session) -> None:
        """Do what the session's state asks for."""
        if self.state >= ENDING:
            return
        if session.state is State.CLOSED:
            ending = session.ending
            if ending is not None and ending.error is not None:
                self._linger()
            else:
                self._end()
        elif self.state == OPEN:
            self.state = CLOSING
            if session.config.wait_for_close:
                self.expire_at(self.owner.now + self.config.close_timeout)
            else:
                self._end()

    def _end(self) -> None:
        """Close TCP after what is written, and by force when that takes too long."""
        self.state = ENDING
        if self.transport is not None:
            self.expire_at(self.owner.now + LINGER_S)
            self.transport.close()

    def _linger(self) -> None:
        """Send FIN but go on reading: closing with unread bytes would reset our last words away."""
        self.state = ENDING
        self.reader = None
        transport = cast(asyncio.Transport, self.transport)
        self.expire_at(self.owner.now + LINGER_S)
        self.set_reading(True)
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    @property
    def is_opening(self) -> bool:
        """Whether the opening handshake still goes on."""
        return self.state in (OPENING, DECIDING)

    def abort(self) -> None:
        """End TCP at once; connection_lost follows."""
        if self.transport is not None:
            self.state = max(self.state, ENDING)
            self.transport.abort()

    # -- reading and time ------------------------------------------------------------------

    def set_reading(self, wanted: bool) -> None:
        """Resume or pause reading of the socket."""
        if self.transport is None:
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def expire_at(self, deadline: float) -> None:
        """Set the deadline; the wheel calls `expire` then or a tick later."""
        earlier = not self.entries or deadline < self.deadline
        self.deadline = deadline
        if earlier:
            self.entries += 1
            self.owner.wake_at(self, deadline)

    def expire(self, now: float) -> None:
        """Act on a deadline; called by the wheel, once for each entry."""
        self.entries -= 1
        if self.state == LOST:
            return
        if now < self.deadline:
            if not self.entries:
                self.entries = 1
                self.owner.wake_at(self, self.deadline)
            return
        if self.state == OPEN:
            self.schedule_keepalive(now)
        elif self.state == OPENING:
            self.refuse(HandshakeError(408, "no opening request in time"))
        elif self.state == DECIDING:
            self.refuse(HandshakeError(503, "the application did not decide in time"))
        else:
            self.abort()

    def schedule_keepalive(self, now: float) -> None:
        """Ping, give up or wait, as the keepalive rules and the idle timeout say."""
        config = self.config
        idle_at = self.active + config.idle_timeout if config.idle_timeout else NEVER.again_at
        if now >= idle_at:
            self._give_up("no data within the timeout")
            return
        step = config.keepalive.step(now, self.seen, self.ping_at, self.id)
        if step.action is Action.GIVE_UP:
            self._give_up("no answer to a ping")
            return
        if step.action is Action.PING:
            self.ping_at = now
            self.outbox.append((PING_BYTE, token(now)))  # past the bound: it must not be refused
            self.flush()
        due = min(step.again_at, idle_at)
        if due < NEVER.again_at:
            self.expire_at(due)

    def take_pong(self, payload: bytes) -> bool:
        """Note the round trip when the pong answers our ping; False for any other pong."""
        rtt = round_trip(payload, self.ping_at, self.owner.clock())
        if rtt is None:
            return False
        self.rtt = rtt
        self.ping_at = 0.0
        return True

    def _give_up(self, reason: str) -> None:
        if self.session is not None:
            self.session.lost(reason)
        self.abort()
