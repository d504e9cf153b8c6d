"""Two shards on the test's loop, between which connections move, as two processes would do it."""

import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from websockets.typing import Origin

from shardws import DataIn, WebSocketServer
from shardws.close_reasons import SERVER_STOPS
from shardws.net import sockets
from shardws.net.connection import Connection
from shardws.net.connection.resumed import Cause
from shardws.net.listener import Listener
from shardws.routing.identity import Identity
from shardws.shard import certificates, drain
from shardws.shard.context import ShardContext
from shardws.shard.embedded import GuestDispatcher
from shardws.shard.shard import Shard
from shardws.stats import CONNECTED, CONNECTIONS, DISCONNECTED, MOVED, RESUMED, Stats, Words
from shardws.takeover.giving import Giving, Result, Successor
from shardws.takeover.routes import LocalRoutes
from shardws.takeover.taking import Taking
from tests.shard.server_fixture import EventRecorder, new_server, running_loop

Configure = Callable[[WebSocketServer, EventRecorder], None]


class Side:
    """One of the two: an application, its shard, and what it was told."""

    def __init__(self, generation: int, directory: str, stats: Stats, configure: Configure) -> None:
        self.recorder = EventRecorder()
        self.server = new_server()
        note = self.recorder.note
        self.server.on_connected = lambda e: note("connected", e.connection_id)
        self.server.on_resumed = lambda e: note("resumed", e.cause, e.user_data, e.may_have_lost)
        self.server.on_ready_to_send = lambda e: note("ready")
        self.server.on_data_in = lambda e: note("data", e.text, e.eom)
        self.server.on_disconnected = lambda e: note("disconnected", e.status_code)
        self.server.on_error = lambda e: note("error", e.error_code)
        configure(self.server, self.recorder)
        loop = running_loop()
        context = ShardContext(0, generation, 0, "00ff", os.getpid(), stats, directory)
        self.shard = Shard(
            loop, self.server.settings, self.server.handlers, context, dispatcher=GuestDispatcher
        )
        self.shard.secure(certificates.build(self.server.settings))
        self.shard.start()
        self.server.attach(self.shard)
        self.identity: Identity = self.shard.mesh.identity
        self.routes = LocalRoutes(self.shard.router)
        self.taking = Taking(self.shard, self.identity, directory, self.routes)
        self.shard.taking = self.taking
        self.taking.start()
        self.directory = directory
        self._is_closed = False

    @property
    def row(self) -> Words:
        return self.shard.row

    def counts(self) -> dict[str, int]:
        words = {"connected": CONNECTED, "disconnected": DISCONNECTED, "resumed": RESUMED}
        words |= {"moved": MOVED, "open": CONNECTIONS}
        return {name: self.row[word] for name, word in words.items()}

    def connection(self, connection_id: int) -> Connection:
        return self.shard.find(connection_id)

    @property
    def successor(self) -> Successor:
        return Successor(self.identity.row, self.identity.incarnation, os.getpid())

    def giving(self, other: "Side", cause: Cause = Cause.RELOAD) -> Giving:
        return Giving(
            self.shard, self.identity, self.directory, other.successor, cause, self.routes
        )

    async def move_to(self, other: "Side", deadline: float = 5.0) -> Result:
        return await self.giving(other).run(deadline)

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.taking.close()
        await drain.drain(self.shard, SERVER_STOPS, 0.0, 1.0)
        self.shard.stop()


class Pair:
    """Both sides, and the port of the first."""

    def __init__(self, directory: Path, configure: Configure) -> None:
        self.stats = Stats(1)
        path = str(directory)
        self.old = Side(0, path, self.stats, configure)
        self.new = Side(1, path, self.stats, configure)
        address = sockets.resolve("127.0.0.1", 0, 0)
        bound = sockets.open_port(address, is_shared=True)
        bound.listen(100)
        self.port = bound.sock.getsockname()[1]
        shard = self.old.shard
        self.listener = Listener(
            shard.make_connection, bound.sock, shard.log, bound.lock, shard.pump
        )

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/path?query=1"

    @property
    def origin(self) -> Origin:
        return Origin(f"http://127.0.0.1:{self.port}")

    async def raw_client(self, extra: bytes = b"", buffer: int = 0) -> tuple[socket.socket, int]:
        """Return a client that only does what it is told, and the id of its connection."""
        sock = socket.socket()
        sock.setblocking(False)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        loop = running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.port))
        before = self.old.recorder.count("connected")
        request = (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        await loop.sock_sendall(sock, request + extra + b"\r\n")
        events = await self.old.recorder.wait_for("connected", before + 1)
        await self.read_until(sock, b"\r\n\r\n")
        return sock, events[-1][1]

    @staticmethod
    async def read_until(sock: socket.socket, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            part = await running_loop().sock_recv(sock, 1)
            assert part, data
            data += part
        return data


def plain(server: WebSocketServer, recorder: EventRecorder) -> None:
    """Leave the server as it is."""


def buffering(server: WebSocketServer, recorder: EventRecorder) -> None:
    server.buffer_message = True


def echoing(server: WebSocketServer, recorder: EventRecorder) -> None:
    """Echo whole messages."""
    server.buffer_message = True

    def echo(e: DataIn) -> None:
        send = server.send if e.data_format == 2 else server.send_text
        send(e.connection_id, e.text)

    server.on_data_in = echo


@contextlib.asynccontextmanager
async def pair(directory: Path, configure: Configure = plain) -> AsyncIterator[Pair]:
    """Two shards of one slot; clients connect to the old one."""
    run_directory = directory / secrets.token_hex(2)
    run_directory.mkdir(mode=0o700)
    made = Pair(run_directory, configure)
    await made.listener.start(100)
    try:
        yield made
    finally:
        made.listener.close()
        for side in (made.old, made.new):
            await side.close()
