"""watchdog: what follows when a shard is late or stands still; the shards are sleeping children."""

from collections.abc import Callable

import pytest

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
