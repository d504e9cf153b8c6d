"""init_reaper: as process 1, reap what others left behind, and nothing of our own."""

from collections.abc import Callable


def test_only_the_unknown_are_reaped(run_script: Callable[[str], str]) -> None:
    run_script(
        """
import os
from shardws_supervisor.system import init_reaper
def child():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid
assert init_reaper.reap(set()) == 0
child(), child()
assert init_reaper.reap(set()) == 2
known = child()
assert init_reaper.reap({known}) == 0
assert os.waitpid(known, os.WNOHANG) == (known, 0)
assert not init_reaper.is_first_process()
"""
    )
