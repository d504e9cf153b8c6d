"""Every Connected has one Disconnected, also when shards are killed: told by the successor."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from tests.proc import is_alive
from tests.processes.applications import RECORDS_HISTORY, count_events, read_history
from tests.processes.conftest import RunServer, WriteApp, connect_to_shard, eventually, greeting

pytestmark = pytest.mark.processes


def test_the_successor_tells_what_the_dead_shard_could_not(
    run_server: RunServer, write_app: WriteApp, tmp_path: Path
) -> None:
    server = run_server(write_app(RECORDS_HISTORY), shards=2)
    lost = [connect_to_shard(server, 0)[1] for _ in range(3)]
    _, kept = connect_to_shard(server, 1)
    left, gone = connect_to_shard(server, 0)
    left.close()
    eventually(
        lambda: [0, "disconnected", gone["connection_id"], 1000, ""] in read_history(tmp_path)
    )
    os.kill(lost[0]["pid"], signal.SIGKILL)
    expected = [[0, "disconnected", hello["connection_id"], 1006, "shard died"] for hello in lost]
    eventually(lambda: all(event in read_history(tmp_path) for event in expected))
    told = count_events(tmp_path, "disconnected")
    assert set(told.values()) == {1}
    died = {event[2] for event in read_history(tmp_path) if event[-1] == "shard died"}
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
    server = run_server(write_app(RECORDS_HISTORY), shards=3)
    clients = []
    for _ in range(6):
        for _ in range(chance.randrange(2, 8)):
            try:
                client = server.connect()
                greeting(client)
            except (OSError, EOFError, WebSocketException):
                continue  # its shard was killed just then
            clients.append(client)
        if chance.random() < 0.5 and clients:
            clients.pop(chance.randrange(len(clients))).close()
        victim = chance.choice([pid for pid in server.shard_pids().values() if pid])
        os.kill(victim, signal.SIGKILL)
        eventually(partial(is_gone, victim))
    for client in clients:
        client.close()

    def is_settled() -> bool:
        connected, disconnected = (
            count_events(tmp_path, name).keys() for name in ("connected", "disconnected")
        )
        return connected == disconnected

    eventually(is_settled)
    told = count_events(tmp_path, "disconnected")
    assert set(told.values()) == {1}
