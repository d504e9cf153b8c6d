"""Queries to the supervisor over the control socket: its report, and the connections.

Owns one client per kind of query, the deadlines, and a short cache, so that ten dashboards cost
the supervisor no more than one. The supervisor never waits for this process: its control socket
drops a client that does not read in time. A blocked shard delays the list of connections, never the
report.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from shardws import control, ids

DEADLINE: Final = 2.0  # seconds for a report
LIST_DEADLINE: Final = 6.0  # shards have shard_requests.DEADLINE, a second less
FRESH: Final = 0.2  # seconds for which a report is cached
MOST_LISTED: Final = 4000  # connections in one reply of the supervisor, which is at most 4 MiB

Report = dict[str, Any]


class Unanswered(Exception):
    """The supervisor did not reply."""


class Declined(Unanswered):
    """The supervisor refused the request; the text says why."""


class Line:
    """A control client that reconnects after each failure."""

    def __init__(self, run_directory: Path) -> None:
        self._run_directory = run_directory
        self._client: control.Client | None = None

    async def ask(self, do: str, deadline: float, **arguments: Any) -> Report:
        """Return the reply; Unanswered after `deadline` seconds, Declined when refused."""
        client = self._client
        if client is None:
            client = self._client = control.connect(self._run_directory, timeout=deadline)
        try:
            return await client.ask(do, **arguments)
        except control.Refused as error:
            raise Declined(error.description) from None
        except control.ControlError as error:
            # Others waiting on it have waited as long, or query the same supervisor.
            client.close()
            if self._client is client:
                self._client = None
            raise Unanswered(error.description) from None

    def close(self) -> None:
        """Close the connection; the next query opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None


class Supervision:
    """The queries of the admin server."""

    def __init__(self, run_directory: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reports = Line(run_directory)
        self._lists = Line(run_directory)
        self._sends = Line(run_directory)
        self._report: Report = {}
        self._asked_at = float("-inf")

    async def status(self) -> Report:
        """Return the report of `shardws status --json`; Unanswered."""
        if self._clock() - self._asked_at >= FRESH:
            self._report = await self._reports.ask("status", DEADLINE)
            self._asked_at = self._clock()
        return self._report

    async def connections(self, limit: int) -> Report:
        """Return the newest connections, at most `limit`, and how many there are; Unanswered.

        {"total": N, "connections": [shard.connection_list.entry and its shard, ...]}, and under
        "silent_shards" how many did not reply.
        """
        report = await self.status()
        per_shard = max(1, min(limit, MOST_LISTED // max(1, len(report["shards"]))))
        found = await self._lists.ask("conns", LIST_DEADLINE, limit=per_shard)
        # The serial rises with each connection of a shard, so the shards alternate in the list.
        found["connections"].sort(key=lambda row: ids.unpack(row["id"]).serial, reverse=True)
        del found["connections"][limit:]
        return found

    async def send(self, connection_id: int, text: str) -> str:
        """Send a text to a connection and return its outcome by name; Unanswered, Declined."""
        reply = await self._sends.ask("send", LIST_DEADLINE, id=connection_id, text=text)
        return str(reply["outcome"])

    def close(self) -> None:
        """Close all connections."""
        for line in (self._reports, self._lists, self._sends):
            line.close()
