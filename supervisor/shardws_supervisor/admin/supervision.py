"""What the supervisor says, over the control socket: its report, and who is connected.

Owns a connection to it for each question, the deadlines, and a short memory, so that ten dashboards
cost the supervisor no more than one. It never waits for us: what we do not read in time, its
control socket drops. A shard that stands still delays the list of connections, never the report.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shardws import ids

DEADLINE: Final = 2.0  # seconds for a report
LIST_DEADLINE: Final = 6.0  # shards have shard_requests.DEADLINE, a second less
FRESH: Final = 0.2  # seconds for which a report is as good as new
LONGEST_REPLY: Final = 8 << 20
MOST_LISTED: Final = 4000  # connections in one answer of the supervisor: its bound is 4 MiB

Report = dict[str, Any]


class Unanswered(Exception):
    """The supervisor did not answer."""


class Declined(Unanswered):
    """The supervisor answered that it will not, and why."""


class Line:
    """Asks one question at a time over one connection."""

    def __init__(self, path: Path) -> None:
        """`path` is the control socket's; nothing is opened before the first question."""
        self._path = path
        self._lock = asyncio.Lock()
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Report, deadline: float) -> Report:
        """Return the answer; Unanswered when there is none within `deadline` seconds, or Declined.

        Text of the answer is what the server says: it may quote a client.
        """
        try:
            # The deadline covers the wait for those before us, so that nobody waits for long.
            async with asyncio.timeout(deadline), self._lock:
                return await self._ask(json.dumps(request).encode() + b"\n")
        except (OSError, ValueError, asyncio.LimitOverrunError) as error:  # TimeoutError is one
            raise Unanswered(str(error) or "it took too long") from None

    async def _ask(self, question: bytes) -> Report:
        """Ask over the open connection, or a new one when the supervisor has closed it."""
        is_done = False
        try:
            line = await self._exchange(question) if self._stream else b""
            if not line:
                self.close()
                self._stream = await asyncio.open_unix_connection(self._path, limit=LONGEST_REPLY)
                line = await self._exchange(question)
            reply: Report = json.loads(line)
            is_done = True
        finally:
            if not is_done:  # an answer that comes later must not be taken for the next one's
                self.close()
        if not reply.pop("ok", False):
            raise Declined(str(reply.get("error", "refused")))
        return reply

    async def _exchange(self, question: bytes) -> bytes:
        assert self._stream is not None
        reader, writer = self._stream
        try:
            writer.write(question)
            await writer.drain()
            return await reader.readline()
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream[1].close()
            self._stream = None


class Supervision:
    """What can be asked."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reports = Line(path)
        self._lists = Line(path)
        self._sends = Line(path)
        self._report: Report = {}
        self._asked_at = float("-inf")

    async def status(self) -> Report:
        """Return the report of `shardws status --json`; Unanswered."""
        if self._clock() - self._asked_at >= FRESH:
            self._report = await self._reports.ask({"do": "status"}, DEADLINE)
            self._asked_at = self._clock()
        return self._report

    async def connections(self, limit: int) -> Report:
        """Return the newest connections, at most `limit`, and how many there are; Unanswered.

        {"total": N, "connections": [shard.roster.entry and its shard, ...]}, and under
        "silent_shards" how many did not answer.
        """
        report = await self.status()
        per_shard = max(1, min(limit, MOST_LISTED // max(1, len(report["shards"]))))
        found = await self._lists.ask({"do": "conns", "limit": per_shard}, LIST_DEADLINE)
        # The serial rises with each connection of a shard: so all shards take turns in the list.
        found["connections"].sort(key=lambda row: ids.unpack(row["id"]).serial, reverse=True)
        del found["connections"][limit:]
        return found

    async def send(self, connection_id: int, text: str) -> str:
        """Send a text to a connection and return its outcome by name; Unanswered, Declined."""
        request = {"do": "send", "id": connection_id, "text": text}
        return str((await self._sends.ask(request, LIST_DEADLINE))["outcome"])

    def close(self) -> None:
        """Close all connections."""
        for line in (self._reports, self._lists, self._sends):
            line.close()
