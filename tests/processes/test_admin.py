"""The admin child: probes, status and metrics over HTTP, and who may ask."""

import json
import os
import signal
import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes.conftest import (
    DEADLINE,
    RunServer,
    children_of,
    eventually,
    greeting,
    is_alive,
)

pytestmark = pytest.mark.processes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    """Return status and body."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def is_served(port: int) -> bool:
    try:
        return get(port, "/livez")[0] == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def test_probes_status_and_metrics(run_server: RunServer) -> None:
    port = free_port()
    server = run_server("examples.demo:server", "--admin", f"127.0.0.1:{port}")
    client = server.connect()
    greeting(client)
    assert get(port, "/livez") == (200, "ok\n")
    assert get(port, "/readyz") == (200, "ok\n")
    status, body = get(port, "/status")
    assert status == 200
    assert json.loads(body)["totals"]["connections"] == 1
    status, body = get(port, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert sum(sample.value for sample in families["shardws_connections"].samples) == 1
    assert get(port, "/nosuch")[0] == 404


def test_readiness_turns_red_while_the_server_drains(run_server: RunServer) -> None:
    port = free_port()
    server = run_server(
        "examples.demo:server", "--admin", f"127.0.0.1:{port}", "--drain-delay", "60s"
    )
    server.signal(signal.SIGTERM)
    assert eventually(lambda: get(port, "/readyz") == (503, "draining\n"))
    assert get(port, "/livez") == (200, "ok\n")
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not is_served(port)


def test_a_page_of_the_web_cannot_read_it_under_another_name(run_server: RunServer) -> None:
    port = free_port()
    run_server("examples.demo:server", "--admin", f"127.0.0.1:{port}")
    assert get(port, "/status", Host="evil.example")[0] == 403
    assert get(port, "/metrics", Host=f"localhost:{port}")[0] == 200
    assert get(port, "/livez", Host="10.0.0.7")[0] == 200, "a probe names what it likes"


def test_a_token_is_asked_for(run_server: RunServer) -> None:
    port = free_port()
    token = "a-token-long-enough"
    server = run_server(
        "examples.demo:server", "--admin", f"0.0.0.0:{port}", env={"SHARDWS_ADMIN_TOKEN": token}
    )
    assert get(port, "/metrics")[0] == 401
    assert get(port, "/metrics", Authorization="Bearer wrong")[0] == 401
    assert get(port, "/metrics", Authorization=f"Bearer {token}")[0] == 200
    assert get(port, "/readyz")[0] == 200
    assert token not in server.log + json.dumps(server.status())


def test_without_a_token_it_is_for_loopback_alone(launch: RunServer) -> None:
    server = launch("examples.demo:server", "--admin", "0.0.0.0:9")
    assert server.wait_for_exit() == 2
    server.wait_for_line("AdminToken")


def test_its_port_in_use_is_named(launch: RunServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = launch("examples.demo:server", "--admin", f"127.0.0.1:{port}")
        assert server.wait_for_exit() == 3
    server.wait_for_line(f"^shardws: cannot listen on 127.0.0.1:{port}: the address is in use$")


def test_it_is_replaced_when_it_dies_and_goes_with_the_supervisor(run_server: RunServer) -> None:
    port = free_port()
    server = run_server("examples.demo:server", "--admin", f"127.0.0.1:{port}")
    shards = set(server.shard_pids().values())
    (first,) = set(children_of(server.pid)) - shards
    os.kill(first, signal.SIGKILL)
    server.wait_for_line(rf"admin \(pid {first}\) was killed by SIGKILL")
    eventually(lambda: is_served(port))
    (second,) = set(children_of(server.pid)) - shards
    assert second != first
    assert set(server.shard_pids().values()) == shards
    os.kill(second, signal.SIGTERM)
    assert get(port, "/livez")[0] == 200, "TERM for the whole group does not end it"
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not is_alive(second))
