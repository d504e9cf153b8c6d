"""The end of a shard's process: what the application left running ends in order, or is left behind.

Owns the order and the deadline; knows no connection. As in any Python program: work in executors,
then threads that are no daemons, then atexit functions; then TERM to the programs and pools in the
shard's process group that are still there. A program of its own would wait for all of these without
end; here the supervisor waits, so what is not over at `limit` is said in the log and left to
`os._exit`, and the supervisor kills the rest of the group.
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

WORK_S: Final = 5.0  # what an executor's work may take beyond the last client
LATE_S: Final = 1.0  # of it, what lies beyond the deadline of the drain
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
        self._executor: asyncio.Task[None] | None = None  # cancelled, it would wait without end

    def begin(self, deadline: float) -> None:
        """Note that the shard ends, within `deadline` seconds for its clients."""
        now = time.monotonic()
        self._work_until = now + deadline + LATE_S
        self._limit = now + deadline + LIMIT_S

    def hasten(self) -> None:
        """Note that it ends at once, whatever was said before."""
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
        """Do what is left when the loop stands still; the process ends at the limit."""
        if not self._limit:  # it never served
            self.begin(0.0)
        self._arm(code)
        with contextlib.suppress(RuntimeError):  # the loop was stopped or closed by the application
            loop.run_until_complete(self._cancel_all(LEAST_S))
        self._end_threads()
        atexit._run_exitfuncs()
        self._end_children()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _arm(self, code: int) -> None:
        """Have the process end at the limit. An orphan is ended by an alarm of its own."""
        if code == EXIT_ORPHANED:
            return

        def leave(_number: int, _frame: object) -> None:
            self.log.warning("the application's atexit functions still run: the shard ends")
            os._exit(code)

        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, max(LEAST_S, self._limit - time.monotonic()))

    async def _cancel_all(self, seconds: float) -> None:
        """Cancel every other task and close the generators, within so many seconds each."""
        loop = asyncio.get_running_loop()
        tasks = asyncio.all_tasks() - {asyncio.current_task(), self._executor}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.shutdown_asyncgens(), seconds)

    def _end_threads(self) -> None:
        """End the executors, and wait for threads that are no daemons."""
        # Executors end by functions that Python calls in its own end; each waits without end.
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
        """Send TERM to what is left of the process group and wait until our own children are gone.

        Only for the leader of a group: in another's there are strangers.
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
