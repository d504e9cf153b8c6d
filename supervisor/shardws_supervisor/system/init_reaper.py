"""Reaps orphans when the supervisor is process 1 of a container.

When a process dies, the kernel makes its children those of process 1; an application that starts
programs of its own would otherwise fill a container with zombies.
"""

import contextlib
import os
from collections.abc import Container


def reap(known: Container[int]) -> int:
    """Reap every ended child that is not in `known`; return how many. For process 1 only.

    An ended known child hides those after it until its owner has reaped it.
    """
    reaped = 0
    with contextlib.suppress(ChildProcessError):  # no children at all
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in known:
                break
            os.waitpid(ended.si_pid, 0)
            reaped += 1
    return reaped


def is_first_process() -> bool:
    """Tell whether the kernel makes orphans children of this process."""
    return os.getpid() == 1
