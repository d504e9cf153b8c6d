"""The end of a shard: what the application left behind ends with it, in order and in time."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.proc import children_of, is_alive
from tests.processes.conftest import DEADLINE, RunServer, WriteApp, eventually

pytestmark = pytest.mark.processes

LEAVES = """
import asyncio, atexit, time
from concurrent.futures import ProcessPoolExecutor
from shardws import WebSocketServer
server = WebSocketServer()
atexit.register(lambda: open("ended", "a").write("ended\\n"))
pool = None
async def on_connected(e):
    global pool
    loop = asyncio.get_running_loop()
    if e.connection_id and WHAT == "pool":
        pool = ProcessPoolExecutor(2)
        await loop.run_in_executor(pool, abs, -1)
    elif WHAT == "busy":
        loop.run_in_executor(None, time.sleep, 3600)
    server.send_text(e.connection_id, "ready")
server.on_connected = on_connected
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_atexit_functions_run(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path, number: signal.Signals
) -> None:
    server = run_server(write_app("WHAT = ''\n" + LEAVES), shards=2)
    assert not (tmp_path / "ended").exists()
    server.signal(number)
    assert server.wait_for_exit() == 0
    assert (tmp_path / "ended").read_text() == "ended\n" * 2


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_workers_of_a_pool_end_with_their_shard(
    run_server: RunServer, write_app: WriteApp, how: str
) -> None:
    """Two of them stayed, with the server's port."""
    server = run_server(write_app("WHAT = 'pool'\n" + LEAVES), shards=1)
    assert server.connect().recv(timeout=DEADLINE) == "ready"
    shard = server.shard_pids()[0]
    workers = children_of(shard)
    assert workers
    if how == "kill":
        os.kill(shard, signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for pid in workers))
        server.wait_for_status(lambda report: report["ready"])
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    eventually(lambda: not any(is_alive(pid) for pid in workers))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5)


def test_work_in_an_executor_ends_with_its_shard_in_order(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """It cost five seconds and a SIGKILL at each stop."""
    server = run_server(write_app("WHAT = 'busy'\n" + LEAVES), "--log-level", "3", shards=1)
    assert server.connect().recv(timeout=DEADLINE) == "ready"
    server.signal(signal.SIGINT)
    assert server.wait_for_exit() == 0
    server.wait_for_line("work in the default executor still runs: it ends with the shard")
    assert "SIGKILL" not in server.log
    assert "is late" not in server.log
    assert (tmp_path / "ended").read_text() == "ended\n"
