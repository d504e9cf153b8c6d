"""The admin child: probes, status and metrics over HTTP, and who may ask."""

import contextlib
import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.proc import is_alive, workers_of
from tests.processes.conftest import (
    DEADLINE,
    RunningServer,
    RunServer,
    assert_echo,
    eventually,
    free_port,
    greeting,
)

pytestmark = pytest.mark.processes


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    """Return status and body."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def start(run_server: RunServer, *arguments: str, **options: Any) -> tuple[RunningServer, int]:
    """Return a server with an admin child, and its port."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    return run_server("examples.demo:server", "--admin", address, *arguments, **options), port


def scrape(port: int) -> dict[str, dict[str, float]]:
    """Return the samples that have a shard, by name and shard."""
    status, body = get(port, "/metrics")
    assert status == 200
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            if "shard" in sample.labels and "state" not in sample.labels:
                found.setdefault(sample.name, {})[sample.labels["shard"]] = sample.value
    return found


def last_point(port: int) -> dict[str, Any]:
    """Return what the history has last of each shard."""
    points = json.loads(get(port, "/history")[1])["points"]
    found: dict[str, Any] = points[-1]["shards"] if points else {}
    return found


def talk(port: int, data: bytes) -> bytes:
    """Send bytes and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
        sock.sendall(data)
        with sock.makefile("rb") as stream:
            return stream.read()


def is_served(port: int) -> bool:
    try:
        return get(port, "/livez")[0] == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def test_probes_status_and_metrics(run_server: RunServer) -> None:
    server, port = start(run_server)
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


def test_silent_strangers_do_not_make_a_server_look_unhealthy(run_server: RunServer) -> None:
    """64 connects without a byte turned both probes to 503 for as long as one liked."""
    server, port = start(run_server)
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE))
        assert get(port, "/livez") == (200, "ok\n")
        assert get(port, "/readyz") == (200, "ok\n")
        assert get(port, "/status")[0] == 200
    assert server.status()["ready"]


def test_any_loopback_address_serves(run_server: RunServer) -> None:
    """`--admin 127.0.0.5` started and answered 403 to everything."""
    with socket.create_server(("127.0.0.5", 0)) as sock:
        port = sock.getsockname()[1]
    run_server("examples.demo:server", "--admin", f"127.0.0.5:{port}")
    with urllib.request.urlopen(f"http://127.0.0.5:{port}/status", timeout=DEADLINE) as answer:
        assert answer.status == 200


def test_readiness_turns_red_while_the_server_drains(run_server: RunServer) -> None:
    server, port = start(run_server, "--drain-delay", "60s")
    server.signal(signal.SIGTERM)
    assert eventually(lambda: get(port, "/readyz") == (503, "draining\n"))
    assert get(port, "/livez") == (200, "ok\n")
    server.signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert not is_served(port)


def test_a_page_of_the_web_cannot_read_it_under_another_name(run_server: RunServer) -> None:
    _, port = start(run_server)
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
        assert server.wait_for_exit() == 1
    server.wait_for_line(
        f"^shardws: AdminAddress: cannot listen on 127.0.0.1:{port}: the address is in use$"
    )


def test_it_is_replaced_when_it_dies_and_goes_with_the_supervisor(run_server: RunServer) -> None:
    server, port = start(run_server)
    shards = set(server.shard_pids().values())
    (first,) = set(workers_of(server.pid)) - shards
    os.kill(first, signal.SIGKILL)
    server.wait_for_line(rf"admin \(pid {first}\) was killed by SIGKILL")
    eventually(lambda: is_served(port))
    (second,) = set(workers_of(server.pid)) - shards
    assert second != first
    assert set(server.shard_pids().values()) == shards
    os.kill(second, signal.SIGTERM)
    assert get(port, "/livez")[0] == 200, "TERM for the whole group does not end it"
    server.signal(signal.SIGKILL)
    server.process.wait(DEADLINE)
    eventually(lambda: not is_alive(second))


def test_counters_do_not_fall_back_when_a_shard_is_killed(run_server: RunServer) -> None:
    server, port = start(run_server)
    clients = [server.connect() for _ in range(6)]
    for client in clients:
        greeting(client)
        assert_echo(client, "hello")
    before = scrape(port)
    assert sum(before["shardws_received_messages_total"].values()) == 6
    pid = server.shard(0)["pid"]
    os.kill(pid, signal.SIGKILL)
    server.wait_for_status(
        lambda report: report["shards"][0]["state"] == "ready" and report["shards"][0]["pid"] != pid
    )
    eventually(lambda: scrape(port)["shardws_restarts_total"]["0"] == 1)  # a report is kept 0.2 s
    after = scrape(port)
    for name, values in before.items():
        if name.endswith("_total"):
            for shard, value in values.items():
                assert after[name][shard] >= value, f"{name} of shard {shard}"
    text = get(port, "/metrics")[1]
    assert str(pid) not in text.replace(".", " ").split(), "never a pid"


def test_counters_outlive_the_admin_child_and_a_slot_that_was_given_up(
    run_server: RunServer,
) -> None:
    """CPU time fell when the admin child died, restarts when a slot came back."""
    server, port = start(run_server)
    for _ in range(2):  # so that both processes of each slot have used CPU time
        assert server.ask("reload")
        server.wait_for_status(lambda report: report["phase"] == "serving")
    os.kill(server.shard(1)["pid"], signal.SIGKILL)
    server.wait_for_status(lambda report: report["shards"][1]["crashes"] == 1)
    server.wait_for_status(lambda report: report["shards"][1]["state"] == "ready")
    eventually(lambda: scrape(port)["shardws_restarts_total"] == {"0": 2, "1": 3})
    before = scrape(port)
    assert before["shardws_crashes_total"] == {"0": 0, "1": 1}
    (admin,) = server.status()["auxiliaries"]
    os.kill(admin["pid"], signal.SIGKILL)
    server.wait_for_status(lambda report: report["auxiliaries"][0]["restarts"] == 1)
    server.wait_for_status(lambda report: report["auxiliaries"][0]["pid"])
    server.ask("scale", shards=1)
    server.wait_for_status(lambda report: len(report["shards"]) == 1)
    eventually(lambda: is_served(port))
    less = scrape(port)
    server.ask("scale", shards=2)
    server.wait_for_status(lambda report: report["ready"] and len(report["shards"]) == 2)
    again = scrape(port)
    for name in ("shardws_cpu_seconds_total", "shardws_restarts_total", "shardws_crashes_total"):
        for shard in ("0", "1"):
            assert before[name][shard] <= less[name][shard] <= again[name][shard], name
    assert 'shardws_auxiliary_restarts_total{auxiliary="admin"} 1.0' in get(port, "/metrics")[1]


def test_the_dashboard_and_what_it_asks_for(run_server: RunServer) -> None:
    server, port = start(run_server)
    client = server.connect()
    own = greeting(client)
    status, body = get(port, "/")
    assert status == 200
    assert body.startswith("<!doctype html>")
    status, body = get(port, "/connections?limit=10")
    assert status == 200
    listed = json.loads(body)
    assert listed["total"] == 1
    (row,) = listed["connections"]
    assert (row["id"], row["shard"]) == (own["connection_id"], own["shard"])
    assert row["port"] == client.local_address[1]
    point = eventually(lambda: last_point(port).get("0"))  # one a second
    assert set(point) == {"messages", "connections", "lag"}
    for limit in ("0", "501", "-1", "x", "1e3", ""):
        assert get(port, f"/connections?limit={limit}") == (400, "limit must be 1 to 500\n")


def test_the_list_is_cut_and_hides_queries(run_server: RunServer) -> None:
    server, port = start(run_server)
    for number in range(5):
        greeting(server.connect(f"/room/{number}?token=secret"))
    listed = json.loads(get(port, "/connections?limit=2")[1])
    assert listed["total"] == 5
    assert len(listed["connections"]) == 2
    assert "secret" not in json.dumps(listed)
    assert all(row["path"].startswith("/room/") for row in listed["connections"])


def test_it_stays_up_while_the_supervisor_is_silent(run_server: RunServer) -> None:
    server, port = start(run_server)
    greeting(server.connect())
    assert get(port, "/livez")[0] == 200
    server.signal(signal.SIGSTOP)
    try:
        assert eventually(lambda: get(port, "/livez")[0] == 503)
        for path in ("/livez", "/readyz", "/status", "/connections"):
            status, text = get(port, path)
            assert (status, text[:30]) == (503, "the supervisor does not reply:"), path
        assert get(port, "/")[0] == 200
        body = get(port, "/metrics")[1]
        assert "shardws_supervisor_up 0.0" in body
        assert sum(scrape(port)["shardws_connections"].values()) == 1
    finally:
        server.signal(signal.SIGCONT)
    assert eventually(lambda: get(port, "/readyz")[0] == 200)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, int]]:
    """One server for all nonsense: it must survive each case."""
    path, port = tmp_path_factory.mktemp("shared"), free_port()
    options = ["--local-host", "127.0.0.1", "--local-port", "0", "--shards", "1"]
    options += ["--admin", f"127.0.0.1:{port}", "--run-dir", str(path / "run")]
    server = RunningServer(["examples.demo:server", *options], path, {})
    server.wait_until_listening()
    yield server, port
    server.end()


NONSENSE = {
    "TLS": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "other host": (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "POST": (b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 405),
    "DELETE": (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "a body": (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "up and up": (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    "long line": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    "endless head": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 431),
    "many fields": (b"GET /?" + b"a&" * 50 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_and_closed(shared: tuple[RunningServer, int], name: str) -> None:
    server, port = shared
    data, status = NONSENSE[name]
    answer = talk(port, data)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert get(port, "/readyz") == (200, "ok\n")
    assert "Traceback" not in server.log


def test_no_secret_is_shown(run_server: RunServer) -> None:
    token = "a-token-long-enough"
    server, port = start(run_server, env={"SHARDWS_ADMIN_TOKEN": token})
    asked = [get(port, path, Authorization=f"Bearer {token}") for path in PATHS]
    assert {status for status, _ in asked} == {200}
    assert token not in "".join(body for _, body in asked) + server.log
    for path in PATHS:
        status, body = get(port, path)
        is_probe = path in ("/livez", "/readyz")
        assert status == (200 if is_probe else 401), path
        assert is_probe or body.startswith("a token is needed")


PATHS = ("/livez", "/readyz", "/status", "/metrics", "/", "/connections", "/history")
