"""aide: kept alive with a growing pause, ended for good."""

from collections.abc import Callable

SCRIPT = """
import os, signal, time
from shardws_supervisor.aide import POLICY, Aide
def body():
    signal.pause()
    return 0
aide = Aide("helper", body, list)
aide.advance(100.0)
first = aide.pid
aide.advance(100.1)
assert aide.pid == first and os.readlink(f"/proc/{first}/exe")
def kill():
    os.kill(aide.pid, signal.SIGKILL)
    os.waitid(os.P_PID, aide.pid, os.WEXITED | os.WNOWAIT)
kill()
aide.advance(101.0)
assert aide.pid == 0
aide.advance(101.0 + POLICY.first)
assert aide.pid not in (0, first)
kill()
aide.advance(102.0)
aide.advance(102.0 + POLICY.first / 4)
assert aide.pid == 0, "the second pause is longer"
aide.advance(102.0 + POLICY.first * 2)
kill()
aide.advance(102.0 + POLICY.stable * 2)
aide.advance(102.0 + POLICY.stable * 2 + POLICY.first)
assert aide.pid, "a long life wipes the slate clean"
report = aide.report(102.0 + POLICY.stable * 2 + POLICY.first)
assert (report["name"], report["restarts"], report["uptime"]) == ("helper", 3, 0.0), report
assert (report["pid"], report["last_end"]) == (aide.pid, "was killed by SIGKILL"), report
aide.end()
assert aide.report(0.0)["pid"] == 0
aide.end()
assert open(f"/proc/self/task/{os.getpid()}/children").read() == ""
"""


def test_it_is_replaced_and_ended(run_script: Callable[[str], str]) -> None:
    run_script(SCRIPT)


def test_a_fork_that_fails_is_tried_again(run_script: Callable[[str], str]) -> None:
    run_script(
        """
from shardws_supervisor import aide, spawn
def fail(*args, **options):
    raise BlockingIOError(11, "Resource temporarily unavailable")
good, spawn.fork = spawn.fork, fail
helper = aide.Aide("helper", lambda: 0, list)
helper.advance(1.0)
assert helper.pid == 0
spawn.fork = good
helper.advance(1.0 + aide.POLICY.first)
assert helper.pid and helper.report(2.0)["restarts"] == 0
helper.end()
"""
    )
