"""Sends that wait until their bytes have left, in a program that calls do_events.

Owns the rule when a send blocks: the connection belongs to this process, its Timeout is above 0,
and the loop is not running, so not in a coroutine. It ends when the kernel has taken the last byte,
at the Timeout or by Interrupt (both SendInterrupted 301; queued data stays queued), or with the
connection.
"""

from typing import Any, Protocol

from shardws.errors import SendInterrupted
from shardws.interfaces import Source
from shardws.net.connection import Connection
from shardws.net.connection.states import OPEN
from shardws.outcomes import SETTLED, Outcome, SendOutcome
from shardws.routing.router import Router


class LoopTurner(Protocol):
    """Runs the loop: shard.embedded."""

    def turn(self, wait: "Wait") -> None: ...


class Wait:
    """One blocking send: its deadline, and whether it was interrupted."""

    def __init__(self, connection_id: int, deadline: float) -> None:
        self.connection_id = connection_id
        self.deadline = deadline  # of the loop's clock
        self.is_interrupted = False

    def check(self, now: float) -> None:
        """Raise SendInterrupted (301) when it is over."""
        if self.is_interrupted:
            raise SendInterrupted("the send was interrupted")
        if now >= self.deadline:
            raise SendInterrupted("the send timed out; what is queued may still leave")


class BlockingRouter(Router):
    """A router whose sends may wait while `turner` runs the loop."""

    def __init__(self, *arguments: Any, turner: LoopTurner) -> None:
        super().__init__(*arguments)
        self._turner = turner

    @property
    def direct(self) -> None:
        """None: a send may have to wait."""

    def send(self, connection_id: int, kind: int, payload: bytes) -> SendOutcome:
        connection = self._blocks(connection_id)
        if connection is None:
            return super().send(connection_id, kind, payload)
        wait = Wait(connection_id, self.mesh.loop.time() + connection.timeout)
        while connection.state == OPEN and not connection.is_ready:
            self._turner.turn(wait)
        outcome = super().send(connection_id, kind, payload)
        if outcome.outcome is not Outcome.QUEUED:
            return outcome
        return self._written(connection, wait)

    def stream(self, connection_id: int, kind: int, source: Source) -> SendOutcome:
        connection = self._blocks(connection_id)
        outcome = super().stream(connection_id, kind, source)
        if connection is None:
            return outcome
        wait = Wait(connection_id, self.mesh.loop.time() + connection.timeout)
        while outcome.outcome is None:
            self._turner.turn(wait)
        return outcome if not outcome.outcome.is_success else self._written(connection, wait)

    def _blocks(self, connection_id: int) -> Connection | None:
        """Return the connection if a send to it blocks."""
        if self.mesh.loop.is_running() or not isinstance(connection_id, int):
            return None
        connection = self.registry.get(connection_id)
        if not isinstance(connection, Connection) or not connection.timeout:
            return None
        return connection

    def _written(self, connection: Connection, wait: Wait) -> SendOutcome:
        while connection.waiting:
            self._turner.turn(wait)
            if connection.state != OPEN:  # lost before the turn that would have seen it written
                return self._failed(connection.id, Outcome.DROPPED)
        return SETTLED[Outcome.WRITTEN]
