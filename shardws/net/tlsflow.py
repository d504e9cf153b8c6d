"""The control flow of one TLS connection: when it proceeds, what is held back, how it ends.

A TLSFlow sits between a client's TCP connection and its Connection; `net.tls` adds the methods of a
protocol and of a transport. Owns the order of records on the wire, the waiting before data is
passed on, and the last bytes; `tls.engine` does the TLS, the Guard (the shard) decides and fires
events.

Facts to have before reading. Deadlines are the Connection's: the one for the opening request runs
from accept and covers the handshake too. Reading resumes when no reason to wait is left:

    WAIT_TURN     too many handshakes are running; see handshake_limiter
    WAIT_CHOICE   the application chooses a certificate
    WAIT_VERDICT  the application decides on the client's certificate, the handshake being over
    WAIT_READER   the Connection does not read; before the first byte: it may not be admitted

While the application decides (WAIT_CHOICE, WAIT_VERDICT) the socket is read on, up to a bound, so
that a client that leaves is noticed; what it sends is kept as it is.

The bytes of a handshake go to the engine in steps, which the Guard puts into the order of the
connection's events: handlers are called inside the step that causes their event. Steps never nest.

Tickets of TLS 1.3 are sent with the first response, in one write. Besides its cost, a separate
write can break clients that use one OpenSSL object from two threads, as Python's `websockets` does:
reading a ticket while the opening request is written can lose the request inside the client.

The end: close_notify and FIN, then incoming data is discarded until the peer's FIN or the
Connection's deadline: closing with unread bytes would send a reset, which can lose our last bytes.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from shardws.net.connection import Connection
from shardws.net.handshake_limiter import HandshakeLimiter
from shardws.net.pump import Wire
from shardws.tls.contexts import ServerContext
from shardws.tls.endings import Ending
from shardws.tls.engine import State, TLSEngine
from shardws.tls.stream import Stream

WAIT_TURN: Final = 1
WAIT_CHOICE: Final = 2
WAIT_VERDICT: Final = 4
WAIT_READER: Final = 8
WAIT_DECISION: Final = WAIT_CHOICE | WAIT_VERDICT
MOST_KEPT: Final = 64 * 1024  # bytes of TLS read during a decision; the last read may exceed it

TLS13: Final = "TLSv1.3"

# A record of one alert, fatal internal_error, for a choice that failed (RFC 8446 section 6).
SORRY: Final = b"\x15\x03\x03\x00\x02\x02\x50"


class Guard(Protocol):
    """What TLS requires of its shard."""

    gate: HandshakeLimiter
    loop: asyncio.AbstractEventLoop

    def engine(self, connection: Connection) -> TLSEngine: ...
    def in_order(self, step: Callable[[], None]) -> None:
        """Call `step` when all earlier events have been handled: now, if there are none."""

    def choose(self, wire: "TLSFlow") -> None:
        """Call `wire.start` or `wire.refuse`, now or later."""

    def shaken(self, wire: "TLSFlow") -> None:
        """The handshake is done; `wire.wait` holds the data back until `wire.admit`."""

    def told(self, connection: Connection, lines: list[str]) -> None: ...
    def ended(self, wire: "TLSFlow", ending: Ending) -> None:
        """The stream ended neither by us nor by close_notify."""


class TLSFlow(asyncio.Protocol):
    """One client's TLS; see the module docstring."""

    __slots__ = (
        "_carrier",
        "_early",
        "_guard",
        "_has_begun",
        "_is_over",
        "_is_shared",
        "_is_stepping",
        "_plaintext",
        "_raw",
        "_sealed",
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
        self._carrier: Wire | None = None  # the same, where the pump owns the socket
        self._has_begun = False  # the first bytes went to the engine
        self._stream: Stream | None = None  # set while nothing waits and nothing is traced
        self._is_over = False  # our last bytes have been written
        self._is_shared = False  # the pump reads and writes the records itself
        self._is_stepping = False
        self._waits = 0
        self._early = b""  # received, but the engine must not see it yet
        self._plaintext = b""  # received, but the Connection must not see it yet
        self._sealed = b""  # the rest of a long read, to be decrypted in a later turn

    # -- the handshake ---------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        """Handle received bytes while something has to wait."""
        if self._is_over:
            return
        self._early += data
        if not self._has_begun and self.connection.is_held:
            self.connection.read_nothing()  # nothing of TLS begins before it is admitted
        if self._is_stepping or self._must_not_begin:
            self._pause()
        elif not self._waits & WAIT_DECISION:
            self._guard.in_order(self._step)
        elif len(self._early) >= MOST_KEPT:
            self._pause()

    @property
    def _must_not_begin(self) -> bool:
        return not self._has_begun and bool(self._waits & (WAIT_TURN | WAIT_READER))

    def _step(self) -> None:
        """Feed the received bytes to the engine; an earlier step may have taken them."""
        if self._is_stepping or self._is_over or self._must_not_begin or not self._early:
            return
        if not self._has_begun and not self._guard.gate.enter(self):
            self._wait(WAIT_TURN)
            return
        self._has_begun = self._is_stepping = True
        try:
            while self._early:
                data, self._early = self._early, b""
                self._advance(self.engine.receive(data))
        finally:
            self._is_stepping = False
        self._go_on()

    def proceed(self) -> None:
        """Begin the handshake: the handshake_limiter allows it."""
        self._waits &= ~WAIT_TURN
        self._has_begun = True
        self._guard.in_order(self._step)

    def start(self, context: ServerContext) -> None:
        """Continue the handshake with the chosen context."""
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
        """End a refused connection; `last` is an alert for a client that got none."""
        if self._is_over:
            return
        self._guard.ended(self, ending)
        if last:
            self._put(last)
        self._end()
        self.connection.broken(ending.description)

    def give_up(self, reason: str) -> None:
        """End a handshake that took too long (see handshake_limiter)."""
        self.refuse(Ending(280, reason))

    def _advance(self, plaintext: bytes) -> None:
        """Act on the state of the engine after a step."""
        engine = self.engine
        lines = engine.take_status()
        if lines:
            self._guard.told(self.connection, lines)
        agreed = None if self.is_open else engine.negotiated
        # After a TLS 1.3 handshake, this is tickets: the engine puts them before the response.
        if agreed is None or agreed.protocol != TLS13:
            out = engine.outgoing()
            if out:
                self._put(out)
        if agreed is not None:
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
        """Pass on the plaintext that may pass, then act on the state of the engine."""
        if self._waits:
            return
        if not self.engine.is_talkative and not self._early:
            self._stream = self.engine.stream
        plaintext, self._plaintext = self._plaintext, b""
        if plaintext and not self._is_over:
            self.connection.data_received(plaintext)
        if self.engine.state in (State.ENDED, State.CLOSED):
            self._follow()

    def _follow(self) -> None:
        """Handle the end of the stream; nothing to do when we ended it."""
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
        if not reason & WAIT_DECISION:
            self._pause()

    def _pause(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.pause_reading()

    def _go_on(self) -> None:
        """Resume reading, unless a reason to wait remains."""
        if self._waits or self._raw is None or self._raw.is_closing():
            return
        has_rest = self._plaintext or self._sealed or self._early
        if has_rest or self.engine.state in (State.ENDED, State.CLOSED):
            # Not inside the caller: it may be the end of a handler, or the Connection itself.
            self._guard.loop.call_soon(self._pass_on_later)
        else:
            self._raw.resume_reading()

    def _pass_on_later(self) -> None:
        if self._early and not self._is_stepping:
            self._guard.in_order(self._step)
        if self._has_begun:
            self._pass_on()
        if self._sealed and not self._waits:
            sealed, self._sealed = self._sealed, b""
            self.data_received(sealed)
        raw = self._raw
        if not (self._waits or self._sealed or raw is None or raw.is_closing()):
            raw.resume_reading()

    # -- the end -----------------------------------------------------------------------------------

    def _put(self, records: bytes) -> None:
        if self._raw is not None:
            self._raw.write(records)

    def _leave_stream(self) -> None:
        """Let nothing go to the stream any more without the engine."""
        self._stream = None
        self._is_shared = False
        if self._carrier is not None:
            self._carrier.stop_tls()

    def _end(self) -> None:
        """Send close_notify and FIN, and discard what is still received."""
        if self._is_over:
            return
        self._leave_stream()
        last = self.engine.close()
        if last:
            self._put(last)
        self._is_over = True
        self._guard.gate.leave(self)
        self._waits = 0
        self._plaintext = self._early = self._sealed = b""
        raw = self._raw
        if raw is not None and not raw.is_closing():
            raw.resume_reading()
            raw.write_eof()
