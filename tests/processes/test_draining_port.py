"""The port while shards drain: nobody connects to a process that will not answer."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.processes.clients import open_silent
from tests.processes.conftest import DEADLINE, RunningServer, RunServer, eventually, greeting

pytestmark = pytest.mark.processes

PATIENT = (
    *("examples.demo:server", "--drain-deadline", "60s", "--close-timeout", "60s"),
    *("--reload-mode", "drain"),  # they are to stay while their shard drains
)
ATTEMPTS = 20

SilentOn = Callable[[RunningServer, int], socket.socket]


@pytest.fixture
def silent_on() -> Iterator[SilentOn]:
    """Open connections that never answer a close frame, so that their shard goes on draining."""
    with ExitStack() as stack:

        def connect(server: RunningServer, slot: int) -> socket.socket:
            return stack.enter_context(open_silent(server, slot)[0])

        yield connect


def is_told_to_close(client: socket.socket) -> bool:
    """Wait for the shard's close frame: it drains."""
    while data := client.recv(4096):
        if b"\x88" in data:
            return True
    return False


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_a_stopping_server_refuses_connects(
    run_server: RunServer, silent_on: SilentOn, mode: str
) -> None:
    server = run_server(*PATIENT, "--accept-mode", mode)
    clients = [silent_on(server, 0), silent_on(server, 1)]
    server.signal(signal.SIGTERM)
    assert all(is_told_to_close(client) for client in clients)
    for _ in range(ATTEMPTS):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), DEADLINE).close()
    assert all(shard["state"] == "draining" for shard in server.status()["shards"])


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_connects_go_to_the_others_while_a_scaled_away_shard_drains(
    run_server: RunServer, silent_on: SilentOn, mode: str
) -> None:
    server = run_server(*PATIENT, "--accept-mode", mode)
    client = silent_on(server, 1)
    server.ask("scale", shards=1)
    assert is_told_to_close(client)
    for _ in range(ATTEMPTS):
        assert greeting(server.connect())["shard"] == 0
    assert server.shard(1)["state"] == "draining"


def test_a_reloaded_slot_takes_connects_while_its_predecessor_drains(
    run_server: RunServer, silent_on: SilentOn
) -> None:
    server = run_server(*PATIENT, shards=1)
    client = silent_on(server, 0)
    old = server.shard_pids()[0]
    server.ask("reload")
    assert is_told_to_close(client)
    eventually(lambda: server.shard_pids()[0] != old)
    for _ in range(ATTEMPTS):
        assert greeting(server.connect())["pid"] != old
