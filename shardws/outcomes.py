"""The one outcome each send has.

Owns the enumeration and the awaitable. A send returns a `SendOutcome` immediately and never raises
because a client disconnected. Awaiting it does not suspend when the outcome is known already, as it
is for a connection of this shard.
"""

import asyncio
import enum
from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias

from shardws.errors import StateError

RESULT_S: Final = 5.0  # how long `SendOutcome.result` waits unless it is told otherwise


class Outcome(enum.IntEnum):
    """What became of a send."""

    QUEUED = 0  # in the outgoing queue of its connection, on the shard that owns it
    WRITTEN = 1  # handed to the kernel
    DROPPED = 2  # the connection was closing, or its policy drops when full
    GONE = 3  # no such connection, or no longer
    FULL = 4  # the outgoing queue or the link is at its bound; wait for ReadyToSend
    UNREACHABLE = 5  # the shard or node is down; if it went down meanwhile, it may have arrived

    @property
    def is_success(self) -> bool:
        return self <= Outcome.WRITTEN


# What `on_error` reports for a send that did not arrive (errors.ERROR_CODES).
OUTCOME_CODES: Final[dict[Outcome, int]] = {
    Outcome.DROPPED: 1120,
    Outcome.GONE: 1117,
    Outcome.FULL: 135,
    Outcome.UNREACHABLE: 10065,
}


Report: TypeAlias = Callable[[int, Outcome], None]  # connection id, outcome of the send
Watcher: TypeAlias = Callable[[Outcome], None]


class SendOutcome:
    """An outcome that is already known; `await` it, or read `.outcome`."""

    __slots__ = ("outcome",)

    outcome: Outcome | None  # None while unknown: only in the subclass for other shards

    def __init__(self, outcome: Outcome | None) -> None:
        self.outcome = outcome

    def __await__(self) -> Generator[Any, None, Outcome]:
        yield from ()  # makes this function a generator, as __await__ must return an iterator
        assert self.outcome is not None
        return self.outcome

    def result(self, timeout: float = RESULT_S) -> Outcome:
        """Return the outcome of a send made by a thread other than the loop's, once it is known.

        SendInterrupted (301) when it is not known in `timeout` seconds. The loop's own thread must
        not block: StateError (211) for an outcome that has to be awaited.
        """
        outcome = self.outcome
        if outcome is None:
            raise StateError("the outcome is not known yet: await it")
        return outcome

    def if_failed(self, callback: Watcher) -> None:
        """Call `callback(outcome)` if the send fails: immediately if that is known already.

        Cheaper than a task that awaits; the failure then fires no Error event.
        """
        outcome = self.outcome
        if outcome is not None and not outcome.is_success:
            callback(outcome)

    def __repr__(self) -> str:
        return f"<SendOutcome {self.outcome.name if self.outcome is not None else 'pending'}>"


# One shared object for each known outcome: a local send allocates nothing.
SETTLED: Final[dict[Outcome, SendOutcome]] = {outcome: SendOutcome(outcome) for outcome in Outcome}
QUEUED: Final = SETTLED[Outcome.QUEUED]
DROPPED: Final = SETTLED[Outcome.DROPPED]
GONE: Final = SETTLED[Outcome.GONE]
FULL: Final = SETTLED[Outcome.FULL]
UNREACHABLE: Final = SETTLED[Outcome.UNREACHABLE]


class FailedSend(SendOutcome):
    """A send that is known to have failed; calls `report` when it is deleted unread.

    As asyncio's "exception was never retrieved": fire and forget costs nothing, and yet no failure
    goes unreported.
    """

    __slots__ = ("_known", "_report", "connection_id")

    def __init__(self, connection_id: int, outcome: Outcome, report: Report) -> None:
        self.connection_id = connection_id
        self._known = outcome
        self._report: Report | None = report

    @property
    def outcome(self) -> Outcome:  # type: ignore[override]  # reading it counts as retrieved
        self._report = None
        return self._known

    def __await__(self) -> Generator[Any, None, Outcome]:
        yield from ()  # see SendOutcome.__await__
        self._report = None
        return self._known

    def __del__(self) -> None:
        if self._report is not None:
            self._report(self.connection_id, self._known)

    def __repr__(self) -> str:
        return f"<FailedSend {self._known.name}>"


class LaterSend(SendOutcome):
    """A send that completes later, such as a file; `settle` sets its outcome.

    A failure that nobody awaited or read goes to `report` when this object is deleted.
    """

    __slots__ = ("_known", "_report", "_waiters", "_watchers", "connection_id")

    def __init__(self, connection_id: int, report: Report) -> None:
        self.connection_id = connection_id
        self._known: Outcome | None = None
        self._report: Report | None = report
        self._waiters: list[asyncio.Future[Outcome]] = []
        self._watchers: list[Watcher] = []

    def settle(self, outcome: Outcome) -> None:
        """Set the outcome; only the first call counts."""
        if self._known is not None:
            return
        self._known = outcome
        waiters = [waiter for waiter in self._waiters if not waiter.done()]
        for waiter in waiters:
            waiter.set_result(outcome)
        watchers = [] if outcome.is_success else self._watchers
        for watcher in watchers:
            # Scheduled, not called: its exceptions are the application's.
            asyncio.get_running_loop().call_soon(watcher, outcome)
        if outcome.is_success or waiters or watchers:
            self._report = None

    @property
    def outcome(self) -> Outcome | None:  # type: ignore[override]  # looking counts as knowing
        if self._known is not None:
            self._report = None
        return self._known

    def __await__(self) -> Generator[Any, None, Outcome]:
        if self._known is None:
            waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            return (yield from waiter)
        self._report = None
        return self._known

    def if_failed(self, callback: Watcher) -> None:
        if self._known is None:
            self._watchers.append(callback)
        else:
            super().if_failed(callback)

    def __del__(self) -> None:
        if self._report is not None and self._known is not None:
            self._report(self.connection_id, self._known)

    def __repr__(self) -> str:
        return f"<LaterSend {self._known.name if self._known is not None else 'pending'}>"
