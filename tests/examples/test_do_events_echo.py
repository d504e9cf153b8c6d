"""The example of a program without supervisor, run as its user runs it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0


@pytest.fixture
def example() -> Iterator[subprocess.Popen[str]]:
    """The example on a port of the system's choice."""
    command = [sys.executable, "examples/do_events_echo.py", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.mark.surface("DoEvents", "Listening", "LocalPort", "Shutdown", "Connected", "Disconnected")
def test_the_do_events_example_echoes_and_ends_on_ctrl_c(
    example: subprocess.Popen[str],
) -> None:
    words = line(example).split()
    assert words[:-1] == ["listening", "on", "port"]
    with connect(f"ws://127.0.0.1:{words[-1]}/chat", compression=None) as ws:
        asked = line(example).split()
        assert asked[1:] == ["asks", "for", "/chat"]
        assert line(example) == f"{asked[0]} connected from 127.0.0.1"
        for message in ("hello", b"\xff\x00", "x" * 70_000):
            ws.send(message)
            assert ws.recv(DEADLINE_S) == message
        ws.close(1000, "bye")
    assert line(example) == f"{asked[0]} disconnected: 1000 bye"
    with connect(f"ws://127.0.0.1:{words[-1]}/", compression=None) as ws:
        for _ in range(2):
            line(example)
        example.send_signal(signal.SIGINT)
        with pytest.raises(Exception, match="1001"):
            ws.recv(DEADLINE_S)
    assert example.wait(DEADLINE_S) == 0
    assert line(example).endswith("disconnected: 1001 the server stops")
