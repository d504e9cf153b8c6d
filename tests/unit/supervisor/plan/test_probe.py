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
def refused(load, timeout=20.0):
    try:
        probe.run(load, timeout)
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
assert probe.run(load, 20.0) == {"local_port": 9001, "ping_interval": 5.0}
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
assert error.exit_code == 1, "the kernel may have killed it for memory"
error = refused(lambda: os._exit(9))
assert error.description == "the application exited with 9 while it was imported"
""",
    "an import without end has a deadline": """
error = refused(lambda: time.sleep(60), 0.2)
assert error.description == "the application was not imported within StartTimeout (0.2 s)"
assert error.exit_code == 1, "a disk that is slow at boot"
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
    "no process for it is a reason": """
os.fork = lambda: exec('raise OSError(11, "Resource temporarily unavailable")')
try:
    probe.run(lambda: None, 1.0)
    raise AssertionError
except StartError as error:
    assert error.description == "the probe cannot be forked: Resource temporarily unavailable"
    assert error.exit_code == 1
""",
    "what was begun at the import and never runs is told": """
import asyncio, io, logging, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
async def ticker():
    await asyncio.sleep(1)
def load():
    global loop, task, other
    loop = asyncio.new_event_loop()
    task = loop.create_task(ticker(), name="t")
    import threading
    other = asyncio.new_event_loop()
    threading.Thread(target=other.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(ticker(), other).cancel()
    return App()
assert probe.run(load, 20.0) == {}
""",
    "it can be abandoned": """
running = probe.Probe(lambda: time.sleep(60), 7.0)
assert not running.receive() and not running.is_late(running.started + 1)
assert running.is_late(running.started + 7.0)
running.abandon()
assert children() == []
""",
}


@pytest.mark.parametrize("name", CASES)
def test_probe(name: str, run_script: Callable[[str], str]) -> None:
    output = run_script(PREAMBLE + CASES[name])
    if name.startswith("what was begun"):
        assert output.startswith("WARNING ticker (<string>:")
        assert output.count("was started while the application was imported and never runs") == 1
