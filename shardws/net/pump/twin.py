"""The data path in Python: the contract of `_pump.c` on asyncio's transports.

Runs where no compiler was, and with SHARDWS_CODEC=python. See the package for the contract.

Frames sent from inside `data_received` of the same wire leave in one write at its end, which is
what `_is_corked` stands for. All others leave in one write at the end of the loop turn, those of
many wires a few turns later: a message to a thousand connections takes some ten milliseconds to
write, and while that lasts the next ones arrive. Written each by itself they would cost a system
call per connection and message. A turn with nothing to read takes some 4 us and a write 8 to 12, so
a turn for each CROWD_PER_TURN wires costs about a hundredth of what follows; CROWD_SECONDS bounds
it. Measured with 1000 subscribers and 8 messages in flight: 8 messages in a write instead of 5.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from shardws.hotpath import counters
from shardws.interfaces import ByteTransport
from shardws.net.pump.joiner import FRAMED, RAW, Joiner
from shardws.net.pump.sender import Sender
from shardws.outcomes import QUEUED, SendOutcome
from shardws.protocol import codec
from shardws.protocol.frames import BINARY, Frame, header
from shardws.stats import Words

__all__ = ["IMPLEMENTATION", "Pump", "Sender", "Wire"]

IMPLEMENTATION: Final = "python"
CONTRACT: Final = 4  # one more whenever what the types offer changes; as in _pump.c

# More than this in one turn is written at once, so that one handler cannot pile up the turn.
TURN_BYTES: Final = 256 * 1024
# A payload from here on is handed to the transport as it is, not copied into a joined block.
LARGE_BYTES: Final = 64 * 1024

CROWD: Final = 256  # wires; fewer are written at once
CROWD_PER_TURN: Final = 32
CROWD_SECONDS: Final = 0.002

OPEN: Final = 2  # net.connection.states


class Pump:
    """What the wires of one shard share."""

    __slots__ = (
        "_call_soon",
        "_crowd_turns",
        "_crowd_until",
        "_dirty",
        "_on_error",
        "_time",
        "counters",
        "is_direct",
        "is_nestable",
        "joiner",
        "now",
    )

    def __init__(
        self,
        *,
        row: Words,
        call_soon: Callable[..., object],
        time: Callable[[], float],
        on_error: Callable[["Wire | None", BaseException], None],
        handlers: object = None,
        dispatch: object = None,
        event_type: type | None = None,
        queued: object = None,
        index: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        """`row` is the shard's row of shared memory, `time` its loop's clock.

        Used in C alone: `handlers`, whose on_data_in gets whole messages as `event_type` when there
        is a `dispatch` (handler_failed, start); `queued`, what `send` returns; `index`, where in
        the row messages and bytes from and to clients are counted.
        """
        self._call_soon = call_soon
        self._time = time
        self._on_error = on_error
        self._dirty: list[Wire] = []
        self._crowd_turns = 0  # that this crowd has waited
        self._crowd_until = 0.0
        self.counters = counters(row)
        self.joiner = Joiner()
        self.now = time()
        self.is_direct = False  # in C: handlers are called from there
        # A handler may run the loop inside a turn, so that the turn's end may be far: what is
        # queued meanwhile is written by that loop.
        self.is_nestable = False

    def share(self, wires: Iterable[Any], kind: int, payload: bytes) -> list["Wire"]:
        """Queue one message (kind 1, 2) for each wire; return those that need `send_slowly`."""
        item: Frame = FRAMED, codec.join([(0x80 | kind, payload)])
        size = len(payload)
        others: list[Wire] = []
        wire: Wire
        for wire in wires:
            if wire.state != OPEN or wire.blocked or not wire.is_plain:
                others.append(wire)
                continue
            if not wire._outbox and not wire._is_corked:
                self.mark_dirty(wire)
            wire._outbox.append(item)
            wire._is_framed = True
            wire.size = size
            wire._pending = pending = wire._pending + size
            if pending > TURN_BYTES:
                wire.flush()
        return others

    def mark_dirty(self, wire: "Wire") -> None:
        """Have a wire written at the end of the loop turn."""
        if not self._dirty:
            self._call_soon(self._flush_dirty)
        self._dirty.append(wire)

    def _flush_dirty(self) -> None:
        count = len(self._dirty)
        if count >= CROWD and self._may_wait(count):
            self._call_soon(self._flush_dirty)
            return
        self._crowd_turns = 0
        dirty, self._dirty = self._dirty, []
        for wire in dirty:
            try:
                wire.flush()
            except Exception as error:  # noqa: BLE001  it is told, and ends that wire
                # Whatever is wrong with one wire's frames, the others must be written.
                self._on_error(wire, error)
                wire.abort_wire()

    def _may_wait(self, count: int) -> bool:
        """Count one more turn that a crowd waits; False when it has waited long enough."""
        now = self._time()
        if not self._crowd_turns:
            self._crowd_until = now + CROWD_SECONDS
        self._crowd_turns += 1
        return self._crowd_turns <= count // CROWD_PER_TURN and now < self._crowd_until

    # -- sockets of its own: in C alone --------------------------------------------------------

    owns_sockets: Final = False

    def watch_sockets(self, cells: memoryview) -> None:
        """Take where wires note, in their `cell`, whether their stream is inside a frame.

        In C alone: what a transport has written is not known here.
        """

    def fileno(self) -> int:
        """Return the descriptor that is readable when `turn` has something to do."""
        raise ValueError("this pump has no descriptor")

    def turn(self) -> None:
        """Read from every socket that has data, in slices, and write what that led to."""

    def accept(self, fd: int, most: int) -> tuple[list[int], int]:
        """Accept up to `most` sockets; return them and the errno that ended it, 0 for none."""
        raise ValueError("this pump accepts nothing")

    def adopt(self, wire: "Wire", fd: int) -> None:
        """Serve a connected, non-blocking socket; connection_made(wire) follows at once."""
        raise ValueError("this pump serves no sockets")

    def resume(self, wire: "Wire", fd: int, unsent: bytes) -> None:
        """Serve a socket that another process has served, and write `unsent` first.

        Its options stay as they are, and it is not read before `resume_reading`.
        """
        raise ValueError("this pump serves no sockets")

    def hand_over(self, wire: "Wire", following: "Wire") -> None:
        """Have another wire serve a socket; connection_made(following) follows at once.

        ValueError unless `wire` has a socket, nothing to write and nothing that was read.
        """
        raise ValueError("this pump serves no sockets")

    def take(self, fd: int, most: int) -> tuple[list[int], int, int]:
        """Take up to `most` sockets that another process hands over (SCM_RIGHTS), one a message.

        Return them, how many messages came without one, and what ended it: 0 for nothing, -1 for
        the end of the stream, else an errno.
        """
        raise ValueError("this pump takes nothing")

    def close(self) -> None:
        """Give the descriptor back."""


class Wire(asyncio.Protocol):
    """The hot half of a connection; `net.connection.Connection` derives from it."""

    __slots__ = (
        "_is_corked",
        "_is_detached",
        "_is_framed",
        "_leaving",
        "_outbox",
        "_pending",
        "_uncounted",
        "active",
        "blocked",
        "cell",
        "deadline",
        "high_mark",
        "holds",
        "id",
        "is_at_rest",
        "is_carrier",
        "is_plain",
        "low_mark",
        "max_size",
        "ping_at",
        "pump",
        "remote_port",
        "rtt",
        "seen",
        "size",
        "state",
        "stops",
        "transport",
    )

    def bind(self, pump: Pump) -> None:
        """Set the first values; called once, before anything else."""
        self.pump = pump
        self.transport: ByteTransport | None = None
        self.id = 0
        self.cell = -1  # in the census page, between Connected and Disconnected
        self.state = 0
        self.blocked = 0
        self.holds = 0
        self.stops = 0
        self.seen = 0.0
        self.active = 0.0
        self.deadline = 0.0
        self.ping_at = 0.0  # when the unanswered ping left; 0 none
        self.rtt = 0.0  # seconds, of the last answered ping
        self.remote_port = 0
        self.size = 0
        self.is_at_rest = False
        self.is_plain = False
        self.is_carrier = False  # in C: its bytes are records of TLS, and not counted
        self.max_size = 0
        self.high_mark = 0
        self.low_mark = 0
        self._outbox: list[Frame] = []
        self._leaving: list[bytes] = []  # of a flush in progress, the next write last
        self._pending = 0  # payload bytes in the outbox
        self._uncounted = 0  # of the outbox: what does not end a message
        self._is_framed = False  # some of the outbox are finished frames
        self._is_corked = False  # inside data_received, whose end will flush
        self._is_detached = False  # not served, and perhaps not for long

    # -- what the C implementation calls, and the connection implements ------------------------

    def bytes_received(self, data: bytes) -> None:
        raise TypeError("a connection implements bytes_received")

    def send_slowly(self, kind: int, payload: bytes) -> SendOutcome:
        raise TypeError("a connection implements send_slowly")

    # -- reading -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes of the transport."""
        self.seen = self.pump.now
        self._is_corked = not self.pump.is_nestable
        try:
            self.bytes_received(data)
        finally:
            self._is_corked = False
        if self._outbox:
            self.flush()

    # -- sending -------------------------------------------------------------------------------

    def send(self, kind: int, payload: bytes) -> SendOutcome:
        """Queue one message or control frame; `kind` is 1, 2, 9 or 10."""
        if self.state != OPEN or self.blocked or not self.is_plain or kind > BINARY:
            return self.send_slowly(kind, payload)
        if not self._outbox and not self._is_corked:
            self.pump.mark_dirty(self)
        self._outbox.append((0x80 | kind, payload))
        self.size = size = len(payload)
        self._pending = pending = self._pending + size
        if pending > TURN_BYTES:
            self.flush()
        return QUEUED

    def append(self, first: int, payload: bytes, is_message: bool) -> None:
        """Queue one frame behind what waits, whatever blocks; `is_message`: it ends a message."""
        if not self._outbox and not self._is_corked:
            self.pump.mark_dirty(self)
        self._outbox.append((first, payload))
        self._uncounted += not is_message
        self._pending += len(payload)
        if self._pending > TURN_BYTES:
            self.flush()

    def write(self, data: bytes) -> None:
        """Queue bytes that are no frame: the response to the opening request."""
        self._is_framed = True
        self.append(RAW, data, False)

    def forget_input(self) -> None:
        """Drop what was read and is not served yet: in C alone."""

    def flush(self) -> None:
        """Write what is queued: as one block, unless there are large payloads.

        A write may tell of a mark, which may lead to a flush in here: it writes first what is left
        of the outer one.
        """
        self._write_leaving()
        frames = self._outbox
        transport = self.transport
        if not frames or transport is None:
            return
        self._outbox = []
        pending, self._pending = self._pending, 0
        pump = self.pump
        self.active = pump.now
        count = len(frames) - self._uncounted
        self._uncounted = 0
        is_framed, self._is_framed = self._is_framed, False
        if pending < LARGE_BYTES:
            data = pump.joiner.join(frames) if is_framed else codec.join(frames)
            pump.counters.sent(count, len(data))
            transport.write(data)
            return
        pieces = [piece for frame in frames for piece in _pieces(frame)]
        pump.counters.sent(count, sum(map(len, pieces)))
        pieces.reverse()
        self._leaving = pieces
        self._write_leaving()

    def _write_leaving(self) -> None:
        while self._leaving and self.transport is not None:
            self.transport.write(self._leaving.pop())

    @property
    def queued(self) -> int:
        """Bytes that have not reached the kernel."""
        waiting = self._pending + sum(map(len, self._leaving))
        if self.transport is not None:
            waiting += self.transport.get_write_buffer_size()
        return waiting

    # -- a connection that another process takes over (net.connection.moving) ------------------

    def detach(self) -> tuple[int, bytes, bytes, bool] | None:
        """Stop serving; return descriptor, what was not served, what is not written.

        And whether that may begin inside a frame. None while it cannot be done. The descriptor
        stays the wire's; it is -1 where a transport has it, and then nothing may wait to be
        written: a transport does not give back what it has not written yet.
        """
        self.flush()
        if self.transport is None or self.queued:
            return None
        self._is_detached = True
        return -1, b"", b"", False

    def retake(self) -> None:
        """Serve a detached wire again."""
        self._leave_detached()

    def release(self) -> None:
        """Let go of a detached wire, without shutdown(2): another process has its connection."""
        self._leave_detached()
        self.transport = None

    def _leave_detached(self) -> None:
        if not self._is_detached:
            raise ValueError("the wire is not detached")
        self._is_detached = False

    # -- the transport -------------------------------------------------------------------------

    def attach(self, transport: asyncio.BaseTransport | None) -> None:
        """Write through a transport from now on; None: TCP is over, nothing leaves any more."""
        self.transport = cast("ByteTransport | None", transport)
        if transport is None:
            self._outbox, self._leaving = [], []
            self._pending = self._uncounted = 0
        else:
            wire = cast(asyncio.WriteTransport, transport)
            wire.set_write_buffer_limits(self.high_mark, self.low_mark)

    # -- TLS: in C alone -----------------------------------------------------------------------

    def start_tls(
        self, inner: "Wire", keeper: object, pointers: tuple[int, ...], head: bytes, missing: int
    ) -> None:
        """Carry the records of `inner` from now on.

        `keeper` owns what `pointers` (tls.ffi.Calls.pointers) refer to; `head` and `missing` say
        where in a record the next byte belongs (tls.records). ValueError when they are carried.

        It ends by `stop_tls`, or when OpenSSL returns something else than data; then the carrier is
        told `read_stopped(plaintext, result, left, rest, head, missing)`: what was read before,
        what OpenSSL returned, how many whole records wait, and bytes that it was not given yet; or
        `write_stopped(data, ...)`, which was not sent.
        """
        raise ValueError("this wire carries nothing")

    def stop_tls(self) -> None:
        """Read and write the records in Python again."""

    @property
    def is_attached(self) -> bool:
        """Whether there is TCP below."""
        return self.transport is not None

    def fileno(self) -> int:
        """Return the descriptor of a socket of its own: in C alone, -1 here."""
        return -1

    def get_extra_info(self, name: str) -> Any:
        """Return `peername`, `sockname` or `socket`, None when it is not known."""
        transport = cast("asyncio.Transport | None", self.transport)
        return None if transport is None else transport.get_extra_info(name)

    def pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()

    def close_wire(self) -> None:
        """End TCP when everything is written."""
        self.flush()
        if self.transport is not None:
            self.transport.close()

    def end_output(self) -> None:
        """Send FIN when everything is written; go on reading."""
        self.flush()
        transport = cast("asyncio.Transport | None", self.transport)
        if transport is None:
            return
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def abort_wire(self) -> None:
        """End TCP at once; connection_lost follows."""
        if self.transport is not None:
            self.transport.abort()


def _pieces(frame: Frame) -> tuple[bytes, ...]:
    """Return a frame as what is written, its payload copied once at most."""
    first, payload = frame
    if first < 0:
        return (payload,)
    head = header(first, len(payload))
    return (head + payload,) if len(payload) < LARGE_BYTES else (head, payload)
