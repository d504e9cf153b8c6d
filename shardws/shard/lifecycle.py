"""The start and the stop of the application in one shard: on_start and on_stop.

Owns their order: on_start is awaited before the first client is accepted, and on_stop follows the
last client and the last handler, once, if on_start had succeeded. The supervisor's StartTimeout
bounds the first; the caller bounds the second.
"""

import asyncio
import os
import traceback
from typing import Final

from shardws import events
from shardws.errors import EXIT_CANNOT_START, EXIT_FAILED, LASTING_ERRORS, StartError
from shardws.shard.reports import describe
from shardws.shard.shard import Shard
from shardws.shard.tasks import is_work, raise_if_ours

STOP_S: Final = 1.0  # the least that on_stop is given, also when the time for clients is up

OURS: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # shardws/


def place(error: BaseException) -> str:
    """Return file:line of the application's first frame in the traceback; "" without one."""
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(OURS):
            return f" ({frame.filename}:{frame.lineno})"
    return ""


def failure(error: BaseException) -> StartError:
    """Return the one line for what on_start raised; a StartError of its own stays as it is."""
    if isinstance(error, StartError):
        return error
    exit_code = EXIT_CANNOT_START if isinstance(error, LASTING_ERRORS) else EXIT_FAILED
    text = " ".join(describe(error).split())
    return StartError(f"on_start raised {text}{place(error)}", exit_code=exit_code)


class Lifecycle:
    """Runs both handlers of one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._has_started = False

    async def start(self) -> None:
        """Run on_start, unless that has been done; StartError when it raises."""
        if self._has_started:
            return
        dispatch = self._shard.dispatch
        handler = dispatch.handlers.on_start
        try:
            result = None if handler is None else handler(events.Start(self._shard.context.slot))
            if is_work(result):
                await result
        except dispatch.faults as error:
            raise_if_ours(error)
            raise failure(error) from error
        self._has_started = True

    async def stop(self, seconds: float) -> None:
        """Run on_stop for at most `seconds`, at least STOP_S; what it raises is reported."""
        dispatch = self._shard.dispatch
        handler = dispatch.handlers.on_stop
        if not self._has_started or handler is None:
            return
        self._has_started = False
        limit = max(STOP_S, seconds)
        try:
            result = handler(events.Stop(self._shard.context.slot))
            if is_work(result):
                async with asyncio.timeout(limit) as timeout:
                    await result
        except dispatch.faults as error:
            raise_if_ours(error)
            if isinstance(error, TimeoutError) and timeout.expired():
                error = TimeoutError(f"it ran longer than {limit:g} s")
            dispatch.failed(0, "on_stop", error)
