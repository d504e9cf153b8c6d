"""on_start and on_stop under `shardws run`: before READY, and after the last client."""

import pytest

from tests.processes.conftest import DEADLINE, RunServer, WriteApp, eventually

pytestmark = pytest.mark.processes

ENCLOSED = """
import asyncio
from shardws import WebSocketServer
server = WebSocketServer()
def note(text):
    with open("told.txt", "a") as file:
        file.write(f"{text}\\n")
async def on_start(e):
    await asyncio.sleep(0)
    note(f"start {e.shard}")
async def on_stop(e):
    await asyncio.sleep(0)
    note(f"stop {e.shard}")
server.on_start = on_start
server.on_stop = on_stop
server.on_connected = lambda e: note("connected")
server.on_disconnected = lambda e: note("disconnected")
"""


def test_each_shard_starts_before_its_clients_and_stops_after_them(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(ENCLOSED), shards=2)
    told = server.run_dir.parent / "told.txt"
    assert sorted(told.read_text().split("\n")) == ["", "start 0", "start 1"]
    server.connect()
    eventually(lambda: "connected" in told.read_text())
    server.ask("stop")
    assert server.wait_for_exit() == 0
    lines = told.read_text().splitlines()
    assert sorted(lines[:2]) == ["start 0", "start 1"]
    assert sorted(lines[2:]) == ["connected", "disconnected", "stop 0", "stop 1"]
    assert lines.index("connected") < lines.index("disconnected")


FAILS = """
from shardws import WebSocketServer
server = WebSocketServer()
async def on_start(e):
    raise ConnectionRefusedError("no database")
server.on_start = on_start
"""


def test_an_on_start_that_raises_is_one_line(launch: RunServer, write_app: WriteApp) -> None:
    server = launch(write_app(FAILS), shards=1)
    assert server.wait_for_exit() == 1
    assert "on_start raised ConnectionRefusedError: no database" in server.log
    assert "app.py:5)" in server.log
    assert "Traceback" not in server.log


HANGS = """
import asyncio
from shardws import WebSocketServer
server = WebSocketServer()
async def on_start(e):
    open("began.txt", "w").close()
    await asyncio.sleep(3600)
server.on_start = on_start
"""


def test_an_on_start_that_takes_too_long_obeys_start_timeout(
    launch: RunServer, write_app: WriteApp
) -> None:
    server = launch(write_app(HANGS), "--start-timeout", "2s", "--respawn-attempts", "1", shards=1)
    assert server.wait_for_exit(DEADLINE) == 1
    assert (server.run_dir.parent / "began.txt").exists()


def test_a_stop_does_not_wait_for_on_start(launch: RunServer, write_app: WriteApp) -> None:
    server = launch(write_app(HANGS), shards=1)
    eventually((server.run_dir.parent / "began.txt").exists)
    server.process.terminate()
    server.wait_for_exit(DEADLINE)
