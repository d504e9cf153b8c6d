"""The micro benchmarks, counted and timed: one row per hot path, each a function of batches.

A scenario is prepared once, then run for any number of batches of messages; preparation is not
counted. Most are calls into sans-IO modules. `echo_125` is the whole path with its client in the
same process; those that end in `_64` have 64 clients in another one, so that nothing but the server
is counted.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import uvloop

from benchmarks.micro.connecting import connecting
from benchmarks.micro.crowd import BATCH, broadcasting_to_crowd, crowding, crowding_app
from benchmarks.micro.spreading import broadcasting, sending_across
from benchmarks.micro.tls import echoing_tls
from shardws import Connected, DataIn, Disconnected, WebSocketServer
from shardws.events import Handlers
from shardws.log import Adapter
from shardws.net.connection.states import OPEN
from shardws.protocol import codec, handshake
from shardws.protocol.handshake import HandshakeConfig, HandshakeReader
from shardws.protocol.session import Session, SessionConfig
from shardws.routing.link_decoder import LinkDecoder
from shardws.shard.dispatch import Dispatcher
from shardws.shard.turns import Turns
from shardws.stats import Stats
from shardws.wire.codec import encode
from shardws.wire.messages import DELIVER, SHARD

PER_BATCH = 16
TURNS_LIMIT = 10_000  # of the server for one batch
BINARY = 2
MASK = b"\x1f\x2e\x3d\x4c"
CONNECTION_ID = 0x1234_5678
LIMIT = 1 << 20

Batches = Callable[[int], None]


@dataclass(frozen=True)
class Scenario:
    """A name, what is done per message, and a factory of the function of batches."""

    name: str
    says: str
    prepared: Callable[[], Any]  # a context manager that gives Batches
    per_batch: int = PER_BATCH  # messages


def masked_frame(payload: bytes) -> bytes:
    """A client's binary frame of up to 65,535 bytes."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    mask = MASK * (size // 4 + 1)
    return b"\x82" + length + MASK + bytes(a ^ b for a, b in zip(payload, mask, strict=False))


def segment(size: int) -> bytes:
    """PER_BATCH frames as delivered by one read."""
    return masked_frame(bytes(range(256)) * (size // 256) + bytes(size % 256)) * PER_BATCH


def repeated(make: Callable[[], Callable[[], object]]) -> Callable[[], Any]:
    """A scenario that calls what `make` returns once per batch."""

    @contextmanager
    def prepared() -> Iterator[Batches]:
        once = make()

        def run(batches: int) -> None:
            for _ in range(batches):
                once()

        yield run

    return prepared


def parsing(implementation: str, size: int) -> Callable[[], object]:
    data = segment(size)
    parse = codec.select(implementation).parse

    def once() -> None:
        items, used, _ = parse(data, LIMIT)
        assert len(items) == PER_BATCH
        assert used == len(data)

    return once


def joining(implementation: str) -> Callable[[], object]:
    frames = [(0x80 | BINARY, bytes(125))] * PER_BATCH
    join = codec.select(implementation).join
    return lambda: join(frames)


def receiving() -> Callable[[], object]:
    data = segment(125)
    session = Session(SessionConfig(buffer_message=True))

    def once() -> None:
        assert len(session.receive(data)) == PER_BATCH

    return once


def opening() -> Callable[[], object]:
    data = (
        b"GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nOrigin: https://example.org\r\nUser-Agent: some/1.0\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    config = HandshakeConfig()

    def once() -> None:
        for _ in range(PER_BATCH):
            reader = HandshakeReader(config)
            assert reader.receive(data) is not None
            assert reader.fields is not None
            handshake.accept(reader.fields)

    return once


def wiring() -> Callable[[], object]:
    payload = bytes(100)
    decoder = LinkDecoder(LIMIT, SHARD)

    def once() -> None:
        joined = b"".join([encode(DELIVER, CONNECTION_ID, 1, payload) for _ in range(PER_BATCH)])
        ((_, run),) = decoder.feed(joined)
        assert run.size == PER_BATCH

    return once


class Nobody:
    """The part of a connection that an unobstructed dispatch uses."""

    id = CONNECTION_ID
    holds = 0
    state = OPEN


def ignore(connection: object) -> None:
    """A stand-in for the shard that owns the connections."""


def dispatching() -> Callable[[], object]:
    seen: list[DataIn] = []
    handlers = Handlers()
    handlers.on_data_in = seen.append
    loop, log = cast(asyncio.AbstractEventLoop, None), cast(Adapter, None)
    row, turns = Stats(1).row(0), Turns(loop, log)
    dispatcher = Dispatcher(loop, handlers, row, log, ended=ignore, forget=ignore, turns=turns)
    items = [(BINARY, bytes(125), True)] * PER_BATCH

    def once() -> None:
        dispatcher.received(cast(Any, Nobody), items, PER_BATCH * 131)
        assert len(seen) == PER_BATCH
        seen.clear()

    return once


OPENING_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def connect(server: WebSocketServer, turn: Callable[[], None]) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.local_port))
    client.setblocking(False)
    client.send(OPENING_REQUEST)
    answer = receive(client, 1, turn)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return client


def receive(client: socket.socket, size: int, turn: Callable[[], None]) -> bytes:
    """At least `size` bytes; raises TimeoutError when the server's loop never delivers them."""
    found = b""
    for _ in range(TURNS_LIMIT):
        try:
            found += client.recv(LIMIT)
        except BlockingIOError:
            turn()
        if len(found) >= size:
            return found
    raise TimeoutError(f"{len(found)} of {size} bytes came back")


class Wire:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, _default: object = None) -> tuple[str, int] | None:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else None

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...


@contextmanager
def echoing(is_lone: bool) -> Iterator[Batches]:
    """The application is examples/echo.py's, for binary messages.

    With `is_lone` each message comes in its own read, without the kernel. The loop
    runs as in a shard: a program that calls do_events has its handlers outside of it.
    """
    loop = uvloop.new_event_loop()
    server = WebSocketServer()
    server.config("BufferMessage=True")
    server.local_host = "127.0.0.1"
    gone: list[Disconnected] = []

    def on_data_in(e: DataIn) -> None:
        server.send(e.connection_id, e.text)

    def on_connected(e: Connected) -> None:
        gone.clear()

    server.on_data_in = on_data_in
    server.on_connected = on_connected
    server.on_disconnected = gone.append

    async def listen() -> None:
        server.listening = True
        await asyncio.sleep(0)

    def turn() -> None:
        loop.call_soon(loop.stop)
        loop.run_forever()

    loop.run_until_complete(listen())
    client = connect(server, turn)
    data = segment(125)
    back = PER_BATCH * (2 + 125)

    def run(batches: int) -> None:
        for _ in range(batches):
            client.send(data)
            assert len(receive(client, back, turn)) == back

    lone = data[: len(data) // PER_BATCH]
    wire = Wire()
    connection = cast(Any, server)._shard.make_connection()

    async def open_lone() -> None:
        connection.connection_made(wire)
        connection.data_received(OPENING_REQUEST)
        await asyncio.sleep(0)
        assert connection.state == OPEN

    async def lose_lone() -> None:
        connection.connection_lost(None)

    async def run_lone(batches: int) -> None:
        for _ in range(batches):
            wire.size = 0
            for _ in range(PER_BATCH):
                connection.data_received(lone)
            assert wire.size == back

    try:
        if is_lone:
            loop.run_until_complete(open_lone())
            yield lambda batches: loop.run_until_complete(run_lone(batches))
            loop.run_until_complete(lose_lone())
        else:
            yield run
    finally:
        client.close()
        for _ in range(TURNS_LIMIT):
            if gone:
                break
            turn()
        loop.run_until_complete(server.shutdown_complete())
        loop.close()


def echoing_records(at_once: int) -> Any:
    frame = segment(125)[: len(segment(125)) // PER_BATCH]
    return echoing_tls(PER_BATCH, at_once, frame, 125, OPENING_REQUEST)


SCENARIOS = (
    Scenario("parse_c_125", "C: frame of 125 B in", repeated(partial(parsing, "c", 125))),
    Scenario("parse_python_125", "Python: the same", repeated(partial(parsing, "python", 125))),
    Scenario("parse_c_16k", "C: frame of 16 KiB in", repeated(partial(parsing, "c", 16384))),
    Scenario("parse_python_16k", "Python: the same", repeated(partial(parsing, "python", 16384))),
    Scenario("join_c_125", "C: frame of 125 B out", repeated(partial(joining, "c"))),
    Scenario("join_python_125", "Python: the same", repeated(partial(joining, "python"))),
    Scenario("session_125", "session: message of 125 B in", repeated(receiving)),
    Scenario("handshake", "opening request in, 101 out", repeated(opening)),
    Scenario("connect", "TCP, both handshakes, and the end", partial(connecting, PER_BATCH)),
    Scenario("wire_deliver", "DELIVER of 100 B, there and back", repeated(wiring)),
    Scenario(
        "cross_send", "send to another shard, all but clients", partial(sending_across, PER_BATCH)
    ),
    Scenario("broadcast", "delivery to one of many", repeated(partial(broadcasting, PER_BATCH))),
    Scenario("dispatch", "item to a plain handler", repeated(dispatching)),
    Scenario("echo_125", "whole path: 125 B, 16 in a read", partial(echoing, False)),
    Scenario("echo_lone", "path of one message in a read, no kernel", partial(echoing, True)),
    Scenario("tls_echo_d1", "TLS: 125 B, one in a read", partial(echoing_records, 1)),
    Scenario("tls_echo_d16", "TLS: 125 B, 16 records in a read", partial(echoing_records, 16)),
    Scenario("echo_d1_64", "server with 64 clients, 125 B", partial(crowding, 1), BATCH),
    Scenario("echo_d16_64", "the same, 16 in a read", partial(crowding, 16), BATCH),
    Scenario("app_echo", "echo_d1_64 by a route of an App", partial(crowding_app, 1), BATCH),
    Scenario("app_echo_d16", "echo_d16_64 by a route", partial(crowding_app, 16), BATCH),
    Scenario(
        "broadcast_w1_64", "delivery to one of 64 clients", partial(broadcasting_to_crowd, 1), BATCH
    ),
    Scenario("broadcast_w8_64", "the same, 8 in a write", partial(broadcasting_to_crowd, 8), BATCH),
)


def available() -> dict[str, Scenario]:
    """By name, those that can run here: without the C extension its scenarios cannot."""
    try:
        codec.select("c")
        has_c = True
    except ImportError:
        has_c = False
    return {one.name: one for one in SCENARIOS if has_c or "_c_" not in one.name}
