"""The parent process: whether it is alive, and the signal that the kernel sends when it dies.

Owns PR_SET_PDEATHSIG. The kernel sends one signal of our choice when the parent dies, even by kill
-9. A process without clients asks for SIGKILL. A serving shard has to close its clients, and asks
for SIGCONT: no other signal that can be handled reaches a stopped process (SIGSTOP). SIGTERM would
stay pending until the process continues, and meanwhile it holds the port. Others send SIGCONT as
well (`fg` in a shell), so its handler checks `is_gone`.
"""

import ctypes
import os
import signal
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def signal_on_death(number: signal.Signals) -> None:
    """Make the kernel send a signal when the parent dies, replacing any earlier choice."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


class Parent:
    """The parent at the time when this object was created."""

    def __init__(self) -> None:
        self._pid = os.getppid()

    @property
    def is_gone(self) -> bool:
        return os.getppid() != self._pid
