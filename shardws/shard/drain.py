"""Ending a shard's connections: paced, then by force.

Owns the order of a drain: the listener is closed already; close frames go out at `rate` per second
until all are gone or the deadline passes; what is left is aborted. Must not know why it happens.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

POLL_S: Final = 0.05


class Ends(Protocol):
    """A connection, as a drain sees it."""

    def disconnect(self, code: int, reason: str) -> object: ...
    def abort(self) -> None: ...


class Drainable(Protocol):
    """The shard, as a drain sees it."""

    @property
    def connections(self) -> Iterable[Ends]: ...


async def drain(shard: Drainable, code: int, reason: str, rate: float, deadline: float) -> int:
    """Close every connection with `code`; return how many had to be aborted.

    `rate` is connections per second, 0 all at once; `deadline` is seconds from now.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    end = start + deadline
    waiting = list(shard.connections)
    sent = 0
    while loop.time() < end and any(True for _ in shard.connections):
        allowed = len(waiting) if not rate else int((loop.time() - start) * rate) + 1
        while sent < min(allowed, len(waiting)):
            waiting[sent].disconnect(code, reason)
            sent += 1
        await asyncio.sleep(min(POLL_S, max(0.0, end - loop.time())))
    left = list(shard.connections)
    for connection in left:
        connection.abort()
    if left:
        await asyncio.sleep(0)  # connection_lost of each runs in the next turn
    return len(left)
