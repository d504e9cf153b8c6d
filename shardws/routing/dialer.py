"""Dials links: one task for each link that is not yet connected.

Owns the attempts and their delays; the mesh decides which links are wanted. An attempt never
blocks, so a peer may be dialed for as long as the supervisor lists it; messages queued for it
meanwhile are given up after PATIENCE_SECONDS.
"""

import asyncio
from typing import Final

from shardws.errors import PeerError
from shardws.ids import row_of
from shardws.log import Adapter
from shardws.routing import unix
from shardws.routing.identity import describe, generation_of, slot_of, socket_path
from shardws.routing.outbound_link import OutboundLink

FIRST_SECONDS: Final = 0.02
MOST_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 3.0  # of attempts before the link is given up


def longer(delay: float) -> float:
    """Return the delay that follows a failure."""
    return min(MOST_SECONDS, max(FIRST_SECONDS, delay * 2))


class Dialer:
    """The dials in progress."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run_directory: str, log: Adapter) -> None:
        self._loop = loop
        self._run_directory = run_directory
        self._log = log
        self._tasks: dict[OutboundLink, asyncio.Task[None]] = {}

    def start(self, link: OutboundLink, pid: int) -> None:
        """Dial until the link is up; the process that listens there must be `pid`."""
        self._tasks[link] = self._loop.create_task(self._dial(link, pid))

    def stop(self, link: OutboundLink) -> None:
        """Give up a dial, if there is one."""
        task = self._tasks.pop(link, None)
        # After connection_made the task must end by itself: if it is cancelled there, uvloop closes
        # the transport and never calls connection_lost.
        if task is not None and not link.up_at:
            task.cancel()

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that have not ended."""
        return list(self._tasks.values())

    async def _dial(self, link: OutboundLink, pid: int) -> None:
        peer = link.incarnation
        path = socket_path(self._run_directory, row_of(slot_of(peer), generation_of(peer)))
        since = self._loop.time()
        while True:
            if link.backoff:
                await asyncio.sleep(link.backoff)
            try:
                sock = unix.dial(path, pid)
                await self._loop.create_unix_connection(lambda: link, sock=sock)
                break
            except (OSError, PeerError) as error:
                # A peer that has just ended, or does not listen yet, is normal.
                if not link.is_given_up and self._loop.time() - since >= PATIENCE_SECONDS:
                    self._log.warning("cannot dial %s, retrying: %s", describe(peer), error)
                    link.give_up()  # the mesh dials with another one
                    return
            link.backoff = longer(link.backoff)
        self._tasks.pop(link, None)
