"""Push from a program without an event loop: a blocking client of the control socket.

Owns one connection and whose turn it is on it. For scripts, Flask, Celery and the command line:

    with shardws.control.connect_blocking() as client:
        outcome = client.send(connection_id, "hello")

Any number of threads may share a client: one request is under way at a time, the others wait for
their turn within their own deadline. After a fork the child has a connection of its own. The
connection is opened when it is needed, again after a restart of the server too.
"""

import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from shardws.control import commands, failures
from shardws.control.codec import Data, Decoder, Reply, encode
from shardws.control.commands import Command, ConnectionList
from shardws.control.endpoint import DEADLINE
from shardws.control.location import PAUSE, Location, has_ended
from shardws.errors import StateError
from shardws.outcomes import Outcome

PIECE = 1 << 16  # bytes of one read

T = TypeVar("T")


class Connection:
    """A connection on which one request at a time is asked."""

    def __init__(self, sock: socket.socket, path: Path, timeout: float) -> None:
        self._sock = sock
        self._path = path
        self._timeout = timeout  # for words
        self._decoder = Decoder(path)
        self._has_answered = False

    @property
    def has_ended(self) -> bool:
        self._sock.setblocking(False)
        return has_ended(self._sock)

    def request(self, line: bytes, deadline: float) -> Reply:
        """Ask and return the reply; ControlError, and then the connection is of no more use."""
        was_sent = False
        try:
            self._wait_until(deadline)
            self._sock.sendall(line)  # all of it, or the server has no whole request
            was_sent = True
            return self._reply(deadline)
        except TimeoutError:
            raise failures.silent(self._path, self._timeout, was_sent=was_sent) from None
        except OSError:
            answered = self._has_answered
            raise failures.gone(self._path, has_answered=answered, was_sent=was_sent) from None

    def _reply(self, deadline: float) -> Reply:
        replies: list[Reply] = []
        while not replies:
            self._wait_until(deadline)
            data = self._sock.recv(PIECE)
            if not data:
                raise ConnectionResetError
            replies.extend(self._decoder.feed(data))
        if len(replies) > 1:
            raise failures.no_server(self._path)
        self._has_answered = True
        return replies[0]

    def _wait_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def close(self) -> None:
        self._sock.close()


class Turn:
    """What one process has of a client: its connection, and the lock of who uses it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.connection: Connection | None = None


class BlockingClient:
    """One server, for as many threads as like; made by `connect_blocking`."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout
        self._turn = Turn()
        self._is_closed = False

    @property
    def run_directory(self) -> Path | None:
        """Return the run directory of the server, None before it was found."""
        return self._location.path

    def __enter__(self) -> "BlockingClient":
        """Connect; ControlError when no server runs."""
        deadline = time.monotonic() + self._timeout
        turn = self._take_turn(deadline)
        try:
            if turn.connection is None:
                turn.connection = self._open(deadline)
        finally:
            turn.lock.release()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End, after the request that is under way. Idempotent."""
        if self._is_closed:
            return
        turn = self._take_turn(time.monotonic() + self._timeout)
        self._is_closed = True
        if turn.connection is not None:
            turn.connection.close()
        turn.lock.release()

    # -- to connections --------------------------------------------------------------------

    def send(self, connection_id: int, data: str | Data) -> Outcome:
        """Send one message to a connection of any shard: str as text, bytes as binary."""
        return self._run(commands.send(connection_id, data))

    def send_text(self, connection_id: int, text: str | bytes) -> Outcome:
        """Send one text message; bytes must be UTF-8, or UnicodeDecodeError is raised."""
        return self._run(commands.send_text(connection_id, text))

    def publish(self, group: str, data: str | Data) -> Outcome:
        """Send to every member of a group on all shards."""
        return self._run(commands.publish(group, data))

    def broadcast(self, data: str | Data) -> Outcome:
        """Send to every connection of the server."""
        return self._run(commands.broadcast(data))

    def disconnect(self, connection_id: int, code: int = 1000, reason: str = "") -> Outcome:
        """Close a connection; Refused (213) for a code or reason no close frame may carry."""
        return self._run(commands.disconnect(connection_id, code, reason))

    def kick(self, address: str, code: int = 1000, reason: str = "") -> int:
        """Close every connection from an address; return how many there were."""
        return self._run(commands.kick(address, code, reason))

    # -- about the server ------------------------------------------------------------------

    def connections(
        self,
        limit: int = 500,
        *,
        shard: int | None = None,
        sort: str = "id",
        after: int | None = None,
    ) -> ConnectionList:
        """Return the newest connections, `limit` or 500 of each shard, of all shards or one.

        `after`, of a list's `next`, asks for those that follow in the shard of that id.
        """
        return self._run(commands.connections(limit, shard, sort, after))

    def connection(self, connection_id: int) -> Reply:
        """Return what `shardws conn ID --json` shows; Refused (1117) when there is none."""
        return self._run(commands.connection(connection_id))

    def status(self) -> Reply:
        """Return what `shardws status --json` shows."""
        return self._run(commands.status())

    def ask(self, do: str, **arguments: Any) -> Reply:
        """Ask for any command of the control socket and return its answer.

        Refused with the server's reason; ControlError when there is no answer; UsageError (213)
        for more than 64 KiB or what JSON cannot carry.
        """
        return self._run(commands.other(do, arguments))

    # -- the connection ----------------------------------------------------------------------

    def _run(self, command: Command[T]) -> T:
        line = encode(command.do, command.arguments)
        deadline = time.monotonic() + self._timeout
        turn = self._take_turn(deadline)
        try:
            reply = self._request(turn, line, deadline)
        finally:
            turn.lock.release()
        return command.read(reply)

    def _take_turn(self, deadline: float) -> Turn:
        """Return this process's turn with its lock taken; ControlError after the deadline."""
        turn = self._turn
        if turn.pid != os.getpid():  # a fork: locks and connections of the parent are its own
            if turn.connection is not None:
                turn.connection.close()  # our copy of the descriptor
            turn = self._turn = Turn()
        if not turn.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise failures.silent(self._location.path, self._timeout, was_sent=False)
        if self._is_closed:
            turn.lock.release()
            raise StateError("this client was closed")
        return turn

    def _request(self, turn: Turn, line: bytes, deadline: float) -> Reply:
        connection, turn.connection = turn.connection, None
        if connection is not None and connection.has_ended:
            connection.close()
            connection = None
        if connection is None:
            connection = self._open(deadline)
        try:
            reply = connection.request(line, deadline)
        except BaseException:  # Ctrl-C too: its reply must not be taken for that of the next one
            connection.close()
            raise
        turn.connection = connection
        return reply

    def _open(self, deadline: float) -> Connection:
        while (sock := self._location.dial()) is None:
            if time.monotonic() + PAUSE > deadline:
                raise failures.silent(self._location.path, self._timeout, was_sent=False)
            time.sleep(PAUSE)
        assert self._location.path is not None
        return Connection(sock, self._location.path, self._timeout)


def connect_blocking(
    run_directory: str | os.PathLike[str] | None = None,
    *,
    port: int | None = None,
    timeout: float = DEADLINE,
) -> BlockingClient:
    """Return a client for `with`; without arguments, of the one server of this user.

    The arguments are those of `connect`.
    """
    named = None if run_directory is None else Path(run_directory)
    return BlockingClient(Location(named, port), timeout)
