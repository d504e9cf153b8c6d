"""The process that forked this one: whether it still lives, and what the kernel does when not.

Owns PR_SET_PDEATHSIG. The kernel sends one signal of our choice when the parent dies, by kill -9
too. Who has nothing to tell asks for KILL. A shard that serves wants to tell its clients, and asks
for CONT: no other signal that can be handled reaches a process that was stopped (SIGSTOP). TERM
would lie there until somebody wakes it, and meanwhile it holds the port. Others send
CONT as well (`fg` in a shell), so whoever gets one looks at `is_gone`.
"""

import ctypes
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def signal_on_death(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies, instead of any before."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


class Parent:
    """The parent there was when this object was made."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    @property
    def is_gone(self) -> bool:
        return os.getppid() != self._pid
