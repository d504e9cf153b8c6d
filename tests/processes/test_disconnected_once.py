"""Every Connected has one Disconnected, also when shards are killed: told by the successor."""

import json
import os
import random
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.processes.conftest import (
    RunServer,
    WriteApp,
    connect_to_shard,
    eventually,
    greeting,
    is_alive,
)

pytestmark = pytest.mark.processes

# Appends each event to one file of the server, a line each: O_APPEND keeps lines of shards whole.
HISTORY = """
import json, os
from shardws import WebSocketServer
server = WebSocketServer()
out = os.open("history", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(*event):
    os.write(out, (json.dumps([server.shard, *event]) + "\\n").encode())
def on_connected(e):
    note("connected", e.connection_id)
    server.send_text(e.connection_id, json.dumps({
        "connection_id": e.connection_id, "shard": server.shard, "pid": os.getpid()}))
def on_disconnected(e):
    note("disconnected", e.connection_id, e.status_code, e.description)
server.on_connected = on_connected
server.on_disconnected = on_disconnected
"""


def history(directory: Path) -> list[list[object]]:
    return [json.loads(line) for line in (directory / "history").read_text().splitlines()]


def test_the_successor_tells_what_the_dead_shard_could_not(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    server = run_server(write_app(HISTORY), shards=2)
    lost = [connect_to_shard(server, 0)[1] for _ in range(3)]
    _, kept = connect_to_shard(server, 1)
    left, gone = connect_to_shard(server, 0)
    left.close()
    eventually(lambda: [0, "disconnected", gone["connection_id"], 1000, ""] in history(tmp_path))
    os.kill(lost[0]["pid"], signal.SIGKILL)
    expected = [[0, "disconnected", hello["connection_id"], 1006, "shard died"] for hello in lost]
    eventually(lambda: all(event in history(tmp_path) for event in expected))
    told = Counter(event[2] for event in history(tmp_path) if event[1] == "disconnected")
    assert set(told.values()) == {1}
    died = {event[2] for event in history(tmp_path) if event[-1] == "shard died"}
    assert died == {hello["connection_id"] for hello in lost}
    assert kept["connection_id"] not in told


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


def test_random_kills_leave_one_disconnected_for_each_connected(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    """A history checker over kills at random moments; the seed is printed when it fails."""
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    server = run_server(write_app(HISTORY), shards=3)
    clients = []
    for _ in range(6):
        for _ in range(chance.randrange(2, 8)):
            try:
                client = server.connect()
                greeting(client)
            except (OSError, EOFError, TimeoutError):
                continue  # its shard was killed just then
            except Exception as error:  # noqa: BLE001  whatever the client library makes of a reset
                print("a connect ended by", repr(error))
                continue
            clients.append(client)
        if chance.random() < 0.5 and clients:
            clients.pop(chance.randrange(len(clients))).close()
        victim = chance.choice([pid for pid in server.shard_pids().values() if pid])
        os.kill(victim, signal.SIGKILL)
        eventually(partial(is_gone, victim))
    for client in clients:
        client.close()

    def is_settled() -> bool:
        events = history(tmp_path)
        return {e[2] for e in events if e[1] == "connected"} == {
            e[2] for e in events if e[1] == "disconnected"
        }

    eventually(is_settled)
    told = Counter(event[2] for event in history(tmp_path) if event[1] == "disconnected")
    assert set(told.values()) == {1}
