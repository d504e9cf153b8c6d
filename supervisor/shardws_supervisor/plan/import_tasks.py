"""Coroutines that an application started while it was imported, and that will never run.

Run by the probe, right after the import. A module that calls `create_task` on a loop of its own
gets no error from Python: the loop that serves is another one, created later by the shard, so the
task silently never runs.
"""

import asyncio
import gc
import inspect
from types import CoroutineType
from typing import Any


def found() -> list[str]:
    """Return name and source position of each coroutine not begun that no running loop has."""
    objects = gc.get_objects()
    # type(), since isinstance would call __class__ of the application's proxy objects.
    tasks = [one for one in objects if issubclass(type(one), asyncio.Task)]
    running = {task.get_coro() for task in tasks if task.get_loop().is_running()}
    coroutines = [one for one in objects if type(one) is CoroutineType and one not in running]
    return sorted({_named(one) for one in coroutines if _is_new(one)})


def _is_new(coroutine: "CoroutineType[Any, Any, Any]") -> bool:
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


def _named(coroutine: "CoroutineType[Any, Any, Any]") -> str:
    code = coroutine.cr_code
    return f"{coroutine.__qualname__} ({code.co_filename}:{code.co_firstlineno})"
