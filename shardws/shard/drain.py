"""Closes a shard's connections: paced, then by force.

Owns the order of a drain: the listener is closed already; close frames go out at `rate` per second
until all are gone or the deadline passes; the rest is aborted, with a close frame if TCP accepts
one immediately.

A connection that has not sent its opening request yet is refused when the server stops. When it
only restarts, the connection may finish its opening first and is closed then (CloseReason says
which): to a client that connects during a reload the server is available throughout.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

from shardws.close_reasons import CloseReason
from shardws.protocol.session import Session

POLL_S: Final = 0.05
# Loop turns until a close frame is in the kernel (our flush, the transport's), and until an
# accepted socket is a connection.
TURNS: Final = 2


class Ends(Protocol):
    """A connection, as a drain sees it."""

    @property
    def session(self) -> Session | None: ...
    @property
    def is_opening(self) -> bool: ...
    def disconnect(self, code: int, reason: str) -> object: ...
    def abort(self) -> None: ...


class Drainable(Protocol):
    """The shard, as a drain sees it."""

    @property
    def connections(self) -> Iterable[Ends]: ...


async def drain(shard: Drainable, reason: CloseReason, rate: float, deadline: float) -> int:
    """Close every connection for `reason`; return how many had to be aborted.

    `rate` is connections per second, 0 all at once; `deadline` is seconds from now.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    end = start + deadline
    told: set[Ends] = set()
    for _ in range(TURNS):
        await asyncio.sleep(0)  # what was accepted in this turn becomes a connection
    while loop.time() < end and any(True for _ in shard.connections):
        allowed = int((loop.time() - start) * rate) + 1 if rate else None
        # Looked up each time: a socket accepted late may have become a connection only now.
        waiting = [one for one in shard.connections if one not in told]
        if reason.lets_openings_finish:
            waiting = [one for one in waiting if not one.is_opening]
        for one in waiting[: None if allowed is None else max(0, allowed - len(told))]:
            told.add(one)
            one.disconnect(reason.code, reason.text)
        await asyncio.sleep(min(POLL_S, max(0.0, end - loop.time())))
    return await cut(shard, reason)


async def cut(shard: Drainable, reason: CloseReason) -> int:
    """End every connection within a few turns of the loop; return how many there were.

    Each is sent the reason if possible; for those that had no time to reply, Disconnected reports
    it.
    """
    left = list(shard.connections)
    for connection in left:
        connection.disconnect(reason.code, reason.text)
    if left:
        for _ in range(TURNS):
            await asyncio.sleep(0)
    for connection in left:
        if connection.session is not None:
            connection.session.lost(reason.text)
        connection.abort()
    if left:
        await asyncio.sleep(0)  # connection_lost of each runs in the next turn
    return len(left)
