"""A shard that dies says goodbye: its keeper writes the close frame that it cannot write itself."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.proc import children_of, workers_of
from tests.processes import applications
from tests.processes.clients import close_code, open_silent
from tests.processes.conftest import DEADLINE, RunningServer, RunServer, WriteApp, eventually

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        os.environ.get("SHARDWS_CODEC") == "python",
        reason="only the data path in C knows where its streams stand",
    ),
]


def keeper_of(server: RunningServer) -> list[int]:
    """Return the pids of the keepers that are the supervisor's children."""
    return [pid for pid in children_of(server.pid) if pid not in workers_of(server.pid)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_clients_of_a_shard_that_dies_are_told_to_come_back(
    run_server: RunServer, number: signal.Signals
) -> None:
    server = run_server("examples.demo:server", shards=1)
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        client.recv(timeout=DEADLINE)
    os.kill(server.shard_pids()[0], number)
    assert [close_code(client) for client in clients] == [1012] * 50
    assert eventually(lambda: server.shard(0)["state"] == "ready")
    eventually(lambda: len(keeper_of(server)) == 1)  # the old one has gone


def test_a_client_in_the_middle_of_a_frame_gets_the_end_of_tcp_alone(
    run_server: RunServer, write_app: WriteApp
) -> None:
    """A close frame there would be read as a part of the message."""
    app = write_app(
        applications.GREETS
        + """
server.out_high_mark = 64 << 20
server.on_data_in = lambda e: server.send(e.connection_id, bytes(32 << 20))
"""
    )
    server = run_server(app, shards=1)
    reader, _ = open_silent(server)
    with reader:
        reader.settimeout(DEADLINE)
        reader.sendall(b"\x81\x81\0\0\0\0x")
        head = reader.recv(10, socket.MSG_WAITALL)
        assert head[:2] == b"\x82\x7f"
        os.kill(server.shard_pids()[0], signal.SIGKILL)
        received = 0
        while piece := reader.recv(1 << 20):
            received += len(piece)
            assert not piece.strip(b"\0"), "nothing but the payload"
        assert received < 32 << 20


def test_who_was_closed_already_gets_no_second_close_frame(
    run_server: RunServer, write_app: WriteApp
) -> None:
    app = write_app(
        applications.GREETS + "\nserver.on_data_in = lambda e: server.disconnect(e.connection_id)\n"
    )
    server = run_server(app, shards=1)
    sock, _ = open_silent(server)
    with sock:
        sock.settimeout(DEADLINE)
        sock.sendall(b"\x81\x81\0\0\0\0x")
        frame = sock.recv(2, socket.MSG_WAITALL)
        assert frame[:1] == b"\x88"
        assert len(sock.recv(frame[1], socket.MSG_WAITALL)) == frame[1]
        os.kill(server.shard_pids()[0], signal.SIGKILL)
        assert sock.recv(100) == b""


def test_the_port_and_the_links_of_a_dead_shard_are_closed_at_once(run_server: RunServer) -> None:
    """Its keeper has them too: a client that connected there would wait for nobody."""
    server = run_server("examples.demo:server", shards=2)
    victim = server.shard_pids()[0]
    sock, _ = open_silent(server, 0)  # it never closes: the keeper stays for its whole time
    with sock:
        os.kill(victim, signal.SIGKILL)
        server.wait_for_line(r"shard 0 \(pid \d+\) was killed by SIGKILL")
        with connect(server.url, open_timeout=DEADLINE) as client:
            assert client.recv(timeout=DEADLINE)


def test_keepers_go_with_their_server(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", shards=2)
    keepers = keeper_of(server)
    assert len(keepers) == 2
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in keepers)


def test_keepers_die_with_a_killed_supervisor(run_server: RunServer) -> None:
    server = run_server("examples.demo:server", shards=1)
    (keeper,) = keeper_of(server)
    server.process.kill()
    server.process.wait(DEADLINE)
    eventually(lambda: not Path(f"/proc/{keeper}").exists())


def test_a_program_that_the_application_starts_has_none_of_the_descriptors(
    run_server: RunServer, write_app: WriteApp
) -> None:
    app = write_app(
        applications.GREETS
        + """
import subprocess
def on_data_in(e):
    subprocess.run(["true"], check=True)
    server.send_text(e.connection_id, "done")
server.on_data_in = on_data_in
"""
    )
    server = run_server(app, shards=1)
    with connect(server.url, open_timeout=DEADLINE) as client:
        client.recv(timeout=DEADLINE)
        client.send("go")
        assert client.recv(timeout=DEADLINE) == "done"
    assert subprocess.run(["true"], check=False).returncode == 0
