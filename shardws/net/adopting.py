"""From an accepted socket to its connection: served by the pump, or by a transport of the loop.

A pump that owns sockets takes those whose protocol is a connection itself, or TLS in front of one.
Where a PROXY header is to be read first the loop makes a transport.
"""

import asyncio
import os
import socket
from collections.abc import Callable

from shardws.log import logger
from shardws.net.pump import Pump, Wire
from shardws.net.tls import TLSTransport
from shardws.net.tlssocket import TLSSocket

log = logger("net")


class Adopting:
    """Makes connections of sockets; `make` returns the protocol of each."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pump: Pump | None,
        make: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._loop = loop
        self._pump = pump if pump is not None and pump.owns_sockets else None
        self._make = make
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, fd: int) -> None:
        """Take over a connected, non-blocking socket."""
        try:
            protocol = self._make()
            if self._pump is not None:
                wire = (
                    TLSSocket(self._pump, protocol)
                    if isinstance(protocol, TLSTransport)
                    else protocol
                )
                if isinstance(wire, Wire):
                    self._pump.adopt(wire, fd)
                    return
        except Exception:
            # Those accepted together with it must not be lost with it, nor its descriptor.
            log.exception("an accepted connection cannot be served")
            os.close(fd)
            return
        task = self._loop.create_task(self._connect(protocol, socket.socket(fileno=fd)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, protocol: asyncio.BaseProtocol, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, client)
        except OSError as error:  # it is gone again
            log.debug("an accepted connection was lost at once: %s", error)
            client.close()

    async def settled(self) -> None:
        """Wait until every socket taken over is a connection."""
        await asyncio.gather(*self._tasks)
