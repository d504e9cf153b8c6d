"""Handlers run by do_events outside of the loop, so that a send in one of them may block.

Owns the queue of events between a turn of the loop and the handlers; `shard.embedded` turns it.
Facts to have before reading:

- In a program that calls do_events the loop only moves bytes. What happens is queued here, the loop
  stops, and `run_queued` calls the handlers with the loop standing still.
- A handler that blocks lets the loop turn inside it, and handlers of other connections run then, on
  top of it; its own connection's events wait in the connection's backlog.
- Steps of a TLS handshake go through the same queue, so that the events of TLS keep their place
  among the others and their handlers run outside of the loop too.
- An `async def` handler becomes a task of the loop and runs while the loop turns: nothing blocks
  there, it awaits.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from shardws import events
from shardws.events import DataIn
from shardws.net.connection import Connection
from shardws.net.connection.states import HOLD_APPLICATION, HOLD_DECISION, HOLD_TASK
from shardws.protocol.frames import BINARY, CLOSE
from shardws.protocol.session import Item
from shardws.shard.dispatch import D, Dispatcher

# Queued events at which no more is read: a handler that blocks lets the loop turn and turn.
MOST_QUEUED: Final = 1024
DEEPEST: Final = 20  # handlers on top of one another; deeper ones wait for the one that blocks

# A connection (None for an event of none here), the name of the handler and the event.
Queued = tuple[Connection | None, str, Any]


class DeferredDispatcher(Dispatcher):
    """Queues what happens while the loop turns."""

    # The program calls do_events itself, and a handler in it may end the program by sys.exit.
    faults = (Exception, asyncio.CancelledError)
    is_direct = False

    def __init__(self, *arguments: Any, **callbacks: Any) -> None:
        super().__init__(*arguments, **callbacks)
        self.queue: deque[Queued | Callable[[], None]] = deque()
        self.is_deferring = True
        self._running: list[Connection | None] = []  # whose handlers run, the innermost last

    @property
    def _queues(self) -> bool:
        return self.is_deferring and self.loop.is_running()

    def _add(self, entry: Queued | Callable[[], None]) -> None:
        self.queue.append(entry)
        if len(self.queue) >= MOST_QUEUED:
            self.turns.pause(True)
        self.loop.stop()

    # -- what the shard tells ----------------------------------------------------------------

    def received(self, connection: Connection, items: list[Item], size: int) -> None:
        messages = sum(kind <= BINARY and eom for kind, _, eom in items)
        self.counters.received(messages, size)
        for kind, payload, eom in items:
            if kind == events.FORMAT_PING:
                connection.take_reply()
            elif kind == CLOSE or (
                kind == events.FORMAT_PONG and connection.take_pong(payload, len(items) == 1)
            ):
                pass  # as in Dispatcher.received
            elif connection.holds:
                self.hold(connection, "on_data_in", DataIn(connection.id, kind, payload, eom))
            else:
                self.run(connection, "on_data_in", DataIn(connection.id, kind, payload, eom))
        if len(self.queue) >= MOST_QUEUED:
            connection.await_turn()  # there are none until the queue is shorter

    def run(self, connection: Connection, name: str, event: Any) -> None:
        if self._queues:
            self._add((connection, name, event))
            return
        self._running.append(connection)
        try:
            super().run(connection, name, event)
        finally:
            self._running.pop()

    def fire_remote(self, name: str, event: Any) -> None:
        if self._queues:
            self._add((None, name, event))
            return
        self._running.append(None)
        try:
            super().fire_remote(name, event)
        finally:
            self._running.pop()

    def in_order(self, step: Callable[[], None]) -> None:
        if self._queues:
            self._add(step)
        else:
            step()

    def decide(
        self, connection: Connection, name: str, event: D, decided: Callable[[Connection, D], None]
    ) -> None:
        if not self._queues:
            super().decide(connection, name, event, decided)
            return
        self.take(connection, HOLD_DECISION)
        self._add(lambda: self._ask(connection, name, event, decided))

    def _ask(
        self, connection: Connection, name: str, event: D, decided: Callable[[Connection, D], None]
    ) -> None:
        def go_on(connection: Connection, event: D) -> None:
            self.release(connection, HOLD_DECISION)
            decided(connection, event)

        self._running.append(connection)
        try:
            super().decide(connection, name, event, go_on)
        finally:
            self._running.pop()

    def take(self, connection: Connection, hold: int) -> None:
        """Have it wait; what is queued for the connection waits as what comes later does."""
        super().take(connection, hold)
        moved = [
            entry
            for entry in self.queue
            if isinstance(entry, tuple)
            and entry[0] is connection
            and (hold != HOLD_APPLICATION or entry[1] == "on_data_in")
        ]
        if moved:
            self.queue = deque(entry for entry in self.queue if entry not in moved)
            waiting = [(name, event) for _, name, event in moved]
            connection.backlog = waiting + (connection.backlog or [])

    # -- what do_events calls ----------------------------------------------------------------

    def run_queued(self) -> bool:
        """Run what is queued now; return whether there was anything."""
        if len(self._running) >= DEEPEST:
            return False
        self.turns.pause(False)  # each queued event is run, or waits with its connection
        if not self.queue:  # `take` may have emptied it
            return False
        for _ in range(len(self.queue)):
            if not self.queue:
                break  # a handler let the loop turn, and more ran on top of it
            entry = self.queue.popleft()
            if not isinstance(entry, tuple):
                entry()
                continue
            connection, name, event = entry
            if connection is None:
                self.fire_remote(name, event)
            elif name == "on_data_in" and connection.holds:
                self.hold(connection, name, event)
            else:
                self.fire(connection, name, event)
        return True

    def block(self) -> Connection | None:
        """The innermost handler begins to block: its connection's events wait; return it."""
        connection = self._running[-1] if self._running else None
        if connection is None or connection.holds & (HOLD_TASK | HOLD_DECISION):
            return None  # nothing of it runs meanwhile anyway
        self.take(connection, HOLD_TASK)
        return connection

    def unblock(self, connection: Connection | None) -> None:
        """It goes on; what waited is queued for after it."""
        if connection is None or not connection.holds & HOLD_TASK:
            return
        connection.holds &= ~HOLD_TASK
        waiting, connection.backlog = connection.backlog or [], None
        self.queue.extendleft((connection, name, event) for name, event in reversed(waiting))
        if not connection.holds:
            connection.go_on()
