"""Accepting on one socket.

Owns the listening socket of a process while it accepts. A forked shard gets a socket that is bound
already and that its supervisor keeps: closing our copy does not affect the port or its accept
queue. Once the supervisor and a successor have no copy either, the kernel refuses connects: so a
process that stops accepting must `close`, or clients wait on a socket that nobody accepts from.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shardws.log import Adapter, logger
from shardws.net.adopting import Adopting
from shardws.net.pump import Pump

SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")

# Sockets accepted in one go, then the loop looks at others. Half of what shard.descriptors spares,
# so that those who must be turned away are gone before the last descriptor is.
AT_ONCE: Final = 16
PAUSE_S: Final = 0.1  # while accept fails, for want of a descriptor as a rule

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
        pump: Pump | None = None,
    ) -> None:
        """`lock` is the port's, for a process that owns the port alone (portlock).

        `pump` is to serve the sockets, where it can; None: the loop.
        """
        self._pump = pump if pump is not None and pump.owns_sockets else None
        self._loop: asyncio.AbstractEventLoop | None = None  # while the pump accepts
        self._adopting: Adopting | None = None
        self._make = make
        self._socket = sock
        self._lock = lock
        self._log = log
        self._server: asyncio.Server | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self._is_short = False  # accept failed, and that was logged

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
        if self._pump is not None:
            self._socket.setblocking(False)
            self._loop, self._adopting = loop, Adopting(loop, self._pump, self._make)
            loop.add_reader(self._socket, self._accept)
            return
        # The server closes the socket it is given; ours must survive for the next start.
        self._server = await loop.create_server(
            self._make, sock=self._socket.dup(), backlog=backlog
        )

    def _accept(self) -> None:
        assert self._pump is not None
        assert self._adopting is not None
        accepted, error = self._pump.accept(self._socket.fileno(), AT_ONCE)
        for fd in accepted:
            self._adopting.adopt(fd)
        if error:
            self._pause(error)
        else:
            self._is_short = False

    def _pause(self, error: int) -> None:
        """Accept nothing for a moment: without a descriptor the socket would stay readable."""
        if not self._is_short:  # once, not ten times a second
            self._log.warning(
                "cannot accept connections: %s; again in %g s", os.strerror(error), PAUSE_S
            )
        self._is_short = True
        loop = self._loop
        assert loop is not None
        loop.remove_reader(self._socket)
        self._resuming = loop.call_later(PAUSE_S, loop.add_reader, self._socket, self._accept)

    def stop(self) -> None:
        """Stop accepting; open connections stay."""
        if self._resuming is not None:
            self._resuming.cancel()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        self._loop = None
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
