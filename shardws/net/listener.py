"""Accepting on one socket.

Owns the listening socket of a process while it accepts. A forked shard gets a socket that is bound
already and that its supervisor keeps: closing ours leaves the port, and what waits on it, alone.
"""

import asyncio
import socket
from collections.abc import Callable


class Listener:
    """Accepts for one shard; `start` and `stop` may follow each other again and again."""

    def __init__(self, make: Callable[[], asyncio.Protocol], sock: socket.socket) -> None:
        self._make = make
        self._socket = sock
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The real port, also when 0 was asked for."""
        return int(self._socket.getsockname()[1])

    async def start(self, backlog: int) -> None:
        """Listen and accept; `backlog` is capped by net.core.somaxconn."""
        loop = asyncio.get_running_loop()
        # The server closes the socket it is given; ours must serve the next start.
        self._server = await loop.create_server(
            self._make, sock=self._socket.dup(), backlog=backlog
        )

    def stop(self) -> None:
        """Stop accepting; open connections stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Stop, and give the socket up."""
        self.stop()
        self._socket.close()
