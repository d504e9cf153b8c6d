"""The control socket and its command line, used well and badly."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shardws.control.endpoint import MOST_CLIENTS
from shardws_supervisor.control.client_quota import RESERVED_CLIENTS
from tests.processes.conftest import (
    DEADLINE,
    ROOT,
    RunningServer,
    RunServer,
    assert_echo,
    eventually,
    free_port,
    greeting,
)

pytestmark = pytest.mark.processes

SHARDWS = [sys.executable, "-m", "shardws_supervisor"]


def shardws(*arguments: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
    return subprocess.run(
        [*SHARDWS, *arguments],
        env={**os.environ, "PYTHONPATH": path, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


def command(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return shardws(*arguments, "--run-dir", str(server.run_dir), tmp_path=server.run_dir.parent)


def dial(server: RunningServer) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    sock.connect(str(server.run_dir / "control.sock"))
    return sock


def read_line(sock: socket.socket) -> dict[str, object]:
    with sock.makefile("rb") as stream:
        answer: dict[str, object] = json.loads(stream.readline())
        return answer


def test_status_in_words_and_as_json(run_server: RunServer) -> None:
    server = run_server(shards=2)
    client = server.connect()
    greeting(client)
    words = command(server, "status")
    assert words.returncode == 0
    lines = words.stdout.splitlines()
    assert lines[0].startswith(f"ws://127.0.0.1:{server.port}  serving  pid {server.pid}  up ")
    assert lines[1].startswith("1 of ")
    assert [line.split()[:2] for line in lines[3:]] == [
        ["SHARD", "STATE"],
        ["0", "ready"],
        ["1", "ready"],
    ]
    assert "\x1b" not in words.stdout
    report = json.loads(command(server, "status", "--json").stdout)
    assert report["totals"]["connections"] == 1
    assert len(report["shards"]) == 2


def test_who_asks_for_a_change_is_in_the_log(run_server: RunServer) -> None:
    server = run_server(shards=1)
    command(server, "disconnect", "12345678", "--reason", "a\nb")
    found = server.wait_for_line(rf"user {os.getuid()} \(pid \d+\) requests disconnect (.*)")
    assert found[1] == """'{"id": 12345678, "code": 1000, "reason": "a\\\\nb"}'"""
    command(server, "status")
    command(server, "scale", "2")
    server.wait_for_line(r"requests scale '\{\"shards\": 2\}'")
    assert server.log.count(" requests ") == 2


def test_a_reader_that_has_seen_enough_is_no_error(run_server: RunServer) -> None:
    """`shardws status | head -1` ended with a traceback."""
    server = run_server(shards=1)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
        done = subprocess.run(
            [*SHARDWS, "status", "--run-dir", str(server.run_dir)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=DEADLINE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_top_shows_rates(run_server: RunServer) -> None:
    server = run_server(shards=1)
    shown = command(server, "top", "--count", "2", "--interval", "0.1")
    assert shown.returncode == 0
    rows = [line for line in shown.stdout.splitlines() if line.startswith("0      ready ")]
    assert len(rows) == 2
    assert "-" not in rows[0].split(), "a rate needs two looks, and there were two"


def test_reload_waits_for_its_outcome(run_server: RunServer) -> None:
    server = run_server(shards=2)
    before = server.shard_pids()
    done = command(server, "reload")
    assert (done.returncode, done.stdout) == (0, "reloaded: 2 shards replaced\n")
    assert not set(server.shard_pids().values()) & set(before.values())


def test_scale_and_stop(run_server: RunServer) -> None:
    server = run_server(shards=1)
    assert command(server, "scale", "3").stdout == "scaling to 3 shards\n"
    assert len(server.status()["shards"]) == 3
    refused = command(server, "scale", "0")
    assert (refused.returncode, refused.stderr) == (1, "shardws: shards must be 1 to 16, not 0\n")
    stopped = command(server, "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "the server has stopped\n")
    assert not server.run_dir.exists()
    assert server.wait_for_exit() == 0


def test_drain_returns_at_once(run_server: RunServer) -> None:
    server = run_server(shards=1)
    assert command(server, "drain").stdout == "the server is draining\n"
    assert server.wait_for_exit() == 0


def test_a_drain_is_not_hastened_by_another_one(run_server: RunServer) -> None:
    """The second `drain`, and TERM after it, threw every client out with 1006."""
    server = run_server("examples.demo:server", "--drain-delay", "60s", shards=1)
    client = server.connect()
    greeting(client)
    for name in ("drain", "drain", "stop"):
        assert server.ask(name) == {"phase": "draining"}
    assert command(server, "drain").returncode == 0
    server.signal(signal.SIGTERM)
    server.ask("reopen-logs")
    server.wait_for_line("log file reopened")  # signals are handled in every turn: TERM was
    assert_echo(client, "still here")
    assert server.status()["phase"] == "draining"
    assert command(server, "stop", "--now").returncode == 0
    assert server.wait_for_exit() == 0


def test_reopen_logs(run_server: RunServer, tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    server = run_server("examples.demo:server", "--log-file", str(file))
    file.rename(tmp_path / "server.log.1")
    assert command(server, "reopen-logs").returncode == 0
    assert "log file reopened" in file.read_text()
    assert "listening on" in (tmp_path / "server.log.1").read_text()


@pytest.mark.parametrize("name", ["status", "top", "reload", "stop", "drain"])
def test_no_server_is_said_clearly(tmp_path: Path, name: str) -> None:
    missing = str(tmp_path / "none")
    done = shardws(name, "--run-dir", missing, tmp_path=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"shardws: no server runs in {missing}\n"


def test_the_only_server_is_found(run_server: RunServer, tmp_path: Path) -> None:
    first = run_server(run_dir=tmp_path / "shardws-1")
    found = shardws("status", "--json", tmp_path=tmp_path)
    # Servers of other tests may run under /tmp at the same time: then it has to be named.
    assert found.returncode in (0, 2)
    if found.returncode == 0:
        assert json.loads(found.stdout)["pid"] == first.pid
    run_server(run_dir=tmp_path / "shardws-2")
    several = shardws("status", tmp_path=tmp_path)
    assert several.returncode == 2
    assert "several servers run: choose one by its port or its run directory: " in several.stderr
    assert str(tmp_path / "shardws-2") in several.stderr


NONSENSE = {
    "no JSON": (b"hello\n", "the request is not valid JSON"),
    "binary": (b"\x00\xff\xfe\n", "the request is not valid JSON"),
    "no object": (b"[1]\n", 'a request is a JSON object like {"do": "status"}'),
    "no command": (b'{"x": 1}\n', 'a request is a JSON object like {"do": "status"}'),
    "deep": (b"[" * 30_000 + b"\n", "the request is not valid JSON"),
    "unknown": (b'{"do": "dance"}\n', "unknown command 'dance'; there are status, stop"),
    "bad count": (b'{"do": "scale", "shards": "many"}\n', "shards must be a whole number"),
    "bad flag": (b'{"do": "stop", "now": 1}\n', "now must be true or false"),
    "endless line": (b"x" * 70_000, "a request is at most 65536 bytes"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all nonsense: it must survive each case."""
    path = tmp_path_factory.mktemp("shared")
    options = ["--local-host", "127.0.0.1", "--local-port", "0", "--shards", "1"]
    arguments = ["examples.demo:server", *options, "--run-dir", str(path / "run")]
    server = RunningServer(arguments, path, {})
    server.wait_until_listening()
    yield server
    server.end()


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_gets_a_reason(shared: RunningServer, name: str) -> None:
    data, words = NONSENSE[name]
    with dial(shared) as sock:
        sock.sendall(data)
        answer = read_line(sock)
    assert answer["ok"] is False
    assert words in str(answer["error"])
    assert shared.status()["ready"]


def test_a_client_that_never_reads_is_dropped(shared: RunningServer) -> None:
    with dial(shared) as sock:
        request = b'{"do": "status"}\n'

        def ask_more() -> bool:
            try:
                sock.sendall(request * 200)
            except (BrokenPipeError, ConnectionResetError):
                return True
            return False

        eventually(ask_more)
    shared.wait_for_line("a control client does not read its replies: dropped")
    assert shared.status()["ready"]


def test_requests_in_pieces_and_several_at_once(shared: RunningServer) -> None:
    with dial(shared) as sock, sock.makefile("rb") as stream:
        for byte in b'{"do": "status"}\n':
            sock.sendall(bytes([byte]))
        assert json.loads(stream.readline())["ok"] is True
        sock.sendall(b'{"do": "status"}\n{"do": "dance"}\n')
        assert json.loads(stream.readline())["ok"] is True
        assert json.loads(stream.readline())["ok"] is False


def test_operators_and_probes_get_through_when_backends_hold_every_place(
    run_server: RunServer,
) -> None:
    admin = f"127.0.0.1:{free_port()}"
    server = run_server("examples.demo:server", "--admin", admin)
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CLIENTS + RESERVED_CLIENTS):
            sock = stack.enter_context(dial(server))
            sock.sendall(b'{"do": "publish", "group": "g", "text": "x"}\n')
            read_line(sock)
        server.wait_for_line("256 control clients are connected")
        assert command(server, "status").returncode == 0
        for path in ("/livez", "/readyz"):
            with urllib.request.urlopen(f"http://{admin}{path}", timeout=DEADLINE) as answer:
                assert answer.status == 200
        assert command(server, "stop").returncode == 0
    assert server.wait_for_exit() == 0
