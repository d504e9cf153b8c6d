"""A pump on a loop of its own with recording wires over loopback TCP, in each implementation."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import pytest
import uvloop

from shardws.events import DataIn
from shardws.net.pump import select
from shardws.outcomes import QUEUED
from shardws.protocol import codec
from shardws.stats import BYTES_IN, BYTES_OUT, MESSAGES_IN, MESSAGES_OUT, Stats
from tests.unit.protocol.client_frames import frame as client_frame

DEADLINE_S = 10.0
OPENING, OPEN, CLOSING, LOST = 0, 2, 3, 5  # net.connection.states
BLOCKED_WIRE = 1

T = TypeVar("T")

try:
    C: ModuleType | None = select("c")
except ImportError:  # built without a compiler
    C = None

needs_c = pytest.mark.skipif(C is None, reason="the C implementation was not built")


def frame(payload: bytes, first: int = 0x82) -> bytes:
    """Return one masked frame, its length in the shortest form."""
    return client_frame(first, payload)


def out(payload: bytes, first: int = 0x82) -> bytes:
    """Return the frame that a server sends."""
    return codec.join([(first, payload)])


class Recorder:
    """What a Wire calls; mixed into the Wire of an implementation by `World`."""

    blocked: int  # of the Wire

    def __init__(self, pump: Any) -> None:
        self.bind(pump)  # type: ignore[attr-defined]
        self.high_mark, self.low_mark = 1 << 20, 1 << 18
        self.max_size = 1 << 20
        self.calls: list[tuple[Any, ...]] = []
        self.given = bytearray()
        self.stays_after_eof = False

    def connection_made(self, transport: Any) -> None:
        if transport is not self:
            self.attach(transport)  # type: ignore[attr-defined]
        self.calls.append(("made",))

    def bytes_received(self, data: bytes) -> None:
        self.given += data

    def send_slowly(self, kind: int, payload: bytes) -> str:
        self.calls.append(("slowly", kind, payload))
        return "slowly"

    def pause_writing(self) -> None:
        self.blocked |= BLOCKED_WIRE
        self.queued_at_pause = self.queued  # type: ignore[attr-defined]
        self.calls.append(("pause",))

    def resume_writing(self) -> None:
        self.blocked &= ~BLOCKED_WIRE
        self.calls.append(("resume",))

    def eof_received(self) -> bool:
        self.calls.append(("eof",))
        return self.stays_after_eof

    def connection_lost(self, error: Exception | None) -> None:
        self.state = LOST
        self.calls.append(("lost", error))
        self.attach(None)  # type: ignore[attr-defined]

    def count(self, name: str) -> int:
        return sum(call[0] == name for call in self.calls)

    @property
    def error(self) -> Any:
        """What connection_lost was told."""
        (lost,) = (call for call in self.calls if call[0] == "lost")
        return lost[1]


class Dispatch:
    """What a pump calls of a dispatcher."""

    faults = (Exception, SystemExit, asyncio.CancelledError)

    def __init__(self) -> None:
        self.failures: list[tuple[int, str, BaseException]] = []
        self.started: list[tuple[Any, str, Any]] = []

    def handler_failed(self, wire: Any, name: str, error: BaseException) -> None:
        self.failures.append((wire.id, name, error))

    def start(self, wire: Any, name: str, result: Any) -> None:
        self.started.append((wire, name, result))


def new_pump(module: ModuleType, **changed: Any) -> Any:
    """Return a pump whose callbacks do nothing, unless given."""
    arguments: dict[str, Any] = {
        "handlers": SimpleNamespace(on_data_in=None),
        "dispatch": Dispatch(),
        "event_type": DataIn,
        "queued": QUEUED,
        "row": Stats(1).row(0),
        "index": (MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT),
        "call_soon": lambda callback: None,
        "time": lambda: 0.0,
        "on_error": lambda wire, error: None,
    }
    return module.Pump(**arguments | changed)


class World:
    """A pump, its loop, its wires and their clients."""

    def __init__(self, module: ModuleType, is_direct: bool) -> None:
        """`is_direct`: the pump serves sockets, else wires have transports of the loop."""
        self.wire_type: Any = type("RecordingWire", (Recorder, module.Wire), {})
        self.is_direct = is_direct
        self.loop = uvloop.new_event_loop()
        self.row = Stats(1).row(0)
        self.handlers = SimpleNamespace(on_data_in=self.note)
        self.dispatch = Dispatch()
        self.events: list[Any] = []
        self.errors: list[tuple[Any, BaseException]] = []
        self.wires: list[Any] = []
        self.clients: list[socket.socket] = []
        self.call_soon: Any = self.loop.call_soon
        self.pump = new_pump(
            module,
            handlers=self.handlers,
            dispatch=self.dispatch,
            row=self.row,
            call_soon=lambda callback: self.call_soon(callback),
            time=self.loop.time,
            on_error=lambda wire, error: self.errors.append((wire, error)),
        )
        self.pump.is_direct = True
        if self.pump.owns_sockets:
            self.loop.add_reader(self.pump.fileno(), self.pump.turn)
        self.listening = socket.create_server(("127.0.0.1", 0))

    def note(self, event: DataIn) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.handlers.on_data_in = None
        for wire in self.wires:
            wire.abort_wire()
        for client in self.clients:
            client.close()
        self.listening.close()
        self.turns(3)
        if self.pump.owns_sockets:
            self.loop.remove_reader(self.pump.fileno())
        self.loop.close()
        self.pump.close()

    def connect(self, send_buffer: int = 0, is_open: bool = True) -> tuple[Any, socket.socket]:
        """Return a wire and its client, which does not block."""
        client = socket.socket()
        if send_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, send_buffer)
        client.connect(self.listening.getsockname())
        client.setblocking(False)
        self.clients.append(client)
        accepted = self.listening.accept()[0]
        accepted.setblocking(False)
        if send_buffer:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        wire = self.wire_type(self.pump)
        if self.is_direct:
            self.pump.adopt(wire, accepted.detach())
        else:
            self.run(self.loop.connect_accepted_socket(lambda: wire, accepted))
        self.wires.append(wire)
        wire.id = len(self.wires)
        if is_open:
            wire.state, wire.is_plain, wire.is_at_rest = OPEN, True, True
        return wire, client

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(what, DEADLINE_S))

    def turns(self, count: int = 1) -> None:
        """Let the loop turn a few times."""

        async def turn() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.run(turn())

    def until(self, what: Callable[[], Any]) -> None:
        """Let the loop turn until something is true."""

        async def wait() -> None:
            while not what():  # noqa: ASYNC110  the loop is turned, nothing is waited for
                await asyncio.sleep(0)

        self.run(wait())

    def read(self, client: socket.socket, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end of the stream."""

        async def receive() -> bytes:
            data = bytearray()
            while len(data) < size:
                more = await self.loop.sock_recv(client, size - len(data))
                if not more:
                    break
                data += more
            return bytes(data)

        return self.run(receive())

    def write(self, client: socket.socket, data: bytes) -> None:
        self.run(self.loop.sock_sendall(client, data))

    def reset(self, client: socket.socket) -> None:
        """End the connection by RST."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    @property
    def counts(self) -> list[int]:
        """Messages and bytes in, messages and bytes out."""
        return [self.row[at] for at in (MESSAGES_IN, BYTES_IN, MESSAGES_OUT, BYTES_OUT)]


def worlds(*names: str) -> Any:
    """Return a fixture of worlds: "c", "c over transports" and "python" unless named."""

    @pytest.fixture(params=names or ("c", "c over transports", "python"))
    def world(request: pytest.FixtureRequest) -> Iterator[World]:
        name = request.param
        if name.startswith("c") and C is None:
            pytest.skip("the C implementation was not built")
        made = World(select("python" if name == "python" else "c"), is_direct=name == "c")
        yield made
        made.close()

    return world
