"""Under a service manager: what it is told, and a socket that it passes in."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.clients import read_greeting
from tests.processes.conftest import DEADLINE, RunServer, WriteApp, greeting
from tests.upgrade_request import UPGRADE

pytestmark = pytest.mark.processes

SHOWS_ENVIRONMENT = """
import json, os
from shardws import Connected, WebSocketServer

server = WebSocketServer()

def on_connected(e: Connected) -> None:
    server.send_text(e.connection_id, json.dumps(dict(os.environ)))

server.on_connected = on_connected
"""


class Manager:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind(str(path))

    def wait_for(self, wanted: str) -> list[str]:
        """Return the lines up to the one that is wanted."""
        lines: list[str] = []
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            lines += self.sock.recv(4096).decode().split("\n")
            if wanted in lines:
                return lines
        pytest.fail(f"no {wanted} in {lines}")

    def listen_for(self, seconds: float) -> None:
        """Take in all that comes; TimeoutError once so many seconds were silent."""
        self.sock.settimeout(seconds)
        while True:
            self.sock.recv(4096)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.sock.close()


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """A listening socket that outlives every server."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        yield sock


def test_what_systemd_is_told_from_start_to_stop(run_server: RunServer, manager: Manager) -> None:
    server = run_server(env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"})
    lines = manager.wait_for("READY=1")
    assert "STOPPING=1" not in lines
    server.ask("reload")
    lines = manager.wait_for("RELOADING=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in lines)
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    manager.wait_for("WATCHDOG=1")
    server.signal(signal.SIGTERM)
    lines = manager.wait_for("STOPPING=1")
    assert server.wait_for_exit() == 0
    states = [line for line in lines if line.startswith("STATUS=")]
    assert states[-1] == f"STATUS=draining on ws://127.0.0.1:{server.port}: 2 shards, 0 connections"


def test_a_supervisor_that_stands_still_says_nothing(
    run_server: RunServer, manager: Manager
) -> None:
    server = run_server(env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"})
    manager.wait_for("WATCHDOG=1")
    server.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        manager.listen_for(2)
    manager.sock.settimeout(DEADLINE)
    server.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")


def test_the_application_does_not_see_the_variables(
    run_server: RunServer, write_app: WriteApp, manager: Manager, port: socket.socket
) -> None:
    variables = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "9000000"}
    server = run_server(write_app(SHOWS_ENVIRONMENT), env=variables, passed=port)
    seen = greeting(server.connect())
    assert not {name for name in seen if name.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))}


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_all_shards_accept_on_the_socket_that_was_passed(
    run_server: RunServer, port: socket.socket, mode: str
) -> None:
    server = run_server(
        "examples.demo:server", "--accept-mode", mode, passed=port, port=1, shards=3
    )
    assert server.port == port.getsockname()[1], "LocalPort does not count"
    seen: set[int] = set()
    for _ in range(400):
        seen.add(greeting(server.connect())["shard"])
        if len(seen) == 3:
            break
    assert seen == {0, 1, 2}
    server.ask("scale", shards=1)
    server.wait_for_status(lambda report: len(report["shards"]) == 1)
    assert greeting(server.connect())["shard"] == 0


def test_a_connect_waits_while_the_server_is_restarted(
    run_server: RunServer, port: socket.socket
) -> None:
    """The whole point of socket activation: no connect is refused, though no server is there."""
    first = run_server(passed=port)
    greeting(first.connect())
    first.ask("stop", now=True)
    assert first.wait_for_exit() == 0
    with contextlib.ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection(port.getsockname(), DEADLINE))
            for _ in range(8)
        ]
        for sock in waiting:
            sock.sendall(UPGRADE)  # the kernel keeps it in the backlog
        second = run_server(passed=port)
        served = {read_greeting(sock)["pid"] for sock in waiting}
        assert served <= set(second.shard_pids().values())


def test_a_socket_of_another_kind_is_refused(launch: RunServer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        server = launch(passed=sock)
        assert server.wait_for_exit() == 3
    server.wait_for_line("^shardws: the socket that was passed is not a TCP socket")
    assert os.path.exists(tmp_path / "s")
