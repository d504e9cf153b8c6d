"""The admin child process, from the fork until it is killed.

Owns its event loop and the order in which its parts are created. It ignores a SIGTERM sent to the
whole process group (systemd, timeout): while the shards drain, /readyz reports it; the supervisor
kills this child last.
"""

import asyncio
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from shardws import stats
from shardws_supervisor.admin import http, serving
from shardws_supervisor.admin.access import Access
from shardws_supervisor.admin.history import PERIOD, History
from shardws_supervisor.admin.routes import POSTS, PROBES, Routes
from shardws_supervisor.admin.supervision import Supervision


@dataclass(frozen=True, slots=True)
class Context:
    """What the supervisor passes to the child."""

    listener: socket.socket  # bound and kept open by the supervisor: no connect is refused
    run_directory: Path
    token: str
    memory: stats.Stats
    started: float  # start time of the server, monotonic seconds


def run(context: Context) -> int:
    """Run the admin child until it is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.run(_serve(context))
    return 0


async def _serve(context: Context) -> None:
    loop = asyncio.get_running_loop()
    history = History(context.memory)

    routes = Routes(
        Access(context.token),
        context.memory,
        Supervision(context.run_directory, loop.time),
        history,
    )
    clients = serving.Server(routes.handle, PROBES, POSTS)

    def note() -> None:
        history.note(loop.time() - context.started)
        clients.log.sum_up()
        loop.call_later(PERIOD, note)

    note()
    server = await asyncio.start_server(
        clients.serve, sock=context.listener, limit=http.LONGEST_HEAD
    )
    async with server:
        await server.serve_forever()
