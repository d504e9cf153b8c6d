"""Whose the port is: of one server, and of its supervisor alone."""

import os
import signal
import socket
from pathlib import Path

import pytest

from shardws.errors import StartError
from shardws.net import portlock
from tests.proc import descriptors_of, workers_of
from tests.processes.applications import only_in_shards
from tests.processes.conftest import DEADLINE, RunServer, WriteApp, eventually, free_port, greeting

pytestmark = pytest.mark.processes

MODES = pytest.mark.parametrize("mode", ["reuseport", "handoff"])

# In the shard the port is bound, and nobody listens yet; `gate` is a FIFO that the test opens.
WAITS = """
import sys
sys.stderr.write("waiting\\n")
open("gate").close()
"""


@MODES
def test_of_two_servers_that_start_at_once_one_has_the_port(
    launch: RunServer, write_app: WriteApp, tmp_path: Path, mode: str
) -> None:
    """Both came up on one port: neither listened yet when the other looked whether it is free."""
    os.mkfifo(tmp_path / "gate")
    port = free_port()
    first = launch(
        write_app(only_in_shards(WAITS)), "--accept-mode", mode, port=port, shards=1, cwd=tmp_path
    )
    first.wait_for_line("^waiting$")
    second = launch(port=port)
    assert second.wait_for_exit() == 1
    second.wait_for_line(f"^shardws: cannot listen on 127.0.0.1:{port}: the address is in use")
    with (tmp_path / "gate").open("w"):
        first.wait_until_listening()
    with first.connect() as client:
        assert greeting(client)["shard"] == 0


def inode_of_lock(port: int) -> str:
    name = f"@shardws-port/{os.geteuid()}/127.0.0.1:{port}"
    lines = Path("/proc/net/unix").read_text().splitlines()
    (line,) = (line for line in lines if line.endswith(" " + name))
    return f"socket:[{line.split()[6]}]"


@MODES
def test_the_lock_of_the_port_is_the_supervisors_alone(run_server: RunServer, mode: str) -> None:
    server = run_server(
        "examples.demo:server", "--accept-mode", mode, "--admin", f"127.0.0.1:{free_port()}"
    )
    eventually(lambda: len(workers_of(server.pid)) == (4 if mode == "handoff" else 3))
    lock = inode_of_lock(server.port)
    assert lock in descriptors_of(server.pid)
    for pid in workers_of(server.pid):
        # A child closes what is not its own right after the fork, which may have been just now.
        eventually(lambda pid=pid: lock not in descriptors_of(pid))  # type: ignore[misc]
    with pytest.raises(StartError, match="in use"):
        portlock.take(f"127.0.0.1:{server.port}")
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    portlock.take(f"127.0.0.1:{server.port}").close()  # though its shards may still drain


def test_a_server_that_stops_lets_go_of_the_port(run_server: RunServer) -> None:
    server = run_server(shards=1)
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    portlock.take(f"127.0.0.1:{server.port}").close()


def test_a_socket_that_was_passed_in_needs_no_lock(run_server: RunServer) -> None:
    """The port is the service manager's, which gives it to one server after the other."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = run_server(passed=sock)
        assert server.port == sock.getsockname()[1]
        portlock.take(f"127.0.0.1:{server.port}").close()
