"""The process that connections leave: it offers them in batches until a deadline.

Owns the order of a move, and what becomes of a batch whose taker does not answer. Facts to have
before reading:

- A batch is bounded in records, bytes and time, so that a client waits for one batch only: from its
  export until the taker has answered it is served by nobody.
- What cannot move now is tried again until the deadline. A connection whose handler runs is not
  served further when the handler is done; the others are served while they wait.
- Until the taker has claimed a batch (wire.takeover) it can be taken back. When it has claimed one,
  only its verdicts, or its death before them, say what became of the connections.
"""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from shardws.errors import StartError, StateError, WireError
from shardws.log import Adapter
from shardws.net.connection import Connection, moving
from shardws.net.connection.moving import Export, Stay
from shardws.net.connection.resumed import Cause
from shardws.net.connection.states import OPEN, STOP_MOVING
from shardws.routing import unix
from shardws.routing.identity import Identity
from shardws.takeover.path import takeover_path
from shardws.takeover.routes import Departures
from shardws.wire import takeover
from shardws.wire.takeover import Greeting, Verdict

BATCH_BYTES: Final = 1 << 20  # of records; one that is larger goes alone
EXPORT_S: Final = 0.01  # to make a batch; to take it takes about as long
ANSWER_S: Final = 5.0  # for a batch, before it is taken back
RETRY_S: Final = 0.01
READ_BYTES: Final = 4096

UNREACHABLE: Final = "unreachable"  # the taker, or the way to it
UNANSWERED: Final = "unanswered"
LATE: Final = "deadline"  # it could have moved


class Successor(NamedTuple):
    """The process that is to take the connections."""

    row: int
    incarnation: int
    pid: int


class Result(NamedTuple):
    """How many connections moved, and how many did not, by reason."""

    moved: int
    left: dict[str, int]


class GivingShard(Protocol):
    """The shard, as this module sees it."""

    @property
    def connections(self) -> set[Connection]: ...
    @property
    def log(self) -> Adapter: ...
    def detached(self, connection: Connection) -> None:
        """A connection is on its way."""

    def retaken(self, connection: Connection) -> None:
        """It was not taken, and is here again."""

    def moved(self, connection: Connection) -> None:
        """It was taken."""


class Giving:
    """Moves the connections of one shard to another process, once."""

    def __init__(
        self,
        shard: GivingShard,
        identity: Identity,
        run_directory: str,
        successor: Successor,
        cause: Cause,
        departures: Departures,
    ) -> None:
        self._shard = shard
        self._identity = identity
        self._run_directory = run_directory
        self._successor = successor
        self._cause = cause
        self._departures = departures
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._claim = -1
        self._decoder = takeover.Decoder(takeover.VERDICTS)
        self._pool: list[Connection] = []  # that this round has not tried yet
        self._refused: dict[Connection, str] = {}  # and why
        self._moved = 0

    async def run(self, deadline: float) -> Result:
        """Move what can be moved within `deadline` seconds; the others are served on here."""
        end = self._loop.time() + deadline
        try:
            self._dial()
            await self._move_all(end)
        except (OSError, StartError, WireError) as error:
            self._shard.log.error("connections cannot be handed over: %s", error)
            self._refused = dict.fromkeys(self._shard.connections, UNREACHABLE)
        finally:
            self._finish()
        return Result(self._moved, self._count_left())

    def _dial(self) -> None:
        path = takeover_path(self._run_directory, self._successor.row)
        self._sock = unix.dial(path, self._successor.pid)
        self._claim = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        me = self._identity
        greeting = Greeting(me.node, me.slot, me.generation, me.pid, self._cause, me.boot_nonce)
        socket.send_fds(self._sock, [takeover.greet(greeting)], [self._claim])

    async def _move_all(self, end: float) -> None:
        while self._sock is not None and self._loop.time() < end:
            batch = self._next_batch()
            if batch:
                await self._move(self._sock, batch)
            elif not self._is_waiting():
                return
            else:
                await asyncio.sleep(RETRY_S)

    # -- what goes next ----------------------------------------------------------------------

    def _next_batch(self) -> list[Export]:
        """Export what can move, as much as fits into a batch; none: nothing that was tried can."""
        if not self._pool:
            self._pool = [one for one in self._shard.connections if one not in self._refused]
        batch: list[Export] = []
        size, until = 0, time.monotonic() + EXPORT_S
        while self._pool and len(batch) < takeover.MOST_RECORDS and size < BATCH_BYTES:
            export = self._export(self._pool.pop())
            if export is not None:
                batch.append(export)
                size += len(export.data)
            if time.monotonic() >= until:
                break
        return batch

    def _export(self, connection: Connection) -> Export | None:
        made = moving.export(connection)
        if isinstance(made, Stay):
            if made is Stay.HANDLER:
                moving.wait_to_move(connection)
            else:
                _serve_on(connection)
            return None
        try:
            self._departures.depart(connection, self._successor.incarnation)
        except (StateError, ValueError) as error:
            moving.take_back(connection)
            self._refused[connection] = UNREACHABLE
            self._shard.log.error("connection %d stays: %s", connection.id, error)
            return None
        self._shard.detached(connection)
        return made

    def _is_waiting(self) -> bool:
        """Whether some connection may be movable later."""
        hindrances = (self._hindrance(connection) for connection in self._shard.connections)
        return any(stay is not None and not stay.is_final for stay in hindrances)

    def _hindrance(self, connection: Connection) -> Stay | None:
        if connection in self._refused:
            return Stay.CLOSING
        return moving.hindrance(connection) or Stay.QUEUE

    # -- a batch -----------------------------------------------------------------------------

    async def _move(self, sock: socket.socket, batch: list[Export]) -> None:
        """Offer a batch and do what the verdicts say; also when this task is cancelled."""
        verdicts: Sequence[Verdict | None] = [Verdict.TAKEN] * len(batch)  # if they stay unknown
        try:
            verdicts = await self._offer(sock, batch)
        except asyncio.CancelledError:
            if self._take_claim():
                verdicts = [None] * len(batch)
            raise
        finally:
            for export, verdict in zip(batch, verdicts, strict=True):
                self._settle(export.connection, verdict)

    async def _offer(self, sock: socket.socket, batch: list[Export]) -> Sequence[Verdict | None]:
        """Return the verdicts on a batch; None for each when it is still this process's."""
        os.eventfd_write(self._claim, 1)
        try:
            async with asyncio.timeout(ANSWER_S):
                descriptors = [export.fd for export in batch]
                socket.send_fds(sock, [takeover.begin_batch(len(batch))], descriptors)
                records = (takeover.frame(takeover.RECORD, export.data) for export in batch)
                await self._loop.sock_sendall(sock, b"".join(records))
                return await self._verdicts(sock, len(batch))
        except (OSError, WireError) as error:  # TimeoutError is one
            self._shard.log.error("a batch of connections was not answered: %r", error)
        self._sock = None
        try:
            if not self._take_claim():  # it was claimed: the taker lives, or has died at it
                return await self._verdicts(sock, len(batch))
        except (OSError, WireError) as error:
            self._shard.log.error("the process that was to take connections is gone: %r", error)
        finally:
            sock.close()
        return [None] * len(batch)

    async def _verdicts(self, sock: socket.socket, count: int) -> list[Verdict]:
        """Wait for the answer; OSError when the taker is gone."""
        while True:
            data = await self._loop.sock_recv(sock, READ_BYTES)
            if not data:
                raise ConnectionResetError("it ended without an answer")
            for _, body in self._decoder.feed(data):
                return takeover.read_verdicts(body, count)

    def _take_claim(self) -> bool:
        """Take a batch back, unless the taker has claimed it."""
        try:
            os.eventfd_read(self._claim)
        except BlockingIOError:
            return False
        return True

    def _settle(self, connection: Connection, verdict: Verdict | None) -> None:
        if verdict is Verdict.TAKEN:
            self._departures.confirm(connection.id)
            self._shard.moved(connection)
            moving.let_go(connection)
            self._moved += 1
            return
        self._refused[connection] = UNANSWERED if verdict is None else verdict.name.lower()
        moving.take_back(connection)
        self._shard.retaken(connection)
        self._departures.take_back(connection)

    # -- the end -----------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1
        for connection in self._shard.connections:
            _serve_on(connection)

    def _count_left(self) -> dict[str, int]:
        left = Counter(str(self._reason(connection)) for connection in self._shard.connections)
        del left[Stay.CLOSING]  # nothing is lost by them
        return dict(left)

    def _reason(self, connection: Connection) -> str:
        refused = self._refused.get(connection)
        return refused or moving.hindrance(connection) or LATE


def _serve_on(connection: Connection) -> None:
    """Let a connection go on that was to move."""
    if connection.stops & STOP_MOVING and connection.state == OPEN:
        connection.stay()
