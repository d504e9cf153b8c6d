"""Push from another program on the host: an asyncio client of the control socket.

Owns the methods and their deadline; what they ask is in commands, how in exchange. It knows no
shard: the supervisor finds the owner of an id.

    async with shardws.control.connect() as client:
        outcome = await client.send(connection_id, "hello")

A send returns the Outcome that the application itself would get. ControlError: the server said
nothing, because none runs, it has gone, or it is silent. Many tasks may share one client: requests
go out in the order of the calls, 64 KiB of them at a time, without waiting for each other's
answers. The connection is opened when it is needed, again after a restart of the server too, and
given back after connection.IDLE seconds without a request, since the server serves 256 at once.

A client belongs to the event loop that uses it, and moves: in another `asyncio.run`, or after a
fork, its next call opens a connection there. While the loop it leaves still waits for answers that
call is a StateError instead.
"""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from shardws.control import commands
from shardws.control.codec import Data, Reply, encode
from shardws.control.commands import Command, ConnectionList
from shardws.control.endpoint import DEADLINE
from shardws.control.exchange import Exchange
from shardws.control.location import Location
from shardws.errors import Refused, StateError
from shardws.outcomes import Outcome

T = TypeVar("T")


class Client:
    """One server, for as many tasks of one event loop as like; made by `connect`."""

    def __init__(self, location: Location, timeout: float) -> None:
        self._location = location
        self._timeout = timeout
        self._exchange: Exchange | None = None
        self._left: Exchange | None = None  # of the process we were forked from: kept from the gc
        self._is_closed = False

    @property
    def run_directory(self) -> Path | None:
        """Return the run directory of the server, None before it was found."""
        return self._location.path

    async def __aenter__(self) -> "Client":
        """Connect; ControlError when no server runs."""
        await self._here().open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End; calls under way raise ControlError. Idempotent."""
        self._is_closed = True
        if self._exchange is not None:
            self._exchange.close()

    # -- to connections --------------------------------------------------------------------

    async def send(self, connection_id: int, data: str | Data) -> Outcome:
        """Send one message to a connection of any shard: str as text, bytes as binary."""
        return await self._run(commands.send(connection_id, data))

    async def send_text(self, connection_id: int, text: str | bytes) -> Outcome:
        """Send one text message; bytes must be UTF-8, or UnicodeDecodeError is raised."""
        return await self._run(commands.send_text(connection_id, text))

    async def publish(self, group: str, data: str | Data) -> Outcome:
        """Send to every member of a group on all shards."""
        return await self._run(commands.publish(group, data))

    async def broadcast(self, data: str | Data) -> Outcome:
        """Send to every connection of the server."""
        return await self._run(commands.broadcast(data))

    async def disconnect(self, connection_id: int, code: int = 1000, reason: str = "") -> Outcome:
        """Close a connection; Refused (213) for a code or reason no close frame may carry."""
        return await self._run(commands.disconnect(connection_id, code, reason))

    async def kick(self, address: str, code: int = 1000, reason: str = "") -> int:
        """Close every connection from an address; return how many there were."""
        return await self._run(commands.kick(address, code, reason))

    # -- about the server ------------------------------------------------------------------

    async def connections(
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
        return await self._run(commands.connections(limit, shard, sort, after))

    async def connection(self, connection_id: int) -> Reply:
        """Return what `shardws conn ID --json` shows; Refused (1117) when there is none."""
        return await self._run(commands.connection(connection_id))

    async def status(self) -> Reply:
        """Return what `shardws status --json` shows."""
        return await self._run(commands.status())

    async def ask(self, do: str, **arguments: Any) -> Reply:
        """Ask for any command of the control socket and return its answer.

        Refused with the server's reason; ControlError when there is no answer; UsageError (213)
        for more than 64 KiB or what JSON cannot carry; StateError: see the module docstring.
        """
        return await self._run(commands.other(do, arguments))

    # -- the exchange ------------------------------------------------------------------------

    async def _run(self, command: Command[T]) -> T:
        exchange = self._here()
        line = encode(command.do, command.arguments)
        try:
            request = exchange.ask(line)
        except Refused as error:  # to a send it is an outcome, as if the server had said it
            refusal = {"ok": False, "error": error.description, "code": error.code}
            return command.read(refusal)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await request.answer
        except TimeoutError:
            raise exchange.late(was_sent=request.is_sent) from None
        return command.read(reply)

    def _here(self) -> Exchange:
        """Return the exchange of the running loop; StateError when another one is needed still."""
        if self._is_closed:
            raise StateError("this client was closed")
        exchange = self._exchange
        if exchange is None or not exchange.is_here:
            if exchange is not None:
                exchange.leave()
            self._left = exchange
            exchange = self._exchange = Exchange(self._location, self._timeout)
        return exchange


def connect(
    run_directory: str | os.PathLike[str] | None = None,
    *,
    port: int | None = None,
    timeout: float = DEADLINE,
) -> Client:
    """Return a client for `async with`; without arguments, of the one server of this user.

    `run_directory` is that of the server (`--run-dir`), `port` its LocalPort when the run directory
    has its default place. `timeout`: seconds for each call, from the call to its answer.
    """
    named = None if run_directory is None else Path(run_directory)
    return Client(Location(named, port), timeout)
