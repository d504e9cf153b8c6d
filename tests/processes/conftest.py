"""Real servers as subprocesses, each on a port of its own, ended by pid after its test.

Waiting is for an event with a deadline: a line of the log, an exit, or a state that `status` shows.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from shardws.control import connect_blocking

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = float(os.environ.get("SHARDWS_TEST_DEADLINE", "20"))  # seconds for whatever is awaited


# The variables name the pid of the process that they are meant for: exec keeps it.
PASS_ON = """
import os, sys
number = int(sys.argv[1])
os.dup2(number, 3)
if number != 3:
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="websocket")
os.execv(sys.argv[2], sys.argv[2:])
"""


def eventually(what: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Return the first true answer of `what`; fail when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"not true within {deadline} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class RunningServer:
    """A server as its operator sees it."""

    def __init__(
        self,
        arguments: list[str],
        cwd: Path,
        env: dict[str, str],
        *,
        passed: socket.socket | None = None,
    ) -> None:
        """`passed` becomes its descriptor 3, as a service manager does it (sd_listen_fds(3))."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "supervisor")])
        command = [sys.executable, "-m", "shardws_supervisor", "run", *arguments]
        if passed is not None:
            command = [sys.executable, "-c", PASS_ON, str(passed.fileno()), *command]
        self.process = subprocess.Popen(
            command,
            pass_fds=[passed.fileno()] if passed else [],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.scheme, self.host, self.port = "ws", "127.0.0.1", 0
        self.url_path = ""
        self.run_dir = Path(arguments[arguments.index("--run-dir") + 1])
        self._clients = contextlib.ExitStack()
        self._seen = threading.Condition()
        self._is_closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._seen:
                self.lines.append(line.rstrip("\n"))
                self._seen.notify_all()
        with self._seen:
            self._is_closed = True
            self._seen.notify_all()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self.process.pid

    @property
    def log(self) -> str:
        with self._seen:
            return "\n".join(self.lines)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.url_path}"

    def wait_for_line(self, pattern: str, deadline: float = DEADLINE) -> re.Match[str]:
        """Return the match of the first log line with the pattern."""
        regex = re.compile(pattern)
        end = time.monotonic() + deadline
        with self._seen:
            while True:
                found = next((m for m in map(regex.search, self.lines) if m), None)
                if found:
                    return found
                left = end - time.monotonic()
                if self._is_closed or left <= 0:
                    pytest.fail(f"no line {pattern!r} in:\n" + "\n".join(self.lines))
                self._seen.wait(left)

    def wait_until_listening(self) -> None:
        found = self.wait_for_line(r"listening on (wss?)://\S+:(\d+) with \d+ shards \(pid (\d+)\)")
        self.scheme, self.port = found[1], int(found[2])
        assert int(found[3]) == self.pid

    def wait_for_exit(self, deadline: float = DEADLINE) -> int:
        """Return the exit code; all lines are read by then."""
        code = self.process.wait(deadline)
        self._reader.join(deadline)
        return code

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def status(self) -> dict[str, Any]:
        with connect_blocking(self.run_dir) as client:
            return client.ask("status")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        with connect_blocking(self.run_dir) as client:
            return client.ask(do, **arguments)

    def shard(self, slot: int) -> dict[str, Any]:
        found: dict[str, Any] = next(s for s in self.status()["shards"] if s["shard"] == slot)
        return found

    def shard_pids(self) -> dict[int, int]:
        """Return the leading pid of each slot."""
        return {shard["shard"]: shard["pid"] for shard in self.status()["shards"]}

    def wait_for_status(self, what: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return the first status of which `what` is true."""

        def look() -> dict[str, Any] | None:
            report = self.status()
            return report if what(report) else None

        found: dict[str, Any] = eventually(look)
        return found

    def connect(self, path: str = "", **options: Any) -> ClientConnection:
        """Open a WebSocket; it is closed at the end of the test at the latest."""
        opened: ClientConnection = self._clients.enter_context(
            connect(self.url + path, open_timeout=DEADLINE, close_timeout=2, **options)
        )
        return opened

    def end(self) -> None:
        """End it, by force if need be."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._clients.close()
        self._reader.join(DEADLINE)
        assert self.process.stderr is not None
        self.process.stderr.close()


def greeting(client: ClientConnection) -> dict[str, Any]:
    """Return the demo's first message: connection_id, shard, pid."""
    message: dict[str, Any] = json.loads(client.recv(timeout=DEADLINE))
    return message


def assert_echo(client: ClientConnection, text: str) -> None:
    """Check that a client of an echoing application is served."""
    client.send(text)
    assert client.recv(timeout=DEADLINE) == text


def connect_to_shard(server: RunningServer, slot: int) -> tuple[ClientConnection, dict[str, Any]]:
    """Connect until the kernel chose that shard; return the connection and its greeting."""
    for _ in range(200):
        client = server.connect()
        hello = greeting(client)
        if hello["shard"] == slot:
            return client, hello
        client.close()
    pytest.fail(f"200 connects and none on shard {slot}")


RunServer = Callable[..., RunningServer]
WriteApp = Callable[..., str]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[RunServer]:
    """Start `shardws run` without waiting: launch(application, *options, cwd=, env=)."""
    servers: list[RunningServer] = []

    def start(
        application: str = "examples.demo:server",
        *options: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        shards: int = 2,
        port: int = 0,
        run_dir: Path | None = None,
        passed: socket.socket | None = None,
    ) -> RunningServer:
        run_dir = run_dir or tmp_path / f"run{len(servers)}"
        arguments = [application, "--local-host", "127.0.0.1", "--local-port", str(port)]
        arguments += ["--shards", str(shards), "--run-dir", str(run_dir), *options]
        server = RunningServer(arguments, cwd or tmp_path, env or {}, passed=passed)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.end()


@pytest.fixture
def run_server(launch: RunServer) -> RunServer:
    """Start `shardws run` and wait until it listens; same arguments as `launch`."""

    def start(*arguments: Any, **options: Any) -> RunningServer:
        server = launch(*arguments, **options)
        server.wait_until_listening()
        return server

    return start


@pytest.fixture
def write_app(tmp_path: Path) -> WriteApp:
    """Write a module into the server's current directory; return its MODULE:server."""

    def write(text: str, name: str = "app") -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:server"

    return write
