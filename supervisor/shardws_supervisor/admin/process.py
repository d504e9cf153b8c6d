"""The admin child itself: from the fork until it is killed.

Owns its loop and the order in which its parts are made. A TERM for the whole process group
(systemd, timeout) must not end it: while the shards drain, /readyz says so; the supervisor kills
it last.
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
    """What the child is given by its supervisor."""

    listener: socket.socket  # bound; the supervisor keeps it open, so no connect is ever refused
    run_directory: Path
    token: str
    memory: stats.Stats
    started: float  # of the server, monotonic seconds


def run(context: Context) -> int:
    """Be the admin child until killed."""
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
