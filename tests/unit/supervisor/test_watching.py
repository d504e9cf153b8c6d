"""watching: what follows when a shard is late or stands still; the shards are sleeping children."""

from collections.abc import Callable

import pytest

PREAMBLE = """
import os, signal
from shardws import stats
from shardws_supervisor import health, spawn, watching
from shardws_supervisor.slots import Life, State
memory = stats.Stats(1)
watch = watching.Watching(memory)
ready, told = os.pipe()
def wait():
    if DEAF:
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
    os.write(told, b"!")
    while True:
        signal.pause()
life = Life(0, 0, spawn.fork(wait, name="x"), 100.0, deadline=130.0)
watch.begin(life, 5.0, 100.0)
os.read(ready, 1)
def end():
    watch.end(life)
    return spawn.ending(os.waitpid(life.pid, 0)[1])
"""

CASES = {
    "not ready in time: ABRT, then KILL": """
watch.look(life, 129.9)
assert life.state is State.STARTING
watch.look(life, 130.0)
assert (life.state, life.complaint) == (State.STOPPING, "it was not ready within 30 s")
assert end() == "was killed by SIGABRT"
""",
    "a drain that takes too long: KILL": """
life.move(State.READY, 100.0)
life.move(State.DRAINING, 101.0, 110.0)
memory.row(0)[stats.HEARTBEAT] = int(110e9)
for now in range(102, 111):
    watch.look(life, float(now))
assert life.deadline == 110.0 + watching.STOP_DEADLINE
assert end() == "was killed by SIGKILL"
""",
    "no heartbeat: ABRT": """
life.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0):
    watch.look(life, now)
assert life.complaint == "its loop stood still for 5.0 s"
assert end() == "was killed by SIGABRT"
""",
    "a stopped one gets ABRT too": """
os.kill(life.pid, signal.SIGSTOP)
os.waitpid(life.pid, os.WUNTRACED)
life.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0):
    watch.look(life, now)
assert end() == "was killed by SIGABRT"
""",
    "ABRT did not help: KILL": """
life.move(State.READY, 100.0)
for now in (101.0, 102.0, 103.0, 104.0, 105.0, 106.0, 105.0 + health.GRACE):
    watch.look(life, now)
assert end() == "was killed by SIGKILL"
""",
    "a beating shard is left alone": """
life.move(State.READY, 100.0)
for now in range(101, 120):
    memory.row(0)[stats.HEARTBEAT] = int(now * 1e9)
    watch.look(life, float(now))
assert life.complaint == ""
watching.send(life, signal.SIGKILL)
assert end() == "was killed by SIGKILL"
watching.send(life, signal.SIGKILL)  # gone: nothing happens
""",
}


@pytest.mark.parametrize("name", CASES)
def test_consequences(name: str, run_script: Callable[[str], str]) -> None:
    run_script(f"DEAF = {'did not help' in name}\n{PREAMBLE}{CASES[name]}")
