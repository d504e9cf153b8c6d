"""Coroutines that an application began while it was imported, and that nobody will ever run.

Owns finding and naming them; for the probe, right after the import. A module that calls
`create_task` on a loop of its own is no error to Python: the loop that serves is another one, which
the shard makes later, so the task never takes its first step, without a word.
"""

import asyncio
import gc
import inspect
from types import CoroutineType
from typing import Any


def found() -> list[str]:
    """Return a name and a place for each coroutine that has not begun and has no loop that runs."""
    objects = gc.get_objects()
    # By type(): isinstance would ask proxies of the application what they stand for.
    tasks = [one for one in objects if issubclass(type(one), asyncio.Task)]
    running = {task.get_coro() for task in tasks if task.get_loop().is_running()}
    coroutines = [one for one in objects if type(one) is CoroutineType and one not in running]
    return sorted({_named(one) for one in coroutines if _is_new(one)})


def _is_new(coroutine: "CoroutineType[Any, Any, Any]") -> bool:
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


def _named(coroutine: "CoroutineType[Any, Any, Any]") -> str:
    code = coroutine.cr_code
    return f"{coroutine.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
