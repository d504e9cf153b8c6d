"""What became of the countable messages of one link.

Owns their numbers, the failures reported by the other side and the waiters for an outcome. Clock
and futures are arguments.

Both sides count. The sender gives numbers from `first` on; they rise over all links to one
process, so that a late RESULT of a broken link is never taken for one of the link after it. The
receiver reports a failure as RESULT, and replies to SYNC(n) by SYNCED(n) behind the RESULTs of what
came before: what is confirmed and not reported was queued.

A failure that arrives while nobody waits fires an event immediately; a later await returns it
again, as long as the failure is among the last `KEPT` ones. Older messages are UNREACHABLE, the
only outcome that means "it may or may not have arrived". Counting, and keeping a watcher, come with
every message and are in the base class (`links`).

Messages to many have no number, since their outcome is that of the hand-over. They are counted:
each SYNC covers those before it, and each SYNCED answers the oldest SYNC.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from typing import Any, Final

from shardws.outcomes import Outcome, SendOutcome, Watcher
from shardws.routing.links import Numbers

KEPT: Final = 16_384
SYNC_EVERY: Final = 1024  # unconfirmed messages after which a confirmation is requested

Future = asyncio.Future[Outcome]


class Ledger(Numbers):
    """Numbers, failures and waiters of one link."""

    __slots__ = (
        "_fanouts_asked",
        "_fanouts_confirmed",
        "_make_future",
        "_now",
        "_on_wait",
        "_outcome_when_down",
        "_progress_at",
        "_syncs",
        "_waiters",
        "_wanted",
        "_wants_all",
        "fanouts",
    )

    _failures: OrderedDict[int, Outcome]

    def __init__(
        self,
        first: int,
        make_future: Callable[[], Future],
        now: Callable[[], float],
        on_wait: Callable[[], None],
    ) -> None:
        self.first = first
        self.last = self.asked = self.confirmed = first - 1
        self.is_down = False
        self._outcome_when_down: Outcome | None = None  # of messages without a known one
        self._make_future = make_future
        self._now = now
        self._on_wait = on_wait  # called when a SYNC has become due
        self._wanted = first - 1  # the newest message that is awaited
        self._waiters: dict[int, list[Future]] = {}
        self._watchers = {}
        self._failures = OrderedDict()
        self._forgotten = 0
        self._progress_at = 0.0
        self.fanouts = self._fanouts_asked = self._fanouts_confirmed = 0  # messages to many
        self._syncs: deque[int] = deque()  # unanswered: the messages to many before each
        self._wants_all = False

    @property
    def wants_sync(self) -> bool:
        """Whether a SYNC is due: somebody waits for it, or many messages are unconfirmed."""
        is_awaited = self._wants_all or self._wanted > self.asked
        return is_awaited or self.last - self.asked >= SYNC_EVERY

    def ask(self) -> int:
        """Note that a SYNC leaves now; return the number for it."""
        self.asked = self.last
        self._fanouts_asked = self.fanouts
        self._syncs.append(self.fanouts)
        self._wants_all = False
        return self.last

    @property
    def has_tail(self) -> bool:
        """Whether there are messages that no SYNC stands behind."""
        return self.last > self.asked or self.fanouts > self._fanouts_asked

    @property
    def is_confirmed(self) -> bool:
        """Whether each SYNC was answered."""
        return not self._syncs

    @property
    def fanouts_in_doubt(self) -> int:
        """How many messages to many were taken and are not confirmed."""
        return self.fanouts - self._fanouts_confirmed

    def outcome(self, number: int) -> Outcome | None:
        """Return the outcome of a message; None while it is unknown."""
        failure = self._failures.get(number)
        if failure is not None:
            return failure
        if number <= self._forgotten:
            return Outcome.UNREACHABLE
        if number <= self.confirmed:
            return Outcome.QUEUED
        return self._outcome_when_down

    def wait(self, number: int) -> Future:
        """Return a future for the outcome of a message of which nothing is known yet."""
        future = self._make_future()
        if not self._waiters:
            self._progress_at = self._now()
        self._waiters.setdefault(number, []).append(future)
        if number > self.asked:
            self._wanted = max(self._wanted, number)
            self._on_wait()
        return future

    def want_all(self) -> None:
        """Request a SYNC after the last message, though nobody waits for it."""
        self._wants_all = True
        self._on_wait()

    def watch_slowly(self, number: int, watcher: Watcher) -> None:
        """Call `watcher` at once if a message of which something is known has failed."""
        outcome = self.outcome(number)
        if outcome is not None and not outcome.is_success:
            watcher(outcome)

    def fail(self, number: int, outcome: Outcome) -> bool:
        """Take a RESULT; return whether somebody waited for it, or it does not matter any more."""
        if number < self.first or self.is_down:
            return True
        self._failures[number] = outcome
        if len(self._failures) > KEPT:
            oldest, _ = self._failures.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest)
        is_watched = self._tell(number, outcome)
        return self._resolve(number, outcome) or is_watched

    def confirm(self, number: int) -> None:
        """Take a SYNCED: whatever failed up to `number` has been reported."""
        if self._syncs and self.first - 1 <= number <= self.asked:  # not one of an older link
            self._fanouts_confirmed = self._syncs.popleft()
        if self.is_down or not self.confirmed < number <= self.asked:
            return
        self.confirmed = number
        self._progress_at = self._now()
        for waiting in [key for key in self._waiters if key <= number]:
            self._resolve(waiting, Outcome.QUEUED)
        if self._watchers:
            # Rebuilt: a dict scans the slots of deleted entries each time its oldest one is
            # removed.
            self._watchers = {key: one for key, one in self._watchers.items() if key > number}

    def expire(self, patience: float) -> int:
        """Give up on waiters when no confirmation came for `patience` seconds; return how many.

        Their outcome is UNREACHABLE; the link stays, since the other side may only be slow.
        """
        if not self._waiters or self._now() - self._progress_at < patience:
            return 0
        return self._release(Outcome.UNREACHABLE)

    def close(self, outcome: Outcome = Outcome.UNREACHABLE) -> int:
        """The link is down: settle the waiters; return how many messages nobody waits for.

        These are the ones without a known outcome, which is `outcome` from now on.
        """
        unknown = self.last - self.confirmed - len(self._waiters)
        unknown -= sum(1 for number in self._failures if number > self.confirmed)
        unknown -= len(self._watchers)
        self.is_down = True
        self._outcome_when_down = outcome
        self._release(outcome)
        for number in list(self._watchers):
            self._tell(number, outcome)
        return max(unknown, 0)

    def _release(self, outcome: Outcome) -> int:
        waiting = list(self._waiters)
        for number in waiting:
            self._resolve(number, outcome)
        return len(waiting)

    def _tell(self, number: int, outcome: Outcome) -> bool:
        watcher = self._watchers.pop(number, None)
        if watcher is None:
            return False
        # Scheduled, not called: its exceptions are the application's and must not break a link.
        asyncio.get_running_loop().call_soon(watcher, outcome)
        return True

    def _resolve(self, number: int, outcome: Outcome) -> bool:
        is_awaited = False
        for future in self._waiters.pop(number, ()):
            if not future.done():  # a cancelled wait
                future.set_result(outcome)
                is_awaited = True
        return is_awaited


class PendingSend(SendOutcome):
    """A send to another shard whose outcome is pending.

    Without an await it costs nothing more: a failure becomes an Error event. An await requests a
    confirmation, one for all sends awaited on a link in one turn of the loop.
    """

    __slots__ = ("_ledger", "_number")

    def __init__(self, ledger: Ledger, number: int) -> None:
        self._ledger = ledger
        self._number = number

    @property
    def outcome(self) -> Outcome | None:  # type: ignore[override]  # known later, by the ledger
        return self._ledger.outcome(self._number)

    def __await__(self) -> Generator[Any, None, Outcome]:
        outcome = self._ledger.outcome(self._number)
        if outcome is None:
            outcome = yield from self._ledger.wait(self._number)
        return outcome

    def future(self) -> Future:
        """Return a future for the outcome, of which nothing is known yet."""
        return self._ledger.wait(self._number)

    def ask(self) -> None:
        """Have the outcome confirmed soon, without waiting for it."""
        if self._number > self._ledger.asked:
            self._ledger.want_all()

    def if_failed(self, callback: Watcher) -> None:
        self._ledger.watch(self._number, callback)

    def __repr__(self) -> str:
        outcome = self.outcome
        return f"<PendingSend {outcome.name if outcome is not None else 'pending'}>"
