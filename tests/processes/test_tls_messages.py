"""Messages between shards, hand-over of sockets and a reload, with clients that speak TLS."""

import json
import signal
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.processes.conftest import DEADLINE, RunningServer, RunServer, assert_echo, greeting
from tests.processes.tls_client import Authority

pytestmark = pytest.mark.processes


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.store("demo")
    return authority


def serve(run_server: RunServer, *options: str) -> RunningServer:
    return run_server("examples.demo:server", "--use-ssl", "--ssl-cert-store", "demo.pem", *options)


def one_on_each_shard(
    server: RunningServer, authority: Authority
) -> tuple[list[ClientConnection], list[int]]:
    """Return a client on each of two shards, and their ids."""
    found: dict[int, tuple[ClientConnection, int]] = {}
    for _ in range(200):
        client = server.connect(ssl=authority.context())
        hello = greeting(client)
        if hello["shard"] in found:
            client.close()
        else:
            found[hello["shard"]] = (client, hello["connection_id"])
        if len(found) == 2:
            return [found[0][0], found[1][0]], [found[0][1], found[1][1]]
    pytest.fail("200 connects and all on one shard")


@pytest.mark.parametrize("mode", ["reuseport", "handoff"])
def test_messages_cross_shards(run_server: RunServer, authority: Authority, mode: str) -> None:
    server = serve(run_server, "--accept-mode", mode)
    (one, two), (first, second) = one_on_each_shard(server, authority)
    for number in range(50):
        one.send(json.dumps({"to": second, "text": f"{number}" * number}))
    for number in range(50):
        found = json.loads(two.recv(timeout=DEADLINE))
        assert found == {"from": first, "text": f"{number}" * number}
    two.send(json.dumps({"broadcast": "x" * 50_000}))
    for client in (one, two):
        found = json.loads(client.recv(timeout=DEADLINE))
        assert found == {"from": second, "broadcast": "x" * 50_000}


def test_a_reload_closes_in_good_order(run_server: RunServer, authority: Authority) -> None:
    server = serve(run_server)
    clients, _ = one_on_each_shard(server, authority)
    server.signal(signal.SIGHUP)
    for client in clients:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    server.wait_for_line("reloaded: 2 shards replaced")
    client = server.connect(ssl=authority.context())
    greeting(client)
    assert_echo(client, "still there")
