"""The tasks in which handlers of a shard run, and their end.

Owns the set of tasks (a loop holds them only weakly) and how long they are waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any, Final, TypeGuard

from shardws.outcomes import SendOutcome

PATIENCE_S: Final = 60.0  # for a handler that still runs when its client is gone
LAST_S: Final = 1.0  # for work that begins when a handler has been cancelled


def is_work(result: object) -> TypeGuard[Awaitable[None]]:
    """Tell whether a handler's return value must be awaited.

    A lambda may return the result of `send`: that is not awaited, since waiting has a cost.
    """
    return isawaitable(result) and not isinstance(result, SendOutcome)


def raise_if_ours(error: BaseException) -> None:
    """Raise again what is not of the handler's making: any other error is a fault of its own.

    A CancelledError when the current task was told to end, and a GeneratorExit when its coroutine
    is being closed, which happens outside of any task.
    """
    task = _current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
    if isinstance(error, GeneratorExit) and task is None:
        raise error


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs: the coroutine is being closed
        return None


class Tasks:
    """The running tasks of one shard."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_over = False  # the time for handlers is up: only Disconnected is still fired
        self.is_ending = False  # the shard has begun to end
        self.patience = PATIENCE_S
        self._limit = 0.0  # HandlerTimeout in seconds; 0: none
        self._loop = loop
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task."""
        task = self._loop.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def limit_to(self, seconds: float) -> None:
        """Limit handlers that begin from now on to `seconds`; 0: no limit."""
        self._limit = seconds

    def within(self, work: Awaitable[None]) -> Awaitable[None]:
        """Return the work of a handler as something that raises TimeoutError at the limit."""
        return self._limited(work, self._limit) if self._limit else work

    async def _limited(self, work: Awaitable[None], limit: float) -> None:
        try:
            async with asyncio.timeout(limit) as timeout:
                await work
        except TimeoutError as error:
            if timeout.expired():  # its cause shows where the handler was
                raise TimeoutError(f"it ran longer than HandlerTimeout, {limit:g} s") from error
            raise  # of its own

    def expect(self, task: asyncio.Task[None], tell: Callable[[], None]) -> None:
        """Call `tell` if the task still runs after `patience` seconds; the task continues."""
        self._loop.call_later(self.patience, lambda: None if task.done() else tell())

    async def settle(self, seconds: float, last: float = LAST_S) -> None:
        """Wait for the tasks, and for those that follow them; then cancel them.

        A connection whose handler was cancelled has `last` more seconds for its end.
        """
        await self._finish(seconds)
        self.is_over = True
        for _ in range(2):
            await asyncio.sleep(0)  # each has had its first step, so it can handle the cancellation
            for task in list(self._running):
                task.cancel()
            await self._finish(last)

    async def _finish(self, seconds: float) -> None:
        end = self._loop.time() + seconds
        while self._running and (left := end - self._loop.time()) > 0:
            await asyncio.wait(list(self._running), timeout=left)
