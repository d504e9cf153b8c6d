"""Messages that leave one connection in parts, and what waits behind them.

Owns the message in progress, and the messages sent meanwhile. The one in progress is a stream that
is read piece by piece as the queue drains, or a message whose length was announced and whose parts
are sent one by one. Frames of two data messages never mix (RFC 6455 5.4); pings and pongs may go in
between. Files and other shards are not known here: a stream comes as a Source.

Bounds: at most two pieces of a stream are held; behind it wait at most the high mark in bytes and
MOST_STREAMS streams. A stream is sent uncompressed in frames of MaxFrameSize, or of PIECE_BYTES
where that is 0 or above LARGEST_FRAME: a pong need not wait for the end of a long file.
"""

from collections import deque
from typing import Final

from shardws.errors import StateError, UsageError, code_of_errno
from shardws.events import FORMAT_PING
from shardws.interfaces import Source
from shardws.net.config import Policy
from shardws.net.connection.multipart_owner import MultipartConnection
from shardws.net.connection.parts import Announced, Stream, piece_bytes
from shardws.net.connection.states import BLOCKED_PARTS, BLOCKED_WIRE, OPEN
from shardws.outcomes import QUEUED, LaterSend, Outcome, SendOutcome
from shardws.protocol.fragmentation import MAX_CONTROL
from shardws.stats import SENDS_FAILED

# Of a stream in one turn of the loop: others have their turn too.
STREAM_TURN_BYTES: Final = 256 * 1024
MOST_STREAMS: Final = 16
MOST_CONTROLS: Final = 64  # pings and pongs of the application
UNFINISHED: Final = 1011  # the close code when a message cannot be finished

Message = tuple[int, bytes]


class Multipart:
    """The messages in parts of one connection; made when the first of them is sent."""

    __slots__ = (
        "_announced",
        "_connection",
        "_controls",
        "_goes_on",
        "_has_refused",
        "_stream",
        "_streams",
        "_waiting",
        "_waiting_bytes",
    )

    def __init__(self, connection: MultipartConnection) -> None:
        self._connection = connection
        self._stream: Stream | None = None
        self._announced: Announced | None = None
        self._controls: list[Message] = []
        self._waiting: deque[Message | Stream] = deque()
        self._waiting_bytes = 0
        self._streams = 0  # among those that wait
        self._has_refused = False  # somebody waits for ReadyToSend
        self._goes_on = False  # in the next turn of the loop

    # -- a message of announced length -------------------------------------------------------

    @property
    def announced(self) -> int:
        """Bytes of the announced message that is to come or in progress; 0 for none."""
        return self._announced.size if self._announced is not None else 0

    @property
    def waiting(self) -> int:
        """Bytes that wait here; the size of a stream is unknown, so it counts as one."""
        return self._waiting_bytes + self._streams + (self._stream is not None)

    def announce(self, size: int) -> None:
        """Have the next `size` bytes of sends be one message; 0 takes it back.

        StateError (211) while a message in parts is in progress.
        """
        announced = self._announced
        is_begun = announced is not None and announced.taken > 0
        if is_begun or self._stream is not None or self._waiting:
            raise StateError("a message in parts is in progress on this connection")
        self._announced = Announced(size) if size else None
        if size:
            self._connection.blocked |= BLOCKED_PARTS
        else:
            self._release()

    def _send_part(self, announced: Announced, kind: int, payload: bytes) -> SendOutcome:
        connection = self._connection
        taken = announced.taken + len(payload)
        if taken > announced.size:
            raise UsageError(
                f"{taken} bytes are more than the {announced.size} announced by MessageLength",
                code=213,
            )
        if announced.kind not in (0, kind):
            raise UsageError("the parts of a message are all text or all binary", code=213)
        if connection.blocked & BLOCKED_WIRE:
            return connection.refuse_send()
        if payload:
            is_first, is_last = not announced.taken, taken == announced.size
            announced.kind, announced.taken = kind, taken
            connection.put(kind, payload, is_first, is_last)
            if is_last:
                self._announced = None
                self.go_on()
        return QUEUED

    # -- what is sent while one is in progress -----------------------------------------------

    def send(self, kind: int, payload: bytes, is_part: bool) -> SendOutcome:
        """Take a message: a part of the announced one, or one that waits for its turn.

        `is_part` is False for a message to many. UsageError (213) for a part that does not fit.
        """
        if self._announced is not None and is_part:
            return self._send_part(self._announced, kind, payload)
        size = len(payload)
        self._begin_waiting()
        config = self._connection.config
        while self._waiting_bytes and self._waiting_bytes + size > config.high_mark:
            self._has_refused = True
            if config.policy is not Policy.DROP:
                return self._connection.refuse_send()
            self._drop_oldest()
        self._waiting.append((kind, payload))
        self._waiting_bytes += size
        return QUEUED

    def send_control(self, kind: int, payload: bytes) -> SendOutcome:
        """Take a ping or pong, which goes in between: a stream keeps the queue full."""
        if len(self._controls) >= MOST_CONTROLS:
            self._has_refused = True
            return self._connection.refuse_send()
        self._controls.append((kind, payload))
        self._put_controls()
        return QUEUED

    def _put_controls(self) -> None:
        connection = self._connection
        while self._controls and not connection.blocked & BLOCKED_WIRE:
            connection.put(*self._controls.pop(0))

    def stream(self, kind: int, source: Source, result: LaterSend) -> SendOutcome:
        """Take a message that is read as there is room; `kind` is 1, 2, 9 or 10."""
        if self._streams >= MOST_STREAMS:
            self._has_refused = True
            source.finish(Outcome.FULL)
            return self._connection.refuse_send()
        self._begin_waiting()
        source.wake = self.go_on
        self._waiting.append(Stream(kind, source, result))
        self._streams += 1
        self.go_on()
        return result

    def _begin_waiting(self) -> None:
        """Have what is sent from now on wait for what is sent now."""
        connection = self._connection
        if not connection.blocked & BLOCKED_PARTS:
            # Who was refused before is told when all of this is over.
            self._has_refused = bool(connection.blocked & BLOCKED_WIRE)
            connection.blocked |= BLOCKED_PARTS

    def _drop_oldest(self) -> None:
        """Drop the message that waits longest; streams stay."""
        for position, entry in enumerate(self._waiting):
            if not isinstance(entry, Stream):
                del self._waiting[position]
                self._waiting_bytes -= len(entry[1])
                self._connection.owner.row[SENDS_FAILED] += 1
                return

    # -- progress ----------------------------------------------------------------------------

    def go_on(self) -> None:
        """Move what there is room for; called when the queue has drained or a source has more."""
        connection = self._connection
        budget = STREAM_TURN_BYTES
        if connection.state == OPEN:
            self._put_controls()
        while (
            connection.state == OPEN
            and not connection.blocked & BLOCKED_WIRE
            and self._announced is None
        ):
            if budget <= 0:
                if not self._goes_on:
                    self._goes_on = True
                    connection.owner.call_soon(self._resume)
                break
            moved = self._step(self._stream) if self._stream is not None else self._begin()
            if moved < 0:
                break
            budget -= moved
        if connection.state == OPEN:
            self._release()

    def _resume(self) -> None:
        self._goes_on = False
        self.go_on()

    def _begin(self) -> int:
        """Take what waits next; return its bytes, -1 when nothing waits."""
        if not self._waiting:
            return -1
        entry = self._waiting.popleft()
        if isinstance(entry, Stream):
            self._streams -= 1
            self._stream = entry
            return self._send_control(entry) if entry.kind >= FORMAT_PING else 0
        kind, payload = entry
        self._waiting_bytes -= len(payload)
        self._connection.put(kind, payload)
        return len(payload)

    def _step(self, stream: Stream) -> int:
        """Move one piece; return its bytes, -1 when the source has nothing now."""
        connection = self._connection
        try:
            session = connection.session
            assert session is not None
            piece = stream.source.read(piece_bytes(session.config.max_frame_size))
            if piece is None:
                return -1
            is_last = not piece
            leaving, stream.held = stream.held, piece
            if leaving is None and not is_last:
                return 0  # the first piece: whether it is the last is known with the next
            leaving = leaving or b""
            stream.check(leaving, is_last)
        except (OSError, UnicodeDecodeError) as error:
            self._break_off(stream, error)
            return 0
        connection.put(stream.kind, leaving, stream.is_first, is_last)
        connection.flush()
        stream.is_first = False
        if is_last:
            self._stream = None
            stream.end(Outcome.QUEUED)
        return len(leaving)

    def _send_control(self, stream: Stream) -> int:
        """Send a source as one ping or pong."""
        self._stream = None
        try:
            payload = stream.source.read(MAX_CONTROL + 1) or b""
            if len(payload) > MAX_CONTROL:
                raise OSError(f"a ping or pong may have {MAX_CONTROL} bytes")
        except OSError as error:
            self._break_off(stream, error)
            return 0
        self._connection.put(stream.kind, payload)
        stream.end(Outcome.QUEUED)
        return len(payload)

    # -- the end -----------------------------------------------------------------------------

    def _break_off(self, stream: Stream, error: OSError | UnicodeDecodeError) -> None:
        """A source failed: without an end of its message the connection cannot go on."""
        self._stream = None
        stream.end(Outcome.DROPPED)
        connection = self._connection
        code, reason = 213, str(error)
        if isinstance(error, OSError) and error.errno is not None:
            code, reason = code_of_errno(error.errno), error.strerror or reason
        connection.stream_failed(code, f"a message could not be sent: {reason}")
        if not stream.is_first:
            connection.disconnect(UNFINISHED, "a message could not be finished")

    def cancel(self) -> None:
        """The connection sends no more."""
        stream, self._stream = self._stream, None
        waiting, self._waiting = self._waiting, deque()
        self._announced = None
        self._controls.clear()
        self._waiting_bytes = self._streams = 0
        for entry in (stream, *waiting):
            if isinstance(entry, Stream):
                entry.end(Outcome.DROPPED)

    def _release(self) -> None:
        """Open the connection for others when nothing is left; tell who was refused."""
        connection = self._connection
        if self._stream is None and self._announced is None and not self._waiting:
            connection.blocked &= ~BLOCKED_PARTS
        has_room = self._waiting_bytes <= connection.config.low_mark and not self._streams
        if self._has_refused and has_room and not connection.blocked & BLOCKED_WIRE:
            self._has_refused = False
            connection.drained()
