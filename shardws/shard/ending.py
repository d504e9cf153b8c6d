"""The end of a shard's process: waits for what the application left running, up to a limit.

Owns the order and the deadline. As in any Python program: work in executors, then non-daemon
threads, then atexit functions; then SIGTERM to the programs and pools left in the shard's process
group. A standalone program would wait for all of these without limit; here the supervisor waits, so
what has not ended at `limit` is logged and ended by `os._exit`, and the supervisor kills the rest
of the group.
"""

import asyncio
import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from shardws.errors import EXIT_ORPHANED
from shardws.log import Adapter

WORK_S: Final = 5.0  # how long an executor's work may take after the last client
LATE_S: Final = 1.0  # the part of it that may exceed the deadline of the drain
LIMIT_S: Final = 4.6  # beyond the deadline of the drain; the supervisor kills after 5
CHILDREN_S: Final = 1.0  # from TERM to children until they are left to the supervisor
LEAST_S: Final = 0.1  # to see that an idle executor has ended
PAUSE_S: Final = 0.01


class Ending:
    """The end of one process; times are those of `time.monotonic`."""

    def __init__(self, log: Adapter) -> None:
        self.log = log
        self._work_until = 0.0
        self._limit = 0.0
        self._executor: asyncio.Task[None] | None = None  # cancelling it would wait for ever

    def begin(self, deadline: float) -> None:
        """Note that the shard ends, within `deadline` seconds for its clients."""
        now = time.monotonic()
        self._work_until = now + deadline + LATE_S
        self._limit = now + deadline + LIMIT_S

    def hasten(self) -> None:
        """Note that it ends immediately, whatever the earlier deadline."""
        now = time.monotonic()
        self._work_until = min(self._work_until, now + LATE_S)
        self._limit = min(self._limit, now + LIMIT_S)

    @property
    def work_left(self) -> float:
        """How many seconds handlers and executors have."""
        return max(0.0, min(WORK_S, self._work_until - time.monotonic()))

    async def end_executor(self) -> None:
        """Wait for the work in the loop's default executor, as long as there is time."""
        loop = asyncio.get_running_loop()
        self._executor = loop.create_task(loop.shutdown_default_executor())
        _, late = await asyncio.wait({self._executor}, timeout=max(LEAST_S, self.work_left))
        if late:
            self.log.warning("work in the default executor still runs: it ends with the shard")

    def finish(self, loop: asyncio.AbstractEventLoop, code: int) -> None:
        """Finish after the loop has stopped; the process ends at the limit."""
        if not self._limit:  # it never started to serve
            self.begin(0.0)
        self._arm(code)
        with contextlib.suppress(RuntimeError):  # the loop was stopped or closed by the application
            loop.run_until_complete(self._cancel_all(LEAST_S))
        self._end_threads()
        atexit._run_exitfuncs()
        self._end_children()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _arm(self, code: int) -> None:
        """Make the process end at the limit. An orphan has its own alarm."""
        if code == EXIT_ORPHANED:
            return

        def leave(_number: int, _frame: object) -> None:
            self.log.warning("the application's atexit functions still run: the shard ends")
            os._exit(code)

        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, max(LEAST_S, self._limit - time.monotonic()))

    async def _cancel_all(self, seconds: float) -> None:
        """Cancel every other task and close the generators, within `seconds` each."""
        loop = asyncio.get_running_loop()
        tasks = asyncio.all_tasks() - {asyncio.current_task(), self._executor}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.shutdown_asyncgens(), seconds)

    def _end_threads(self) -> None:
        """End the executors, and wait for non-daemon threads."""
        # Executors are ended by functions that Python calls at exit; each waits without limit.
        ends: list[Callable[[], None]] = vars(threading)["_threading_atexits"]
        ender = threading.Thread(target=_call_all, args=(reversed(ends),), daemon=True)
        ender.start()
        main, until = threading.main_thread(), time.monotonic() + max(LEAST_S, self.work_left)
        waited = [ender, *(one for one in threading.enumerate() if not one.daemon)]
        for thread in waited:
            if thread is not main:
                thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in waited if thread is not main):
            self.log.warning("threads of the application still run: they end with the shard")

    def _end_children(self) -> None:
        """Send SIGTERM to the rest of the process group and wait until our own children are gone.

        Only for the leader of a group: another group has unrelated processes.
        """
        if os.getpgrp() != os.getpid():
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        end = min(self._limit, time.monotonic() + CHILDREN_S)
        with contextlib.suppress(ChildProcessError):  # none left
            while time.monotonic() < end:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(PAUSE_S)


def _call_all(functions: Iterable[Callable[[], None]]) -> None:
    for function in functions:
        function()
