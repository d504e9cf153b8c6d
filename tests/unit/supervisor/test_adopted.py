"""adopted: as process 1, reap what others left behind, and nothing of our own."""

from collections.abc import Callable


def test_only_the_unknown_are_reaped(run_script: Callable[[str], str]) -> None:
    run_script(
        """
import os
from shardws_supervisor import adopted
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid
assert adopted.reap(set()) == 0
child(), child()
assert adopted.reap(set()) == 2
known = child()
assert adopted.reap({known}) == 0
assert os.waitpid(known, os.WNOHANG) == (known, 0)
assert not adopted.is_first_process()
"""
    )
