"""Stopping: clients are told, the deadline holds, and nothing is left behind."""

import os
import signal
import socket
import time

import pytest

from tests.proc import children_of, is_alive, is_sleeping, is_stopped
from tests.processes.applications import BLOCKS
from tests.processes.clients import close_code, open_silent
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    WriteApp,
    assert_echo,
    eventually,
    greeting,
)

pytestmark = pytest.mark.processes

CLOSE_FRAME = b"\x88\x12" + (1001).to_bytes(2) + b"the server stops"


def processes(server: RunningServer) -> list[int]:
    return [server.pid, *children_of(server.pid)]


def assert_nothing_left(server: RunningServer, pids: list[int]) -> None:
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    assert not server.run_dir.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5)


def test_term_closes_every_client_with_1001(run_server: RunServer) -> None:
    server = run_server(shards=2)
    pids = processes(server)
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        greeting(client)
    server.signal(signal.SIGTERM)
    assert [close_code(client) for client in clients] == [1001] * 8
    assert server.wait_for_exit() == 0
    assert_nothing_left(server, pids)
    assert "Traceback" not in server.log
    assert "error" not in server.log
    assert "the server has ended; 8 WebSockets were served" in server.log


@pytest.mark.parametrize("is_draining", [False, True])
def test_who_is_cut_off_is_told_1001(run_server: RunServer, is_draining: bool) -> None:
    """They got 1006, and the log said that the connection had been lost."""
    options = ["--drain-rate", "1", "--drain-deadline", "60s", "--log-connections"]
    server = run_server("examples.demo:server", *options, shards=1)
    with open_silent(server)[0] as silent:
        clients = [server.connect() for _ in range(9)]
        for client in clients:
            greeting(client)
        if is_draining:
            server.ask("drain")
            server.wait_for_line(r"stopping \(graceful\)")
        server.ask("stop", now=True)
        assert [close_code(client) for client in clients] == [1001] * 9
        received = b""
        while CLOSE_FRAME not in received:
            data = silent.recv(65536)
            assert data, "it ended without a close frame"
            received += data
        # Before it closes: who ends TCP by himself is rightly said to be lost.
        assert server.wait_for_exit() == 0
    assert "the connection was lost" not in server.log
    assert "1006 the server stops" in server.log, "of the one who never answered"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_end_it_at_once(run_server: RunServer, number: signal.Signals) -> None:
    server = run_server("examples.demo:server", "--drain-deadline", "60s")
    pids = processes(server)
    greeting(server.connect())
    server.signal(number)
    assert server.wait_for_exit() == 0, "long before the drain deadline"
    assert_nothing_left(server, pids)


def test_a_stop_without_clients_does_not_wait_for_the_deadline(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", "--drain-deadline", "60s", shards=3)
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0


def stuck_server(run_server: RunServer, write_app: WriteApp, *options: str) -> RunningServer:
    """Return a server of which one shard blocks in a handler and answers to nothing."""
    server = run_server(write_app(BLOCKS), *options)
    server.connect().send("block")
    pids = set(server.shard_pids().values())
    eventually(lambda: any(is_sleeping(pid) for pid in pids))
    return server


def test_a_stuck_shard_is_killed_at_the_drain_deadline(
    run_server: RunServer, write_app: WriteApp
) -> None:
    server = stuck_server(run_server, write_app, "--drain-deadline", "1s")
    pids = processes(server)
    begin = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert time.monotonic() - begin > 1.0
    server.wait_for_line(r"shard \d \(pid \d+\) is late in state draining")
    assert_nothing_left(server, pids)


def test_a_second_term_hastens(run_server: RunServer, write_app: WriteApp) -> None:
    server = stuck_server(run_server, write_app, "--drain-deadline", "60s")
    server.signal(signal.SIGTERM)
    server.wait_for_line(r"stopping \(graceful\)")
    server.signal(signal.SIGTERM)
    server.wait_for_line(r"stopping \(now\)")
    server.signal(signal.SIGTERM)
    server.wait_for_line(r"stopping \(kill\)")
    assert server.wait_for_exit() == 0, "long before the drain deadline"


def test_drain_delay_reports_not_ready_first(run_server: RunServer) -> None:
    """A load balancer sees the change while new clients are still served."""
    server = run_server("examples.demo:server", "--drain-delay", "60s")
    client = server.connect()
    greeting(client)
    server.signal(signal.SIGTERM)
    report = server.wait_for_status(lambda report: not report["ready"])
    assert report["phase"] == "draining"
    greeting(server.connect())
    assert_echo(client, "still here")
    server.signal(signal.SIGINT)
    assert server.wait_for_exit() == 0


def test_killed_supervisor_leaves_no_process(run_server: RunServer) -> None:
    server = run_server(shards=3)
    pids = children_of(server.pid)
    assert len(pids) >= 3
    greeting(server.connect())
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_a_stuck_shard_does_not_outlive_a_killed_supervisor(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """Its loop does not see that the channel closed, and nobody is left to kill it."""
    server = stuck_server(run_server, write_app)
    pids = children_of(server.pid)
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_clients_of_a_killed_supervisor_are_told(run_server: RunServer) -> None:
    server = run_server(shards=1)
    client = server.connect()
    greeting(client)
    server.signal(signal.SIGKILL)
    assert close_code(client) == 1001
    server.process.wait(DEADLINE)


def test_a_stopped_shard_does_not_outlive_a_killed_supervisor(run_server: RunServer) -> None:
    """TERM of the kernel stayed pending on it for ever, and it kept the port."""
    server = run_server(shards=2)
    pids = children_of(server.pid)
    stopped = server.shard(0)["pid"]
    os.kill(stopped, signal.SIGSTOP)
    eventually(lambda: is_stopped(stopped))
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    with socket.create_server((server.host, server.port)):
        pass  # nobody holds the port


def test_a_shard_goes_on_after_cont(run_server: RunServer) -> None:
    """As a shell's `fg` sends it; the kernel sends it for another reason."""
    server = run_server(shards=1)
    client = server.connect()
    pid = greeting(client)["pid"]
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(pid))
    os.kill(pid, signal.SIGCONT)
    assert_echo(client, "well?")
    assert server.shard_pids() == {0: pid}


SHUTS_DOWN = """
from shardws import WebSocketServer
server = WebSocketServer()
server.shutdown()  # nothing runs yet, so nothing ends
async def on_data_in(e):
    server.shutdown()
    await server.shutdown_complete()
    await server.send_text(e.connection_id, "asked")
server.on_data_in = on_data_in
"""


def test_a_handler_shuts_the_whole_server_down(run_server: RunServer, write_app: WriteApp) -> None:
    """It did nothing, without a word. Asking twice does not hasten the end."""
    server = run_server(write_app(SHUTS_DOWN), shards=3)
    pids = processes(server)
    clients = [server.connect() for _ in range(6)]
    clients[0].send("please")
    assert clients[0].recv(timeout=DEADLINE) == "asked"
    assert [close_code(client) for client in clients] == [1001] * 6
    assert server.wait_for_exit() == 0
    server.wait_for_line(r"shard \d \(pid \d+\) asks the server to stop")
    assert "stopping (now)" not in server.log
    assert_nothing_left(server, pids)


def test_what_a_killed_supervisor_left_does_not_stop_the_next(run_server: RunServer) -> None:
    server = run_server(shards=2)
    pids = children_of(server.pid)
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not any(is_alive(pid) for pid in pids))
    assert server.run_dir.exists(), "nobody could clean up"
    again = run_server(port=server.port, run_dir=server.run_dir)
    greeting(again.connect())


def test_children_still_run_after_the_terminal_has_sent_its_signals(run_server: RunServer) -> None:
    """Ctrl-C and a hang-up reach every process of the group; only the supervisor decides."""
    server = run_server(shards=2)
    before = server.shard_pids()
    client = server.connect()
    greeting(client)
    for pid in before.values():
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
    assert_echo(client, "well?")
    assert server.shard_pids() == before
