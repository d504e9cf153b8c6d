"""Push from another program on the host: an asyncio client of the control socket.

Owns the search for the server, the requests that wait, and what their answers mean; the connection
is controlline.Line's. It knows no shard: the supervisor finds the owner of an id.

    async with shardws.control.connect() as client:
        outcome = await client.send(connection_id, "hello")

A send returns the Outcome that the application itself would get. ControlError: the server said
nothing, because none runs, it has gone, or it is silent. Many tasks may share one client: requests
go out in the order of the calls, 64 KiB of them at a time, without waiting for each other's
answers. The connection is opened when it is needed, again after a restart of the server too, and
given back after IDLE seconds without a request, since the server serves 256 at once.
"""

import asyncio
import base64
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from shardws.control import endpoint
from shardws.control.connection import Data, Line, Reply, Request, encode, octets
from shardws.errors import ControlError, Refused, StateError
from shardws.outcomes import OUTCOME_CODES, Outcome

__all__ = ["Client", "ConnectionList", "ControlError", "Refused", "connect"]

DEADLINE: Final = 10.0  # seconds for one call; the server gives its shards 5
MOST_WAITING: Final = 16 << 20  # bytes of requests that wait to be written
OUTCOMES: Final = {code: outcome for outcome, code in OUTCOME_CODES.items()}


@dataclass(frozen=True, slots=True)
class ConnectionList:
    """Who is connected: `connections` as `shardws conns --json` shows them."""

    total: int
    connections: list[dict[str, Any]]
    silent_shards: int  # that did not answer in time; their connections are missing


class Client:
    """One server, for as many tasks of one event loop as like; made by `connect`."""

    def __init__(self, path: Path | None, port: int | None, timeout: float) -> None:
        self._path = path
        self._port = port
        self._timeout = timeout
        self._line: Line | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._is_flushing = False
        self._is_closed = False

    async def __aenter__(self) -> "Client":
        """Connect; ControlError when no server runs."""
        try:
            async with asyncio.timeout(self._timeout):
                self._line = await self._open()
        except TimeoutError:
            raise self._late(was_sent=False) from None
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
        if self._opening is not None:
            self._opening.cancel()
        self._fail_waiting("this client was closed")
        if self._line is not None:
            self._line.end("this client was closed")

    # -- to connections --------------------------------------------------------------------

    async def send(self, connection_id: int, data: str | Data) -> Outcome:
        """Send one message to a connection of any shard: str as text, bytes as binary."""
        return await self._deliver("send", data, id=connection_id)

    async def send_text(self, connection_id: int, text: str | bytes) -> Outcome:
        """Send one text message; bytes must be UTF-8, or UnicodeDecodeError is raised."""
        words = text if isinstance(text, str) else octets(text).decode()
        return await self._deliver("send", words, id=connection_id)

    async def publish(self, group: str, data: str | Data) -> Outcome:
        """Send to every member of a group on all shards."""
        return await self._deliver("publish", data, group=group)

    async def broadcast(self, data: str | Data) -> Outcome:
        """Send to every connection of the server."""
        return await self._deliver("broadcast", data)

    async def disconnect(self, connection_id: int, code: int = 1000, reason: str = "") -> Outcome:
        """Close a connection; Refused (213) for a code or reason no close frame may carry."""
        return await self._outcome("kick", id=connection_id, code=code, reason=reason)

    async def kick(self, address: str, code: int = 1000, reason: str = "") -> int:
        """Close every connection from an address; return how many there were."""
        reply = await self.ask("kick", address=address, code=code, reason=reason)
        return int(reply["count"])

    async def _deliver(self, do: str, data: str | Data, **arguments: Any) -> Outcome:
        if isinstance(data, str):
            return await self._outcome(do, text=data, **arguments)
        return await self._outcome(
            do, data=base64.b64encode(octets(data)).decode("ascii"), **arguments
        )

    async def _outcome(self, do: str, **arguments: Any) -> Outcome:
        try:
            reply = await self.ask(do, **arguments)
        except Refused as error:
            if error.code in OUTCOMES:
                return OUTCOMES[error.code]
            raise
        try:
            return Outcome[reply["outcome"]]
        except KeyError:
            raise ControlError("the server gave an answer of another kind", was_sent=True) from None

    # -- about the server ------------------------------------------------------------------

    async def connections(
        self, limit: int = 500, *, shard: int | None = None, sort: str = "id"
    ) -> ConnectionList:
        """Return the newest connections, `limit` or 500 of each shard, of all shards or one."""
        asked = {"limit": limit, "sort": sort, **({} if shard is None else {"shard": shard})}
        reply = await self.ask("conns", **asked)
        return ConnectionList(reply["total"], reply["connections"], reply.get("silent_shards", 0))

    async def connection(self, connection_id: int) -> dict[str, Any]:
        """Return what `shardws conn ID --json` shows; Refused (1117) when there is none."""
        return await self.ask("conn", id=connection_id)

    async def status(self) -> dict[str, Any]:
        """Return what `shardws status --json` shows."""
        return await self.ask("status")

    async def ask(self, do: str, **arguments: Any) -> Reply:
        """Ask for any command of the control socket and return its answer.

        Refused with the server's reason; ControlError when there is no answer; UsageError (213)
        for more than 64 KiB or what JSON cannot carry.
        """
        if self._is_closed:
            raise StateError("this client was closed")
        request = Request(encode(do, arguments), asyncio.get_running_loop().create_future())
        if self._waiting_bytes + len(request.line) > MOST_WAITING:
            raise Refused("too many requests wait for the server", code=135)
        self._waiting.append(request)
        self._waiting_bytes += len(request.line)
        self._wake()
        try:
            async with asyncio.timeout(self._timeout):
                reply = await request.answer
        except TimeoutError:
            raise self._late(was_sent=request.is_sent) from None
        if not reply.pop("ok"):
            raise Refused(str(reply.get("error", "")), code=reply.get("code", 213))
        return reply

    # -- requests on their way ---------------------------------------------------------------

    def _wake(self) -> None:
        """See to it that what waits is written: once in a loop turn, after opening if need be."""
        if self._line is not None and self._line.is_open:
            if not self._is_flushing:
                self._is_flushing = True
                asyncio.get_running_loop().call_soon(self._flush)
        elif self._opening is None and not self._is_closed:
            self._opening = asyncio.get_running_loop().create_task(self._reopen())

    def _flush(self) -> None:
        self._is_flushing = False
        line = self._line
        if line is None or not line.is_open:
            if self._waiting:
                self._wake()
            return
        batch = []
        while self._waiting:
            first = self._waiting[0]
            is_wanted = not first.answer.done()  # given up by its caller: never written
            if is_wanted and not line.take(first):
                break
            self._waiting.popleft()
            self._waiting_bytes -= len(first.line)
            if is_wanted:
                batch.append(first.line)
        if batch:
            line.write(batch)

    def _fail_waiting(self, why: str, code: int = ControlError.default_code) -> None:
        for request in self._waiting:
            if not request.answer.done():
                request.answer.set_exception(ControlError(why, code=code))
        self._waiting.clear()
        self._waiting_bytes = 0

    # -- the connection ------------------------------------------------------------------------

    async def _reopen(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                self._line = await self._open()
        except ControlError as error:
            self._fail_waiting(error.description, error.code)
        except TimeoutError:
            late = self._late(was_sent=False)
            self._fail_waiting(late.description, late.code)
        finally:
            self._opening = None
        self._flush()

    async def _open(self) -> Line:
        if self._path is None:
            self._path = await self._find()
        loop = asyncio.get_running_loop()
        path = self._path
        try:
            _, line = await loop.create_unix_connection(
                lambda: Line(path, loop, self._flush),
                os.fspath(path / endpoint.CONTROL_SOCKET),
            )
        except PermissionError:
            reason = f"the server in {path} belongs to another user"
            raise ControlError(reason, code=10013) from None
        except OSError:
            raise ControlError(f"no server runs in {path}") from None
        return line

    async def _find(self) -> Path:
        """Return the run directory of the server that is meant."""
        if self._port is not None:
            path = endpoint.default_directory(self._port)
            if path.exists() and not endpoint.is_ours(path):
                raise ControlError(f"the server in {path} belongs to another user", code=10013)
            return path
        found = [path for path in endpoint.candidates() if await is_alive(path)]
        if not found:
            raise ControlError("no server of yours runs here (name it by run_directory or port)")
        if len(found) > 1:
            listed = ", ".join(map(str, found))
            raise ControlError(
                f"several servers run: choose by port or run_directory: {listed}", code=213
            )
        return found[0]

    def _late(self, *, was_sent: bool) -> ControlError:
        reason = f"the server in {self._path} did not answer in {self._timeout:g} s"
        return ControlError(reason, code=10060, was_sent=was_sent)


async def is_alive(path: Path) -> bool:
    """Tell whether somebody listens on the control socket of a run directory."""
    try:
        _, writer = await asyncio.open_unix_connection(path / endpoint.CONTROL_SOCKET)
    except OSError:
        return False
    writer.close()
    return True


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
    return Client(None if run_directory is None else Path(run_directory), port, timeout)
