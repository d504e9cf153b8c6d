"""A socket of the pump as the transport of a TLSTransport, where the pump owns sockets.

It is the carrier of net.pump's TLS: a wire whose bytes are records. Until the stream is open, and
whenever something else than data comes, they pass through here; the rest the pump reads and
writes itself (`start_tls`).
"""

import asyncio
from typing import Any, cast

from shardws.net.connection.states import BLOCKED_WIRE
from shardws.net.pump import Pump, Wire
from shardws.net.tls import TLSTransport


class TLSSocket(Wire):
    """One client's socket, with the methods of a transport of the loop."""

    __slots__ = ("_protocol",)

    def __init__(self, pump: Pump, protocol: TLSTransport) -> None:
        self.bind(pump)
        self.is_carrier = True
        self._protocol = protocol

    # -- what the wire calls ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(cast(asyncio.BaseTransport, self))

    def bytes_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def read_stopped(
        self, plaintext: bytes, result: int, left: int, rest: bytes, *place: Any
    ) -> None:
        self._protocol.read_stopped(plaintext, result, left, rest, *place)

    def write_stopped(
        self, data: bytes, result: int, _left: int, _rest: bytes, *place: Any
    ) -> None:
        self._protocol.write_stopped(data, result, *place)

    def eof_received(self) -> bool:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self.blocked = BLOCKED_WIRE
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self.blocked = 0
        self._protocol.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)

    # -- the transport; `write`, `pause_reading` and `resume_reading` are the wire's ----------

    def close(self) -> None:
        self.close_wire()

    def abort(self) -> None:
        self.abort_wire()

    def write_eof(self) -> None:
        self.end_output()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return not self.is_attached

    def get_write_buffer_size(self) -> int:
        return self.queued

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high_mark, self.low_mark = high or 0, low or 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        found = super().get_extra_info(name)
        return default if found is None else found
