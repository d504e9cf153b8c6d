"""One client's connection, from accept to the end of TCP.

Owns the transport, the opening request, the session, the outgoing queue, the one deadline and the
order of the end. Handlers, other connections and other shards are the Owner's affair (the shard):
it is told what happened.

What one read brings is worked in slices (protocol.slices). Between two of them, and after a long
read, the socket is not read and the connection waits in the shard's queue of turns (`take_turn`).
While a handler or a decision holds it, nothing is parsed or inflated; the socket is read on, up to
a bound, so that a client that leaves is noticed. What it sent before it left is still told.

The part that runs for every message is its base, the Wire (net.pump), in C where there was a
compiler: reading whole ordinary frames, the outgoing queue, one write per loop turn. This class
does what is out of the ordinary: it opens a connection, reads what the wire gives it
(`bytes_received`), frames what the wire does not (`send_slowly`), keeps time, and ends.

The outgoing queue is bounded by the high mark: above it `send` answers by policy until the queue
has drained below the low mark.

An idle connection must cost little memory: attributes are slots, and what few connections need is
in `extras`.
"""

import asyncio
import math
import time
from typing import Any, Final, cast

from shardws.close_reasons import CLOSE_UNANSWERED, IDLE, QUEUE_FULL, SERVER_FAILED
from shardws.errors import HandshakeError
from shardws.events import FORMAT_AUTOMATIC, FORMAT_BINARY
from shardws.interfaces import Source
from shardws.net.config import Policy
from shardws.net.connection.extras import Extras
from shardws.net.connection.multipart import Multipart
from shardws.net.connection.owner import Owner
from shardws.net.connection.resumed import Resumed
from shardws.net.connection.states import (
    BLOCKED_PARTS,
    BLOCKED_WIRE,
    CLOSING,
    DECIDING,
    ENDING,
    HOLD_APPLICATION,
    LOST,
    MOVED,
    NOT_READ,
    OPEN,
    OPENING,
    STOP_CLOSED,
    STOP_FULL,
    STOP_HELD,
    STOP_MOVING,
    STOP_OPENING,
    STOP_OVER,
    STOP_TURN,
)
from shardws.net.options import UNTOUCHED
from shardws.net.pump import Wire
from shardws.net.shutdown import HasSocket, shut_down
from shardws.net.tcp import acknowledged, unacknowledged
from shardws.outcomes import DROPPED, GONE, QUEUED, Outcome, SendOutcome
from shardws.protocol import handshake
from shardws.protocol.formats import message_of
from shardws.protocol.frames import BINARY, CLOSE, Item
from shardws.protocol.keepalive import NEVER, Action, Ahead, round_trip, token
from shardws.protocol.request import OpeningFields, Request
from shardws.protocol.session import Session, State

PING_BYTE: Final = 0x89
PONG_BYTE: Final = 0x8A
# Plain names: looking up a member of an enumeration would be seen in the cost of a message.
IN_SESSION: Final = State.OPEN
SESSION_OVER: Final = State.CLOSED

# A read from here on may bring many messages, and handlers are timed; below the clock is not read.
TIMED_READ: Final = 1024
# A read from here on ends the turn: libuv reads one socket up to 32 times in a row, 256,000 bytes
# at a time, before it looks at another.
LONG_READ: Final = 64 * 1024
# Read ahead while something holds the connection; the last read may go beyond it.
MOST_KEPT: Final = 64 * 1024

# How long a client that is denied anyway may take for its opening request, in seconds.
DENIED_S: Final = 3.0
# How long a peer may go on sending after our last byte (RFC 6455 7.1.1; RFC 9112 9.6), and how much
# of what was written before it has to take in that time to be given as much again, up to a limit.
LINGER_S: Final = 2.0
LINGER_BYTES: Final = 64 * 1024
LONGEST_END_S: Final = 60.0
# What fits into one segment is no queue: it takes a round trip, however slowly the peer reads.
SEGMENT: Final = 1500


class Connection(Wire):
    """One client; its states are in `states`."""

    __slots__ = (
        "backlog",
        "config",
        "entries",
        "extras",
        "groups",
        "local_address",
        "owner",
        "reader",
        "remote_host",
        "request",
        "resumed",
        "session",
        "task",
        "user_data",
        "was_opened",
    )

    def __init__(self, owner: "Owner[Connection]") -> None:
        self.bind(owner.pump)
        self.stops = STOP_OPENING  # states.STOP_*
        self.owner = owner
        self.config = owner.config
        self.session: Session | None = None
        self.reader: handshake.HandshakeReader | None = None
        self.request: Request | None = None
        self.extras: Extras | None = None
        self.remote_host = ""
        self.local_address = ""
        self.entries = 0  # of this connection in the timer wheel
        # What the shard and routing keep of it.
        self.was_opened = False
        self.task: asyncio.Task[None] | None = None
        self.backlog: list[Any] | None = None
        self.groups: set[str] | None = None
        self.user_data = b""
        self.resumed: Resumed | None = None  # of a connection that another process had before

    # -- what the wire does not read itself --------------------------------------------------

    def bytes_received(self, data: bytes) -> None:
        """Read what is no run of whole ordinary frames, or what the connection has to wait with."""
        if self.stops:
            if self.session is None:
                self._read_request(data)
            else:
                self._read_ahead(data, self.session)
            return
        session: Session = self.session  # type: ignore[assignment]  # else there is STOP_OPENING
        owner = self.owner
        size = len(data)
        items = session.receive(data)
        if size >= TIMED_READ:
            self._tell_large(session, items, size)
        elif items:
            owner.received(self, items, size)
        else:
            owner.counters.received(0, size)
        if session.is_due:
            self.settle(session)
        self.is_at_rest = session.is_at_rest

    def _tell_large(self, session: Session, items: list[Item], size: int) -> None:
        """Have the items of a read told that may have many, and see how long that takes."""
        begin = time.monotonic()
        self.owner.received(self, items, size)
        session.pace(len(items), time.monotonic() - begin)
        if size >= LONG_READ:
            self.await_turn()

    def settle(self, session: Session) -> None:
        """Queue the session's replies and follow its state."""
        session.is_due = False
        if session.nothings:
            session.charge(self.owner.now)
        if session.state is not IN_SESSION:
            self.owner.closing(self)  # before our close frame leaves
        if session.has_replies:
            self._take_replies(session)
        if session.state is not IN_SESSION:
            self.flush()
            self._follow(session)
        elif session.held:
            self.owner.holding(self)
        if session.has_more and not self.is_held:
            self.await_turn()

    # -- turns -------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether nothing may be parsed: a handler would have to run.

        None has to when the session is closing, and then the peer's close frame is waited for.
        """
        session = self.session
        return bool(self.holds) and (session is None or session.state is IN_SESSION)

    @property
    def is_read(self) -> bool:
        """Whether what the peer sends is worked at once: if not, it is not the peer who is late."""
        return not self.stops

    @property
    def has_input(self) -> bool:
        """Whether something was read that the session has not worked yet."""
        session = self.session
        if session is None or session.state is SESSION_OVER:
            return False
        return session.has_more or self._has_raw

    @property
    def _has_raw(self) -> bool:
        return self.extras is not None and bool(self.extras.raw)

    def await_turn(self) -> None:
        """Stop reading until all others had their turn."""
        if not self.stops & STOP_TURN:
            self._set_stops(self.stops | STOP_TURN)
            self.owner.wait_turn(self)

    @property
    def _is_to_move(self) -> bool:
        return bool(self.stops & STOP_MOVING) and self.state == OPEN

    def take_turn(self) -> None:
        """Work the next slice of what was read; called by the queue of turns."""
        if self.state == MOVED:
            return
        session = self.session
        if session is None:
            if self.state == OPENING and not self.holds:
                self.feed_early()
        elif self._can_work:
            begin = time.monotonic()
            count = self._work(session)
            session.pace(count, time.monotonic() - begin)
        if self._can_work:
            self.owner.wait_turn(self)
        else:
            self._set_stops(self.stops & ~STOP_TURN)
            self._tell_late_end()

    @property
    def _can_work(self) -> bool:
        waits = self.state == ENDING or self.is_held or self._is_to_move
        return not waits and self.has_input

    def _work(self, session: Session) -> int:
        """Work one slice of what was read; return how many items it had."""
        if session.has_more:
            items, size = session.go_on(), 0
        else:  # read ahead, and not counted yet
            raw = self._take_raw()
            items, size = session.receive(raw), len(raw)
        self.owner.received(self, items, size)
        self.settle(session)
        self.is_at_rest = session.is_at_rest
        self.flush()
        return len(items)

    def go_on(self) -> None:
        """Nothing holds the connection any more: work what was read, then read on."""
        self.stops &= ~STOP_HELD
        if self._is_to_move:
            return
        if self.has_input or (self.session is None and self._has_raw):
            self.await_turn()
        else:
            self._set_stops(self.stops & ~STOP_FULL)
            self._tell_late_end()

    def stay(self) -> None:
        """Go on here: it does not move, or the other process did not take it (see `moving`)."""
        self._set_stops(self.stops & ~(STOP_MOVING | STOP_TURN))
        if not self.stops & NOT_READ:
            self.resume_reading()
        if not self.is_held:
            self.go_on()

    def begin(self) -> None:
        """Serve what another process has served before, once it has a socket.

        First what came with it is worked, in its turn.
        """
        if self.state == OPEN:  # else a handler closes it, which has a deadline of its own
            self.expire_at(self.owner.now)
        self.flush()
        if self.queued > self.high_mark and not self.blocked:
            self.pause_writing()
        if self.has_input and not self.is_held:
            self.owner.wait_turn(self)
        else:
            self._set_stops(self.stops & ~STOP_TURN)

    def wait(self) -> None:
        """Something holds the connection: keep what comes, until `go_on`."""
        self.stops |= STOP_HELD

    def read_nothing(self) -> None:
        """Do not even read ahead until `go_on`."""
        self._set_stops(self.stops | STOP_FULL)

    def _read_ahead(self, data: bytes, session: Session) -> None:
        """Take what comes while it is held, or before its turn.

        What comes when the end was told is nobody's any more.
        """
        self.seen = self.owner.now
        if session.state is SESSION_OVER or self.state >= ENDING:
            return
        raw = self.extra().raw
        raw += data
        if not self.is_held and not self._is_to_move:
            self.await_turn()
        elif len(raw) >= MOST_KEPT:
            self._set_stops(self.stops | STOP_FULL)

    def drop_input(self) -> None:
        """Forget what was read and not told yet."""
        self.forget_input()
        if self.extras is not None:
            self.extras.raw = bytearray()
        if self.session is not None:
            self.session.forget_rest()

    def _set_stops(self, stops: int) -> None:
        before, self.stops = self.stops & NOT_READ, stops
        if bool(before) != bool(stops & NOT_READ):
            if not before:
                self.pause_reading()
            else:
                self.resume_reading()

    # -- sending -----------------------------------------------------------------------------

    def send_slowly(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message or control frame; `kind` is 1, 2, 9 or 10."""
        if self.state != OPEN or self.blocked:
            return self._divert(kind, payload, is_part=True)
        self.put(kind, payload)
        return QUEUED

    def formatted(self, payload: bytes) -> tuple[int, bytes]:
        """Return kind and payload of a message in this connection's DataFormat.

        UsageError (213) when it does not fit.
        """
        return message_of(payload, FORMAT_AUTOMATIC if not self.extras else self.extras.data_format)

    def send_whole(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message that is not a part of an announced one (see `sharing`)."""
        if self.state != OPEN or self.blocked:
            return self._divert(kind, payload, is_part=False)
        return self.send(kind, payload)

    def put(self, kind: int, payload: bytes, is_first: bool = True, is_last: bool = True) -> None:
        """Queue a message or a part of one, whatever blocks; the caller keeps the bound."""
        session = self.session
        assert session is not None
        *others, (first, last) = session.frames_of(kind, payload, is_first, is_last)
        for frame in others:
            self.append(*frame, False)
        self.append(first, last, kind <= BINARY and is_last)
        self.size = len(payload)

    # -- replies of the session --------------------------------------------------------------

    def _take_replies(self, session: Session) -> None:
        while session.has_replies:
            self.take_reply()

    def take_reply(self) -> None:
        """Queue the session's oldest reply; called at a ping, its pong precedes later messages."""
        session = self.session
        reply = None if session is None else session.next_reply()
        if reply is None:
            return
        if self.blocked & BLOCKED_WIRE and reply[0] == PONG_BYTE:
            # A peer that pings and does not read: only the newest pong is owed (RFC 6455 5.5.3).
            self.extra().late_pong = reply
        else:
            self.append(*reply, False)

    # -- marks of the outgoing queue ---------------------------------------------------------

    def pause_writing(self) -> None:
        self.blocked |= BLOCKED_WIRE
        self.owner.written_full(self)

    def resume_writing(self) -> None:
        self.blocked &= ~BLOCKED_WIRE
        self._send_late_pong()
        if self.blocked:
            self.multipart.go_on()  # it calls `drained` once there is room
        else:
            self.owner.drained(self)

    @property
    def is_ready(self) -> bool:
        """Whether a send would be taken now."""
        return self.state == OPEN and not self.blocked & BLOCKED_WIRE

    @property
    def waiting(self) -> int:
        """Bytes that were taken and have not reached the kernel."""
        waiting = self.queued
        if self.blocked & BLOCKED_PARTS:
            waiting += self.multipart.waiting
        return waiting

    @property
    def bytes_sent(self) -> int:
        """Payload bytes of the last message that have reached the kernel."""
        return max(0, self.size - self.waiting)

    def extra(self) -> Extras:
        """Return `extras`, made now if need be."""
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    # -- sends that are refused or wait ------------------------------------------------------

    def _divert(self, kind: int, payload: bytes, is_part: bool) -> SendOutcome:
        """Send when something is in the way."""
        self.size = 0
        if self.state != OPEN:
            return self._unsent()
        if not self.blocked & BLOCKED_PARTS and self.config.policy is not Policy.DROP:
            return self.refuse_send()
        if kind > CLOSE:
            return self.multipart.send_control(kind, payload)
        return self.multipart.send(kind, payload, is_part)

    def _unsent(self) -> SendOutcome:
        """Answer a send to a connection that is not open."""
        outcome = Outcome.GONE if self.state == LOST else Outcome.DROPPED
        return self.owner.unsent(self.id, outcome)

    def refuse_send(self) -> SendOutcome:
        """Answer a send to a full connection, by policy."""
        policy = self.config.policy
        if policy is Policy.CLOSE:
            self.disconnect(QUEUE_FULL.code, QUEUE_FULL.text)
        outcome = Outcome.FULL if policy is Policy.WAIT else Outcome.DROPPED
        return self.owner.unsent(self.id, outcome)

    def _send_late_pong(self) -> None:
        extras = self.extras
        if extras is not None and extras.late_pong is not None and self.state in (OPEN, CLOSING):
            self.append(*extras.late_pong, False)
            extras.late_pong = None
            self.flush()

    # -- messages in parts -------------------------------------------------------------------

    @property
    def multipart(self) -> Multipart:
        """The messages in parts of this connection, made now if need be."""
        extras = self.extra()
        if extras.multipart is None:
            extras.multipart = Multipart(self)
        return extras.multipart

    def stream(self, kind: int, source: Source) -> SendOutcome:
        """Queue one message that is read from `source` as the queue drains.

        `kind` is 1, 2, 9 or 10, or 0 for the connection's DataFormat, else binary. What is sent
        afterwards waits for its end.
        """
        if self.state != OPEN:
            source.finish(Outcome.DROPPED)
            return self._unsent()
        if kind == FORMAT_AUTOMATIC and self.extras is not None:
            kind = self.extras.data_format
        return self.multipart.stream(kind or FORMAT_BINARY, source, self.owner.later(self.id))

    def drained(self) -> None:
        """Tell those whose sends were refused that they can try again; see `multipart`."""
        self.owner.drained(self)

    def stream_failed(self, code: int, description: str) -> None:
        """Tell the application that the source of a message in parts failed."""
        self.owner.stream_failed(self, code, description)

    def _cancel_parts(self) -> None:
        """Drop the messages in parts: none of them can go on."""
        if self.blocked & BLOCKED_PARTS:
            self.multipart.cancel()

    # -- opening -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        config = self.config
        self.high_mark, self.low_mark = config.high_mark, config.low_mark
        own: object = self
        if transport is not own:  # a wire with a socket is its own transport
            self.attach(transport)
        if config.options is not UNTOUCHED:
            config.options.apply(self.get_extra_info("socket"))
        owner = self.owner
        # Thousands of connections share one address text: behind a proxy, and at this end anyway.
        shown = owner.interned.address
        peer, here = self.get_extra_info("peername"), self.get_extra_info("sockname")
        if peer and not self.remote_host:
            self.remote_host, self.remote_port = shown(peer[0]), peer[1]
        if here:
            self.local_address = shown(here[0])
        self.seen = owner.now
        if config.open_timeout:  # as `expire_in` does for the first time
            self.deadline = deadline = time.monotonic() + config.open_timeout
            self.entries = 1
            owner.wake_at(self, deadline)
        owner.accepted(self)

    def _is_secure(self, request: Request) -> bool:
        return self.owner.is_secure(self, request)

    @property
    def is_opening(self) -> bool:
        """Whether the opening handshake is still in progress."""
        return self.state in (OPENING, DECIDING)

    def _read_request(self, data: bytes) -> None:
        if self.holds and self.state in (OPENING, DECIDING):
            raw = self.extra().raw
            raw += data
            if len(raw) >= MOST_KEPT:
                self._set_stops(self.stops | STOP_FULL)
            return
        if self.state != OPENING:
            return  # from a peer that was refused
        reader = self.reader
        if reader is None:
            reader = handshake.HandshakeReader(self.config.handshake, self._is_secure)
            self.reader = reader
        try:
            request = reader.receive(data)
        except HandshakeError as error:
            self.refuse(error)
            return
        if request is None:
            return
        extras = self.extras
        if extras is not None and extras.refusal is not None:
            self.refuse(extras.refusal)
        else:
            self.request = request
            self.state = DECIDING
            self.owner.requested(self, request)

    @property
    def opening_fields(self) -> OpeningFields | None:
        """What decides on the opening request, between its coming and its answer."""
        return None if self.reader is None else self.reader.fields

    @property
    def refusal(self) -> HandshakeError | None:
        """What the opening request will be answered with in any case."""
        return None if self.extras is None else self.extras.refusal

    def deny(self, error: HandshakeError) -> None:
        """Refuse the opening request once it is there: clients expect no answer before."""
        self.extra().refusal = error
        self.expire_at(min(self.deadline or NEVER.again_at, time.monotonic() + DENIED_S))
        self.feed_early()

    def feed_early(self) -> None:
        """Read what came while the address was decided on."""
        raw = self._take_raw()
        if raw:
            self._read_request(raw)

    def _take_raw(self) -> bytes:
        """Return what was read ahead, and read on."""
        extras = self.extras
        if extras is None or not extras.raw:
            return b""
        raw, extras.raw = bytes(extras.raw), bytearray()
        self._set_stops(self.stops & ~STOP_FULL)
        return raw

    def open(self, answer: bytes, session: Session) -> None:
        """Queue the 101 answer and become OPEN; `feed_rest` reads what came behind the request.

        The answer leaves in one write with what on_connected sends, at the end of the turn.
        """
        self.state = OPEN
        self.stops &= ~STOP_OPENING
        self.session = session
        self.was_opened = True
        self.write(answer)
        self.is_plain = session.is_plain
        self.is_at_rest = session.is_at_rest
        self.max_size = session.config.max_message_size
        now = self.owner.now
        if not now < self.deadline <= now + self.config.least_quiet:
            self.schedule_keepalive(now)  # else the wheel looks here before anything can be due

    def feed_rest(self) -> None:
        """Read the frames that came in one segment with the request."""
        reader, self.reader = self.reader, None
        if reader is None or self.state != OPEN:
            return
        rest = reader.rest
        if self.extras is not None:
            rest += self._take_raw()
        if rest:
            self.data_received(rest)

    def refuse(self, error: HandshakeError) -> None:
        """Answer the opening request with an HTTP error and end."""
        if not self.is_attached or self.state >= ENDING:
            return
        self.owner.refused(self, error)
        self.write(handshake.refuse(error))
        self._linger()

    # -- the deadline ------------------------------------------------------------------------

    def expire_at(self, deadline: float) -> None:
        """Set the deadline, in seconds of the loop's clock; `expire` runs then or a tick later."""
        # Wheel entries behind a deadline that has passed belong to later deadlines.
        is_next = deadline < self.deadline or self.deadline <= self.owner.now
        self.deadline = deadline
        if is_next or not self.entries:
            self.entries += 1
            self.owner.wake_at(self, deadline)

    def expire_in(self, seconds: float) -> None:
        """Set the deadline, counted from this very moment.

        After a stall of the process or a slow handler the owner's `now` is old, and a peer that is
        given two seconds to read our last bytes would have none.
        """
        self.expire_at(time.monotonic() + seconds)

    def expire(self, now: float) -> None:
        """Act on the deadline; called by the wheel once for each entry, and perhaps early.

        A deadline that moved ahead is entered again.
        """
        self.entries -= 1
        if self.state >= LOST:
            return
        if now < self.deadline:
            if not self.entries:
                self.entries = 1
                self.owner.wake_at(self, self.deadline)
            return
        if self.state == OPEN:
            self.schedule_keepalive(now)
        elif self.state == OPENING:
            self.refuse(self.refusal or HandshakeError(408, "no opening request in time"))
        elif self.state == DECIDING:
            self.refuse(HandshakeError(503, "the application did not decide in time"))
        elif self._has_more_time(now):
            pass
        elif self.state == ENDING:
            self._cut()  # what was read before the end is still told
        else:
            self.abort(CLOSE_UNANSWERED.text)

    def _has_more_time(self, now: float) -> bool:
        """Give a peer that closes more time: while it takes our last bytes, and after a stall."""
        more = LINGER_S if self.state == ENDING else self.config.close_timeout
        if now < self.owner.awake_since + more:
            self.expire_at(self.owner.awake_since + more)
        elif self._is_leaving() and now < self.extra().ends_by:
            self.expire_at(min(time.monotonic() + more, self.extra().ends_by))
        else:
            return False
        return True

    # -- keepalive ---------------------------------------------------------------------------

    def schedule_keepalive(self, now: float) -> None:
        """Ping, give up or wait, by the keepalive rules and the idle timeout."""
        heard = self.seen
        if self.stops:  # silence says nothing about the peer
            heard, self.ping_at = now, 0.0
        idle_at = self._idle_at(now)
        if now >= idle_at:
            self.owner.idle(self)
            self.disconnect(IDLE.code, IDLE.text)
            return
        begun = self.owner.awake_since
        if self.extras is not None:
            begun = max(begun, self.extras.ping_from)
        step = self.config.keepalive.step(now, heard, self.ping_at, self.id, begun)
        if step.action is Action.GIVE_UP:
            if not self._is_ping_under_way():
                self.abort("no answer to a ping")
                return
            self.extra().ping_from = now
            step = self.config.keepalive.step(now, heard, self.ping_at, self.id, now)
        if step.action is Action.PING:
            self._ping(now)
        due = min(step.again_at, idle_at)
        if due < NEVER.again_at:
            self.expire_at(due)

    def _ping(self, now: float) -> None:
        active = self.active
        if self.timeout:
            self.extra().quiet_since = self._moved_at
        self.ping_at = now
        self.append(PING_BYTE, token(now), False)  # past the bound: it must not be refused
        self.flush()
        self.active = active
        waiting = self.queued + unacknowledged(self)
        if waiting > SEGMENT:
            self.extra().ahead = Ahead(acknowledged(self), waiting)
        elif self.extras is not None:
            self.extras.ahead = None

    def _is_ping_under_way(self) -> bool:
        """Whether what stands in front of our ping still goes down."""
        extras = self.extras
        if extras is None or extras.ahead is None or not self.is_attached:
            return False
        return extras.ahead.has_moved(acknowledged(self))

    def take_pong(self, payload: bytes, is_alone: bool) -> bool:
        """Note the round trip when the pong answers our ping; False for any other pong.

        `is_alone`: the read brought nothing else, so that it does not count for the idle timeout.
        """
        rtt = round_trip(payload, self.ping_at, self.owner.clock())
        if rtt is None:
            return False
        self.rtt = rtt
        self.ping_at = 0.0
        if is_alone and self.timeout:
            # Not quite the tick's time, so that another read in the same tick is told apart.
            self.seen = self.extra().pong_seen = math.nextafter(self.seen, 0.0)
        return True

    # -- the idle timeout --------------------------------------------------------------------

    @property
    def timeout(self) -> float:
        """Seconds without a byte either way that end the connection; 0 none."""
        extras = self.extras
        if extras is None or extras.timeout is None:
            return self.config.idle_timeout
        return extras.timeout

    def set_timeout(self, seconds: float) -> None:
        """Give this connection a timeout of its own, which begins now."""
        self.extra().timeout = seconds
        self.active = self.owner.now
        if self.state == OPEN:
            self.schedule_keepalive(self.owner.now)

    def _idle_at(self, now: float) -> float:
        """Return when the connection will have been idle for too long."""
        timeout = self.timeout
        if not timeout:
            return NEVER.again_at
        if self.holds & ~HOLD_APPLICATION:
            return now + timeout  # a handler works on what came last
        if now >= self._moved_at + timeout:
            waiting, extras = self._under_way(), self.extra()
            if waiting != extras.waiting:  # a slow reader takes what was written long ago
                extras.waiting = waiting
                self.active = now
        return self._moved_at + timeout

    def _under_way(self) -> int:
        """Bytes that were taken and have not reached the peer's kernel."""
        return self.waiting + unacknowledged(self) if self.is_attached else 0

    @property
    def _moved_at(self) -> float:
        """When a byte last moved, our own pings and their pongs not counted."""
        extras = self.extras
        if extras is not None and extras.pong_seen == self.seen:
            return max(self.active, extras.quiet_since)
        return max(self.active, self.seen)

    # -- the end -----------------------------------------------------------------------------

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
        # The close frame is queued now: what is sent afterwards must not overtake it.
        self.settle(session)
        return QUEUED

    def _follow(self, session: Session) -> None:
        """Do what the session's state asks for."""
        if self.state >= ENDING:
            return
        if self.blocked:
            self._cancel_parts()
        if session.state is SESSION_OVER:
            ending = session.ending
            if ending is not None and ending.is_clean and not self.waiting:
                self._end()
            else:  # the peer may still send, and something of ours may not have left yet
                self._linger()
            if self.is_attached:  # else TCP is over, which tells it
                self.owner.call_soon(self._tell_early_end)  # this may run inside a handler
        elif self.state == OPEN:
            self.state = CLOSING
            self._await_leaving(self.config.close_timeout)
            self.expire_in(self.config.close_timeout)
            if self.has_input:  # the peer's close frame may be in it
                self.await_turn()

    def _tell_early_end(self) -> None:
        """Tell the owner at once that the WebSocket is over, however long TCP stays."""
        if self.state != LOST and self.session is not None and not self.is_told:
            self.stops |= STOP_CLOSED
            self.owner.left(self)
            self.owner.ended(self, self.session.lost())

    @property
    def is_told(self) -> bool:
        """Whether the owner was told that it is over, though TCP may not be."""
        return bool(self.stops & STOP_CLOSED)

    def eof_received(self) -> bool:
        if self.state in (OPEN, CLOSING):
            # The peer may have left without reading what waits: that must not take for ever.
            self._cancel_parts()
            self._begin_end()
        return False  # the transport closes itself; connection_lost follows

    def _begin_end(self) -> None:
        """Give the peer LINGER_S, longer while it takes what was written."""
        self.state = ENDING
        self._await_leaving(LINGER_S)
        self.expire_in(LINGER_S)

    def _await_leaving(self, seconds: float) -> None:
        """Note how much is to leave before the end, and how long that may take in all.

        `seconds` are given in any case. The limit of a close that goes over into the end of TCP is
        that of its beginning: a peer that reads slowly cannot have another one.
        """
        waiting = self._under_way()
        if waiting > SEGMENT or self.extras is not None:
            extras = self.extra()
            extras.waiting = waiting
            extras.ends_by = extras.ends_by or time.monotonic() + seconds + LONGEST_END_S

    def _is_leaving(self) -> bool:
        """Whether the peer still takes, at a fair pace, what was written before the end."""
        extras = self.extra()
        before, extras.waiting = extras.waiting, self._under_way()
        if before <= SEGMENT:
            return False
        return before - extras.waiting >= min(before, LINGER_BYTES)

    def _end(self) -> None:
        """Close TCP, of which everything was written; by force when a transport takes too long."""
        if self.transport is None:  # the socket is our own, and closed now
            self.state = ENDING
        else:
            self._begin_end()
        self.close_wire()

    def _linger(self) -> None:
        """Send FIN but go on reading: closing with unread bytes would send a reset.

        A reset makes the peer's kernel throw away our last bytes.
        """
        self._begin_end()
        self.reader = None
        self._set_stops(self.stops & ~STOP_FULL)  # in its turn it is read on, too
        self.end_output()

    def broken(self, reason: str) -> None:
        """End because TLS below has ended; `reason` is told if no close frame says another."""
        if self.state >= ENDING:
            return
        self.flush()
        if self.has_input:
            self.note_loss(reason)
        elif self.session is not None:
            self.session.lost(reason)
        self._linger()

    def abort(self, reason: str = "") -> None:
        """End TCP at once; connection_lost follows, and what was not told yet is dropped.

        `reason` is told if no close frame says another.
        """
        if reason and self.session is not None:
            self.session.lost(reason)
        self.drop_input()
        self._cut()

    def note_loss(self, reason: str) -> None:
        """Have a reason told of the end, if no close frame and no earlier reason says another."""
        if reason and self.session is not None and not (self.extras and self.extras.lost_because):
            self.extra().lost_because = reason

    def _cut(self) -> None:
        if self.is_attached:
            self.state = max(self.state, ENDING)
            self.abort_wire()
        elif self.state == LOST:
            self._tell_late_end()

    def connection_lost(self, error: Exception | None) -> None:
        if self.state == MOVED:
            return  # its transport here: the connection goes on elsewhere
        if self.transport is not None:
            shut_down(cast(HasSocket, self.transport))
        self.attach(None)  # which tells what the wire kept
        if error is not None and not isinstance(error, OSError):
            self.note_loss(SERVER_FAILED.text)  # raised into the transport, which ended it
        self.state = LOST
        if self.blocked:
            self._cancel_parts()
        self.reader = None
        if not self.stops & STOP_CLOSED:
            self.owner.left(self)  # once: what runs from now on belongs to the end
        if not self.has_input:
            if not self.stops & STOP_OVER:  # `left` may have told it
                self._tell_end()
        elif not self.is_held:
            self.await_turn()

    def end_again(self) -> None:
        """Tell what is untold of an end that failed half-way, for want of memory as a rule."""
        if self.state != LOST:
            self.connection_lost(None)
        else:
            self.drop_input()
            self._tell_late_end()

    def _tell_late_end(self) -> None:
        """Tell the end of a connection that was lost while something of it waited."""
        if self.state == LOST and not self.has_input and not self.stops & STOP_OVER:
            self._tell_end()

    def _tell_end(self) -> None:
        session, extras = self.session, self.extras
        ending = None
        if session is not None:
            because = extras is not None and extras.lost_because
            ending = session.lost(because) if because else session.lost()
        self.stops |= STOP_OVER
        self.owner.lost(self, ending)
