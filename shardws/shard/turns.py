"""The queue of turns: connections of which more was read than one slice, one slice each in turn.

Owns the order and how long it may take before the loop looks at its sockets again. A connection in
the queue is not read; what it does in its turn, and whether it wants another one, is its own
affair. A turn is a bounded amount of work (protocol.slices), so with n connections in the queue
each waits for n slices at most, and others for TURN_S and one slice.
"""

import asyncio
import time
from collections import deque
from typing import Final, Protocol

from shardws.close_reasons import SERVER_FAILED
from shardws.log import Adapter

TURN_S: Final = 0.002  # of the queue in one turn of the loop


class Waiting(Protocol):
    """A connection, as the queue sees it."""

    @property
    def id(self) -> int: ...
    def take_turn(self) -> None: ...
    def abort(self, reason: str = ...) -> None: ...


class Turns:
    """The queue of one shard."""

    __slots__ = ("_clock", "_is_paused", "_is_scheduled", "_log", "_loop", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Adapter) -> None:
        self._loop = loop
        self._log = log
        self._clock = time.monotonic  # the loop's own stands still within a turn
        self._queue: deque[Waiting] = deque()
        self._is_scheduled = False
        self._is_paused = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, connection: Waiting) -> None:
        """Give a connection a turn behind all others, in the next turn of the loop or later."""
        self._queue.append(connection)
        self._schedule()

    def pause(self, is_paused: bool) -> None:
        """Give no turns for a while: who takes what they bring has enough."""
        self._is_paused = is_paused
        self._schedule()

    def _schedule(self) -> None:
        if self._queue and not self._is_scheduled and not self._is_paused:
            self._is_scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        queue = self._queue
        end = self._clock() + TURN_S
        try:
            while queue and not self._is_paused:
                self._give(queue.popleft())
                if self._clock() >= end:
                    break
        finally:  # also behind a KeyboardInterrupt, when the loop is run again
            self._is_scheduled = False
            self._schedule()

    def _give(self, connection: Waiting) -> None:
        try:
            connection.take_turn()
        except BaseException as error:
            # It is out of the queue and waits for a turn: nothing else would ever end it.
            connection.abort(SERVER_FAILED.text)
            if not isinstance(error, Exception):
                raise  # Ctrl-C in a host program's loop
            # Whatever is wrong with one connection, the others must have their turns.
            self._log.exception("connection %d could not be read", connection.id)
