"""What leaves a connection: messages to frames, frames to one write per loop turn.

Owns the outgoing frames and their bound; must not know requests, deadlines or handlers.

Frames sent from inside `data_received` of the same connection leave in one write at its end; all
others leave in one write at the end of the loop turn, a crowd's some turns later (shard.flushing).
Nothing ever waits for a timer. The bound of
the outgoing queue is the transport's high mark: above it `send` answers by policy until the
transport has drained below the low mark.
"""

from typing import TYPE_CHECKING, Final, cast

from shardws.interfaces import Source
from shardws.net.multipart import Multipart
from shardws.net.owner import Policy
from shardws.net.record import BLOCKED_PARTS, BLOCKED_WIRE, CLOSING, LOST, OPEN, Record
from shardws.outcomes import QUEUED, Outcome, SendOutcome
from shardws.protocol import codec
from shardws.protocol.frames import BINARY, CLOSE, Frame, header
from shardws.protocol.session import Session

if TYPE_CHECKING:
    from shardws.net.connection import Connection

# More than this in one turn is written at once, so that one handler cannot pile up the turn.
TURN_BYTES: Final = 256 * 1024
# A payload from here on is handed to the transport as it is, not copied into a joined block.
LARGE_BYTES: Final = 64 * 1024
# In place of a first byte (both below 0): the payload is a finished frame, or the 101 answer.
FRAMED: Final = -1
ANSWER: Final = -2
PING_BYTE: Final = 0x89
PONG_BYTE: Final = 0x8A


class Outbox(Record):
    """The sending half of a connection."""

    __slots__ = ()

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message or control frame; `kind` is 1, 2, 9 or 10."""
        if self.state != OPEN or self.blocked:
            return self._divert(kind, payload, is_part=True)
        session = self.session
        assert session is not None
        outbox = self.outbox
        if not outbox and not self.corked:
            self.owner.flush_later(self)
        if session.deflate is None and not session.config.max_frame_size:  # `is_plain`
            outbox.append((0x80 | kind, payload))
        else:
            frames = session.frames_of(kind, payload)
            self.uncounted += len(frames) - 1
            outbox += frames
        if kind > BINARY:
            self.uncounted += 1
        self.size = size = len(payload)
        self.pending += size
        if self.pending > TURN_BYTES:
            self.flush()
        return QUEUED

    def send_whole(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message that is none of the parts of an announced one (see `sharing`)."""
        if self.state != OPEN or self.blocked:
            return self._divert(kind, payload, is_part=False)
        return self.send(kind, payload)

    def stream(self, kind: int, source: Source) -> SendOutcome:
        """Queue one message that is read from `source` as the queue drains.

        `kind` is 1 or 2, or 0 for what the connection's DataFormat says. What is sent afterwards
        waits for its end.
        """
        if self.state != OPEN:
            source.finish(Outcome.DROPPED)
            return self._unsent()
        return self.multipart.stream(kind, source, self.owner.later(self.id))

    @property
    def multipart(self) -> Multipart:
        """The messages in parts of this connection, made now if need be."""
        extras = self.extra()
        if extras.multipart is None:
            extras.multipart = Multipart(cast("Connection", self))
        return extras.multipart

    def put(self, kind: int, payload: bytes, is_first: bool = True, is_last: bool = True) -> None:
        """Queue a message or a part of one, whatever blocks; the bound is the caller's affair."""
        session = self.session
        assert session is not None
        if not self.outbox and not self.corked:
            self.owner.flush_later(self)
        frames = session.frames_of(kind, payload, is_first, is_last)
        self.uncounted += len(frames) - (kind <= BINARY and is_last)
        self.outbox += frames
        self.size = len(payload)
        self.pending += self.size

    def flush(self) -> None:
        """Write what the outbox holds, as one block but for large payloads."""
        frames = self.outbox
        transport = self.transport
        if not frames or transport is None:
            return
        self.outbox = []
        pending, self.pending = self.pending, 0
        counters = self.owner.counters
        self.active = self.owner.now
        count = len(frames) - self.uncounted
        self.uncounted = 0
        if pending < LARGE_BYTES:
            if self.is_framed:
                self.is_framed = False
                data = self.owner.joiner.join(frames)
            else:
                data = codec.join(frames)
            counters.sent(count, len(data))
            transport.write(data)
            return
        self.is_framed = False
        counters.sent(count, sum(map(self._write_large, frames)))

    def _write_large(self, frame: Frame) -> int:
        """Write one frame, its payload copied once at most; return the bytes."""
        first, payload = frame
        transport = self.transport
        if transport is None:  # it broke at a write before
            return 0
        if first < 0:
            transport.write(payload)
            return len(payload)
        head = header(first, len(payload))
        if len(payload) < LARGE_BYTES:
            transport.write(b"".join((head, payload)))
        else:
            transport.write(head)
            transport.write(payload)
        return len(head) + len(payload)

    @property
    def is_ready(self) -> bool:
        """Whether a send would be taken now."""
        return self.state == OPEN and not self.blocked & BLOCKED_WIRE

    @property
    def waiting(self) -> int:
        """Bytes that were taken and have not reached the kernel."""
        waiting = self.pending
        if self.transport is not None:
            waiting += self.transport.get_write_buffer_size()
        if self.blocked & BLOCKED_PARTS:
            waiting += self.multipart.waiting
        return waiting

    @property
    def bytes_sent(self) -> int:
        """Payload bytes of the last message that have reached the kernel."""
        return max(0, self.size - self.waiting)

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
            self.disconnect(1013, "outgoing queue is full")
        outcome = Outcome.FULL if policy is Policy.WAIT else Outcome.DROPPED
        return self.owner.unsent(self.id, outcome)

    # -- answers of the session --------------------------------------------------------------

    def _take_replies(self, session: Session) -> None:
        while session.replies:
            self.take_reply()

    def take_reply(self) -> None:
        """Queue the session's oldest reply; at a ping its pong, before later answers."""
        session = self.session
        if session is None or not session.replies:
            return
        reply = session.replies.pop(0)
        if self.blocked & BLOCKED_WIRE and reply[0] == PONG_BYTE:
            # A peer that pings and does not read: only the newest pong is owed (RFC 6455 5.5.3).
            self.late_pong = reply
        else:
            self.outbox.append(reply)
            self.uncounted += 1

    def _send_late_pong(self) -> None:
        if self.late_pong is not None and self.state in (OPEN, CLOSING):
            self.outbox.append(self.late_pong)
            self.uncounted += 1
            self.late_pong = None
            self.flush()

    def disconnect(self, code: int, reason: str) -> SendOutcome:
        raise NotImplementedError
