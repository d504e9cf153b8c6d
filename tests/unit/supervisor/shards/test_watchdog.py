"""watchdog: what follows when a shard is late or stands still; the shards are sleeping children."""

from collections.abc import Callable

import pytest

from shardws_supervisor.shards.watchdog import HeartbeatWatch, Verdict, waited_for_cpu

PREAMBLE = """
import os, signal
from shardws import stats
from shardws_supervisor.shards import watchdog
from shardws_supervisor.system import spawn
from shardws_supervisor.shards import watchdog
from shardws_supervisor.shards.slots import ShardProcess, State
memory = stats.Stats(1)
watch = watchdog.Watchdog(memory)
ready, told = os.pipe()
def wait():
    if DEAF:
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
    os.write(told, b"!")
    while True:
        signal.pause()
process = ShardProcess(0, 0, spawn.fork(wait, name="x"), 100.0, deadline=130.0)
watch.begin(process, 5.0, 100.0)
os.read(ready, 1)
def end():
    watch.end(process)
    return spawn.ending(os.waitpid(process.pid, 0)[1])
"""

CASES = {
    "not ready in time: ABRT, then KILL": """
watch.look(process, 129.9)
assert process.state is State.STARTING
watch.look(process, 130.0)
assert (process.state, process.complaint) == (State.STOPPING, "it was not ready within 30 s")
assert end() == "was killed by SIGABRT"
""",
    "a drain that takes too long: KILL": """
process.move(State.READY, 100.0)
process.move(State.DRAINING, 101.0, 110.0)
memory.row(0)[stats.HEARTBEAT] = int(110e9)
for now in range(102, 111):
    watch.look(process, float(now))
assert process.deadline == 110.0 + watchdog.STOP_DEADLINE
assert end() == "was killed by SIGKILL"
""",
    "no heartbeat: ABRT": """
process.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0):
    watch.look(process, now)
assert process.complaint == "its event loop did not run for 5.0 s"
assert end() == "was killed by SIGABRT"
""",
    "a stopped one gets ABRT too": """
os.kill(process.pid, signal.SIGSTOP)
os.waitpid(process.pid, os.WUNTRACED)
process.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0):
    watch.look(process, now)
assert end() == "was killed by SIGABRT"
""",
    "ABRT did not help: KILL": """
process.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 105.0 + watchdog.ABORT_GRACE):
    watch.look(process, now)
assert end() == "was killed by SIGKILL"
""",
    "a beating shard is left alone": """
process.move(State.READY, 100.0)
for now in range(101, 120):
    memory.row(0)[stats.HEARTBEAT] = int(now * 1e9)
    watch.look(process, float(now))
assert process.complaint == ""
watchdog.send(process, signal.SIGKILL)
assert end() == "was killed by SIGKILL"
watchdog.send(process, signal.SIGKILL)  # gone: nothing happens
""",
}


@pytest.mark.parametrize("name", CASES)
def test_consequences(name: str, run_script: Callable[[str], str]) -> None:
    run_script(f"DEAF = {'did not help' in name}\n{PREAMBLE}{CASES[name]}")


def test_time_spent_waiting_for_a_cpu_is_no_silence() -> None:
    """On a busy machine every shard was aborted, though each of them lived (S01)."""
    watch = HeartbeatWatch(5.0, 100.0)
    looks = [(101.0, 7.0), (103.0, 8.5), (105.0, 10.0), (107.0, 11.0), (109.0, 11.1)]
    assert [watch.look(now, 100.0, waited) for now, waited in looks] == [
        Verdict.WELL,
        Verdict.WELL,
        Verdict.EXCUSED,  # 5 s without a beat, 3 s of them without a CPU
        Verdict.WELL,  # it was told
        Verdict.WELL,
    ]
    assert watch.look(109.2, 100.0, 11.1) is Verdict.ABORT


def test_a_beat_ends_the_excuse() -> None:
    watch = HeartbeatWatch(5.0, 100.0)
    watch.look(101.0, 100.0, 0.0)
    watch.look(103.0, 100.0, 4.0)
    assert watch.look(105.0, 100.0, 4.0) is Verdict.EXCUSED
    assert watch.look(106.0, 105.5, 4.0) is Verdict.WELL
    for now in (107.0, 109.0, 110.0):
        assert watch.look(now, 105.5, 4.05) is Verdict.WELL
    assert watch.look(110.5, 105.5, 4.05) is Verdict.ABORT


def test_where_the_kernel_does_not_tell_silence_is_silence() -> None:
    watch = HeartbeatWatch(5.0, 100.0)
    for now in (101.0, 103.0):
        assert watch.look(now, 100.0) is Verdict.WELL
    assert watch.look(105.0, 100.0) is Verdict.ABORT
    assert waited_for_cpu(-1) is None
