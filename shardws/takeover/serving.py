"""Sockets for connections that have come from another process.

Owns how a connection gets its socket here: the pump's own, or a transport of the event loop. What
the other process had not written yet is written first; the options of the socket stay as they are.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Protocol, cast

from shardws.log import Adapter
from shardws.net.connection import Connection
from shardws.net.pump import Pump
from shardws.wire.record import Record


class ServingShard(Protocol):
    """The shard, as this module sees it."""

    pump: Pump

    @property
    def log(self) -> Adapter: ...
    def resumed(self, connection: Connection) -> None:
        """Tell the application of a connection that has its socket."""


class Serving:
    """Begins to serve the connections of one shard that come from elsewhere."""

    def __init__(self, shard: ServingShard) -> None:
        self._shard = shard
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, connection: Connection, record: Record, fd: int) -> None:
        """Serve a connection on its socket; a socket that cannot be served ends it."""
        os.set_blocking(fd, False)
        if not self._shard.pump.owns_sockets:
            task = asyncio.get_running_loop().create_task(
                self._connect(connection, socket.socket(fileno=fd), record.unsent)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        try:
            self._shard.pump.resume(connection, fd, record.unsent)
        except (OSError, MemoryError) as error:
            os.close(fd)
            self._lose(connection, error)
        else:
            self._begin(connection)

    async def _connect(self, connection: Connection, sock: socket.socket, unsent: bytes) -> None:
        arrival = _Arrival(connection, sock, unsent, self._begin)
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: arrival, sock)
        except OSError as error:
            sock.close()
            self._lose(connection, error)

    def _begin(self, connection: Connection) -> None:
        self._shard.resumed(connection)
        connection.begin()

    def _lose(self, connection: Connection, error: Exception) -> None:
        self._shard.log.error("connection %d cannot be served: %s", connection.id, error)
        connection.connection_lost(error)


class _Arrival(asyncio.Protocol):
    """Gets the transport of a socket, and gives it to the connection that it belongs to."""

    def __init__(
        self,
        connection: Connection,
        sock: socket.socket,
        unsent: bytes,
        begin: Callable[[Connection], None],
    ) -> None:
        self._connection = connection
        self._no_delay = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self._unsent = unsent
        self._begin = begin

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        options = made.get_extra_info("socket")
        options.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._no_delay)
        made.set_protocol(self._connection)
        self._connection.attach(made)
        if self._unsent:
            made.write(self._unsent)
        self._begin(self._connection)
