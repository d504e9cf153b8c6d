"""Who reads the log, and who does not: a pipe that stays full, a terminal that is closed."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shardws.control import connect_blocking
from tests.processes.conftest import DEADLINE, ROOT, eventually

pytestmark = pytest.mark.processes


def command(run_dir: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "shardws_supervisor", "run", "examples.demo:server"),
        *("--local-host", "127.0.0.1", "--local-port", "0", "--shards", "1"),
        *("--run-dir", str(run_dir), *options),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'supervisor'}"}


def read_until(file: int, words: bytes) -> bytes:
    data = b""
    while words not in data:
        piece = os.read(file, 65536)
        assert piece, data
        data += piece
    return data


def test_a_pipe_that_nobody_reads_stops_nobody(tmp_path: Path) -> None:
    """Some 600 refused requests filled it, and then neither shard nor supervisor did anything."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        command(tmp_path / "run", "--log-level", "3"),
        cwd=tmp_path,
        env=environment(),
        stderr=writer,
    )
    os.close(writer)
    try:
        read_until(reader, b"listening on")
        with connect_blocking(tmp_path / "run") as client:
            for _ in range(100_000):
                if client.ask("status")["log_lines_lost"]:
                    break
                client.ask("reopen-logs")  # a line each time
            lost = client.ask("status")
            assert lost["log_lines_lost"] > 0
            assert lost["ready"]
        os.read(reader, 1 << 20)
        with connect_blocking(tmp_path / "run") as client:
            client.ask("reopen-logs")
        assert read_until(reader, b"log lines were lost")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(reader)


def test_closing_the_terminal_ends_a_server_in_its_foreground(tmp_path: Path) -> None:
    """It was a reload, and the server went on without anybody who could stop it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, command(tmp_path / "run"), environment())
    try:
        found = re.search(rb"pid (\d+)", read_until(terminal, b"listening on") + b"(pid 0)")
        assert found
        os.kill(pid, signal.SIGHUP)
        read_until(terminal, b"reloaded: 1 shard replaced")
    finally:
        os.close(terminal)
    assert eventually(lambda: os.waitpid(pid, os.WNOHANG)[0], DEADLINE) == pid
    assert not (tmp_path / "run").exists()
