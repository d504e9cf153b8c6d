"""supervisor: what goes wrong before it serves."""

from collections.abc import Callable

SCRIPT = """
import sys
from pathlib import Path
from shardws.errors import StartError
from shardws_supervisor.plan.plan import Planner
from shardws_supervisor.supervisor import Supervisor
from shardws_supervisor.system import spawn
Path("app.py").write_text("from shardws import WebSocketServer\\nserver = WebSocketServer()\\n")
sys.path.insert(0, "")
fork, tries = spawn.fork, []
def scarce(*args, **options):
    tries.append(options["name"])
    if len(tries) == 1:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork(*args, **options)
spawn.fork = scarce
planner = Planner("app:server", list)
plan = planner.plan({"shards": 2, "local_host": "127.0.0.1", "run_directory": "run"})
try:
    Supervisor(planner, plan).run()
except StartError as error:
    print(error.description, tries)
"""


def test_a_fork_that_fails_at_the_start_ends_the_start(run_script: Callable[[str], str]) -> None:
    """The other shards were begun after the stop: nobody told them to end, and it went on."""
    told = run_script(SCRIPT)
    assert told == "shard 0 cannot be forked ['shardws-0']\n"
