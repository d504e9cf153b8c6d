"""auxiliary: kept alive with a growing pause, ended for good."""

from collections.abc import Callable

SCRIPT = """
import os, signal, time
from shardws_supervisor.system.auxiliary import POLICY, Auxiliary
def body():
    signal.pause()
    return 0
auxiliary = Auxiliary("helper", body, list)
auxiliary.advance(100.0)
first = auxiliary.pid
auxiliary.advance(100.1)
assert auxiliary.pid == first and os.readlink(f"/proc/{first}/exe")
def kill():
    os.kill(auxiliary.pid, signal.SIGKILL)
    os.waitid(os.P_PID, auxiliary.pid, os.WEXITED | os.WNOWAIT)
kill()
auxiliary.advance(101.0)
assert auxiliary.pid == 0
auxiliary.advance(101.0 + POLICY.first)
assert auxiliary.pid not in (0, first)
kill()
auxiliary.advance(102.0)
auxiliary.advance(102.0 + POLICY.first / 4)
assert auxiliary.pid == 0, "the second pause is longer"
auxiliary.advance(102.0 + POLICY.first * 2)
kill()
auxiliary.advance(102.0 + POLICY.stable * 2)
auxiliary.advance(102.0 + POLICY.stable * 2 + POLICY.first)
assert auxiliary.pid, "a long process wipes the slate clean"
report = auxiliary.report(102.0 + POLICY.stable * 2 + POLICY.first)
assert (report["name"], report["restarts"], report["uptime"]) == ("helper", 3, 0.0), report
assert (report["pid"], report["last_end"]) == (auxiliary.pid, "was killed by SIGKILL"), report
auxiliary.end()
assert auxiliary.report(0.0)["pid"] == 0
auxiliary.end()
assert open(f"/proc/self/task/{os.getpid()}/children").read() == ""
"""


def test_it_is_replaced_and_ended(run_script: Callable[[str], str]) -> None:
    run_script(SCRIPT)


def test_a_fork_that_fails_is_tried_again(run_script: Callable[[str], str]) -> None:
    run_script(
        """
from shardws_supervisor.system import auxiliary
from shardws_supervisor.system import spawn
def fail(*args, **options):
    raise BlockingIOError(11, "Resource temporarily unavailable")
good, spawn.fork = spawn.fork, fail
helper = auxiliary.Auxiliary("helper", lambda: 0, list)
helper.advance(1.0)
assert helper.pid == 0
spawn.fork = good
helper.advance(1.0 + auxiliary.POLICY.first)
assert helper.pid and helper.report(2.0)["restarts"] == 0
helper.end()
"""
    )


KEPT = """
import os, signal
from shardws_supervisor.system.auxiliary import PATIENCE, Auxiliary
def body():
    signal.pause()
    return 0
one = Auxiliary("helper", body, list)
one.advance(100.0)
class Slow(Auxiliary):
    def _ask_to_end(self):
        pass
for kind, now in ((Auxiliary, 101.0), (Slow, 110.0)):
    again = kind("helper", body, list)
    again.adopt(one.keep(), now)
    old = again.pid
    if kind is Slow:
        again.advance(now + PATIENCE / 2)
        assert again.pid == old, "it has some time"
        again.advance(now + PATIENCE)  # killed
    os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)
    again.advance(now + PATIENCE)
    report = again.report(now + PATIENCE)
    assert report["pid"] not in (0, old), "at once, it is no failure"
    assert report["last_end"] == "", report
    one = again
assert report["restarts"] == 2, report
one.end()
assert open(f"/proc/self/task/{os.getpid()}/children").read() == ""
"""


def test_one_that_is_kept_over_an_exec_is_replaced(run_script: Callable[[str], str]) -> None:
    run_script(KEPT)
