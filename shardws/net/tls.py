"""TLS as a protocol of TCP's transport and as the transport of a Connection, in one object.

`net.tlsflow` owns the order. Data that arrives while nothing has to wait bypasses the engine and
goes straight to the open stream. Where the pump owns the socket (`net.tlssocket`) it takes over
while there is only data both ways, and comes back here with everything else.
"""

import asyncio
from typing import Any, Final, cast

from shardws.net.pump import Wire
from shardws.net.shutdown import shut_down
from shardws.net.tlsflow import WAIT_DECISION, WAIT_READER, TLSFlow
from shardws.tls.engine import SLICE

# Of a read, decrypted in one turn: with records of one byte each that takes some 3 ms.
TURN_BYTES: Final = 64 * 1024


class TLSTransport(TLSFlow):
    """One client's TLS, with the methods that TCP's transport and the Connection call."""

    __slots__ = ()

    # -- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        own: object = transport
        self._carrier = own if isinstance(own, Wire) else None
        self.connection.connection_made(cast(asyncio.BaseTransport, self))

    def data_received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            self._receive(data)
            return
        if len(data) > TURN_BYTES:
            data, self._sealed = data[:TURN_BYTES], data[TURN_BYTES:]
        # Bypasses the engine, which would add half as much again to the Python cost here.
        plaintext = stream.receive(data) if len(data) <= SLICE else self.engine.receive(data)
        if stream.out or stream.ending is not None:
            self._advance(plaintext + self.engine.receive(b""))
        elif plaintext:
            self.connection.data_received(plaintext)
        if self._sealed:
            self.connection.await_turn()  # the rest follows when it reads on
        elif self._carrier is not None:
            self._share(self._carrier)

    def eof_received(self) -> bool:
        if self._waits & WAIT_DECISION:
            self._early = b""  # it left, and nobody waits for the decision
        elif self._early and self._has_begun and not self._is_over:
            self._guard.in_order(self._take_eof)  # after the step for the data before it
            return True
        self.engine.eof()
        self._follow()
        return False  # the transport closes itself; connection_lost follows

    def _take_eof(self) -> None:
        self._step()
        self.engine.eof()
        self._follow()
        if self._raw is not None:
            self._raw.close()

    # -- what the pump reads and writes itself ---------------------------------------------

    def _share(self, carrier: Wire) -> None:
        """Have the pump read and write the records from now on, if there is nothing but data."""
        stream = self._stream
        if self._is_shared or stream is None or not carrier.is_attached:
            return
        has_rest = self._waits or self._early or self._plaintext or self._sealed
        if has_rest or not (stream.is_calm and self.engine.is_quiet):
            return
        keeper, pointers, head, missing = stream.shared
        if pointers:
            carrier.start_tls(self.connection, keeper, pointers, head, missing)
            self._is_shared = True

    def read_stopped(
        self, plaintext: bytes, result: int, left: int, rest: bytes, head: bytes, missing: int
    ) -> None:
        """Go on where the pump had to stop reading; see `Wire.start_tls`."""
        self._is_shared = False
        stream = self._stream
        if stream is None:
            return
        stream.read_stopped(result, left, head, missing)
        self._advance(plaintext + self.engine.receive(b""))
        if rest:
            self.data_received(rest)

    def write_stopped(self, data: bytes, result: int, head: bytes, missing: int) -> None:
        """Go on where the pump had to stop writing; see `Wire.start_tls`."""
        self._is_shared = False
        stream = self._stream
        if stream is not None:
            stream.write_stopped(data, result, head, missing)
            self.write(b"")  # what OpenSSL wants sent, and what follows from an end

    def pause_writing(self) -> None:
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        self.connection.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self.engine.eof()
        if not self.is_open and not self._is_over:
            self._report()
        self._is_over = True
        self._leave_stream()
        if self._raw is not None:
            shut_down(self._raw)
        self._raw = self._carrier = None
        self._plaintext = self._early = self._sealed = b""
        self._guard.gate.leave(self)
        self.connection.connection_lost(error)

    # -- the Connection's transport (interfaces.ByteTransport) -----------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data in records.

        After the end it is dropped, as for a lost peer; before the handshake is done as well, since
        the peer could not read it: a response to a request that never came.
        """
        if not self.is_open:
            return
        engine = self.engine
        sealed = engine.send(data if type(data) is bytes else bytes(data))
        if sealed:
            self._put(sealed)
        if engine.ending is not None and not self._is_over:
            self._guard.loop.call_soon(self._follow)
        if self._carrier is not None:
            self._share(self._carrier)

    def close(self) -> None:
        """End the stream, then TCP when the peer has ended it too; written data is sent first."""
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
