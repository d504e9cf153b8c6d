"""Accepting on one socket.

Owns the listening socket of a process while it accepts. A forked shard gets a socket that is bound
already and that its supervisor keeps: closing ours leaves the port, and what waits on it, alone.
Once the supervisor and a successor have none either, the kernel refuses connects: so who accepts no
more must `close`, else clients wait on a socket that nobody looks at.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shardws.log import Adapter, logger

SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")

_log = logger("net")


def most_backlog() -> int:
    """Return how many connections may wait to be accepted on this host."""
    try:
        return int(SOMAXCONN.read_text())
    except (OSError, ValueError):
        return 65535  # nothing is known of a cap: no note is made of one


class Listener:
    """Accepts for one shard; `start` and `stop` may follow each other again and again."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        sock: socket.socket,
        log: logging.Logger | Adapter = _log,
        lock: socket.socket | None = None,
    ) -> None:
        """`lock` is the port's, for a process that has the port by itself (portlock)."""
        self._make = make
        self._socket = sock
        self._lock = lock
        self._log = log
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The real port, also when 0 was asked for."""
        return int(self._socket.getsockname()[1])

    async def start(self, backlog: int) -> None:
        """Listen and accept; `backlog` is capped by net.core.somaxconn.

        OSError when another socket listens on the port already.
        """
        loop = asyncio.get_running_loop()
        most = most_backlog()
        if backlog > most:
            self._log.info(
                "ConnectionBacklog is %d, but net.core.somaxconn of this host allows %d",
                backlog,
                most,
            )
        self._socket.listen(backlog)  # uvloop's own listen hides its errors
        # The server closes the socket it is given; ours must serve the next start.
        self._server = await loop.create_server(
            self._make, sock=self._socket.dup(), backlog=backlog
        )

    def stop(self) -> None:
        """Stop accepting; open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def finish(self) -> None:
        """Give the socket up; what waits in its queue is left to whoever else has the socket."""
        self.close()

    def close(self) -> None:
        """Stop, and give the socket up."""
        self.stop()
        self._socket.close()
        if self._lock is not None:
            self._lock.close()
