"""Calls of other threads, passed to the thread of a shard's loop.

Owns the queue between them. Facts to have before reading:

- Each thread's calls run in the order in which it made them. All calls queued before the next turn
  cost one wake-up; at most PER_TURN run in a turn, so that connections are served between them.
- MOST_BYTES bounds the queue: payloads and CALL_BYTES for each call. A send beyond it is FULL.
- `ask` blocks its thread for ANSWER_S at most, so there are never more of them than threads.
- The lock is held for a few instructions. It may be taken again by the thread that holds it: an
  outcome reports its failure when it is garbage collected, in any thread.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from shardws.errors import SendInterrupted, StateError
from shardws.outcomes import Outcome
from shardws.shard.loop_thread import LoopThread
from shardws.stats import SENDS_FAILED, Words

T = TypeVar("T")

MOST_BYTES: Final = 64 << 20
CALL_BYTES: Final = 512  # approximate size of a waiting call
PER_TURN: Final = 128
ANSWER_S: Final = 5.0
MOST_FAILURES: Final = 16_384  # ids with failures to report; further ones count for id 0
ENDED: Final = "the server has ended"


class Call(Protocol):
    """An entry of the queue."""

    @property
    def size(self) -> int: ...

    def run(self) -> None:
        """Run it, on the loop's thread; never raises."""

    def refuse(self, outcome: Outcome) -> None:
        """It was not run: FULL, or UNREACHABLE when the shard has ended."""


class FailureSink(Protocol):
    """Receives unretrieved failures, on the loop's thread."""

    def send_failed(self, connection_id: int, outcome: Outcome, count: int = 1) -> None: ...
    def call_failed(self, connection_id: int, error: Exception) -> None: ...


class ThreadCalls:
    """The queue of one shard."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, thread: LoopThread, sink: FailureSink, row: Words
    ) -> None:
        self.loop = loop
        self.thread = thread
        self.lock = threading.RLock()
        self._sink = sink
        self._row = row
        self._queue: deque[Call] = deque()
        self._bytes = 0
        self._refused = 0  # FULL, not counted in shared memory yet
        self._failures: dict[tuple[int, Outcome], int] = {}
        self._run_comes = False
        self._is_over = False

    def renew_lock(self) -> None:
        """In a forked process: another thread may have held the lock, and does not exist here."""
        self.lock = threading.RLock()

    # -- from any thread -------------------------------------------------------------------------

    def offer(self, call: Call) -> None:
        """Queue a call, or refuse it; StateError (211) in a forked process."""
        self.thread.check()
        with self.lock:
            refusal = self._refusal(call)
            if refusal is None:
                self._queue.append(call)
                self._bytes += call.size
                self._wake()
        if refusal is not None:
            call.refuse(refusal)

    def _refusal(self, call: Call) -> Outcome | None:
        if self._is_over:
            return Outcome.UNREACHABLE
        if call.size and self._queue and self._bytes + call.size > MOST_BYTES:
            self._refused += 1
            return Outcome.FULL
        return None

    def tell_failed(self, connection_id: int, outcome: Outcome) -> None:
        """Report the failure of a send that nobody retrieved."""
        with self.lock:
            key = (connection_id, outcome)
            if key not in self._failures and len(self._failures) >= MOST_FAILURES:
                key = (0, outcome)
            self._failures[key] = self._failures.get(key, 0) + 1
            self._wake()

    def tell_error(self, connection_id: int, error: Exception) -> None:
        """Report an exception of a call that nobody retrieved."""
        self.soon(self._sink.call_failed, connection_id, error)

    def ask(self, function: Callable[[], T]) -> T:
        """Return what a function returns, or raises, on the loop's thread.

        SendInterrupted (301) when the loop does not start it within ANSWER_S seconds; then it is
        not called. StateError (211) when the server has ended.
        """
        asked = Asked(function)
        self.offer(asked)
        future: Future[T] = asked.future
        try:
            future.result(ANSWER_S)
        except TimeoutError:
            if not future.cancel():  # it is being done, or raised this itself
                return future.result(ANSWER_S)
            text = f"the server's loop took no call of another thread in {ANSWER_S:g} s"
            raise SendInterrupted(text) from None
        return future.result()

    async def run(self, make: Callable[[], Coroutine[Any, Any, T]], timeout: float) -> T:
        """Await a coroutine function on the shard's loop, from the loop of another thread.

        SendInterrupted (301) after `timeout` seconds; StateError (211) when the server has ended.
        """
        self.thread.check()
        coroutine = make()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:
            coroutine.close()
            raise StateError(ENDED) from None
        try:
            async with asyncio.timeout(timeout) as limit:
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if not limit.expired():
                raise
            raise SendInterrupted(f"the server's loop did not reply in {timeout:g} s") from None

    def _wake(self) -> None:
        if not self._run_comes:
            self._run_comes = True
            self.soon(self._run)

    def soon(self, function: Callable[..., None], *arguments: Any) -> None:
        """Schedule a function on the loop's thread, unless the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed
            self.close()

    # -- on the loop's thread --------------------------------------------------------------------

    def _run(self) -> None:
        with self.lock:
            calls = [self._queue.popleft() for _ in range(min(PER_TURN, len(self._queue)))]
            self._bytes -= sum(call.size for call in calls)
            failures, self._failures = self._failures, {}
            refused, self._refused = self._refused, 0
            self._run_comes = bool(self._queue)
        if self._run_comes:
            self.loop.call_soon(self._run)
        self._row[SENDS_FAILED] += refused
        for call in calls:
            call.run()
        for (connection_id, outcome), count in failures.items():
            self._sink.send_failed(connection_id, outcome, count)

    def close(self) -> None:
        """Refuse queued and future calls: nothing runs them any more."""
        with self.lock:
            self._is_over = True
            left = list(self._queue)
            self._queue.clear()
        for call in left:
            call.refuse(Outcome.UNREACHABLE)


class Asked:
    """One call whose thread waits for the result."""

    size: Final = 0

    def __init__(self, function: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._function = function

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._function())
        except Exception as error:  # noqa: BLE001 - the calling thread raises it
            self.future.set_exception(error)

    def refuse(self, outcome: Outcome) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(StateError(ENDED))
