"""probe: the child reports the application's settings, or one reason why not."""

from collections.abc import Callable

import pytest

PREAMBLE = """
import os, signal, time
from shardws.errors import StartError
from shardws.settings import Settings
from shardws_supervisor.plan import probe
class App:
    def __init__(self):
        self.settings = Settings()
def refused(load):
    try:
        probe.run(load)
    except probe.ProbeError as error:
        return error
    raise AssertionError("accepted")
def children():
    return open(f"/proc/self/task/{os.getpid()}/children").read().split()
"""

CASES = {
    "settings come back as they were made": """
def load():
    app = App()
    app.settings.assign("LocalPort", 9001)
    app.settings.assign("ping_interval", "5s")
    return app
assert probe.run(load) == {"local_port": 9001, "ping_interval": 5.0}
assert children() == []
""",
    "a reason comes back with its traceback": """
def load():
    try:
        raise RuntimeError("boom")
    except RuntimeError as error:
        raise StartError("app cannot be imported", exit_code=3) from error
error = refused(load)
assert (error.description, error.exit_code) == ("app cannot be imported", 3)
assert "RuntimeError: boom" in error.detail
""",
    "a reason without a traceback": """
def load():
    raise StartError("no such thing", exit_code=2, code=302)
error = refused(load)
assert (error.exit_code, error.code, error.detail) == (2, 302, "")
assert error.description == "no such thing"
""",
    "a death is told": """
error = refused(lambda: os.kill(os.getpid(), signal.SIGKILL))
assert error.description == "the application was killed by SIGKILL while it was imported"
error = refused(lambda: os._exit(9))
assert error.description == "the application exited with 9 while it was imported"
""",
    "an import without end has a deadline": """
probe.DEADLINE = 0.2
error = refused(lambda: time.sleep(60))
assert error.description == "the application was not imported within 0.2 s"
assert children() == []
""",
    "a report without end has a bound": """
class Flood:
    class settings:
        @staticmethod
        def explicit():
            return {"x": "y" * (probe.LONGEST + 10)}
error = refused(Flood)
assert error.description == f"its settings are longer than {probe.LONGEST} bytes"
assert children() == []
""",
    "it can be abandoned": """
running = probe.Probe(lambda: time.sleep(60))
assert not running.receive() and not running.is_late(running.started + 1)
assert running.is_late(running.started + probe.DEADLINE)
running.abandon()
assert children() == []
""",
}


@pytest.mark.parametrize("name", CASES)
def test_probe(name: str, run_script: Callable[[str], str]) -> None:
    run_script(PREAMBLE + CASES[name])
