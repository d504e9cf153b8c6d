"""Accepted sockets that come from elsewhere: the shard's side of AcceptMode handoff.

Owns the end of the pair on which an acceptor hands sockets over, one descriptor a message; starts
like a Listener. Reads to the end of the stream: what was on its way when the shard began to drain
is taken, so that its client is told and not reset. A process without a free descriptor gets a
message without one: the kernel has closed that client's socket (recv(2), MSG_CTRUNC).
"""

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

from shardws.log import logger
from shardws.net.adopting import Adopting
from shardws.net.pump import Pump

AT_ONCE: Final = 64  # sockets taken per turn of the loop
LONGEST_END: Final = 2.0  # seconds; the other end is closed before we are told to drain
_SPACE: Final = socket.CMSG_SPACE(array.array("i").itemsize)

log = logger("net")


class Receiver:
    """Takes connections for one shard."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        way: socket.socket,
        port: int,
        dropped: Callable[[], None],
        pump: Pump | None = None,
    ) -> None:
        """`dropped` hears of each client that was lost for want of a descriptor.

        `pump` is to serve the sockets where it can.
        """
        self.port = port  # of the one socket that all shards share
        self._pump = pump if pump is not None and pump.owns_sockets else None
        self._adopting = Adopting(asyncio.get_running_loop(), pump, make)
        self._dropped = dropped
        self._way = way
        self._is_started = False
        self._end = asyncio.Event()

    async def start(self, backlog: int) -> None:
        """Begin to take; the backlog is the acceptor's."""
        self._way.setblocking(False)
        asyncio.get_running_loop().add_reader(self._way, self._take)
        self._is_started = True

    async def finish(self) -> None:
        """Wait until all that was on its way is a connection, LONGEST_END seconds at most.

        The acceptor has usually let go by then; a shard that ends by itself has to.
        """
        if not self._is_started:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_END):
                await self._end.wait()
                await self._adopting.settled()
        if not self._end.is_set():
            self._let_go()

    def _take(self) -> None:
        if self._pump is None:
            self._take_slowly()
            return
        taken, missing, error = self._pump.take(self._way.fileno(), AT_ONCE)
        for fd in taken:
            self._adopting.adopt(fd)
        for _ in range(missing):
            self._dropped()
        if error > 0:
            log.error("no connections are handed over any more: %s", os.strerror(error))
        if error:
            self._let_go()

    def _take_slowly(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, _ = self._way.recvmsg(1, _SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                log.error("no connections are handed over any more: %s", error)
                data, ancillary = b"", []
            for _, _, packed in ancillary:
                fd = array.array("i", packed[:4])[0]
                os.set_blocking(fd, False)
                self._adopting.adopt(fd)
            if data and not ancillary:
                self._dropped()
            if not data:
                self._let_go()
                return

    def _let_go(self) -> None:
        asyncio.get_running_loop().remove_reader(self._way)
        self._way.close()
        self._end.set()
