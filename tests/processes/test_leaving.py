"""A shard that has to end asks for a successor first, and serves whoever knocks meanwhile."""

import os
import signal

import pytest

from tests.proc import children_of, is_alive
from tests.processes.applications import GREETS
from tests.processes.clients import close_code
from tests.processes.conftest import RunServer, WriteApp, eventually, greeting
from tests.processes.test_serials import SHORT
from tests.processes.test_stop import assert_nothing_left, processes

pytestmark = pytest.mark.processes

# Once the file "wait" is there, a new shard starts only when "go" is there, too.
PATIENT = """
import time
while os.path.exists("wait") and not os.path.exists("go"):
    time.sleep(0.02)
"""


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_term_for_one_shard_replaces_it(
    run_server: RunServer, write_app: WriteApp, mode: str
) -> None:
    """New clients of its slot had to wait for the successor, up to 5 s."""
    options = "--accept-mode", mode, "--reload-mode", "drain"
    server = run_server(write_app(GREETS + PATIENT), *options, shards=1)
    directory = server.run_dir.parent
    (directory / "wait").touch()
    first = server.connect()
    old = greeting(first)["pid"]
    os.kill(old, signal.SIGTERM)
    server.wait_for_line(rf"shard 0 \(pid {old}\) asks for a successor, which starts in")
    server.wait_for_status(lambda report: report["shards"][0]["state"] == "starting")
    second = server.connect()
    assert greeting(second)["pid"] == old
    assert server.status()["ready"]
    (directory / "go").touch()
    assert [close_code(client) for client in (first, second)] == [1012, 1012]
    assert greeting(server.connect())["pid"] != old
    eventually(lambda: not is_alive(old))
    assert "error" not in server.log


def test_ids_that_run_short_cost_no_client_the_wait(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(SHORT + PATIENT), "--reload-mode", "drain", shards=1)
    directory = server.run_dir.parent
    (directory / "wait").touch()
    first = server.connect()
    greeting(first)
    second = server.connect()  # finds the ids nearly used
    greeting(second)
    server.wait_for_line("shard 0 .*asks for a successor")
    third = server.connect()
    greeting(third)
    (directory / "go").touch()
    assert [close_code(client) for client in (first, second, third)] == [1012] * 3
    greeting(server.connect())


def test_a_second_term_does_not_wait_for_the_successor(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = run_server(write_app(GREETS + PATIENT), shards=1)
    directory = server.run_dir.parent
    (directory / "wait").touch()
    client = server.connect()
    old = greeting(client)["pid"]
    os.kill(old, signal.SIGTERM)
    server.wait_for_line("shard 0 .*asks for a successor")
    os.kill(old, signal.SIGTERM)
    assert close_code(client) == 1001
    server.wait_for_line(rf"shard 0 \(pid {old}\) exited with 0 \(ok\)")
    server.wait_for_status(lambda report: report["shards"][0]["state"] == "starting")
    (directory / "go").touch()
    assert greeting(server.connect())["pid"] != old


def test_a_leaving_shard_that_dies_is_followed_by_its_successor(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """Also when that has failed meanwhile, and the slot rests."""
    broken = "\nif os.path.exists('wait'): os._exit(9)\n"
    server = run_server(write_app(GREETS + broken), shards=1)
    marker = server.run_dir.parent / "wait"
    marker.touch()
    old = greeting(server.connect())["pid"]
    os.kill(old, signal.SIGTERM)
    server.wait_for_line(r"shard 0 .*exited with 9; next start in")
    greeting(server.connect())  # it serves on
    os.kill(old, signal.SIGKILL)
    server.wait_for_line(rf"shard 0 \(pid {old}\) was killed by SIGKILL")
    marker.unlink()
    assert greeting(server.connect())["pid"] != old


def test_term_for_the_whole_group_stops_the_server(run_server: RunServer) -> None:
    """As a service manager sends it to every process of a unit."""
    server = run_server(shards=3)
    pids = processes(server)
    clients = [server.connect() for _ in range(6)]
    for client in clients:
        greeting(client)
    for pid in [*children_of(server.pid), server.pid]:
        os.kill(pid, signal.SIGTERM)
    assert {close_code(client) for client in clients} <= {1001, 1012}
    assert server.wait_for_exit() == 0
    assert_nothing_left(server, pids)
