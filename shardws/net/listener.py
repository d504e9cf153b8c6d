"""Accepting on one socket.

Owns the listening socket of a process while it accepts. A forked shard gets a socket that is bound
already and that its supervisor keeps: closing our copy does not affect the port or its accept
queue. Once the supervisor and a successor have no copy either, the kernel refuses connects: so a
process that stops accepting must `close`, or clients wait on a socket that nobody accepts from.
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
        return 65535  # the cap is unknown: no warning is logged


class Listener:
    """Accepts for one shard; `start` and `stop` may be repeated."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        sock: socket.socket,
        log: logging.Logger | Adapter = _log,
        lock: socket.socket | None = None,
    ) -> None:
        """`lock` is the port's, for a process that owns the port alone (portlock)."""
        self._make = make
        self._socket = sock
        self._lock = lock
        self._log = log
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The actual port, also when 0 was requested."""
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
        # The server closes the socket it is given; ours must survive for the next start.
        self._server = await loop.create_server(
            self._make, sock=self._socket.dup(), backlog=backlog
        )

    def stop(self) -> None:
        """Stop accepting; open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def finish(self) -> None:
        """Close our copy; its accept queue is left to the other holders of the socket."""
        self.close()

    def close(self) -> None:
        """Stop, and close the socket."""
        self.stop()
        self._socket.close()
        if self._lock is not None:
            self._lock.close()
