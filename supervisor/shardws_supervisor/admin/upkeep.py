"""The supervisor's side of the admin child: how to start it, and its log line.

auxiliary.py keeps it running. The child's own modules are imported after the fork, so that the
supervisor and the shards do not load HTTP and prometheus_client.
"""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from shardws.log import logger
from shardws.net.sockets import Address
from shardws.stats import Stats
from shardws_supervisor.plan.plan import Plan
from shardws_supervisor.system import spawn
from shardws_supervisor.system.auxiliary import Auxiliary, KeptChild

NAME: Final = "admin"

log = logger("supervisor.admin")


class Directory(Protocol):
    """The run directory: where the control socket is."""

    path: Path


class Resources(Protocol):
    """The resources that the admin child uses."""

    memory: Stats
    admin_listener: socket.socket | None

    @property
    def run_directory(self) -> Directory: ...


def auxiliaries(
    resources: Resources,
    plan: Plan,
    started: float,
    fds_to_close: Callable[[], list[spawn.Closeable]],
    kept: KeptChild | None = None,
) -> list[Auxiliary]:
    """Return the admin child when AdminAddress is set; else nothing.

    It is not started yet; one that is kept over an exec is replaced. `started` is the server's
    start time in monotonic seconds.
    """
    listener = resources.admin_listener
    if listener is None:
        return []
    token = plan.admin_token  # set at boot: a reload does not change it

    def body() -> int:
        from shardws_supervisor.admin import process

        return process.run(
            process.Context(
                listener=listener,
                run_directory=resources.run_directory.path,
                token=token,
                memory=resources.memory,
                started=started,
            )
        )

    host, port = listener.getsockname()[:2]
    address = Address(listener.family, host, port)
    log.info("dashboard on http://%s/%s", address, " (with a token)" if token else "")
    admin = Auxiliary(NAME, body, fds_to_close)
    if kept is not None:
        admin.adopt(kept, time.monotonic())
    return [admin]
