"""Let one allocation of the interpreter fail: each in turn, until a call has no more of them."""

from collections.abc import Callable
from typing import Any

import pytest

MOST = 5000  # allocations of one call

_testcapi: Any = pytest.importorskip("_testcapi", reason="this Python was built without _testcapi")


def one_fails(number: int, call: Callable[[], object]) -> bool:
    """Call with the allocation of this number failing; False when the call has fewer, from 0.

    `call` must not raise MemoryError, and should be bound before: looking it up allocates.
    """
    room = 0
    _testcapi.set_nomemory(number, number + 1)
    try:
        call()
        while room <= number:
            bytes(2000)
            room += 1
    except MemoryError:
        return False
    finally:
        _testcapi.remove_mem_hooks()
    return True


def each_fails(step: Callable[[int], bool]) -> int:
    """Call `step` with 0, 1, 2 ... until it returns False; return how many allocations failed."""
    for number in range(MOST):
        if not step(number):
            return number
    raise AssertionError("there is no end of allocations")
