"""TLS between a client's TCP connection and its Connection.

A TLSTransport is the protocol of uvloop's transport and the transport of the Connection. Owns the
order of records on the wire, the waiting before data may pass, and the last bytes; the TLS itself
is `tls.engine`'s, decisions and events are the Guard's (the shard). Must not know handlers.

Facts to have before reading. Deadlines are the Connection's: the one for the opening request runs
from accept and covers the handshake too. Reading goes on when there is no reason left to wait:

    WAIT_TURN     many handshakes go on already; see gate
    WAIT_CHOICE   the application chooses a certificate
    WAIT_VERDICT  the application decides on the client's certificate, the handshake being over
    WAIT_READER   the Connection does not read

The end: close_notify and FIN, then what still comes is thrown away until the peer's FIN or the
Connection's deadline. Closing at once with unread bytes would reset the last words (an alert, a
close frame) out of the peer's hands.
"""

import asyncio
from typing import Any, Final, Protocol, cast

from shardws.net.connection import Connection
from shardws.net.gate import Gate
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import SLICE, State, TLSEngine
from shardws.tls.stream import Stream

WAIT_TURN: Final = 1
WAIT_CHOICE: Final = 2
WAIT_VERDICT: Final = 4
WAIT_READER: Final = 8

# A record of one alert, fatal internal_error, for a choice that failed (RFC 8446 section 6).
SORRY: Final = b"\x15\x03\x03\x00\x02\x02\x50"


class Guard(Protocol):
    """What TLS asks of its shard."""

    gate: Gate
    loop: asyncio.AbstractEventLoop

    def engine(self, connection: Connection) -> TLSEngine: ...
    def choose(self, wire: "TLSTransport") -> None:
        """Call `wire.start` or `wire.refuse`, now or later."""

    def shaken(self, wire: "TLSTransport") -> None:
        """The handshake is done; `wire.wait` holds the data back until `wire.admit`."""

    def told(self, connection: Connection, lines: list[str]) -> None: ...
    def ended(self, wire: "TLSTransport", ending: Ending) -> None:
        """The stream ended otherwise than by us or by close_notify."""


class TLSTransport(asyncio.Protocol):
    """One client's TLS; see the module docstring."""

    __slots__ = (
        "_early",
        "_guard",
        "_has_begun",
        "_is_over",
        "_plaintext",
        "_raw",
        "_stream",
        "_waits",
        "connection",
        "engine",
        "is_open",
    )

    def __init__(self, guard: Guard, connection: Connection) -> None:
        self.connection = connection
        self.engine = guard.engine(connection)
        self.is_open = False  # the handshake was completed
        self._guard = guard
        self._raw: asyncio.Transport | None = None
        self._has_begun = False  # the first bytes went to the engine
        self._stream: Stream | None = None  # set while all may pass, with nobody listening
        self._is_over = False  # our last bytes are on their way
        self._waits = 0
        self._early = b""  # received before our turn
        self._plaintext = b""  # received, but the Connection must not see it yet

    # -- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self.connection.connection_made(cast(asyncio.BaseTransport, self))

    def data_received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            self._receive(data)
            return
        # Past the engine, which would add half as much again to what Python costs here.
        plaintext = stream.receive(data) if len(data) <= SLICE else self.engine.receive(data)
        if stream.out or stream.ending is not None:
            self._advance(plaintext + self.engine.receive(b""))
        elif plaintext:
            self.connection.data_received(plaintext)

    def eof_received(self) -> bool:
        self.engine.eof()
        self._follow()
        return False  # the transport closes itself; connection_lost follows

    def pause_writing(self) -> None:
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        self.connection.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self.engine.eof()
        if not self.is_open and not self._is_over:
            self._report()
        self._is_over = True
        self._stream = None
        self._raw = None
        self._plaintext = self._early = b""
        self._guard.gate.leave(self)
        self.connection.connection_lost(error)

    # -- the handshake ---------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """Take received bytes while not everything may pass."""
        if self._has_begun:
            self._advance(self.engine.receive(data))
            return
        self._early += data
        if self._waits & WAIT_TURN or self._is_over:
            return
        if self._guard.gate.enter(self):
            self.proceed()
        else:
            self._wait(WAIT_TURN)

    def proceed(self) -> None:
        """Begin the handshake: it is our turn (see gate)."""
        data, self._early = self._early, b""
        self._has_begun = True
        self._waits &= ~WAIT_TURN
        self._advance(self.engine.receive(data))
        self._go_on()

    def start(self, context: ServerContext) -> None:
        """Go on with the handshake, with the context chosen."""
        if self._is_over or self.engine.state is not State.CHOOSING:
            return
        self._waits &= ~WAIT_CHOICE
        self._advance(self.engine.start(context))
        self._go_on()

    def wait(self) -> None:
        """Hold back what the client sends, until `admit` or `refuse`."""
        self._wait(WAIT_VERDICT)

    def admit(self) -> None:
        """Let the client through: the application accepts its certificate."""
        self._waits &= ~WAIT_VERDICT
        self._go_on()

    def refuse(self, ending: Ending, last: bytes = b"") -> None:
        """End a connection that is not to be; `last` is an alert for a client that got none."""
        if self._is_over:
            return
        self._guard.ended(self, ending)
        if last:
            self._put(last)
        self._end()
        self.connection.broken(ending.description)

    def give_up(self, reason: str) -> None:
        """End a handshake that took too long (see gate)."""
        self.refuse(Ending(280, reason))

    def _advance(self, plaintext: bytes) -> None:
        """Follow the engine after a step."""
        engine = self.engine
        lines = engine.take_status()
        if lines:
            self._guard.told(self.connection, lines)
        out = engine.outgoing()
        if out:
            self._put(out)
        if not self.is_open and engine.negotiated is not None:
            self._enter_open()
        self._plaintext += plaintext
        if engine.state is State.CHOOSING and not self._waits & WAIT_CHOICE:
            self._waits |= WAIT_CHOICE
            self._guard.choose(self)
            if self._waits & WAIT_CHOICE:
                self._wait(WAIT_CHOICE)
        else:
            self._pass_on()

    def _enter_open(self) -> None:
        self.is_open = True
        self._guard.gate.leave(self)
        self.connection.extra().negotiated = self.engine.negotiated
        self._guard.shaken(self)

    def _pass_on(self) -> None:
        """Hand over what may pass, then follow the state of the engine."""
        if self._waits:
            return
        if not self.engine.is_talkative:
            self._stream = self.engine.stream
        plaintext, self._plaintext = self._plaintext, b""
        if plaintext and not self._is_over:
            self.connection.data_received(plaintext)
        if self.engine.state in (State.ENDED, State.CLOSED):
            self._follow()

    def _follow(self) -> None:
        """Do what the end of the stream asks for; nothing when the end was ours."""
        if self._is_over or self._raw is None:
            return
        ending = self.engine.ending
        assert ending is not None
        out = self.engine.outgoing()
        if out:
            self._put(out)  # the alert
        self._report()
        self.connection.broken(ending.description)
        self._end()

    def _report(self) -> None:
        ending = self.engine.ending
        if ending is not None and not ending.is_clean and self._has_begun:
            self._guard.ended(self, ending)

    # -- reasons to wait -------------------------------------------------------------------

    def _wait(self, reason: int) -> None:
        self._waits |= reason
        if self._raw is not None and not self._raw.is_closing():
            self._raw.pause_reading()

    def _go_on(self) -> None:
        """Read on, unless there is still a reason not to."""
        if self._waits or self._raw is None or self._raw.is_closing():
            return
        if self._plaintext or self.engine.state in (State.ENDED, State.CLOSED):
            # Not from inside the caller: it may be a handler's end, or the Connection itself.
            self._guard.loop.call_soon(self._pass_on_later)
        else:
            self._raw.resume_reading()

    def _pass_on_later(self) -> None:
        self._pass_on()
        if not self._waits and self._raw is not None and not self._raw.is_closing():
            self._raw.resume_reading()

    # -- the Connection's transport (interfaces.ByteTransport) -----------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data in records.

        After the end it is dropped, as for a lost peer; before the handshake is done as well, since
        nobody can read it then: an answer to a request that never came.
        """
        if not self.is_open:
            return
        engine = self.engine
        sealed = engine.send(data if type(data) is bytes else bytes(data))
        if sealed:
            self._put(sealed)
        if engine.ending is not None and not self._is_over:
            self._guard.loop.call_soon(self._follow)

    def close(self) -> None:
        """End the stream, then TCP when the peer has ended it too; what is written goes first."""
        self._end()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """As `close`: TLS has no half-closed streams worth having."""
        self._end()

    def abort(self) -> None:
        """End TCP at once; connection_lost follows."""
        self._is_over = True
        if self._raw is not None:
            self._raw.abort()

    def pause_reading(self) -> None:
        if not self._is_over:
            self._wait(WAIT_READER)

    def resume_reading(self) -> None:
        self._waits &= ~WAIT_READER
        self._go_on()

    def is_closing(self) -> bool:
        return self._is_over or self._raw is None or self._raw.is_closing()

    def get_write_buffer_size(self) -> int:
        return 0 if self._raw is None else self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self._raw is None else self._raw.get_extra_info(name, default)

    def _put(self, records: bytes) -> None:
        if self._raw is not None:
            self._raw.write(records)

    def _end(self) -> None:
        """Send close_notify and FIN, and read on without listening."""
        if self._is_over:
            return
        self._stream = None
        last = self.engine.close()
        if last:
            self._put(last)
        self._is_over = True
        self._guard.gate.leave(self)
        self._waits = 0
        self._plaintext = self._early = b""
        raw = self._raw
        if raw is not None and not raw.is_closing():
            raw.resume_reading()
            raw.write_eof()
