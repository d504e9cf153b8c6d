"""A send made by a thread that is not the loop's, and its outcome.

Owns how an outcome gets from the loop's thread to its consumer: a thread that blocks in `result`, a
coroutine of any loop, a callback, or nobody, in which case a failure fires an Error event like that
of every send. The application holds ThreadSend, both threads share SendCall: so it is known when
nobody can retrieve the outcome any more.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

from shardws.errors import SendInterrupted, StateError
from shardws.outcomes import RESULT_S, Outcome, SendOutcome, Watcher
from shardws.shard.thread_calls import CALL_BYTES, ThreadCalls

BLOCKS: Final = "waiting here would stop the loop that has to send: await it"


class SendCall:
    """One call of the router, and its outcome."""

    __slots__ = (
        "_arguments",
        "_calls",
        "_connection_id",
        "_error",
        "_event",
        "_function",
        "_is_held",
        "_is_seen",
        "_outcome",
        "_task",
        "_waiters",
        "_watchers",
        "size",
    )

    def __init__(
        self,
        calls: ThreadCalls,
        connection_id: object,
        size: int,
        function: Callable[..., SendOutcome],
        arguments: tuple[Any, ...],
    ) -> None:
        self.size = size + CALL_BYTES
        self._calls = calls
        self._connection_id = connection_id if type(connection_id) is int else 0
        self._function = function
        self._arguments = arguments
        self._outcome: Outcome | None = None
        self._error: Exception | None = None
        self._is_held = True  # by the application, which can still retrieve it
        self._is_seen = False
        self._event: threading.Event | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._watchers: list[Watcher] = []
        self._task: asyncio.Task[None] | None = None

    # -- on the loop's thread --------------------------------------------------------------------

    def run(self) -> None:
        try:
            sent = self._function(*self._arguments)
        except Exception as error:  # noqa: BLE001 - raised when the outcome is retrieved
            self._settle(None, error)
            return
        finally:
            self._arguments = ()
        if not self._is_held and not self._watchers:
            return  # like every send that nobody awaits: `sent` reports its own failure
        outcome = sent.outcome
        if outcome is not None:
            self._settle(outcome)
        else:
            self._task = self._calls.loop.create_task(self._follow(sent))

    async def _follow(self, sent: SendOutcome) -> None:
        outcome = Outcome.UNREACHABLE  # when the loop ends before it is known
        try:
            outcome = await sent
        finally:
            self._settle(outcome)

    def refuse(self, outcome: Outcome) -> None:
        self._settle(outcome)

    def _settle(self, outcome: Outcome | None, error: Exception | None = None) -> None:
        with self._calls.lock:
            self._outcome, self._error = outcome, error
            waiters, self._waiters = self._waiters, []
            watchers, self._watchers = self._watchers, []
            is_failure = error is not None or (outcome is not None and not outcome.is_success)
            self._is_seen = self._is_seen or bool(watchers)
            is_told = is_failure and not self._is_held and not self._is_seen
        if self._event is not None:
            self._event.set()
        for waiter in waiters:
            self._wake(waiter)
        if outcome is not None and is_failure:
            for watcher in watchers:
                # Scheduled, not called: its exceptions are the application's.
                self._calls.soon(watcher, outcome)
        if is_told:
            self._tell()

    def _wake(self, waiter: "asyncio.Future[None]") -> None:
        with contextlib.suppress(RuntimeError):  # that loop has ended, and the waiter with it
            waiter.get_loop().call_soon_threadsafe(_set, waiter)

    # -- from any thread -------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        return self._outcome is not None or self._error is not None

    def look(self) -> Outcome | None:
        """Return the outcome, None while it is not known; raise what the call raised."""
        self._is_seen = self._is_seen or self.is_known
        if self._error is not None:
            raise self._error
        return self._outcome

    def wait(self, timeout: float) -> None:
        """Block until it is known; SendInterrupted (301), or StateError on the loop's thread."""
        with self._calls.lock:
            if self.is_known:
                return
            if self._calls.thread.is_here:
                raise StateError(BLOCKS)
            if self._event is None:
                self._event = threading.Event()
        if not self._event.wait(timeout):
            raise SendInterrupted(f"no outcome in {timeout:g} s; the message may still leave")

    def future(self) -> "asyncio.Future[None] | None":
        """Return a future for the running loop, None when the outcome is known."""
        with self._calls.lock:
            if self.is_known:
                return None
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            return waiter

    def watch(self, watcher: Watcher) -> bool:
        """Call `watcher` on the loop's thread if it fails; False when the outcome is known."""
        with self._calls.lock:
            if self.is_known:
                return False
            self._watchers.append(watcher)
            return True

    def let_go(self) -> None:
        """Nobody can retrieve the outcome any more."""
        with self._calls.lock:
            self._is_held = False
            outcome = self._outcome
            is_failure = self._error is not None or (outcome is not None and not outcome.is_success)
            is_told = is_failure and not self._is_seen
        if is_told:
            self._tell()

    def _tell(self) -> None:
        self._is_seen = True
        if self._error is not None:
            self._calls.tell_error(self._connection_id, self._error)
        elif self._outcome is not None:
            self._calls.tell_failed(self._connection_id, self._outcome)


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():  # a cancelled wait
        waiter.set_result(None)


class ThreadSend(SendOutcome):
    """A send of another thread: `.result(timeout)` there, or `await` in any loop.

    All three ways to retrieve it raise what the send raised, such as UsageError for a message too
    large.
    """

    __slots__ = ("_call",)

    def __init__(self, call: SendCall) -> None:
        self._call = call

    @property
    def outcome(self) -> Outcome | None:  # type: ignore[override]  # reading it counts as retrieved
        return self._call.look()

    def result(self, timeout: float = RESULT_S) -> Outcome:
        self._call.wait(timeout)
        return super().result()

    def __await__(self) -> Generator[Any, None, Outcome]:
        waiter = self._call.future()
        if waiter is not None:
            yield from waiter
        return super().result()

    def if_failed(self, callback: Watcher) -> None:
        """Call `callback(outcome)` on the loop's thread; immediately, here, when it is known."""
        if not self._call.watch(callback):
            super().if_failed(callback)

    def __del__(self) -> None:
        self._call.let_go()

    def __repr__(self) -> str:
        return f"<ThreadSend {'known' if self._call.is_known else 'pending'}>"
