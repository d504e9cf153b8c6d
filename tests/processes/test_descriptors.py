"""A shard that has no descriptor for one more client says so: to the client, the log and status."""

import contextlib
import re
import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.proc import descriptors_of
from tests.processes.applications import only_in_shards
from tests.processes.conftest import DEADLINE, RunningServer, RunServer, WriteApp, eventually

pytestmark = pytest.mark.processes

MODES = pytest.mark.parametrize("mode", ["reuseport", "handoff"])
FEW = 120

# As an application does that opens files of its own: MaxConnections was promised without them.
LIMITED = only_in_shards(f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW}, {FEW}))
""")
SHORT = rf"out of descriptors: RLIMIT_NOFILE {FEW} leaves room for (\d+) clients"


def fill(server: RunningServer) -> list[ClientConnection]:
    """Connect until one is refused."""
    clients: list[ClientConnection] = []
    for _ in range(2 * FEW):
        try:
            clients.append(server.connect())
        except InvalidStatus as refused:
            answer = refused.response
            break
    else:
        pytest.fail("nobody was refused")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    return clients


@MODES
def test_the_client_that_does_not_fit_is_answered_and_the_log_says_why_once(
    run_server: RunServer, write_app: WriteApp, mode: str
) -> None:
    """It was closed without a word anywhere, when accept failed for want of a descriptor."""
    server = run_server(write_app(LIMITED), "--accept-mode", mode, shards=1)
    clients = fill(server)
    found = server.wait_for_line(SHORT + r" here; (\d+) are connected")
    room, connected = int(found[1]), int(found[2])
    assert connected > room, "there was room"
    # Room is counted again at each tick; and clients that were refused may not be gone yet.
    assert abs(room - len(clients)) <= 2
    for _ in range(3):
        with pytest.raises(InvalidStatus):
            server.connect()
    assert server.shard(0)["no_descriptors"] == 4
    while clients:
        clients.pop().close()
    found = server.wait_for_line(r"descriptors are free again; (\d+) clients were refused")
    assert found[1] == "4"
    with server.connect() as client:
        client.send("still here")
    assert len(re.findall("out of descriptors", server.log)) == 1


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@MODES
def test_clients_that_are_refused_and_stay_do_not_take_the_last_descriptors(
    run_server: RunServer, write_app: WriteApp, mode: str
) -> None:
    """Each that waits for its 503 holds a descriptor; those beyond a few are sent off at once."""
    server = run_server(write_app(LIMITED), "--accept-mode", mode, shards=1)
    fill(server)
    shard = server.shard_pids()[0]
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection((server.host, server.port), DEADLINE))
            for _ in range(3 * FEW)
        ]
        for client in silent:
            client.setblocking(False)
        eventually(lambda: sum(map(is_closed, silent)) >= 2 * FEW)
        # Those of one turn of the loop are open together before the first of them is sent off.
        eventually(lambda: 0 < len(descriptors_of(shard)) < FEW)
        # Accepting goes on: who comes now is sent off or answered, not left in the backlog.
        late = stack.enter_context(socket.create_connection((server.host, server.port), DEADLINE))
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) in (b"", b"H")
    server.wait_for_line(SHORT)
    assert len(re.findall("out of descriptors", server.log)) == 1
