"""Periodic work of an application in one shard, and the tasks that it makes.

Owns them from the start of the shard to its end. A call that takes longer than its period delays
the next one; periods that have passed meanwhile are left out. What a call raises is logged, and the
next one comes all the same. Work for one shard alone is done by the leader (shard.leadership), from
when it leads until the shard is about to end.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from shardws import arguments
from shardws.errors import UsageError
from shardws.shard.leadership import LOOK_S, Leadership
from shardws.shard.shard import Shard
from shardws.shard.tasks import is_work, raise_if_ours

END_S: Final = 0.5  # for tasks that are cancelled at the end of the shard
LEAST_S: Final = 0.001

Work = Callable[[], Awaitable[None] | None]
On = Literal["each", "one"]


@dataclass(frozen=True, slots=True)
class Timer:
    """A function to be called every `seconds` in each shard, or in one of them."""

    work: Work
    seconds: float
    on: On


def checked(work: Work, seconds: float, on: On) -> Timer:
    """Return a timer; UsageError (213) for values that make none."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise arguments.bad("the period", "a number of seconds", seconds)
    if not LEAST_S <= seconds < float("inf"):
        raise UsageError(f"a period of {seconds:g} s: use at least {LEAST_S:g} s", code=213)
    if on not in ("each", "one"):
        raise UsageError(f'on must be "each" or "one", not {on!r}', code=213)
    return Timer(work, float(seconds), on)


class Background:
    """The tasks of an application that belong to no client."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._loop = shard.loop
        self._leadership = Leadership(shard.context.run_directory)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._at_work = 0  # calls that are for the leader

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a coroutine until it is done or the shard ends; what it raises is logged."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, name))
        return task

    def _done(self, name: str, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._shard.dispatch.failed(0, name, error)

    async def end(self) -> None:
        """Cancel all tasks and wait for their end, for at most END_S."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_S)
        self._leadership.resign()

    # -- timers ------------------------------------------------------------------------------

    def begin(self, timers: list[Timer]) -> None:
        """Start the timers; each is called for the first time after its period."""
        for timer in timers:
            self.spawn(self._run(timer), f"every {timer.seconds:g} s")
        if any(timer.on == "one" for timer in timers):
            self.spawn(self._lead(), "the leader")

    async def _run(self, timer: Timer) -> None:
        due = self._loop.time() + timer.seconds
        while True:
            await asyncio.sleep(due - self._loop.time())
            if timer.on == "each":
                await self._call(timer)
            elif self._leads:
                self._at_work += 1
                try:
                    await self._call(timer)
                finally:
                    self._at_work -= 1
            missed = max(0.0, self._loop.time() - due) // timer.seconds
            due += timer.seconds * (missed + 1)

    @property
    def _leads(self) -> bool:
        return not self._shard.dispatch.tasks.is_ending and self._leadership.ask()

    async def _lead(self) -> None:
        """Take over when the leader is gone; resign when this shard is about to end."""
        while not self._shard.dispatch.tasks.is_ending or self._at_work:
            if not self._at_work:
                self._leadership.ask()
            await asyncio.sleep(LOOK_S)
        self._leadership.resign()

    async def _call(self, timer: Timer) -> None:
        dispatch = self._shard.dispatch
        try:
            result = timer.work()
            if is_work(result):
                await dispatch.tasks.within(result)
        except dispatch.faults as error:
            raise_if_ours(error)
            name = getattr(timer.work, "__qualname__", "work")
            dispatch.failed(0, f"every {timer.seconds:g} s: {name}", error)
