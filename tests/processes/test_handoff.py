"""AcceptMode handoff: exact balance, one exclusive socket, and an acceptor that may die."""

import os
import signal
import socket
from collections import Counter

import pytest
from websockets.exceptions import ConnectionClosed

from tests.proc import descriptors_of, is_alive, read, workers_of
from tests.processes.clients import refused_during
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    assert_echo,
    connect_to_shard,
    eventually,
    greeting,
)

pytestmark = pytest.mark.processes

HANDOFF = ("examples.demo:server", "--accept-mode", "handoff")


def acceptor_of(server: RunningServer) -> int:
    for pid in workers_of(server.pid):
        if read(pid, "comm") == "shardws-accept\n":
            return pid
    pytest.fail("no acceptor")


def test_four_hundred_connects_are_spread_evenly(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=4)
    spread = Counter(greeting(server.connect())["shard"] for _ in range(400))
    assert max(spread.values()) / min(spread.values()) <= 1.05
    assert len(spread) == 4


def test_who_has_fewer_gets_the_next(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=2)
    clients = [(server.connect(), slot) for slot in (0, 1) * 3]
    for client, slot in clients:
        assert greeting(client)["shard"] == slot
    for client, slot in clients:
        if slot == 1:
            client.close()
    server.wait_for_status(lambda report: report["totals"]["connections"] == 3)
    for _ in range(3):
        assert greeting(server.connect())["shard"] == 1


def test_nobody_can_join_the_port(run_server: RunServer) -> None:
    """With reuseport another process of the same user could; that is what strictness buys."""
    server = run_server(*HANDOFF)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="Address already in use"):
            sock.bind((server.host, server.port))


def test_a_killed_acceptor_refuses_nobody(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=2)
    client = server.connect()
    greeting(client)
    first = acceptor_of(server)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_alive(first))
    greeting(server.connect())  # waits in the backlog until the next acceptor is there
    server.wait_for_line(rf"acceptor \(pid {first}\) was killed by SIGKILL")
    assert acceptor_of(server) != first
    (auxiliary,) = server.status()["auxiliaries"]
    assert (auxiliary["name"], auxiliary["pid"], auxiliary["restarts"]) == (
        "acceptor",
        acceptor_of(server),
        1,
    )
    assert auxiliary["last_end"] == "was killed by SIGKILL"
    assert_echo(client, "still here")


def test_a_killed_shard_gets_none_until_it_is_back(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=2)
    _, hello = connect_to_shard(server, 0)
    os.kill(hello["pid"], signal.SIGKILL)
    eventually(lambda: not is_alive(hello["pid"]))
    for _ in range(10):
        greeting(server.connect())
    server.wait_for_status(lambda report: report["shards"][0]["state"] == "ready")
    connect_to_shard(server, 0)


def test_a_reload_refuses_no_connect(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=3)

    def reload_twice() -> None:
        for number in (1, 2):
            assert server.ask("reload")["reloads"] == number
            server.wait_for_status(lambda report: report["phase"] == "serving")

    assert refused_during(server, reload_twice) == []


def test_a_stop_tells_clients_and_leaves_nothing(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=2)
    pids = [server.pid, *workers_of(server.pid)]
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        greeting(client)
    server.signal(signal.SIGTERM)
    for client in clients:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert server.wait_for_exit() == 0
    assert not any(is_alive(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5)


def test_only_the_acceptor_and_the_supervisor_hold_the_listener(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=2)

    def sockets(pid: int) -> set[str]:
        return {link for link in descriptors_of(pid) if link.startswith("socket:")}

    # The listener, and the way to each shard.
    eventually(lambda: len(sockets(server.pid) & sockets(acceptor_of(server))) == 1 + 2)
    for pid in server.shard_pids().values():
        assert not sockets(pid) & sockets(server.pid)


def test_scaling(run_server: RunServer) -> None:
    server = run_server(*HANDOFF, shards=1)
    server.ask("scale", shards=3)
    server.wait_for_status(lambda r: [s["state"] for s in r["shards"]] == ["ready"] * 3)
    assert {greeting(server.connect())["shard"] for _ in range(6)} == {0, 1, 2}
    server.ask("scale", shards=1)
    server.wait_for_status(lambda r: len(r["shards"]) == 1)
    assert {greeting(server.connect())["shard"] for _ in range(6)} == {0}
