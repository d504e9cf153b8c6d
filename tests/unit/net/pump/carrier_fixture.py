"""A carrier with its connection, and a client at the other end of both TCP and TLS."""

import ctypes
from typing import Any, Final

from shardws.tls import ffi, probe, protocols, selftest
from tests.unit.net.pump.pump_fixture import OPEN, World

CALLS: Final = ffi.DirectCalls()
CALL: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
CONTEXT: Final = selftest._context()
NAMES: Final = ("READ", "WRITE", "TAKE", "GIVE")  # of the pointers


class Transport:
    """What stands behind a connection while Python makes the records."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Secure:
    """A carrier, its connection, and a client at the other end of both TCP and TLS."""

    def __init__(self, world: World, send_buffer: int = 0) -> None:
        self.world = world
        self.carrier, self.socket = world.connect(send_buffer, is_open=False)
        self.carrier.is_carrier = True
        self.stopped: list[tuple[Any, ...]] = []
        self.inner = world.wire_type(world.pump)
        self.transport = Transport()
        self.inner.attach(self.transport)
        self.inner.id = 77
        self.inner.state, self.inner.is_plain, self.inner.is_at_rest = OPEN, True, True
        self.server, self.client = probe.handshake(CONTEXT, protocols.TLS13)
        self.carrier.read_stopped = self.stop
        self.carrier.write_stopped = self.stop

    def stop(self, *told: Any) -> None:
        self.stopped.append(told)

    def start(self, **replaced: Any) -> None:
        """Share; `replaced` are calls of OpenSSL by name."""
        pointers = list(CALLS.pointers(self.server))
        for name, call in replaced.items():
            pointers[NAMES.index(name)] = ctypes.cast(call, ctypes.c_void_p).value or 0
        self.carrier.start_tls(self.inner, self.server, tuple(pointers), b"", 0)

    def echo(self) -> None:
        self.world.handlers.on_data_in = lambda event: self.inner.send(2, event.text)

    def records(self, *pieces: bytes) -> bytes:
        """Return each piece in a record of its own."""
        made = b""
        for piece in pieces:
            self.client.send(piece)
            made += self.client.bio_read(1 << 20)
        return made

    def send(self, data: bytes) -> None:
        self.world.write(self.socket, data)

    def read_record(self) -> bytes:
        """Return the plaintext of the next record on the wire."""
        head = self.world.read(self.socket, 5)
        self.client.bio_write(head + self.world.read(self.socket, head[3] << 8 | head[4]))
        return self.client.recv(1 << 15)

    def read(self, size: int) -> list[bytes]:
        """Return the records that bring `size` bytes of plaintext."""
        found: list[bytes] = []
        while sum(map(len, found)) < size:
            found.append(self.read_record())
        return found
