"""The example of a backend that pushes, with a real server, run as its user runs it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.processes.conftest import RunningServer

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0

pytestmark = pytest.mark.processes


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """The demo; its run directory has the default place of the port 9001 that the example means."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    options = ["--local-host", "127.0.0.1", "--local-port", "0", "--shards", "2"]
    options += ["--run-dir", str(tmp_path / "shardws-9001")]
    running = RunningServer(["examples.demo:server", *options], ROOT, {})
    running.wait_until_listening()
    yield running
    running.end()


@pytest.fixture
def backend(server: RunningServer) -> Iterator[str]:
    """The example on a port of the system's choice; its URL."""
    command = [sys.executable, "examples/push_from_backend.py", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:-1] == ["listening", "on", "port"]
        yield f"http://127.0.0.1:{words[-1]}"
        process.kill()


def post(url: str, text: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, text.encode(), timeout=DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_what_is_posted_arrives(server: RunningServer, backend: str) -> None:
    with connect(server.url) as ws:
        identity = json.loads(ws.recv(DEADLINE_S))["connection_id"]
        ws.send(json.dumps({"join": "news"}))
        ws.send("joined")
        assert ws.recv(DEADLINE_S) == "joined"
        for path in (f"/to/{identity}", "/group/news", "/"):
            assert post(backend + path, f"hé from {path}") == (200, "QUEUED\n")
            assert ws.recv(DEADLINE_S) == f"hé from {path}"
    assert post(f"{backend}/to/{identity + 1}", "x") == (404, "GONE\n")
    server.end()
    code, words = post(backend, "x")
    assert (code, words[:16]) == (502, "no server runs i")
